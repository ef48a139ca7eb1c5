//! Columns of every shape: atoms of every type, references, `min` 0 and 1, `max` 1, several and
//! unlimited, sets and maps, in compiled types that are equal to, wider than, and narrower than the
//! server's.
//!
//! The compiled types are fixed, and the server's schema is random. Random rows and changes follow, and
//! after each transaction that the server accepts, replicas by all monitor methods are compared with a dump.

mod support;

use std::collections::BTreeSet;

use fastrand::Rng;
use ovsdb::protocol::{Clause, Columns, ErrorKind, Function, Mutation, Mutator, Operation};
use ovsdb::schema::{AtomicType, BaseType, ColumnType, Constraint, DatabaseSchema, EnumValue, Max};
use ovsdb::testing::{Difference, Dump, Server};
use ovsdb::value::{Atom, Datum};
use ovsdb::{
    Cache, Client, Column, CommitError, Map, MonitorVersion, Real, Ref, Row, Set, Skew, Str, Table,
    TableVisitor, Transaction, Uuid,
};
use support::connect;
use support::replica::{Fold, same_as_dump};
use support::scale::size;
use support::seed::Seed;

const VERSIONS: [MonitorVersion; 3] = [
    MonitorVersion::Monitor,
    MonitorVersion::MonitorCond,
    MonitorVersion::MonitorCondSince,
];

/// The database whose table [`Wide`] can read every shape that the server may have.
#[derive(Debug)]
struct Broad;

impl ovsdb::Database for Broad {
    const NAME: &'static str = "Shapes";

    fn with_all_tables<V: TableVisitor<Self>>(visitor: &mut V) {
        visitor.table::<Wide>();
        visitor.table::<Target>();
    }
}

/// The same database with narrower columns, which cannot read all of these shapes.
#[derive(Debug)]
struct Slim;

impl ovsdb::Database for Slim {
    const NAME: &'static str = "Shapes";
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Broad, table = "Target")]
struct Target {
    label: Str,
}

ovsdb::__enumeration! {
    /// A string column whose values the schema lists.
    pub enum Color {
        /// `red`
        Red = "red",
        /// `blue`
        Blue = "blue",
    }
}

const INTEGER: &str = r#""integer""#;
const REAL: &str = r#""real""#;
const BOOLEAN: &str = r#""boolean""#;
const STRING: &str = r#""string""#;
const UUID: &str = r#""uuid""#;
const STRONG: &str = r#"{"type":"uuid","refTable":"Target"}"#;
const WEAK: &str = r#"{"type":"uuid","refTable":"Target","refType":"weak"}"#;
/// With the empty string; otherwise a column that needs a value could not be omitted.
const COLOR: &str = r#"{"type":"string","enum":["set",["","red","blue"]]}"#;

