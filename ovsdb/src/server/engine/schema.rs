//! A schema as the engine uses it: tables and columns are numbered, and references resolved.

use std::collections::HashMap;
use std::sync::Arc;

use ovsdb_schema::{
    AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefType, SchemaError,
    SchemaErrorReason, TableSchema,
};

use super::cell::Cell;
use crate::simulated::HashState;
use crate::value::Uuid;

/// A column's number in its table: its position among the columns' names in order.
///
/// [`ColumnId::UUID`] and [`ColumnId::VERSION`] are columns that every table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ColumnId(pub(super) u16);

impl ColumnId {
    /// The column `_uuid`.
    pub(crate) const UUID: Self = Self(u16::MAX);
    /// The column `_version`.
    pub(crate) const VERSION: Self = Self(u16::MAX - 1);
    /// The greatest number of other columns of a table.
    const LIMIT: u16 = u16::MAX - 1;
}

/// A table's number in its database: its position among the tables' names in order.
pub(crate) type TableId = usize;

/// What a column's keys or values refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The table of the rows.
    pub(crate) table: TableId,
    /// Whether the references are strong or weak.
    pub(crate) strength: RefType,
}

/// A column.
#[derive(Debug)]
pub(crate) struct ColumnDef {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its type.
    pub(crate) kind: ColumnType,
    /// Whether an update may change it.
    pub(crate) mutable: bool,
    /// Whether it is ephemeral, and so not kept in the file.
    pub(crate) ephemeral: bool,
    /// Its value when none is stored.
    pub(crate) default: Cell,
    /// The table that the elements or keys refer to.
    pub(crate) key: Option<Target>,
    /// The table that the values refer to.
    pub(crate) value: Option<Target>,
}

impl ColumnDef {
    /// The tables that its elements or keys, and its values, refer to with this strength.
    pub(super) fn targets(&self, strength: RefType) -> (Option<TableId>, Option<TableId>) {
        let table = |target: Option<Target>| {
            target
                .filter(|target| target.strength == strength)
                .map(|target| target.table)
        };
        (table(self.key), table(self.value))
    }

    fn refers(&self, strength: RefType) -> bool {
        !matches!(self.targets(strength), (None, None))
    }
}

/// A table.
#[derive(Debug)]
pub(crate) struct TableDef {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its columns, in the order of their names; without `_uuid` and `_version`.
    pub(crate) columns: Vec<ColumnDef>,
    by_name: HashMap<Arc<str>, ColumnId, HashState>,
    /// Whether its rows exist without being referred to.
    pub(crate) is_root: bool,
    /// The greatest number of rows.
    pub(crate) max_rows: Option<u64>,
    /// The columns of each index, in the schema's order.
    pub(crate) indexes: Vec<Vec<ColumnId>>,
    /// The columns with strong references.
    pub(super) strong: Vec<ColumnId>,
    /// The columns with weak references.
    pub(super) weak: Vec<ColumnId>,
    uuid: ColumnDef,
    version: ColumnDef,
}

impl TableDef {
    /// The column with this name, including `_uuid` and `_version`.
    pub(crate) fn find(&self, name: &str) -> Option<ColumnId> {
        self.by_name.get(name).copied()
    }

    /// A column of this table.
    pub(crate) fn column(&self, id: ColumnId) -> &ColumnDef {
        match id {
            ColumnId::UUID => &self.uuid,
            ColumnId::VERSION => &self.version,
            ColumnId(at) => &self.columns[usize::from(at)],
        }
    }

    /// The columns, without `_uuid` and `_version`.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ColumnId> + Clone + use<> {
        // `Schema::new` refuses tables with more than `ColumnId::LIMIT` columns.
        (0..u16::try_from(self.columns.len()).unwrap_or(ColumnId::LIMIT)).map(ColumnId)
    }

    /// All columns, with `_uuid` and `_version`.
    pub(crate) fn all_ids(&self) -> impl Iterator<Item = ColumnId> + use<> {
        [ColumnId::UUID, ColumnId::VERSION]
            .into_iter()
            .chain(self.ids())
    }
}

/// A schema, prepared for looking things up in transactions.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The parsed schema.
    pub(crate) source: DatabaseSchema,
    /// Its text, as ovsdb-server writes it; this is what is sent and stored.
    pub(crate) text: Arc<str>,
    /// The tables, in the order of their names.
    pub(crate) tables: Vec<TableDef>,
    by_name: HashMap<Arc<str>, TableId, HashState>,
}

