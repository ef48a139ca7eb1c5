//! Desired state: say which rows should exist, and the library computes the changes.
//!
//! A controller that owns some rows of a database puts all of them into a [`Desired`], each with a key
//! by which it is found. [`Desired::plan`] compares them with a view. The resulting [`Plan`] has the
//! rows to be inserted, the columns to be changed, and the owned rows that are no longer wanted, which
//! are deleted. [`Client::converge`](crate::Client::converge) commits plans until nothing is left to
//! do.
//!
//! ```
//! # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! # let server = ovsdb::server::Server::memory(schema)?;
//! # let client = ovsdb::nb::Client::builder().server(&server).connect().await?;
//! use ovsdb::cache::Index;
//! use ovsdb::nb::{LogicalSwitch as Switch, LogicalSwitchPort as Port};
//!
//! let by_name = Index::column(Switch::NAME);
//! let cache = client.cache().index(&by_name).table::<Port>().start().await?;
//!
//! let desired = |pods: &[&str]| {
//!     let mut desired = ovsdb::nb::Desired::new();
//!     desired.owned::<Switch>(Switch::EXTERNAL_IDS.includes([("owner", "me")]));
//!     desired.owned::<Port>(Port::EXTERNAL_IDS.includes([("owner", "me")]));
//!     let ports = pods.iter().map(|pod| {
//!         let port = desired.row(Port::NAME, *pod).set(Port::ADDRESSES, ["dynamic"]);
//!         port.part(Port::EXTERNAL_IDS, [("owner", "me")]).reference()
//!     });
//!     let ports: Vec<_> = ports.collect();
//!     let switch = desired.row(&by_name, "sw0").set(Switch::PORTS, ports);
//!     switch.part(Switch::EXTERNAL_IDS, [("owner", "me")]);
//!     desired
//! };
//! client.converge(&cache, &desired(&["a", "b"])).await?;
//! let plan = desired(&["b", "c"]).plan(&cache.snapshot())?;
//! println!("{plan}"); // Inserts `c`, deletes `a`, and replaces the reference in `sw0`.
//! assert_eq!(plan.changes().count(), 3);
//! client.converge(&cache, &desired(&["b", "c"])).await?;
//! assert!(cache.snapshot().get_by(Port::NAME, "a").is_none());
//! # Ok(()) }
//! # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
//! ```
//!
//! # What a plan touches
//!
//! - A row that is wanted: it is inserted, or the given columns are updated.
//! - A row that is [owned](Desired::owned) and not wanted: it is deleted.
//! - A row that is [unwanted](Desired::unwanted): it is deleted, even if it is not owned.
//! - References to deleted rows: they are removed from wanted rows, and from all rows of
//!   [cleaned](Desired::cleaned) tables.
//! - Nothing else. If a wanted row exists, but belongs to another owner, that is a [`Conflict`].
//!
//! For a column, give its whole value ([`set`](WantedRow::set)), the owner's part of a set or map to
//! which other clients add too ([`part`](WantedRow::part)), or the initial value in a new row
//! ([`initial`](WantedRow::initial)). Columns that are not given are changed only to remove references
//! to deleted rows.

mod any;
mod build;
mod change;
mod conflict;
mod converge;
mod differences;
mod given;
mod key;
mod matched;
mod placeholder;
mod plan;
mod resolution;
mod table;

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;

use self::any::AnyTable;
use self::given::Mode;
use self::placeholder::Placeholders;
use self::table::{DesiredTable, FoundBy, Unwanted};
use crate::model::{AllOf, Changeable, Collection, Column, Database, Mutability, PartsOf, Table};
use crate::transaction::FindBy;
use crate::value::{Atom, Ref, Value, read_datum};

pub use self::change::{Action, Change, ColumnChange};
pub use self::conflict::Conflict;
pub use self::converge::{ConvergeError, Converged};
pub use self::plan::{Plan, Step};