/// A column's name, and the base types of its keys and values.
type Base = (&'static str, &'static str, Option<&'static str>);

/// Defines the two tables, a list of their columns, and a function that guards each column.
macro_rules! columns {
    ($( $column:ident: $wide:ty, $narrow:ty, $key:expr, $value:expr; )*) => {
        /// Holds values of any shape.
        #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
        #[ovsdb(database = Broad, table = "Shape")]
        struct Wide { $( $column: $wide, )* }

        /// Columns whose names end in `_one` or `_some` may be too narrow for the server's values.
        #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
        #[ovsdb(database = Slim, table = "Shape")]
        struct Narrow { $( $column: $narrow, )* }

        const COLUMNS: &[Base] = &[$( (stringify!($column), $key, $value), )*];

        /// Guards every column of a row.
        fn verify(txn: &mut Transaction<Broad>, row: &Row<Wide>) {
            let mut indexes = 0..;
            $(
                let index = indexes.next().expect("unending");
                txn.verify(row, Column::<Wide, $wide>::new(index, |row| &row.$column));
            )*
        }
    };
}

columns! {
    integer_one: Option<i64>, i64, INTEGER, None;
    integer_some: Set<i64>, Option<i64>, INTEGER, None;
    integer_many: Set<i64>, Set<i64>, INTEGER, None;
    real_one: Option<Real>, Real, REAL, None;
    real_some: Set<Real>, Option<Real>, REAL, None;
    real_many: Set<Real>, Set<Real>, REAL, None;
    boolean_one: Option<bool>, bool, BOOLEAN, None;
    boolean_some: Set<bool>, Option<bool>, BOOLEAN, None;
    boolean_many: Set<bool>, Set<bool>, BOOLEAN, None;
    string_one: Option<Str>, Str, STRING, None;
    string_some: Set<Str>, Option<Str>, STRING, None;
    string_many: Set<Str>, Set<Str>, STRING, None;
    uuid_one: Option<Uuid>, Uuid, UUID, None;
    uuid_some: Set<Uuid>, Option<Uuid>, UUID, None;
    uuid_many: Set<Uuid>, Set<Uuid>, UUID, None;
    strong_one: Option<Ref<Target>>, Ref<Target>, STRONG, None;
    strong_some: Set<Ref<Target>>, Option<Ref<Target>>, STRONG, None;
    strong_many: Set<Ref<Target>>, Set<Ref<Target>>, STRONG, None;
    weak_one: Option<Ref<Target>>, Ref<Target>, WEAK, None;
    weak_some: Set<Ref<Target>>, Option<Ref<Target>>, WEAK, None;
    weak_many: Set<Ref<Target>>, Set<Ref<Target>>, WEAK, None;
    color_one: Option<Color>, Color, COLOR, None;
    color_some: Set<Color>, Option<Color>, COLOR, None;
    color_many: Set<Color>, Set<Color>, COLOR, None;
    integer_real: Map<i64, Real>, Map<i64, Real>, INTEGER, Some(REAL);
    real_boolean: Map<Real, bool>, Map<Real, bool>, REAL, Some(BOOLEAN);
    boolean_string: Map<bool, Str>, Map<bool, Str>, BOOLEAN, Some(STRING);
    string_string: Map<Str, Str>, Map<Str, Str>, STRING, Some(STRING);
    string_uuid: Map<Str, Uuid>, Map<Str, Uuid>, STRING, Some(UUID);
    uuid_integer: Map<Uuid, i64>, Map<Uuid, i64>, UUID, Some(INTEGER);
    strong_color: Map<Ref<Target>, Color>, Map<Ref<Target>, Color>, STRONG, Some(COLOR);
    color_weak: Map<Color, Ref<Target>>, Map<Color, Ref<Target>>, COLOR, Some(WEAK);
    weak_strong: Map<Ref<Target>, Ref<Target>>, Map<Ref<Target>, Ref<Target>>, WEAK, Some(STRONG);
}

/// `min` and `max` of all shapes; the first two are the ones of an optional value and a scalar.
const SHAPES: [(u32, &str); 6] = [
    (0, "1"),
    (1, "1"),
    (0, "3"),
    (1, "3"),
    (0, "\"unlimited\""),
    (1, "\"unlimited\""),
];

/// A schema in which each column has the next shape after that of the previous round.
fn schema(round: usize, offsets: &[usize]) -> String {
    let columns = COLUMNS
        .iter()
        .zip(offsets)
        .map(|((name, key, value), offset)| {
            let shapes = if name.ends_with("_one") {
                2
            } else {
                SHAPES.len()
            };
            let (min, max) = SHAPES[(offset + round) % shapes];
            let value = value
                .map(|value| format!(r#""value":{value},"#))
                .unwrap_or_default();
            format!(r#""{name}":{{"type":{{"key":{key},{value}"min":{min},"max":{max}}}}}"#)
        });
    let columns: Vec<String> = columns.collect();
    format!(
        r#"{{"name":"Shapes","version":"1.0.0","tables":{{
            "Shape":{{"isRoot":true,"columns":{{{}}}}},
            "Target":{{"isRoot":true,"columns":{{"label":{{"type":"string"}}}}}}}}}}"#,
        columns.join(",")
    )
}

/// Draws rows and changes.
struct Chance {
    random: Rng,
    schema: DatabaseSchema,
}

impl Chance {
    fn atom(&mut self, base: &BaseType, targets: &[Uuid]) -> Option<Atom> {
        let random = &mut self.random;
        if base.ref_table.is_some() {
            return random.choice(targets).copied().map(Atom::Uuid);
        }
        if let Constraint::Enum(values) = &base.constraint {
            return match random.choice(values)? {
                EnumValue::String(text) => Some(Atom::String(text.as_str().into())),
                other => panic!("{other:?}"),
            };
        }
        Some(match base.atomic {
            AtomicType::Integer => {
                let some = [0, 1, -1, 1 << 53, (1 << 53) + 1, i64::MIN, i64::MAX];
                Atom::Integer(random.choice(some)?)
            }
            AtomicType::Real => {
                Atom::Real(Real::from(random.choice([0.0, -1.5, 0.1, 3.0, 1e100])?))
            }
            AtomicType::Boolean => Atom::Boolean(random.bool()),
            AtomicType::String => {
                let long = "a string that is too long to be stored in place";
                Atom::String(random.choice(["", "a", "\"\\ü\u{1f600}\n", long])?.into())
            }
            AtomicType::Uuid => Atom::Uuid(Uuid::from_u128(u128::from(random.u8(..4)))),
        })
    }

