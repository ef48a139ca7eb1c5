//! The traits that generated code implements: [`Database`], [`Table`], and the typed handles of
//! columns.
//!
//! `schema!` and `#[derive(Table)]` write these implementations; they can also be written by hand.

mod any;
#[doc(hidden)]
pub mod check;
mod condition;
mod matcher;
mod reference;
#[cfg(feature = "serde")]
#[doc(hidden)]
pub mod serialize;
mod unique;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

pub use self::any::{AnyColumn, AnyDatabase, AnyTable};
pub use self::condition::{AllOf, AnyOf, Collection, Condition, Ordered, PartsOf};
pub(crate) use self::matcher::Matcher;
pub use self::reference::{ReferredBy, RefersTo};
pub use self::unique::{Unique, UniqueIndex, UniqueKey};
use crate::value::{ColumnKind, ColumnValue, Domain, Ref, Referent, Sealed, Uuid, Value};

/// A database as a type, which keeps its tables from being used with another database.
///
/// ```
/// /// A database of our own.
/// #[derive(Debug, Clone, Copy)]
/// struct Inventory;
///
/// impl ovsdb::Database for Inventory {
///     const NAME: &'static str = "Inventory";
/// }
/// ```
pub trait Database: Sized + Send + Sync + 'static {
    /// The database's name, as in the reply to `list_dbs`.
    const NAME: &'static str;
    /// The version of the schema that the tables were generated from.
    const VERSION: Option<&'static str> = None;
    /// The names of the generated tables.
    const TABLES: &'static [&'static str] = &[];

    /// Calls `visitor` with every generated table.
    fn with_all_tables<V: TableVisitor<Self>>(visitor: &mut V) {
        let _ = visitor;
    }
}

/// The visitor that [`Database::with_all_tables`] calls with each table.
///
/// ```
/// use ovsdb::{Database, Table, TableVisitor};
///
/// /// Collects the names of all tables.
/// struct Names(Vec<&'static str>);
///
/// impl<D: Database> TableVisitor<D> for Names {
///     fn table<T: Table<Database = D>>(&mut self) {
///         self.0.push(T::TABLE);
///     }
/// }
///
/// # #[cfg(feature = "nb")] {
/// let mut names = Names(Vec::new());
/// ovsdb::nb::Database::with_all_tables(&mut names);
/// assert!(names.0.contains(&"Logical_Switch"));
/// # }
/// ```
pub trait TableVisitor<D: Database> {
    /// Called once for each table.
    fn table<T: Table<Database = D>>(&mut self);
}

/// A table, as the struct of its rows' columns.
///
/// A struct may have only some of the table's columns.
///
/// Its [`Default`] should be what the server gives to columns that an insert omits, so that
/// `..Default::default()` leaves them to the server: the default atom if the column's type has `min` 1
/// (0, false, the empty string), and empty if it has `min` 0. Generated tables have this default,
/// except that a required reference stays unset, because the server refuses a row without it. Replicas
/// take the value of an omitted column from the server's schema
/// ([`Datum::default_of`](crate::value::Datum::default_of)), and use `Default` only for a column that
/// the server lacks or gives another type. An insert omits a column with the server's default, or with
/// its value in `Default` if the server lacks the column or gives it another type, or if the server's
/// schema is not known ([`Transaction::detached`](crate::Transaction::detached)). Any other value is
/// sent; if the server's schema does not allow it, the commit returns an error instead.
///
/// ```
/// use ovsdb::{Snapshot, Table};
///
/// /// Prints any table.
/// fn print<T: Table>(view: &Snapshot<T::Database>) {
///     for row in view.rows::<T>() {
///         for (index, column) in T::COLUMNS.iter().enumerate() {
///             if let Some(value) = row.column(index) {
///                 println!("{} {}: {}", row.uuid(), column.name, value.to_datum());
///             }
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a table of a database",
    label = "not a table",
    note = "tables are the structs that `schema!` generates and those with `#[derive(Table)]`"
)]
pub trait Table: Clone + Default + PartialEq + fmt::Debug + Send + Sync + Sized + 'static {
    /// The database that the table belongs to.
    type Database: Database;
    /// The table's name in the schema.
    const TABLE: &'static str;
    /// The columns, in the order of their indexes.
    const COLUMNS: &'static [ColumnInfo];
    /// The schema's indexes over columns of the struct, each as the positions of these columns in
    /// [`COLUMNS`](Self::COLUMNS).
    const INDEXES: &'static [&'static [usize]];

    /// The column with this index.
    fn column(&self, index: usize) -> Option<&dyn ColumnValue>;

    /// The column with this index, to be changed.
    fn column_mut(&mut self, index: usize) -> Option<&mut dyn ColumnValue>;
}