/// The rows that a controller wants; the [module](self) describes what a plan does with them.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{Desired, LogicalSwitchPort as Port};
///
/// let mut desired = Desired::new();
/// desired.owned::<Port>(Port::EXTERNAL_IDS.includes([("owner", "me")]));
/// desired.row(Port::NAME, "p1").part(Port::EXTERNAL_IDS, [("owner", "me")]);
/// # }
/// ```
///
/// # Cost
/// A plan looks up each wanted row by its key. It reads all rows of a table once if the table has an
/// [owner's condition](Self::owned) and rows that are not wanted, and once for each condition of
/// [`row_where`](Self::row_where) and [`unwanted`](Self::unwanted) that is not a reference. If rows are
/// deleted, it reads again for each condition of `unwanted`, and once more each table with an owner's
/// condition and each [cleaned](Self::cleaned) table.
pub struct Desired<D> {
    /// The desired rows of each table, in the order of first use.
    tables: Vec<Box<dyn AnyTable<D>>>,
    places: HashMap<TypeId, usize>,
    placeholders: Placeholders,
    /// The titles of the steps.
    steps: Vec<String>,
}

impl<D> fmt::Debug for Desired<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.tables.iter().map(|table| table.len()).sum();
        let mut shown = f.debug_struct("Desired");
        shown.field("rows", &rows).field("steps", &self.steps);
        shown.finish_non_exhaustive()
    }
}

