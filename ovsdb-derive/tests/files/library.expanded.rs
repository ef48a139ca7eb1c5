// What `schema!` generates from library.ovsschema, with the inner macros left as they are.
// Written by `OVSDB_WRITE_EXPANSION=1 cargo test -p ovsdb-derive --lib`.

///The database `Library`, schema version 1.0.0.
#[derive(
    ::core::fmt::Debug,
    ::core::clone::Clone,
    ::core::marker::Copy,
    ::core::cmp::PartialEq,
    ::core::cmp::Eq,
)]
pub struct Database;
impl ::ovsdb::Database for Database {
    const NAME: &'static str = "Library";
    const VERSION: ::core::option::Option<&'static str> = ::core::option::Option::Some(
        "1.0.0",
    );
    const TABLES: &'static [&'static str] = &["Book", "Shelf"];
    fn with_all_tables<V: ::ovsdb::TableVisitor<Self>>(visitor: &mut V) {
        visitor.table::<Book>();
        visitor.table::<Shelf>();
    }
}
::ovsdb::__enumeration! {
    #[doc = "The values of `Book.type`."] pub enum BookType { #[doc = "`hard-cover`"]
    HardCover = "hard-cover", #[doc = "`paper-back`"] PaperBack = "paper-back", }
}
/**A row of the table `Book`.

A root table: its rows live until a client deletes them.

No two rows have the same `title`.

No two rows have the same `shelf` and `type`.

[Manual: `Book`](https://example.org/library#Book)*/
#[derive(
    ::core::fmt::Debug,
    ::core::clone::Clone,
    ::core::cmp::PartialEq,
    ::core::cmp::Eq,
)]
pub struct Book {
    /**`marks`: map from integer to string.

[Manual: `Book`](https://example.org/library#Book)*/
    pub marks: ::ovsdb::Map<i64, ::ovsdb::Str>,
    /**`pages`: optional integer (1 to 9999).

[Manual: `Book`](https://example.org/library#Book)*/
    pub pages: ::core::option::Option<i64>,
    /**`shelf`: optional weak reference to `Shelf`. The server removes a reference when the row it refers to is deleted. No two rows have the same `shelf` and `type`.

[Manual: `Book`](https://example.org/library#Book)*/
    pub shelf: ::core::option::Option<::ovsdb::Ref<Shelf>>,
    /**`title`: string. Default: `""`. Unique in the table. Cannot change after the row's insert.

[Manual: `Book`](https://example.org/library#Book)*/
    pub title: ::ovsdb::Str,
    /**`type`: string (one of `"hard-cover"`, `"paper-back"`). An insert must set it. No two rows have the same `shelf` and `type`.

[Manual: `Book`](https://example.org/library#Book)*/
    pub r#type: BookType,
}
impl ::core::default::Default for Book {
    fn default() -> Self {
        Self {
            marks: ::core::default::Default::default(),
            pages: ::core::default::Default::default(),
            shelf: ::core::default::Default::default(),
            title: ::core::default::Default::default(),
            r#type: ::core::default::Default::default(),
        }
    }
}
impl Book {
    /**`marks`: map from integer to string.

[Manual: `Book`](https://example.org/library#Book)*/
    pub const MARKS: ::ovsdb::Column<Self, ::ovsdb::Map<i64, ::ovsdb::Str>> = ::ovsdb::Column::new(
        0usize,
        |row: &Self| &row.marks,
    );
    /**`pages`: optional integer (1 to 9999).

[Manual: `Book`](https://example.org/library#Book)*/
    pub const PAGES: ::ovsdb::Column<Self, ::core::option::Option<i64>> = ::ovsdb::Column::new(
        1usize,
        |row: &Self| &row.pages,
    );
    /**`shelf`: optional weak reference to `Shelf`. The server removes a reference when the row it refers to is deleted. No two rows have the same `shelf` and `type`.

[Manual: `Book`](https://example.org/library#Book)*/
    pub const SHELF: ::ovsdb::Column<
        Self,
        ::core::option::Option<::ovsdb::Ref<Shelf>>,
    > = ::ovsdb::Column::new(2usize, |row: &Self| &row.shelf);
    /**`title`: string. Default: `""`. Unique in the table. Cannot change after the row's insert.

[Manual: `Book`](https://example.org/library#Book)*/
    pub const TITLE: ::ovsdb::Column<
        Self,
        ::ovsdb::Str,
        ::ovsdb::Unique<::ovsdb::Immutable>,
    > = ::ovsdb::Column::new(3usize, |row: &Self| &row.title);
    /**`type`: string (one of `"hard-cover"`, `"paper-back"`). An insert must set it. No two rows have the same `shelf` and `type`.

[Manual: `Book`](https://example.org/library#Book)*/
    pub const TYPE: ::ovsdb::Column<Self, BookType> = ::ovsdb::Column::new(
        4usize,
        |row: &Self| &row.r#type,
    );
    ///The index over `shelf`, `type`: no two rows have the same values in all of them.
    #[allow(dead_code, reason = "not every program names every index")]
    pub const SHELF_AND_TYPE: ::ovsdb::UniqueIndex<
        Self,
        (::core::option::Option<::ovsdb::Ref<Shelf>>, BookType),
    > = ::ovsdb::UniqueIndex::<
        Self,
        (::core::option::Option<::ovsdb::Ref<Shelf>>, BookType),
    >::new((Self::SHELF, Self::TYPE));
}
impl ::ovsdb::Table for Book {
    type Database = Database;
    const TABLE: &'static str = "Book";
    const COLUMNS: &'static [::ovsdb::ColumnInfo] = &[
        ::ovsdb::ColumnInfo::new::<::ovsdb::Map<i64, ::ovsdb::Str>>("marks"),
        ::ovsdb::ColumnInfo::new::<::core::option::Option<i64>>("pages"),
        ::ovsdb::ColumnInfo::new::<::core::option::Option<::ovsdb::Ref<Shelf>>>("shelf"),
        ::ovsdb::ColumnInfo::new::<::ovsdb::Str>("title"),
        ::ovsdb::ColumnInfo::new::<BookType>("type"),
    ];
    const INDEXES: &'static [&'static [usize]] = &[&[3usize], &[2usize, 4usize]];
    fn column(&self, index: usize) -> ::core::option::Option<&dyn ::ovsdb::ColumnValue> {
        match index {
            0usize => ::core::option::Option::Some(&self.marks),
            1usize => ::core::option::Option::Some(&self.pages),
            2usize => ::core::option::Option::Some(&self.shelf),
            3usize => ::core::option::Option::Some(&self.title),
            4usize => ::core::option::Option::Some(&self.r#type),
            _ => ::core::option::Option::None,
        }
    }
    fn column_mut(
        &mut self,
        index: usize,
    ) -> ::core::option::Option<&mut dyn ::ovsdb::ColumnValue> {
        match index {
            0usize => ::core::option::Option::Some(&mut self.marks),
            1usize => ::core::option::Option::Some(&mut self.pages),
            2usize => ::core::option::Option::Some(&mut self.shelf),
            3usize => ::core::option::Option::Some(&mut self.title),
            4usize => ::core::option::Option::Some(&mut self.r#type),
            _ => ::core::option::Option::None,
        }
    }
}
impl ::ovsdb::model::RefersTo<Shelf> for Book {}
/**A row of the table `Shelf`.

Not a root table: the server deletes a row as soon as no other row has a strong reference to it. The table has at most 10 rows.

Weak references to it: `Book.shelf`.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
#[derive(
    ::core::fmt::Debug,
    ::core::clone::Clone,
    ::core::cmp::PartialEq,
    ::core::cmp::Eq,
)]
pub struct Shelf {
    /**`height`: real. Default: `0`. Ephemeral: it may be lost when the server restarts.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub height: ::ovsdb::Real,
    /**`lent`: map of 1 to 5 pairs from integer to boolean. Default: the one pair `0=false`.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub lent: ::ovsdb::Map<i64, bool>,
    /**`sections`: set of 1 or more strings. Default: the one element `""`.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub sections: ::ovsdb::Set<::ovsdb::Str>,
    /**`words`: set of strings.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub words: ::ovsdb::Set<::ovsdb::Str>,
}
impl ::core::default::Default for Shelf {
    fn default() -> Self {
        Self {
            height: ::core::default::Default::default(),
            lent: ::ovsdb::value::one_default::<::ovsdb::Map<i64, bool>>(),
            sections: ::ovsdb::value::one_default::<::ovsdb::Set<::ovsdb::Str>>(),
            words: ::core::default::Default::default(),
        }
    }
}
impl Shelf {
    /**`height`: real. Default: `0`. Ephemeral: it may be lost when the server restarts.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub const HEIGHT: ::ovsdb::Column<Self, ::ovsdb::Real> = ::ovsdb::Column::new(
        0usize,
        |row: &Self| &row.height,
    );
    /**`lent`: map of 1 to 5 pairs from integer to boolean. Default: the one pair `0=false`.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub const LENT: ::ovsdb::Column<Self, ::ovsdb::Map<i64, bool>> = ::ovsdb::Column::new(
        1usize,
        |row: &Self| &row.lent,
    );
    /**`sections`: set of 1 or more strings. Default: the one element `""`.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub const SECTIONS: ::ovsdb::Column<Self, ::ovsdb::Set<::ovsdb::Str>> = ::ovsdb::Column::new(
        2usize,
        |row: &Self| &row.sections,
    );
    /**`words`: set of strings.

[Manual: `Shelf`](https://example.org/library#Shelf)*/
    pub const WORDS: ::ovsdb::Column<Self, ::ovsdb::Set<::ovsdb::Str>> = ::ovsdb::Column::new(
        3usize,
        |row: &Self| &row.words,
    );
}
impl ::ovsdb::Table for Shelf {
    type Database = Database;
    const TABLE: &'static str = "Shelf";
    const COLUMNS: &'static [::ovsdb::ColumnInfo] = &[
        ::ovsdb::ColumnInfo::new::<::ovsdb::Real>("height"),
        ::ovsdb::ColumnInfo::new::<::ovsdb::Map<i64, bool>>("lent"),
        ::ovsdb::ColumnInfo::new::<::ovsdb::Set<::ovsdb::Str>>("sections"),
        ::ovsdb::ColumnInfo::new::<::ovsdb::Set<::ovsdb::Str>>("words"),
    ];
    const INDEXES: &'static [&'static [usize]] = &[];
    fn column(&self, index: usize) -> ::core::option::Option<&dyn ::ovsdb::ColumnValue> {
        match index {
            0usize => ::core::option::Option::Some(&self.height),
            1usize => ::core::option::Option::Some(&self.lent),
            2usize => ::core::option::Option::Some(&self.sections),
            3usize => ::core::option::Option::Some(&self.words),
            _ => ::core::option::Option::None,
        }
    }
    fn column_mut(
        &mut self,
        index: usize,
    ) -> ::core::option::Option<&mut dyn ::ovsdb::ColumnValue> {
        match index {
            0usize => ::core::option::Option::Some(&mut self.height),
            1usize => ::core::option::Option::Some(&mut self.lent),
            2usize => ::core::option::Option::Some(&mut self.sections),
            3usize => ::core::option::Option::Some(&mut self.words),
            _ => ::core::option::Option::None,
        }
    }
}
///A stream of the changes of all tables of a cache of this database.
pub type AllChanges = ::ovsdb::cache::AllChanges<Database>;
///A replica of tables of this database.
pub type Cache = ::ovsdb::Cache<Database>;
///Configures which tables and rows a cache of this database replicates.
pub type CacheBuilder = ::ovsdb::CacheBuilder<Database>;
///A client of this database.
pub type Client = ::ovsdb::Client<Database>;
///Configures where and how a client of this database connects.
pub type ClientBuilder = ::ovsdb::ClientBuilder<Database>;
///The rows that a controller wants in this database.
pub type Desired = ::ovsdb::Desired<Database>;
///The operations that bring this database into the desired state.
pub type Plan = ::ovsdb::desired::Plan<Database>;
///Runs a controller of this database, whose objects have keys of the type `K`.
pub type Reconciler<K> = ::ovsdb::Reconciler<Database, K>;
///A running controller of this database.
pub type Runner<K> = ::ovsdb::Runner<Database, K>;
///A view of a cache of this database at one moment.
pub type Snapshot = ::ovsdb::Snapshot<Database>;
///A transaction on this database.
pub type Transaction = ::ovsdb::Transaction<Database>;
::ovsdb::__serialize_tables!(Book Shelf);