impl<T: Table> Referent for T {
    const DATABASE: &'static str = <T::Database as Database>::NAME;
    const TABLE: &'static str = T::TABLE;
}

/// The name and the shape of a column.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Table, nb};
///
/// let tag = nb::LogicalSwitchPort::COLUMNS.iter().find(|column| column.name == "tag");
/// assert_eq!(tag.expect("a column").kind.to_string(), "optional integer");
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// The column's name in the schema.
    pub name: &'static str,
    /// Its shape.
    pub kind: ColumnKind,
    /// What its elements, or its keys and values, stand for.
    domains: [Domain; 2],
}

impl ColumnInfo {
    /// Whether the column's Rust type contains a [`Ref`].
    pub(crate) fn refers(&self) -> bool {
        let is_rows = |domain: &Domain| matches!(domain, Domain::Rows { .. });
        self.domains.iter().any(is_rows)
    }

    /// Whether a value of the column may refer to rows: its type contains uuids, as [`Ref`] or as plain
    /// [`Uuid`].
    pub(crate) fn may_refer(&self) -> bool {
        self.kind.key == ovsdb_schema::AtomicType::Uuid
            || self.kind.value == Some(ovsdb_schema::AtomicType::Uuid)
    }

    /// Whether the column's Rust type contains a [`Ref`] to this table.
    pub(crate) const fn may_refer_to(&self, database: &str, table: &str) -> bool {
        let [key, value] = self.domains;
        check::is_rows_of(key, database, table) || check::is_rows_of(value, database, table)
    }

    /// The column `name`, which holds a `V`.
    #[must_use]
    pub const fn new<V: Value>(name: &'static str) -> Self {
        Self {
            name,
            kind: V::KIND,
            domains: V::DOMAINS,
        }
    }
}

/// A typed handle of the column of `T` that holds a `V`. Conditions, mutations, updates and look-ups
/// are built from it.
///
/// `M` tells whether the column can be changed after the insert of its row: [`Mutable`], or
/// [`Immutable`] where the schema says `"mutable": false`. An update or mutation of an immutable column
/// does not compile, since only the insert sets its value. A column that an index of the schema makes
/// unique is [`Unique<Mutable>`](Unique) or `Unique<Immutable>`.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::LogicalSwitchPort;
///
/// let localnet = LogicalSwitchPort::TYPE.eq("localnet");
/// assert_eq!(localnet.to_string(), r#"["type","==","localnet"]"#);
/// # }
/// ```
pub struct Column<T, V, M = Mutable> {
    index: usize,
    get: fn(&T) -> &V,
    /// The type of a function, so that a column is always `Copy`, `Send` and `Sync`.
    mutability: PhantomData<fn() -> M>,
}

impl<T: Table, V: Value, M: Mutability> Column<T, V, M> {
    /// The column with this index in [`Table::COLUMNS`], which `get` reads from a row. Generated code
    /// calls this, and so does code for a table written by hand:
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::{Column, Str, nb::LogicalSwitch};
    ///
    /// const NAME: Column<LogicalSwitch, Str> =
    ///     Column::new(LogicalSwitch::NAME.index(), |switch| &switch.name);
    /// let switch = LogicalSwitch { name: "sw0".into(), ..Default::default() };
    /// assert_eq!(NAME.get(&switch), "sw0");
    /// # }
    /// ```
    ///
    /// In a constant, an index out of range, or of a column with another shape, does not compile:
    ///
    /// ```compile_fail
    /// # #[cfg(not(feature = "nb"))] compile_error!();
    /// # use ovsdb::{Column, Str, nb::LogicalSwitch};
    /// const NAME: Column<LogicalSwitch, Str> =
    ///     Column::new(LogicalSwitch::PORTS.index(), |switch| &switch.name);
    /// ```
    ///
    /// # Panics
    /// When `T` has no such column, or one with another shape than `V`; or when the column is
    /// [`Unique`], but [`Table::INDEXES`] has no index over it alone.
    #[must_use]
    pub const fn new(index: usize, get: fn(&T) -> &V) -> Self {
        assert!(
            index < T::COLUMNS.len(),
            "the table has no column with this index"
        );
        assert!(
            check::same_kind(&T::COLUMNS[index].kind, &V::KIND),
            "the column with this index has another type"
        );
        if M::UNIQUE {
            let _ = check::position_of(T::INDEXES, &[index]);
        }
        Self {
            index,
            get,
            mutability: PhantomData,
        }
    }

