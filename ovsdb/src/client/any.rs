//! Caches of tables known at run time only.

use super::{Cache, CacheBuilder};
use crate::error::Error;
use crate::model::{AnyOf, AnyTable, Database};
use crate::schema_check;
use crate::value::Str;

/// Tables named at run time, whose columns come from the server's schema.
///
/// Read them by [`Snapshot::any_rows`](crate::Snapshot::any_rows), and follow them by
/// [`Cache::all_changes`]. [`start`](CacheBuilder::start) checks names and conditions against the
/// server's schema; [`Error::SchemaMismatch`] names what does not fit.
///
/// When the schema of these tables changes while the cache is live, the rows follow: new columns appear
/// unless [columns were selected](CacheBuilder::any_columns), removed ones disappear, and a column whose
/// type changed holds values of the new type. All rows are fetched again, and streams deliver a batch
/// that is a [change of the schema](crate::cache::BatchKind::is_schema_change). Rows of earlier snapshots
/// keep their columns. A removed table stays in the cache without rows; [`Cache::skew`] lists it, and
/// removed columns that were selected by name.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// # let server = ovsdb::server::Server::memory(schema)?;
/// # let client = ovsdb::Client::<ovsdb::AnyDatabase>::builder().server(&server);
/// # let client = client.database("OVN_Northbound").connect().await?;
/// use ovsdb::model::AnyColumn;
///
/// let cache = client
///     .cache()
///     .any_table("Logical_Switch")
///     .any_table_where("Logical_Switch_Port", AnyColumn::new("type").eq("router"))
///     .any_columns("Logical_Switch_Port", ["name", "addresses"])
///     .start()
///     .await?;
/// for port in cache.snapshot().any_rows("Logical_Switch_Port").into_iter().flatten() {
///     for (column, value) in port.values() {
///         println!("{column} is {}", value.to_datum());
///     }
/// }
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
impl<D: Database> CacheBuilder<D> {
    /// Adds the table with this name, with all its rows.
    pub fn any_table(mut self, table: impl Into<Str>) -> Self {
        self.tables.named_rows(table.into(), None);
        self
    }

    /// Adds the table with this name, with the rows for which any of the clauses holds. If the table was
    /// added before, these rows replace those selected earlier.
    pub fn any_table_where(
        mut self,
        table: impl Into<Str>,
        rows: impl Into<AnyOf<AnyTable>>,
    ) -> Self {
        let clauses = rows.into().into_clauses();
        self.tables.named_rows(table.into(), Some(clauses));
        self
    }

    /// Selects these columns of the table with this name. If the table was not added before, adds it
    /// with all its rows. Rows always have their uuid.
    pub fn any_columns<C: Into<Str>>(
        mut self,
        table: impl Into<Str>,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into);
        let columns = columns.filter(|column: &Str| *column != "_uuid").collect();
        self.tables.named_columns(table.into(), columns);
        self
    }

    /// Adds every table of the server's schema that was not added by other means, with all its rows;
    /// also tables that appear in the schema later.
    pub fn any_tables(mut self) -> Self {
        self.tables.add_all_named();
        self
    }
}

impl<D: Database> Cache<D> {
    /// Changes the condition of the table with this name, as [`set_condition`](Self::set_condition)
    /// does.
    ///
    /// # Errors
    /// [`Error::SchemaMismatch`] when the cache was started without the table, or the condition does not
    /// fit the server's schema; otherwise as [`set_condition`](Self::set_condition).
    pub async fn set_any_condition(
        &self,
        table: impl Into<Str>,
        rows: impl Into<AnyOf<AnyTable>>,
    ) -> Result<(), Error> {
        let (table, clauses) = (table.into(), rows.into().into_clauses());
        let Some(guard) = &self.monitor else {
            return Ok(());
        };
        schema_check::cached(&table, self.snapshot().table_names())?;
        schema_check::table(&guard.schema(), &table)?.clauses(&clauses)?;
        guard.set_condition(table, clauses).await
    }
}