impl Schema {
    /// Prepares a schema.
    ///
    /// # Errors
    /// When a table has more columns than there are numbers for them.
    pub(crate) fn new(source: DatabaseSchema) -> Result<Self, SchemaError> {
        for (name, table) in &source.tables {
            if table.columns.len() > usize::from(ColumnId::LIMIT) {
                let reason = SchemaErrorReason::TooManyColumns {
                    columns: table.columns.len(),
                    limit: ColumnId::LIMIT.into(),
                };
                return Err(SchemaError::new(format!("tables.{name}.columns"), reason));
            }
        }
        let ids: HashMap<&str, TableId> = source
            .tables
            .keys()
            .enumerate()
            .map(|(id, name)| (name.as_str(), id))
            .collect();
        let tables: Vec<_> = source
            .tables
            .iter()
            .map(|(name, table)| table_def(name, table, &ids))
            .collect();
        let by_name = tables.iter().enumerate();
        let by_name = by_name
            .map(|(id, table)| (table.name.clone(), id))
            .collect();
        Ok(Self {
            text: super::schema_text::text(&source).into(),
            tables,
            by_name,
            source,
        })
    }

    /// The database's name.
    pub(crate) fn name(&self) -> &str {
        &self.source.name
    }

    /// A column whose references a file would lose: an ephemeral column that must refer to a row. In the
    /// rows that are read from the file, it would refer to none.
    pub(crate) fn lost_reference(&self) -> Option<(&TableDef, &ColumnDef)> {
        let tables = self.tables.iter();
        let mut columns =
            tables.flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        columns.find(|(_, column)| {
            let refers = column.key.is_some() || column.value.is_some();
            column.ephemeral && column.kind.min > 0 && refers
        })
    }

    /// The table with this name.
    pub(crate) fn find(&self, name: &str) -> Option<TableId> {
        self.by_name.get(name).copied()
    }
}

fn table_def(name: &str, table: &TableSchema, ids: &HashMap<&str, TableId>) -> TableDef {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|(name, column)| column_def(name, column, ids))
        .collect();
    let mut by_name: HashMap<Arc<str>, ColumnId, HashState> = (0..)
        .zip(&columns)
        .map(|(id, column)| (column.name.clone(), ColumnId(id)))
        .collect();
    let (uuid, version) = (system_column("_uuid"), system_column("_version"));
    by_name.insert(uuid.name.clone(), ColumnId::UUID);
    by_name.insert(version.name.clone(), ColumnId::VERSION);
    let refers = |strength| {
        let columns = (0..).zip(&columns);
        let columns =
            columns.filter(move |(_, column): &(u16, &ColumnDef)| column.refers(strength));
        columns.map(|(id, _)| ColumnId(id)).collect()
    };
    TableDef {
        name: name.into(),
        is_root: table.is_root,
        max_rows: table.max_rows,
        indexes: table
            .indexes
            .iter()
            .map(|columns| {
                let ids = columns.iter().filter_map(|name| by_name.get(name.as_str()));
                ids.copied().collect()
            })
            .collect(),
        strong: refers(RefType::Strong),
        weak: refers(RefType::Weak),
        columns,
        by_name,
        uuid,
        version,
    }
}

fn column_def(name: &str, column: &ColumnSchema, ids: &HashMap<&str, TableId>) -> ColumnDef {
    let target = |base: &BaseType| {
        let table = *ids.get(base.ref_table.as_deref()?)?;
        let strength = base.ref_type;
        Some(Target { table, strength })
    };
    ColumnDef {
        name: name.into(),
        mutable: column.mutable,
        ephemeral: column.ephemeral,
        default: Cell::default_of(&column.kind),
        key: target(&column.kind.key),
        value: column.kind.value.as_ref().and_then(target),
        kind: column.kind.clone(),
    }
}

/// A column that every table has: one uuid, which operations cannot set.
fn system_column(name: &str) -> ColumnDef {
    ColumnDef {
        name: name.into(),
        kind: ColumnType::scalar(BaseType::new(AtomicType::Uuid)),
        mutable: false,
        ephemeral: false,
        default: Cell::One(crate::value::Atom::Uuid(Uuid::nil())),
        key: None,
        value: None,
    }
}