    /// A value with at least `least` elements; `None` if it needs a reference and no target exists.
    fn datum(&mut self, kind: &ColumnType, least: usize, targets: &[Uuid]) -> Option<Datum> {
        let most = match kind.max {
            Max::Limited(max) => max as usize,
            Max::Unlimited => 5,
        };
        let count = self.random.usize(least..=most);
        let mut datum = match &kind.value {
            None => {
                let atoms = (0..count).map(|_| self.atom(&kind.key, targets));
                Datum::Set(atoms.collect::<Option<Set<Atom>>>()?)
            }
            Some(value) => {
                let pairs = (0..count)
                    .map(|_| Some((self.atom(&kind.key, targets)?, self.atom(value, targets)?)));
                Datum::Map(pairs.collect::<Option<Vec<_>>>()?.into())
            }
        };
        if self.random.u8(..8) == 0 && kind.min as usize >= least && !refers(kind) {
            datum = Datum::default_of(kind);
        }
        Some(datum)
    }

    /// Values for some of the columns, and for all that cannot be omitted.
    fn row(&mut self, share: u8, targets: &[Uuid]) -> Columns {
        let columns = self.schema.tables["Shape"].columns.clone();
        let mut row = Columns::new();
        for (name, column) in columns {
            let required = column.kind.min == 1 && refers(&column.kind);
            if required || self.random.u8(..100) < share {
                let least = column.kind.min as usize;
                if let Some(datum) = self.datum(&column.kind, least, targets) {
                    row.insert(name, datum);
                }
            }
        }
        row
    }

    fn mutations(&mut self, targets: &[Uuid]) -> Vec<Mutation> {
        let columns = self.schema.tables["Shape"].columns.clone();
        let mut mutations = Vec::new();
        for (name, column) in columns {
            let kind = &column.kind;
            if kind.is_scalar() || self.random.u8(..100) >= 15 {
                continue;
            }
            let mutator = if self.random.bool() {
                Mutator::Insert
            } else {
                Mutator::Delete
            };
            if let Some(argument) = self.datum(kind, 0, targets) {
                let column = name.into();
                mutations.push(Mutation {
                    column,
                    mutator,
                    argument,
                });
            }
        }
        mutations
    }

    /// The operations of a transaction: one to three, and sometimes the insert of a target.
    fn operations(&mut self, rows: &[Uuid], targets: &[Uuid]) -> Vec<Operation> {
        let mut operations = Vec::new();
        for _ in 0..self.random.usize(1..=3) {
            let row = self.random.choice(rows).copied();
            let conditions = |uuid: Uuid| vec![is_row(uuid)];
            operations.push(match (self.random.u8(..10), row) {
                (0..=2, _) | (_, None) => {
                    let share = self.random.choice([0, 20, 60, 100]).unwrap_or_default();
                    let row = self.row(share, targets);
                    insert("Shape", row)
                }
                (3..=5, Some(uuid)) => Operation::Update {
                    table: "Shape".into(),
                    conditions: conditions(uuid),
                    row: self.update(targets),
                },
                (6..=8, Some(uuid)) => Operation::Mutate {
                    table: "Shape".into(),
                    conditions: conditions(uuid),
                    mutations: self.mutations(targets),
                },
                // Deleting a target also removes the weak references to it.
                (_, Some(uuid)) => match self.random.choice(targets) {
                    Some(target) if self.random.bool() => Operation::Delete {
                        table: "Target".into(),
                        conditions: conditions(*target),
                    },
                    _ => Operation::Delete {
                        table: "Shape".into(),
                        conditions: conditions(uuid),
                    },
                },
            });
        }
        if self.random.u8(..4) == 0 {
            operations.push(insert("Target", Columns::new()));
        }
        operations
    }

    /// Values for a few columns.
    fn update(&mut self, targets: &[Uuid]) -> Columns {
        let columns = self.schema.tables["Shape"].columns.clone();
        let mut row = Columns::new();
        for (name, column) in columns {
            if self.random.u8(..100) < 15
                && let Some(datum) = self.datum(&column.kind, column.kind.min as usize, targets)
            {
                row.insert(name, datum);
            }
        }
        row
    }
}