    /// The column's index in [`Table::COLUMNS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.index
    }

    /// The column's name in the schema.
    #[must_use]
    pub fn name(self) -> &'static str {
        T::COLUMNS[self.index].name
    }

    /// The column's value in `row`.
    #[must_use]
    pub fn get(self, row: &T) -> &V {
        (self.get)(row)
    }

    /// Sets the column's value in `row`.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::LogicalSwitch;
    ///
    /// let mut switch = LogicalSwitch::default();
    /// LogicalSwitch::NAME.put(&mut switch, "sw0");
    /// assert_eq!(switch.name, "sw0");
    /// # }
    /// ```
    pub fn put(self, row: &mut T, value: impl Into<V>) {
        self.edit(row, |place| *place = value.into());
    }

    /// Changes the column's value in `row`. Functions that work with a column of any table use it.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::nb::{Database, LogicalSwitch, Transaction};
    /// use ovsdb::{Column, Map, Ref, Str, Table};
    ///
    /// fn label<T: Table<Database = Database>>(
    ///     txn: &mut Transaction,
    ///     row: Ref<T>,
    ///     column: Column<T, Map<Str, Str>>,
    /// ) {
    ///     txn.edit(row, |row| column.edit(row, |map| drop(map.insert("owner", "me"))));
    /// }
    ///
    /// let mut txn = Transaction::detached();
    /// let switch = txn.insert(LogicalSwitch::default());
    /// label(&mut txn, switch, LogicalSwitch::EXTERNAL_IDS);
    /// assert_eq!(txn.inserted::<LogicalSwitch>()[0].external_ids["owner"], "me");
    /// # }
    /// ```
    pub fn edit(self, row: &mut T, change: impl FnOnce(&mut V)) {
        let place = row.column_mut(self.index);
        // `new` has checked the index and the shape. If `get` reads another field, the type may still
        // differ, and then nothing is changed.
        if let Some(place) = place.and_then(|place| place.as_any_mut().downcast_mut()) {
            change(place);
        }
    }
}

impl<T, V, M> Clone for Column<T, V, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, V, M> Copy for Column<T, V, M> {}

impl<T: Table, V: Value, M: Mutability> fmt::Debug for Column<T, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", T::TABLE, self.name())
    }
}

/// Marks a [`Column`] that can be changed after the insert of its row.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Column, Mutable, Set, Str, nb::LogicalSwitchPort};
///
/// let addresses: Column<LogicalSwitchPort, Set<Str>, Mutable> = LogicalSwitchPort::ADDRESSES;
/// # let _ = addresses;
/// # }
/// ```
#[derive(Debug)]
pub enum Mutable {}

/// Marks a [`Column`] that keeps the value from the insert of its row (`"mutable": false` in the
/// schema).
///
/// ```compile_fail
/// # #[cfg(feature = "vswitch")]
/// use ovsdb::vswitch::{Bridge, Database};
///
/// # #[cfg(feature = "vswitch")]
/// fn rename(txn: &mut ovsdb::Transaction<Database>, bridge: &ovsdb::Row<Bridge>) {
///     txn.update(bridge).set(Bridge::NAME, "br1"); // set once, by the insert
/// }
/// # #[cfg(not(feature = "vswitch"))] compile_error!();
/// ```
#[derive(Debug)]
pub enum Immutable {}

/// Whether a [`Column`] can be changed, and whether it is unique: [`Mutable`], [`Immutable`], or
/// [`Unique`] of one of these.
///
/// ```
/// use ovsdb::model::Mutability;
/// use ovsdb::value::Value;
/// use ovsdb::{Column, Table};
///
/// /// Takes a column of either kind.
/// fn heading<T: Table, V: Value, M: Mutability>(column: Column<T, V, M>) -> String {
///     format!("{} ({})", column.name(), V::KIND)
/// }
///
/// # #[cfg(feature = "nb")]
/// assert_eq!(heading(ovsdb::nb::LogicalSwitchPort::TAG), "tag (optional integer)");
/// ```
pub trait Mutability: Sealed + 'static {
    /// Whether an index of the schema makes the column unique.
    #[doc(hidden)]
    const UNIQUE: bool = false;
}

impl Mutability for Mutable {}
impl Mutability for Immutable {}

