//! Tables known at run time only: a database without compiled tables, and conditions by the names of
//! columns.

use super::Database;
use super::condition::Condition;
use crate::protocol::{Clause, Function};
use crate::value::{Datum, Str};

/// A database whose tables are known at run time only.
///
/// [`ClientBuilder::database`](crate::ClientBuilder::database) sets its name. Without a name, the
/// client connects to `_Server`, the database in which a server describes itself and its databases
/// (ovsdb-server(5)). [`CacheBuilder::any_table`](crate::CacheBuilder::any_table) and
/// [`Transaction::any_table`](crate::Transaction::any_table) take tables by their names; they work with
/// a compiled database too.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let mut rows = ovsdb::nb::Transaction::detached();
/// # rows.insert(ovsdb::nb::LogicalSwitch { name: "sw0".into(), ..Default::default() });
/// # rows.commit_on(&server)?;
/// use ovsdb::{AnyDatabase, Client};
///
/// # let remotes = server.remote();
/// let client = Client::<AnyDatabase>::builder()
///     .remotes(remotes)
///     .database("OVN_Northbound")
///     .connect()
///     .await?;
/// let schema = client.server_schema();
/// assert!(schema.tables["Logical_Switch"].columns.contains_key("ports"));
/// let cache = client.cache().any_table("Logical_Switch").start().await?;
/// for row in cache.snapshot().any_rows("Logical_Switch").into_iter().flatten() {
///     println!("{} is {:?}", row.uuid(), row.get("name").map(|name| name.to_datum()));
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyDatabase {}

impl Database for AnyDatabase {
    const NAME: &'static str = "_Server";
}

/// The table type of conditions by the names of columns.
///
/// ```
/// use ovsdb::model::{AnyColumn, AnyOf, AnyTable};
///
/// let rows: AnyOf<AnyTable> = AnyColumn::new("name").ne("").into();
/// assert_eq!(format!("{rows:?}"), r#"[["name","!=",""]]"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnyTable {}

/// A column by its name, for conditions on tables known at run time only.
///
/// A condition is checked when it is used, if the server's schema is known then: the column must exist,
/// the function must be applicable to its type, and the value must be of that type.
///
/// ```
/// use ovsdb::model::AnyColumn;
///
/// let port = AnyColumn::new("type").eq("router").or(AnyColumn::new("tag").gt(100));
/// assert_eq!(format!("{port:?}"), r#"[["type","==","router"],["tag",">",100]]"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyColumn {
    name: Str,
}

impl AnyColumn {
    /// The column with this name, such as `_uuid`.
    #[must_use]
    pub fn new(name: impl Into<Str>) -> Self {
        Self { name: name.into() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Rows for which this comparison with `value` is true.
    #[must_use]
    pub fn compare(self, function: Function, value: impl Into<Datum>) -> Condition<AnyTable> {
        Condition::new(Clause::Compare {
            column: self.name,
            function,
            argument: value.into(),
        })
    }

    /// Rows whose column equals `value`.
    #[must_use]
    pub fn eq(self, value: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::Equal, value)
    }

    /// Rows whose column does not equal `value`.
    #[must_use]
    pub fn ne(self, value: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::NotEqual, value)
    }

    /// Rows whose column contains all of `parts`.
    #[must_use]
    pub fn includes(self, parts: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::Includes, parts)
    }

    /// Rows whose column contains none of `parts`.
    #[must_use]
    pub fn excludes(self, parts: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::Excludes, parts)
    }

    /// Rows whose column is less than `number`; an empty column never is.
    #[must_use]
    pub fn lt(self, number: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::Less, number)
    }

    /// Rows whose column is at most `number`; an empty column never is.
    #[must_use]
    pub fn le(self, number: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::LessOrEqual, number)
    }

    /// Rows whose column is more than `number`; an empty column never is.
    #[must_use]
    pub fn gt(self, number: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::Greater, number)
    }

    /// Rows whose column is at least `number`; an empty column never is.
    #[must_use]
    pub fn ge(self, number: impl Into<Datum>) -> Condition<AnyTable> {
        self.compare(Function::GreaterOrEqual, number)
    }
}
