//! What is to be done to the northbound database, before any of it is done.
//!
//! A [`Plan`] is drawn up against a [`Snapshot`] of the replica: steps, each of which is one
//! transaction that is carried out whole or not at all. Whoever draws it up says how rows must be,
//! and only what differs becomes an operation, so the plan of a database that is as it must be is
//! empty. `apply` commits the steps, `plan` prints them.

mod change;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ovsdb::cache::LookUp;
use ovsdb::nb::{Database, LogicalRouter, LogicalSwitch};
use ovsdb::value::Value;
use ovsdb::{
    Client, Column, CommitError, Map, Ref, Row, Set, Snapshot, Str, Table, Transaction, Uuid,
};

use crate::database::{Names, Northbound};

pub use self::change::{Action, Change, ColumnChange, Edit};

/// A transaction that is yet to be committed, and what it changes.
#[derive(Debug)]
pub struct Step {
    /// What the step is for.
    pub title: String,
    /// What it changes, in order.
    pub changes: Vec<Change>,
    transaction: Transaction<Database>,
}

impl Step {
    /// Carries the step out.
    ///
    /// # Errors
    /// When the server refuses it, or the connection is lost.
    pub async fn commit(self) -> Result<(), CommitError> {
        self.transaction.commit().await.map(drop)
    }
}

/// Steps towards the database as it must be.
#[derive(Debug)]
pub struct Plan {
    client: Client<Database>,
    /// What each step begins with.
    beginning: Transaction<Database>,
    view: Snapshot<Database>,
    names: Names,
    steps: Vec<Step>,
    /// What rows are called, for people to read.
    labels: HashMap<Uuid, String>,
    deleted: HashSet<Uuid>,
}

impl Plan {
    /// An empty plan for the database as it is now.
    #[must_use]
    pub fn new(northbound: &Northbound) -> Self {
        let mut beginning = northbound.client.transaction();
        // A plan that was drawn up on an older view must not be carried out after an outage.
        beginning.require_current(&northbound.cache);
        if let Some(lock) = &northbound.lock {
            beginning.assert_lock(lock);
        }
        let mut plan = Self {
            client: northbound.client.clone(),
            beginning,
            view: northbound.cache.snapshot(),
            names: northbound.names.clone(),
            steps: Vec::new(),
            labels: HashMap::new(),
            deleted: HashSet::new(),
        };
        plan.begin("");
        plan
    }

    /// The database as it is.
    #[must_use]
    pub const fn view(&self) -> &Snapshot<Database> {
        &self.view
    }

    /// Whether the server's schema has a column.
    #[must_use]
    pub fn has_column<T: Table<Database = Database>, V: Value>(
        &self,
        column: Column<T, V>,
    ) -> bool {
        self.client.has_column(column)
    }