/// The [`Mutability`] of columns that can be updated and mutated: [`Mutable`] and
/// [`Unique<Mutable>`](Unique).
///
/// ```
/// use ovsdb::model::{Changeable, PartsOf};
/// use ovsdb::{Column, Map, Ref, Str, Table, Transaction};
///
/// /// Labels a row of any table with a column of this type.
/// fn label<T: Table, M: Changeable>(
///     txn: &mut Transaction<T::Database>,
///     row: Ref<T>,
///     column: Column<T, Map<Str, Str>, M>,
/// ) {
///     txn.mutate(row).insert(column, [("owner", "me")]);
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "this column cannot be changed after its row was inserted",
    label = "the schema declares this column `\"mutable\": false`",
    note = "its value is the one that the row is inserted with; for another one, delete the row and insert a new one"
)]
pub trait Changeable: Mutability {}

impl Changeable for Mutable {}

impl Sealed for Mutable {}
impl Sealed for Immutable {}

/// Implements serde's traits for generated tables, with the feature `serde`.
#[doc(hidden)]
#[macro_export]
macro_rules! __serialize_tables {
    ($($name:ident)*) => { $crate::__with_serde! { $(
        impl $crate::__serde::Serialize for $name {
            fn serialize<S: $crate::__serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::model::serialize::serialize_columns(self, serializer)
            }
        }

        impl<'de> $crate::__serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::__serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::model::serialize::deserialize_columns(deserializer)
            }
        }
    )* } };
}

/// A row as the server stores it: its uuid and its columns. It dereferences to `T`.
///
/// With the feature `serde` it is serialized as a map of the columns, by their names in the schema,
/// preceded by the uuid as `_uuid`; [`value`](crate::value#serialization) lists the shapes. When
/// deserialized, a missing column gets its value in `T::default()`, and an unknown name is an error.
/// The structs that `schema!` generates are serialized in the same way, without `_uuid`. A struct with
/// `derive(Table)` can derive serde's traits itself.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "serde"))] {
/// use ovsdb::nb::LogicalSwitch;
/// use ovsdb::{Row, Uuid};
///
/// let columns: LogicalSwitch = serde_json::from_str(r#"{"name": "sw0", "ports": []}"#)?;
/// assert_eq!(columns, LogicalSwitch { name: "sw0".into(), ..Default::default() });
///
/// let json = serde_json::to_value(Row::new(Uuid::nil(), columns))?;
/// assert_eq!(json["_uuid"], "00000000-0000-0000-0000-000000000000");
/// assert_eq!(json["name"], "sw0");
/// # }
/// # Ok::<(), serde_json::Error>(())
/// ```
// In this order, the uuid is next to the reference count, usually in the same cache line, so that
// prefetching the count also fetches the uuid.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Row<T> {
    uuid: Uuid,
    /// Nil where it is not known.
    version: Uuid,
    columns: T,
}

/// Rows are equal if their uuids and columns are.
impl<T: PartialEq> PartialEq for Row<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid && self.columns == other.columns
    }
}

impl<T: Table> Row<T> {
    /// The row with this uuid and these columns.
    #[must_use]
    pub const fn new(uuid: Uuid, columns: T) -> Self {
        let version = Uuid::nil();
        Self {
            uuid,
            version,
            columns,
        }
    }

    /// The row's `_version`, which the server changes with each change of the row; `None` unless the
    /// cache [requests versions](crate::CacheBuilder::row_versions).
    #[must_use]
    pub fn version(&self) -> Option<Uuid> {
        (!self.version.is_nil()).then_some(self.version)
    }

    pub(crate) const fn version_mut(&mut self) -> &mut Uuid {
        &mut self.version
    }

    /// The row's uuid.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// A reference to the row, for columns of other rows and as the target of operations.
    #[must_use]
    pub const fn reference(&self) -> Ref<T> {
        Ref::new(self.uuid)
    }

    /// The columns.
    #[must_use]
    pub const fn columns(&self) -> &T {
        &self.columns
    }

    /// The columns, without the uuid.
    #[must_use]
    pub fn into_columns(self) -> T {
        self.columns
    }

    pub(crate) const fn columns_mut(&mut self) -> &mut T {
        &mut self.columns
    }
}

impl<T> Deref for Row<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.columns
    }
}

/// How a transaction identifies the rows that it inserts.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Client, RowIdentity, nb};
///
/// // For servers before Open vSwitch 2.13.
/// let builder = Client::<nb::Database>::builder().row_identity(RowIdentity::Named);
/// # let _ = builder;
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RowIdentity {
    /// By a uuid that the client chooses (Open vSwitch 2.13 and later), so that the reference that an
    /// insert returns stays valid.
    #[default]
    ClientChosen,
    /// By a name within the transaction (RFC 7047 section 5.2.1). The server chooses the uuid, and
    /// [`Outcome::inserted`](crate::Outcome::inserted) returns it.
    Named,
}