fn refers(kind: &ColumnType) -> bool {
    let mut bases = [Some(&kind.key), kind.value.as_ref()].into_iter().flatten();
    bases.any(|base| base.ref_table.is_some())
}

fn is_row(uuid: Uuid) -> Clause {
    Clause::Compare {
        column: "_uuid".into(),
        function: Function::Equal,
        argument: Datum::from(Atom::Uuid(uuid)),
    }
}

fn insert(table: &str, row: Columns) -> Operation {
    Operation::Insert {
        table: table.into(),
        row,
        uuid_name: None,
        uuid: None,
    }
}

/// A server, its two clients, and their replicas.
struct Observed {
    server: Server,
    client: Client<Broad>,
    other: Client<Slim>,
    wide: Vec<Cache<Broad>>,
    /// The same tables, with the columns of the server's schema.
    named: Vec<Cache<Broad>>,
    narrow: Vec<Cache<Slim>>,
}

impl Observed {
    async fn new(schema: &str) -> Self {
        let server = Server::builder().schema(schema).start().expect("a server");
        let client: Client<Broad> = connect(&server).await;
        let other: Client<Slim> = connect(&server).await;
        let (mut wide, mut named, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
        for version in VERSIONS {
            // Strict, since it can read every shape.
            let cache = client.cache().all_tables().strict(true);
            let cache = cache.newest_monitor(version);
            wide.push(cache.start().await.expect("a cache"));
            let cache = client.cache().any_tables().newest_monitor(version);
            named.push(cache.start().await.expect("a cache"));
            let cache = other.cache().table::<Narrow>().newest_monitor(version);
            narrow.push(cache.start().await.expect("a cache"));
        }
        Self {
            server,
            client,
            other,
            wide,
            named,
            narrow,
        }
    }

    /// Sends operations as they are. Returns whether the server accepted them.
    async fn write(&self, operations: Vec<Operation>) -> bool {
        let mut txn = self.client.transaction();
        for operation in operations {
            txn.operation(operation);
        }
        match txn.commit().await {
            Ok(_) => true,
            // Too many elements, none where one is needed, a row that is referred to.
            Err(CommitError::Refused(refusal)) => {
                let kind = refusal.error.kind();
                let expected = [
                    ErrorKind::ConstraintViolation,
                    ErrorKind::ReferentialIntegrityViolation,
                ];
                assert!(expected.contains(&kind), "{refusal}");
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn rows(&self) -> Vec<Uuid> {
        let view = self.wide[0].snapshot();
        view.rows::<Wide>().map(Row::uuid).collect()
    }

    fn targets(&self) -> Vec<Uuid> {
        let view = self.wide[0].snapshot();
        view.rows::<Target>().map(Row::uuid).collect()
    }

    /// Compares every replica with a dump, and selected rows with replicas.
    async fn compare(&self) {
        // All caches of a client show its commits once they resolved.
        let dump: Dump = self
            .server
            .dump("Shapes", None)
            .expect("a dump")
            .parse()
            .expect("a dump");
        for cache in self.wide.iter().chain(&self.named) {
            let (tables, found) = dump.differences(&cache.snapshot());
            assert_eq!(tables, 2);
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert!(
                found.is_empty(),
                "{:?}: {found:#?}",
                cache.monitor_version()
            );
            assert_eq!(cache.stats().resyncs, 0);
        }
        for cache in &self.narrow {
            self.compare_narrow(cache, &dump).await;
        }
        self.compare_selects().await;
    }

    /// Compares selected rows with replicas.
    async fn compare_selects(&self) {
        let mut txn = self.client.transaction();
        // All rows: this number is never drawn.
        let rows = txn.select(Wide::INTEGER_MANY.excludes([77]));
        let outcome = txn.commit().await.expect("a select");
        let view = self.wide[0].snapshot();
        for row in outcome.rows(&rows).expect("rows") {
            assert_eq!(view.get(row.reference()), Some(&row));
        }
        let mut txn = self.other.transaction();
        let rows = txn.select(Narrow::STRING_MANY.excludes(["never drawn"]));
        let outcome = txn.commit().await.expect("a select");
        let view = self.narrow[0].snapshot();
        for row in outcome.rows(&rows).expect("columns that can be read") {
            assert_eq!(view.get(row.reference()), Some(&row));
        }
    }

    async fn compare_narrow(&self, cache: &Cache<Slim>, dump: &Dump) {
        let skew = cache.skew();
        let other: BTreeSet<&str> = skew
            .differences
            .iter()
            .filter_map(|skew| match skew {
                Skew::OtherType { column, .. } => Some(column.as_str()),
                _ => None,
            })
            .collect();
        let wrong = || {
            let view = cache.snapshot();
            let mut found = dump.differences_of(view.table::<Narrow>());
            found.retain(|difference| {
                !matches!(difference, Difference::Column { column, .. } if other.contains(column.as_str()))
            });
            found
        };
        let reached = tokio::time::timeout(std::time::Duration::from_secs(60), async {
            while !wrong().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
        if reached.await.is_err() {
            let found: Vec<String> = wrong().iter().map(ToString::to_string).collect();
            panic!("{:?}: {found:#?}", cache.monitor_version());
        }
        let unset = Narrow::default();
        for row in cache.snapshot().rows::<Narrow>() {
            for (index, column) in Narrow::COLUMNS.iter().enumerate() {
                let read = row.column(index).expect("a column");
                let default = unset.column(index).expect("a column");
                assert!(!other.contains(column.name) || read.equals(default));
            }
        }
    }

    /// A row that a program inserts as a struct must be read as the same.
    async fn write_typed(&self, row: Wide) {
        let mut txn = self.client.transaction();
        let reference = txn.insert(row.clone());
        txn.commit().await.expect("a commit of a row that was read");
        let view = self.wide[0].snapshot();
        assert_eq!(view.get(reference).map(Row::columns), Some(&row));
    }

    /// A row that was read passes as a guard.
    async fn verify(&self) {
        let mut txn = self.client.transaction();
        for row in self.wide[0].snapshot().rows::<Wide>() {
            verify(&mut txn, row);
        }
        txn.commit().await.expect("every row is as it was read");
    }
}

#[tokio::test]
async fn replicas_of_columns_of_every_shape_are_as_a_dump() {
    let seed = Seed::new();
    let mut random = seed.random();
    let offsets: Vec<usize> = COLUMNS
        .iter()
        .map(|_| random.usize(..SHAPES.len()))
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..SHAPES.len() {
        let text = schema(round, &offsets);
        let observed = Observed::new(&text).await;
        let folds = [&observed.wide[2], &observed.named[2]].map(Fold::of);
        let schema = DatabaseSchema::parse(&text).expect("a schema");
        check_skew(&observed.wide[0].skew().differences, &schema);
        let mut chance = Chance {
            random: seed.random(),
            schema,
        };
        let targets = (0..3).map(|_| insert("Target", Columns::new()));
        assert!(observed.write(targets.collect()).await);
        let bare = chance.row(0, &observed.targets());
        assert!(observed.write(vec![insert("Shape", bare)]).await);
        observed.compare().await;
        for _ in 0..size(15, 400) {
            let operations = chance.operations(&observed.rows(), &observed.targets());
            if observed.write(operations).await {
                taken += 1;
                observed.compare().await;
            } else {
                refused += 1;
            }
        }
        let view = observed.wide[0].snapshot();
        for row in view.rows::<Wide>().take(3) {
            observed.write_typed(Wide::clone(row)).await;
        }
        observed.verify().await;
        observed.compare().await;
        // A client that comes later.
        let late: Client<Broad> = connect(&observed.server).await;
        let late = late.cache().all_tables().start().await.expect("a cache");
        same_as_dump(&late, &observed.server).await;
        let views = [&observed.wide[2], &observed.named[2]].map(Cache::snapshot);
        // The stream ends with the client.
        observed.client.close().await;
        for (fold, view) in folds.into_iter().zip(views) {
            assert!(fold.await.expect("no panic").is(&view));
        }
    }
    assert!(
        taken > refused,
        "{taken} transactions were taken, {refused} refused"
    );
}

/// The report names every column whose server's type is a scalar, or an optional value where the compiled type is
/// a set.
fn check_skew(differences: &[Skew], schema: &DatabaseSchema) {
    let columns = &schema.tables["Shape"].columns;
    let expected = columns.iter().filter(|(name, column)| {
        column.kind.is_scalar() || (column.kind.is_optional() && !name.ends_with("_one"))
    });
    let expected: BTreeSet<&str> = expected.map(|(name, _)| name.as_str()).collect();
    let reported: BTreeSet<&str> = differences
        .iter()
        .map(|skew| match skew {
            Skew::Narrower { column, .. } => column.as_str(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(reported, expected);
}