    /// The steps that change anything.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        let steps = self.steps.into_iter();
        steps.filter(|step| !step.changes.is_empty()).collect()
    }

    /// Begins the next step: what follows is one transaction.
    pub fn begin(&mut self, title: impl Into<String>) {
        self.steps.push(Step {
            title: title.into(),
            changes: Vec::new(),
            transaction: self.beginning.clone(),
        });
    }

    fn step(&mut self) -> &mut Step {
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// The indexes by name.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The row with this name, as it is now, by a column with unique names or by an index.
    pub fn find<'n, T>(
        &mut self,
        names: impl LookUp<T, &'n str>,
        name: &'n str,
    ) -> Option<Arc<Row<T>>>
    where
        T: Table<Database = Database>,
    {
        let row = self.view.get_by(names, name)?.reference();
        let row = self.view.get_shared(row)?;
        self.labels.insert(row.uuid(), name.to_owned());
        Some(row)
    }

    /// The switch with this name, as it is now.
    pub fn find_switch(&mut self, name: &str) -> Option<Arc<Row<LogicalSwitch>>> {
        let names = self.names.switches.clone();
        self.find(&names, name)
    }

    /// The router with this name, as it is now.
    pub fn find_router(&mut self, name: &str) -> Option<Arc<Row<LogicalRouter>>> {
        let names = self.names.routers.clone();
        self.find(&names, name)
    }

    /// Inserts a row.
    pub fn insert<T: Table<Database = Database>>(&mut self, row: T) -> Ref<T> {
        let change = Change::insert(&row, &self.labels);
        let label = change.row.clone();
        let step = self.step();
        step.changes.push(change);
        let inserted = step.transaction.insert(row);
        self.labels.insert(inserted.uuid(), label);
        inserted
    }

    /// Inserts a row of a table whose names the schema does not keep distinct: the step fails,
    /// with "timed out", when somebody else was quicker to insert one of this name.
    pub fn insert_once<T>(&mut self, name: Column<T, Str>, row: T) -> Ref<T>
    where
        T: Table<Database = Database> + Clone,
    {
        let value = name.get(&row).clone();
        let transaction = &mut self.step().transaction;
        let guard = transaction.wait(name.eq(value)).comparing(name);
        guard.until_not([row.clone()]);
        self.insert(row)
    }

    /// Sets a column to what it must be, unless it is. A column that the server's schema does not
    /// have cannot be set, and is as it must be.
    pub fn set<T, V>(&mut self, row: &Row<T>, column: Column<T, V>, wanted: V)
    where
        T: Table<Database = Database>,
        V: Value + PartialEq,
    {
        let current = column.get(row);
        if *current == wanted || !self.has_column(column) {
            return;
        }
        let edit = Edit::set(current, &wanted, &self.labels);
        let label = change::label(&**row);
        self.note::<T>(row.uuid(), label, column.name(), edit);
        self.step().transaction.update(row).set(column, wanted);
    }

    /// Sets a column of a row that an earlier step of this plan inserted.
    pub fn set_later<T, V>(&mut self, row: Ref<T>, column: Column<T, V>, wanted: V)
    where
        T: Table<Database = Database>,
        V: Value,
    {
        let edit = Edit::replace(&wanted, &self.labels);
        let label = self.label(row);
        self.note::<T>(row.uuid(), label, column.name(), edit);
        self.step().transaction.update(row).set(column, wanted);
    }

    /// Sees to it that a map has these pairs; other keys, which others may have written, stay.
    pub fn merge<T>(
        &mut self,
        row: &Row<T>,
        column: Column<T, Map<Str, Str>>,
        pairs: &Map<Str, Str>,
    ) where
        T: Table<Database = Database>,
    {
        let mut wanted = column.get(row).clone();
        for (key, value) in pairs {
            wanted.insert(key.clone(), value.clone());
        }
        self.set(row, column, wanted);
    }

    /// Adds a reference to the row `to`.
    pub fn attach<T, C>(&mut self, to: Ref<T>, column: Column<T, Set<Ref<C>>>, child: Ref<C>)
    where
        T: Table<Database = Database>,
        C: Table<Database = Database>,
    {
        let (label, child_label) = (self.label(to), self.label(child));
        self.note::<T>(to.uuid(), label, column.name(), Edit::Add(child_label));
        let transaction = &mut self.step().transaction;
        transaction.mutate(to).insert(column, [child]);
    }

    /// Takes a reference out of a row.
    pub fn detach<T, C>(&mut self, from: &Row<T>, column: Column<T, Set<Ref<C>>>, child: Ref<C>)
    where
        T: Table<Database = Database>,
        C: Table<Database = Database>,
    {
        let (label, child_label) = (change::label(&**from), self.label(child));
        self.note::<T>(from.uuid(), label, column.name(), Edit::Remove(child_label));
        let transaction = &mut self.step().transaction;
        transaction.mutate(from).delete(column, [child]);
    }

    /// Takes elements out of a set, whatever else is in it by then.
    pub fn take_out<T>(&mut self, row: &Row<T>, column: Column<T, Set<Str>>, elements: Set<Str>)
    where
        T: Table<Database = Database>,
    {
        let label = change::label(&**row);
        for element in &elements {
            let edit = Edit::Remove(element.to_string());
            self.note::<T>(row.uuid(), label.clone(), column.name(), edit);
        }
        let transaction = &mut self.step().transaction;
        transaction.mutate(row).delete(column, elements);
    }

    /// Deletes a row.
    pub fn delete<T: Table<Database = Database>>(&mut self, row: &Row<T>) {
        let label = change::label(&**row);
        self.labels.insert(row.uuid(), label.clone());
        self.deleted.insert(row.uuid());
        let step = self.step();
        step.changes.push(Change::delete::<T>(label));
        step.transaction.delete(row);
    }

    /// Whether this plan deletes a row.
    #[must_use]
    pub fn is_deleted<T: Table>(&self, row: &Row<T>) -> bool {
        self.deleted.contains(&row.uuid())
    }

    fn label<T>(&self, row: Ref<T>) -> String {
        let known = self.labels.get(&row.uuid()).cloned();
        known.unwrap_or_else(|| row.to_string())
    }

    /// Notes an edit of a column; edits of one row are one change.
    fn note<T: Table>(&mut self, uuid: Uuid, label: String, column: &'static str, edit: Edit) {
        let changes = &mut self.step().changes;
        let edit = ColumnChange { column, edit };
        match changes.last_mut() {
            Some(last) if last.uuid == Some(uuid) => last.columns.push(edit),
            _ => changes.push(Change::update::<T>(uuid, label, edit)),
        }
    }
}