impl<D: Database> Default for Desired<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D: Database> Desired<D> {
    /// Wants no rows, and owns none.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tables: Vec::new(),
            places: HashMap::new(),
            placeholders: Placeholders::new(),
            steps: vec![String::new()],
        }
    }

    fn table<T: Table<Database = D>>(&mut self) -> &mut DesiredTable<T> {
        self.table_and_placeholders().0
    }

    fn table_and_placeholders<T: Table<Database = D>>(
        &mut self,
    ) -> (&mut DesiredTable<T>, &mut Placeholders) {
        let place = *self.places.entry(TypeId::of::<T>()).or_insert_with(|| {
            self.tables.push(Box::new(DesiredTable::<T>::default()));
            self.tables.len() - 1
        });
        match self.tables[place].as_any_mut().downcast_mut() {
            Some(table) => (table, &mut self.placeholders),
            None => unreachable!("each entry is found by its type"),
        }
    }

    /// A wanted row, at the position that `find` returns.
    fn wanted<T: Table<Database = D>>(
        &mut self,
        find: impl FnOnce(&mut DesiredTable<T>, &mut Placeholders, usize) -> usize,
    ) -> WantedRow<'_, T> {
        let step = self.steps.len() - 1;
        let (table, placeholders) = self.table_and_placeholders();
        let at = find(table, placeholders, step);
        let reference = Ref::new(placeholders.uuid(table.rows[at].number));
        WantedRow {
            table,
            at,
            step,
            reference,
        }
    }

    /// Says which rows of a table belong to the owner: those that meet this condition. Owned rows that
    /// are not wanted are deleted. Rows that are not owned are changed only by
    /// [`unwanted`](Self::unwanted) and [`cleaned`](Self::cleaned). A wanted row must meet the
    /// condition too, or the plan fails ([`Conflict::NotOwned`]).
    ///
    /// In a table without such a condition, rows are inserted and changed as wanted, and only
    /// [unwanted](Self::unwanted) rows are deleted. A second call for the same table replaces the
    /// condition.
    ///
    /// The condition must not have the [reference](WantedRow::reference) of a wanted row
    /// ([`Conflict::RefersToWanted`]).
    pub fn owned<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> &mut Self {
        self.table::<T>().owned = Some(rows.into());
        self
    }

    /// Begins a step. When the plan is committed in [steps](Plan::into_steps), the rows that follow are
    /// in a transaction of their own. Put rows that need each other into one step. A row that is wanted
    /// in several steps is inserted in the first one, and each step sets the columns that are given in
    /// it.
    pub fn begin(&mut self, title: impl Into<String>) -> &mut Self {
        self.steps.push(title.into());
        self
    }

    /// Wants a row with this key, in a column that the schema makes unique, an index of the schema over
    /// several columns, or a declared index. Give its columns by the methods of [`WantedRow`].
    ///
    /// A second call with the same key means the same row. A key may be a [reference](WantedRow::reference)
    /// to another wanted row. A new row gets its key in the columns of the index. An index by a function, or
    /// by the values of a map, cannot do this: set the columns so that a new row has the key. For such an
    /// index, and for a key with reals, no guard prevents two clients from inserting one row each.
    pub fn row<T, Q, B>(&mut self, by: B, key: Q) -> WantedRow<'_, T>
    where
        T: Table<Database = D>,
        B: FindBy<T, Q>,
    {
        let key = by.key(key);
        self.wanted(|table, placeholders, step| table.by_key(placeholders, step, by.by(), key))
    }

    /// Wants a row that meets a condition, for which no index is needed: all rows of the table are
    /// read, unless the condition is a reference. Give its columns by the methods of [`WantedRow`].
    ///
    /// A reference is such a condition: `desired.row_where(switch.reference())` gives columns to an
    /// existing row without a key. If the row was deleted meanwhile, it is not inserted again: the plan
    /// fails ([`Conflict::NoSuchRow`]).
    ///
    /// The [reference](WantedRow::reference) of a wanted row gives columns to that row. Any other condition
    /// may contain references of wanted rows too.
    pub fn row_where<T: Table<Database = D>>(
        &mut self,
        rows: impl Into<AllOf<T>>,
    ) -> WantedRow<'_, T> {
        let condition = rows.into();
        self.wanted(|table, placeholders, step| table.by_condition(placeholders, step, condition))
    }

    /// Wants a row without a key, which each plan inserts again. Use it only if the program knows that
    /// the row does not exist yet. Once the row exists, want it by its
    /// [reference](crate::Row::reference), with [`row_where`](Self::row_where).
    pub fn new_row<T: Table<Database = D>>(&mut self) -> WantedRow<'_, T> {
        self.wanted(|table, placeholders, step| table.add(placeholders, step, FoundBy::Nothing))
    }

    /// Deletes the rows that meet a condition, in this [step](Self::begin), even if they are not owned.
    /// The commit fails with a conflict if such a row no longer meets the condition, unless the condition
    /// compares reals. If such a row has the key of a [wanted row](Self::row) of this step or a later one,
    /// a new row is inserted in its place. A wanted row of an earlier step is found as the existing row,
    /// which still exists in that step. References to deleted rows are removed from wanted rows, even if a
    /// wanted row gives such a reference, and from all rows of [cleaned](Self::cleaned) tables.
    ///
    /// The condition must not have the [reference](WantedRow::reference) of a wanted row
    /// ([`Conflict::RefersToWanted`]).
    ///
    /// ```
    /// # #[cfg(all(feature = "nb", feature = "testing"))] {
    /// use ovsdb::nb::{self, LogicalSwitch as Switch, LogicalSwitchPort as Port};
    /// use ovsdb::testing::SnapshotBuilder;
    ///
    /// let mut rows = SnapshotBuilder::<nb::Database>::new();
    /// let port = rows.insert(Port { name: "old".into(), ..Default::default() });
    /// rows.insert(Switch { name: "sw0".into(), ports: [port].into(), ..Default::default() });
    ///
    /// let mut desired = nb::Desired::new();
    /// desired.cleaned::<Switch>();
    /// desired.unwanted(Port::NAME.eq("old"));
    /// let plan = desired.plan(&rows.build()?)?;
    /// assert_eq!(
    ///     plan.to_string(),
    ///     "- Logical_Switch_Port old\n~ Logical_Switch sw0\n    ports: - old\n",
    /// );
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unwanted<T: Table<Database = D>>(&mut self, rows: impl Into<AllOf<T>>) -> &mut Self {
        let step = self.steps.len() - 1;
        let rows = rows.into();
        self.table::<T>().unwanted.push(Unwanted { step, rows });
        self
    }

    /// Removes references to deleted rows from all rows of a table, even if they are not owned. The
    /// server refuses a transaction that deletes a row and leaves a strong reference to it.
    pub fn cleaned<T: Table<Database = D>>(&mut self) -> &mut Self {
        self.table::<T>().is_cleaned = true;
        self
    }
}

/// A wanted row, while its columns are being given; [`Desired::row`] makes it.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::nb::{Desired, LogicalSwitchPort as Port};
///
/// let mut desired = Desired::new();
/// let port = desired
///     .row(Port::NAME, "p1")
///     .set(Port::ADDRESSES, ["dynamic"])
///     .part(Port::EXTERNAL_IDS, [("owner", "me")])
///     .initial(Port::TAG_REQUEST, Some(0))
///     .reference();
/// // The same row again.
/// assert_eq!(desired.row(Port::NAME, "p1").reference(), port);
/// # }
/// ```
#[derive(Debug)]
pub struct WantedRow<'d, T: Table> {
    table: &'d mut DesiredTable<T>,
    at: usize,
    /// The step in which columns are given.
    step: usize,
    reference: Ref<T>,
}

impl<T: Table> WantedRow<'_, T> {
    /// Sets the whole value of the column.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the row stays wanted when the handle is dropped"
    )]
    pub fn set<V: Value, M: Mutability>(
        self,
        column: Column<T, V, M>,
        value: impl Into<V>,
    ) -> Self {
        let columns = &mut self.table.rows[self.at].columns;
        columns.give(self.step, column.index(), value.into(), Mode::Whole);
        self
    }

    /// Adds these elements or pairs to the set or map if it lacks them. What other clients add stays.
    /// The value of an existing key is replaced.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the row stays wanted when the handle is dropped"
    )]
    pub fn part<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        parts: impl PartsOf<V>,
    ) -> Self {
        let parts = parts.into_collection();
        let columns = &mut self.table.rows[self.at].columns;
        columns.give_parts(self.step, column.index(), parts, None);
        self
    }

    /// Like [`part`](Self::part), and removes all other elements, or keys of a map, for which `owns`
    /// returns true: they belong to the owner. In further calls for the column, the parts add up, and
    /// an element belongs to the owner if any of the functions returns true.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the row stays wanted when the handle is dropped"
    )]
    pub fn part_of<V: Collection, M: Changeable>(
        self,
        column: Column<T, V, M>,
        owns: impl Fn(&V::Key) -> bool + Send + Sync + 'static,
        parts: impl PartsOf<V>,
    ) -> Self {
        let parts = parts.into_collection();
        let owns = move |atom: &Atom| {
            let mut key = V::Key::default();
            read_datum(&mut key, &atom.clone().into()) && owns(&key)
        };
        let columns = &mut self.table.rows[self.at].columns;
        columns.give_parts(self.step, column.index(), parts, Some(Box::new(owns)));
        self
    }

    /// The initial value of the column if the row is inserted; [parts](Self::part) are added to it. In
    /// a row that exists, the column stays as it is.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "the row stays wanted when the handle is dropped"
    )]
    pub fn initial<V: Value, M: Mutability>(
        self,
        column: Column<T, V, M>,
        value: impl Into<V>,
    ) -> Self {
        let columns = &mut self.table.rows[self.at].columns;
        columns.give(self.step, column.index(), value.into(), Mode::Initial);
        self
    }

    /// A reference to the row, for columns of other wanted rows of the same [`Desired`]. If the row
    /// exists in the database, the plan replaces the reference by its uuid. A row that is inserted gets
    /// the uuid of the reference, where the [client chooses uuids](crate::RowIdentity::ClientChosen) and
    /// no row has that uuid yet.
    #[must_use]
    pub fn reference(&self) -> Ref<T> {
        self.reference
    }
}
