//! Draws random schemas, and steps that fit them more or less.

use std::fmt;

use fastrand::Rng;

use super::pair::CLIENTS;

/// The schema of a database, and the steps that it goes through.
#[derive(Debug)]
pub struct Drawn {
    pub schema: String,
    pub steps: Vec<Step>,
}

/// A message of a client. `@N@` stands for the uuid of the Nth inserted row.
#[derive(Debug, Clone)]
pub struct Step {
    /// The request's id.
    pub number: usize,
    pub client: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// A transaction: its operations, each with the number of the row that it inserts, if any.
    Transact(Vec<(String, Option<usize>)>),
    /// Any other request.
    Call {
        method: &'static str,
        params: String,
    },
    /// A notification.
    Notify {
        method: &'static str,
        params: String,
    },
}

impl Step {
    pub const fn is_transaction(&self) -> bool {
        matches!(self.kind, Kind::Transact(_))
    }

    /// The same step without waiting for the disk, and without ephemeral columns.
    pub fn for_files(&self) -> Self {
        let mut step = self.clone();
        match &mut step.kind {
            Kind::Transact(operations) => {
                for (text, _) in operations {
                    *text = text.replace("\"durable\":true", "\"durable\":false");
                }
            }
            Kind::Call { params, .. } | Kind::Notify { params, .. } => {
                *params = params.replace(",\"ephemeral\":true", "");
            }
        }
        step
    }

    pub fn is_conversion(&self) -> bool {
        matches!(
            self.kind,
            Kind::Call {
                method: "convert",
                ..
            }
        )
    }

    /// The message.
    pub fn message(&self) -> String {
        let number = self.number;
        match &self.kind {
            Kind::Transact(operations) => {
                let operations: String = operations
                    .iter()
                    .map(|(text, _)| format!(",{text}"))
                    .collect();
                format!(
                    "{{\"id\":{number},\"method\":\"transact\",\"params\":[\"D\"{operations}]}}"
                )
            }
            Kind::Call { method, params } => {
                format!("{{\"id\":{number},\"method\":\"{method}\",\"params\":{params}}}")
            }
            Kind::Notify { method, params } => {
                format!("{{\"id\":null,\"method\":\"{method}\",\"params\":{params}}}")
            }
        }
    }

    /// The operations that insert rows, with the rows' numbers.
    pub fn inserts(&self) -> Vec<(usize, usize)> {
        match &self.kind {
            Kind::Transact(operations) => {
                let rows = operations.iter().enumerate();
                rows.filter_map(|(at, (_, row))| Some((at, (*row)?)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The same transaction without one of its operations.
    pub fn without(&self, operation: usize) -> Option<Self> {
        match &self.kind {
            Kind::Transact(operations) if operation < operations.len() => {
                let mut operations = operations.clone();
                operations.remove(operation);
                Some(Self {
                    kind: Kind::Transact(operations),
                    ..*self
                })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}: {}", self.client, self.message())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Atomic {
    Integer,
    Real,
    Boolean,
    String,
    Uuid,
    /// A reference to the table with this number.
    Reference(usize),
}

/// The kind of the values in a column, or of its keys.
#[derive(Debug, Clone)]
struct Base {
    atomic: Atomic,
    json: String,
    /// The atoms to draw from: allowed ones and disallowed ones.
    atoms: [&'static [&'static str]; 2],
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    key: Base,
    value: Option<Base>,
    min: usize,
    /// More than 3 means unlimited.
    max: usize,
    json: String,
}

#[derive(Debug, Clone)]
struct Table {
    columns: Vec<Column>,
    /// The columns of its index, if it has one.
    index: Vec<String>,
    /// The other members of its schema.
    rest: String,
}

/// The random generator, and what was drawn for the database so far.
struct Draw<'r> {
    random: &'r mut Rng,
    tables: Vec<Table>,
    /// The table of each row that was inserted.
    rows: Vec<usize>,
    /// The monitors' ids of each client, and whether they may have conditions.
    monitors: Vec<Vec<(String, bool)>>,
    next_monitor: usize,
    /// Whether the operation being drawn has no mistake so far.
    may_mistake: bool,
    /// Whether the operation may fail on some rows only, depending on their values.
    may_fail: bool,
    /// The numbers of the transactions that may be waiting, of each client.
    waiting: Vec<Vec<usize>>,
}

/// Draws a schema and this many steps.
pub fn draw(random: &mut Rng, steps: usize) -> Drawn {
    let mut draw = Draw {
        random,
        tables: Vec::new(),
        rows: Vec::new(),
        monitors: vec![Vec::new(); CLIENTS],
        next_monitor: 0,
        may_mistake: true,
        may_fail: false,
        waiting: vec![Vec::new(); CLIENTS],
    };
    draw.draw_tables();
    let schema = draw.schema_text();
    let steps = (0..steps).map(|number| draw.step(number)).collect();
    Drawn { schema, steps }
}

impl Draw<'_> {
    fn one_in(&mut self, n: usize) -> bool {
        self.random.usize(..n) == 0
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.random.usize(..all.len())]
    }

    fn draw_tables(&mut self) {
        let count = self.random.usize(2..5);
        for _ in 0..count {
            let columns: Vec<_> = (0..self.random.usize(1..6))
                .map(|at| self.column(format!("c{at}"), count))
                .collect();
            let stored: Vec<String> = columns
                .iter()
                .filter(|column| !column.json.contains("ephemeral"))
                .map(|column| column.name.clone())
                .collect();
            let mut index = Vec::new();
            if !stored.is_empty() && self.one_in(2) {
                index.push(self.pick(&stored).clone());
                let second = self.pick(&stored).clone();
                if second != index[0] && self.one_in(2) {
                    index.push(second);
                }
            }
            let mut rest = String::new();
            if !self.one_in(3) {
                rest.push_str(",\"isRoot\":true");
            }
            if self.one_in(5) {
                rest.push_str(&format!(",\"maxRows\":{}", self.random.usize(1..6)));
            }
            self.tables.push(Table {
                columns,
                index,
                rest,
            });
        }
    }

    fn schema_text(&self) -> String {
        let mut tables = Vec::new();
        for (number, table) in self.tables.iter().enumerate() {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|column| format!("\"{}\":{}", column.name, column.json))
                .collect();
            let index = if table.index.is_empty() {
                String::new()
            } else {
                format!(",\"indexes\":[[\"{}\"]]", table.index.join("\",\""))
            };
            tables.push(format!(
                "\"T{number}\":{{\"columns\":{{{}}}{}{index}}}",
                columns.join(","),
                table.rest
            ));
        }
        format!(
            "{{\"name\":\"D\",\"version\":\"1.0.0\",\"tables\":{{{}}}}}",
            tables.join(",")
        )
    }

    fn atomic(&mut self, tables: usize) -> Atomic {
        match self.random.usize(..8) {
            0 | 1 => Atomic::Integer,
            2 => Atomic::Real,
            3 => Atomic::Boolean,
            4 => Atomic::Uuid,
            5 | 6 => Atomic::Reference(self.random.usize(..tables)),
            _ => Atomic::String,
        }
    }

    fn base(&mut self, atomic: Atomic) -> Base {
        const NUMBERS: &[&str] = &["-3", "-2", "-1", "0", "1", "2", "3", "1e1"];
        let kind = self.random.usize(..4);
        let (name, constraint, atoms): (_, _, [&'static [&'static str]; 2]) = match (atomic, kind) {
            (Atomic::Integer, 0) => (
                "integer",
                ",\"minInteger\":-2,\"maxInteger\":3",
                [&["-2", "0", "1", "2", "3"], &["-3", "4"]],
            ),
            (Atomic::Integer, 1) => (
                "integer",
                ",\"enum\":[\"set\",[0,1,2]]",
                [&["0", "1", "2"], &["-1", "3"]],
            ),
            (Atomic::Integer, _) => (
                "integer",
                "",
                [NUMBERS, &["0.5", "1e30", "9223372036854775808"]],
            ),
            (Atomic::Real, 0) => (
                "real",
                ",\"minReal\":-1.5",
                [&["-1.5", "0", "2", "1e3", "0.1"], &["-1.6"]],
            ),
            (Atomic::Real, _) => (
                "real",
                "",
                [&["0.5", "-1.5", "2", "1e3", "0", "3.25"], &["\"1\""]],
            ),
            (Atomic::Boolean, _) => ("boolean", "", [&["true", "false"], &["1"]]),
            (Atomic::String, 0) => (
                "string",
                ",\"minLength\":0,\"maxLength\":2",
                [
                    &["\"\"", "\"a\"", "\"ab\"", "\"\\u00e9\\u00e9\""],
                    &["\"abc\""],
                ],
            ),
            (Atomic::String, 1) => (
                "string",
                ",\"enum\":[\"set\",[\"\",\"a\",\"b\"]]",
                [&["\"\"", "\"a\"", "\"b\""], &["\"c\""]],
            ),
            (Atomic::String, _) => (
                "string",
                "",
                [
                    &["\"\"", "\"a\"", "\"b\"", "\"a b\"", "\"\\u00e9\\n\""],
                    &["true"],
                ],
            ),
            (Atomic::Uuid, _) => ("uuid", "", [&[], &[]]),
            (Atomic::Reference(table), _) => {
                let kind = if self.one_in(2) { "weak" } else { "strong" };
                return Base {
                    atomic,
                    json: format!(
                        "{{\"type\":\"uuid\",\"refTable\":\"T{table}\",\"refType\":\"{kind}\"}}"
                    ),
                    atoms: [&[], &[]],
                };
            }
        };
        Base {
            atomic,
            json: if constraint.is_empty() {
                format!("\"{name}\"")
            } else {
                format!("{{\"type\":\"{name}\"{constraint}}}")
            },
            atoms,
        }
    }

    fn column(&mut self, name: String, tables: usize) -> Column {
        let counts = [
            (1, 1),
            (1, 1),
            (0, 1),
            (0, 1),
            (0, 2),
            (0, 9),
            (1, 3),
            (1, 9),
        ];
        self.new_column(name, tables, &counts)
    }

    /// A column with one of these numbers of elements.
    fn new_column(&mut self, name: String, tables: usize, counts: &[(usize, usize)]) -> Column {
        let key = self.atomic(tables);
        let key = self.base(key);
        let value = self.one_in(3).then(|| self.atomic(tables));
        let value = value.map(|value| self.base(value));
        let (min, max) = *self.pick(counts);
        let mut json = format!("{{\"type\":{{\"key\":{}", key.json);
        if let Some(value) = &value {
            json.push_str(&format!(",\"value\":{}", value.json));
        }
        let max_text = if max > 3 {
            "\"unlimited\"".to_owned()
        } else {
            max.to_string()
        };
        json.push_str(&format!(",\"min\":{min},\"max\":{max_text}}}"));
        if self.one_in(8) {
            json.push_str(",\"mutable\":false");
        }
        if self.one_in(8) {
            json.push_str(",\"ephemeral\":true");
        }
        json.push('}');
        Column {
            name,
            key,
            value,
            min,
            max,
            json,
        }
    }

    fn step(&mut self, number: usize) -> Step {
        self.may_mistake = true;
        let client = self.random.usize(..CLIENTS);
        let kind = match self.random.usize(..40) {
            0..=3 => self.monitor(client),
            4 | 5 => self.change_conditions(client),
            6 | 7 => self.odd_call(client),
            8 | 9 => self.lock(),
            10 => self.convert(),
            11 => self.waiting_transaction(client, number),
            12 => match self.waiting[client].pop() {
                Some(number) => Kind::Notify {
                    method: "cancel",
                    params: format!("[{number}]"),
                },
                None => self.waiting_transaction(client, number),
            },
            _ => Kind::Transact(self.operations()),
        };
        Step {
            number,
            client,
            kind,
        }
    }

    /// A transaction that waits until the database is as it requires, without a time limit.
    fn waiting_transaction(&mut self, client: usize, number: usize) -> Kind {
        self.waiting[client].push(number);
        let table = self.random.usize(..self.tables.len());
        let wait = self.wait(table).replace("\"timeout\":0,", "");
        let mut operations = vec![(wait, None)];
        for _ in 0..self.random.usize(..3) {
            // The uuid of an inserted row must be known before the next step.
            let operation = self.operation();
            if operation.1.is_none() {
                operations.push(operation);
            }
        }
        Kind::Transact(operations)
    }

    /// Another schema: without some of the columns, and with new ones that may be empty.
    fn convert(&mut self) -> Kind {
        if self.one_in(6) {
            let odd = [
                "[\"D\",{}]",
                "[\"D\",{\"name\":\"E\",\"tables\":{}}]",
                "[\"D\"]",
            ];
            return Kind::Call {
                method: "convert",
                params: (*self.pick(&odd)).to_owned(),
            };
        }
        let tables = self.tables.len();
        for table in 0..tables {
            let mut kept = self.tables[table].clone();
            let mut at = 0;
            kept.columns.retain(|column| {
                let in_index = kept.index.contains(&column.name);
                at += 1;
                in_index || at == 1 || self.random.usize(..4) != 0
            });
            if self.one_in(3) {
                let name = format!("d{}", self.random.usize(..100));
                if kept.columns.iter().all(|column| column.name != name) {
                    kept.columns
                        .push(self.new_column(name, tables, &[(0, 1), (0, 2), (0, 9)]));
                }
            }
            self.tables[table] = kept;
        }
        Kind::Call {
            method: "convert",
            params: format!("[\"D\",{}]", self.schema_text()),
        }
    }

    fn lock(&mut self) -> Kind {
        let method: &&str = self.pick(&["lock", "steal", "unlock"]);
        Kind::Call {
            method,
            params: format!("[\"lock{}\"]", self.random.usize(..2)),
        }
    }

    fn odd_call(&mut self, client: usize) -> Kind {
        let monitor = self.monitors[client].pop();
        let (method, params) = match self.random.usize(..10) {
            9 => ("get_schema", "[\"D\"]".to_owned()),
            0 => ("get_schema", "[\"nothing\"]".to_owned()),
            1 => ("list_dbs", "[]".to_owned()),
            2 => ("no_such_method", "[]".to_owned()),
            3 => ("monitor_cancel", "[\"nothing\"]".to_owned()),
            4 => (
                "set_db_change_aware",
                (*self.pick(&["[true]", "[false]", "[1]", "[]"])).to_owned(),
            ),
            5 => (
                "transact",
                (*self.pick(&[
                    "[]",
                    "[\"D\"]",
                    "[1]",
                    "[\"E\"]",
                    "[\"_Server\",{\"op\":\"insert\",\"table\":\"Database\",\"row\":{}}]",
                ]))
                .to_owned(),
            ),
            6 => {
                self.next_monitor += 1;
                let params = format!(
                    "[\"_Server\",\"s{}\",{{\"Database\":{{\"columns\":[\"name\",\"model\",\"connected\",\"leader\",\"cid\",\"index\"]}}}}]",
                    self.next_monitor
                );
                (*self.pick(&["monitor", "monitor_cond"]), params)
            }
            7 => (
                "lock",
                (*self.pick(&["[]", "[1]", "[\"a b\"]", "[\"a\",\"b\"]"])).to_owned(),
            ),
            _ => match monitor {
                Some((id, _)) => ("monitor_cancel", format!("[{id}]")),
                None => (
                    "monitor_cond_change",
                    "[\"nothing\",\"else\",{}]".to_owned(),
                ),
            },
        };
        Kind::Call { method, params }
    }

    fn monitor(&mut self, client: usize) -> Kind {
        let method = *self.pick(&["monitor", "monitor_cond", "monitor_cond_since"]);
        self.next_monitor += 1;
        let id = if self.one_in(10) {
            "\"same\"".to_owned()
        } else {
            format!("\"m{}\"", self.next_monitor)
        };
        let conditional = method != "monitor";
        let mut tables = Vec::new();
        for at in 0..self.tables.len() {
            if !self.one_in(3) {
                tables.push(format!(
                    "\"T{at}\":{}",
                    self.monitor_request(at, conditional)
                ));
            }
        }
        let since = if method == "monitor_cond_since" {
            ",\"00000000-0000-0000-0000-000000000000\""
        } else {
            ""
        };
        self.monitors[client].push((id.clone(), conditional));
        Kind::Call {
            method,
            params: format!("[\"D\",{id},{{{}}}{since}]", tables.join(",")),
        }
    }

    fn monitor_request(&mut self, table: usize, conditional: bool) -> String {
        let mut members = Vec::new();
        if !self.one_in(6) {
            let mut names: Vec<String> = Vec::new();
            for column in self.tables[table].columns.clone() {
                if !self.one_in(4) {
                    names.push(format!("\"{}\"", column.name));
                }
            }
            if self.one_in(20) {
                names.push("\"nothing\"".into());
            }
            members.push(format!("\"columns\":[{}]", names.join(",")));
        }
        if conditional && self.one_in(2) {
            members.push(format!("\"where\":{}", self.condition(table)));
        }
        if self.one_in(4) {
            let mut kinds = Vec::new();
            for kind in ["initial", "insert", "delete", "modify"] {
                if self.one_in(2) {
                    kinds.push(format!("\"{kind}\":{}", self.random.bool()));
                }
            }
            members.push(format!("\"select\":{{{}}}", kinds.join(",")));
        }
        let request = format!("{{{}}}", members.join(","));
        if self.one_in(4) {
            request
        } else {
            format!("[{request}]")
        }
    }

    fn change_conditions(&mut self, client: usize) -> Kind {
        let Some((id, _)) = self.monitors[client].last().cloned() else {
            return self.monitor(client);
        };
        let table = self.random.usize(..self.tables.len());
        let condition = self.condition(table);
        let new_id = if self.one_in(2) {
            self.next_monitor += 1;
            format!("\"m{}\"", self.next_monitor)
        } else {
            id.clone()
        };
        if let Some(last) = self.monitors[client].last_mut() {
            // The server may refuse the change; then the old id stays valid, and later steps use a wrong one.
            last.0.clone_from(&new_id);
        }
        Kind::Call {
            method: "monitor_cond_change",
            params: format!("[{id},{new_id},{{\"T{table}\":[{{\"where\":{condition}}}]}}]"),
        }
    }

    fn condition(&mut self, table: usize) -> String {
        let count = *self.pick(&[0, 1, 1, 1, 2]);
        let clauses: Vec<_> = (0..count).map(|_| self.clause(table)).collect();
        format!("[{}]", clauses.join(","))
    }

    fn clause(&mut self, table: usize) -> String {
        if self.one_in(8) {
            return self.random.bool().to_string();
        }
        if self.one_in(3)
            && let Some(row) = self.row(table)
        {
            let function = *self.pick(&["==", "==", "!=", "includes", "excludes"]);
            return format!("[\"_uuid\",\"{function}\",{row}]");
        }
        let column = self.pick(&self.tables[table].columns.clone()).clone();
        let function = *self.pick(&[
            "==", "==", "!=", "<", "<=", ">", ">=", "includes", "excludes",
        ]);
        let value = self.value(&column);
        format!("[\"{}\",\"{function}\",{value}]", column.name)
    }

    /// A reference to a row of this table, usually to one that was inserted.
    fn row(&mut self, table: usize) -> Option<String> {
        let rows: Vec<usize> = (0..self.rows.len())
            .filter(|row| self.rows[*row] == table)
            .collect();
        if rows.is_empty() {
            return None;
        }
        let row = *self.pick(&rows);
        Some(format!("[\"uuid\",\"@{row}@\"]"))
    }

    /// Whether to make a mistake here: at most one in each operation, since servers differ in which of
    /// several they find first.
    fn mistake(&mut self, one_in: usize) -> bool {
        let makes = self.may_mistake && self.one_in(one_in);
        self.may_mistake &= !makes;
        makes
    }

    fn atom(&mut self, base: &Base) -> String {
        if self.mistake(100) {
            return (*self.pick(&[
                "null",
                "[]",
                "{}",
                "[\"uuid\",\"x\"]",
                "[\"uuid\"]",
                "[\"named-uuid\",\"1\"]",
            ]))
            .to_owned();
        }
        match base.atomic {
            Atomic::Uuid => format!(
                "[\"uuid\",\"00000000-0000-4000-9000-00000000000{}\"]",
                self.random.usize(..4)
            ),
            Atomic::Reference(table) => match self.row(table) {
                Some(row) if !self.one_in(12) => row,
                // The name may be another name for a row that is in the set already.
                _ if self.may_mistake && self.one_in(3) => {
                    self.may_mistake = false;
                    format!("[\"named-uuid\",\"n{}\"]", self.random.usize(..3))
                }
                _ => "[\"uuid\",\"00000000-0000-4000-8000-ffffffffffff\"]".to_owned(),
            },
            _ => {
                let wrong = self.mistake(40);
                (*self.pick(base.atoms[usize::from(wrong)])).to_owned()
            }
        }
    }

    fn value(&mut self, column: &Column) -> String {
        let most = if column.max > 3 { 4 } else { column.max };
        let count = if self.mistake(25) {
            self.random.usize(..5)
        } else {
            self.random.usize(column.min..=most)
        };
        let mut keys: Vec<String> = Vec::new();
        let mut elements: Vec<String> = Vec::new();
        for _ in 0..count {
            let key = self.atom(&column.key);
            // Only texts are compared, so two forms of one key pass: 2 and 2.0, or a name and a uuid.
            if keys.contains(&key) && !self.mistake(10) {
                continue;
            }
            keys.push(key.clone());
            elements.push(match &column.value {
                Some(value) => format!("[{key},{}]", self.atom(value)),
                None => key,
            });
        }
        if elements.len() < column.min && self.may_mistake {
            return self.value(column);
        }
        match (&column.value, &elements[..]) {
            (None, [one]) if !self.one_in(4) => one.clone(),
            (None, _) => format!("[\"set\",[{}]]", elements.join(",")),
            (Some(_), _) => format!("[\"map\",[{}]]", elements.join(",")),
        }
    }

    fn columns(&mut self, table: usize, all: bool) -> String {
        let mut members = Vec::new();
        for column in self.tables[table].columns.clone() {
            if all || self.one_in(2) {
                members.push(format!("\"{}\":{}", column.name, self.value(&column)));
            }
        }
        if self.mistake(40) {
            members.push("\"nothing\":1".into());
        }
        format!("{{{}}}", members.join(","))
    }

    fn operations(&mut self) -> Vec<(String, Option<usize>)> {
        (0..self.random.usize(1..5))
            .map(|_| self.operation())
            .collect()
    }

    fn operation(&mut self) -> (String, Option<usize>) {
        self.may_mistake = true;
        self.may_fail = false;
        let table = self.random.usize(..self.tables.len());
        let name = format!("T{table}");
        let text = match self.random.usize(..24) {
            0..=8 => return self.insert(table),
            9..=12 => format!(
                "{{\"op\":\"update\",\"table\":\"{name}\",\"where\":{},\"row\":{}}}",
                self.condition(table),
                self.columns(table, false)
            ),
            13..=15 => {
                let mutations: Vec<_> = (0..self.random.usize(..3))
                    .map(|_| self.mutation(table))
                    .collect();
                // Servers differ in which of several rows fails first.
                let condition = match self.row(table) {
                    Some(row) if self.may_fail => format!("[[\"_uuid\",\"==\",{row}]]"),
                    _ => self.condition(table),
                };
                format!(
                    "{{\"op\":\"mutate\",\"table\":\"{name}\",\"where\":{condition},\"mutations\":[{}]}}",
                    mutations.join(",")
                )
            }
            16 | 17 => format!(
                "{{\"op\":\"delete\",\"table\":\"{name}\",\"where\":{}}}",
                self.condition(table)
            ),
            18..=20 => self.select(table),
            21 => self.wait(table),
            _ => self.odd_operation(table),
        };
        (text, None)
    }

    fn insert(&mut self, table: usize) -> (String, Option<usize>) {
        let row = self.rows.len();
        let all = self.one_in(2);
        let columns = self.columns(table, all);
        let mut is_new = true;
        let mut text = format!("{{\"op\":\"insert\",\"table\":\"T{table}\",\"row\":{columns}");
        if self.one_in(3) {
            text.push_str(&format!(",\"uuid-name\":\"n{}\"", self.random.usize(..3)));
        }
        if self.one_in(4) {
            let known = if self.one_in(6) {
                self.random.usize(..=row)
            } else {
                row
            };
            // Two numbers for the same row would make unintended duplicates.
            is_new = known == row;
            text.push_str(&format!(
                ",\"uuid\":\"00000000-0000-4000-8000-{known:012x}\""
            ));
        }
        text.push('}');
        self.rows.push(if is_new { table } else { usize::MAX });
        (text, Some(row))
    }

    fn mutation(&mut self, table: usize) -> String {
        let column = self.pick(&self.tables[table].columns.clone()).clone();
        let mutator = *self.pick(&[
            "insert", "insert", "delete", "delete", "+=", "-=", "*=", "/=", "%=", "^=",
        ]);
        let is_arithmetic = mutator.len() == 2;
        self.may_fail |= is_arithmetic;
        let argument = if is_arithmetic {
            match column.key.atomic {
                Atomic::Real => (*self.pick(&["0.5", "2", "0"])).to_owned(),
                _ => (*self.pick(&["0", "1", "2", "-1", "9223372036854775807"])).to_owned(),
            }
        } else if mutator == "delete" && column.value.is_some() && self.one_in(2) {
            let keys = Column {
                value: None,
                ..column.clone()
            };
            self.value(&keys)
        } else {
            self.value(&column)
        };
        format!("[\"{}\",\"{mutator}\",{argument}]", column.name)
    }

    fn names(&mut self, table: usize) -> String {
        let columns = self.tables[table].columns.clone();
        let mut names = Vec::new();
        for column in &columns {
            if self.one_in(2) {
                names.push(format!("\"{}\"", column.name));
            }
        }
        if self.one_in(4) {
            names.push("\"_uuid\"".into());
        }
        if self.one_in(30) {
            names.push("\"nothing\"".into());
        }
        format!("[{}]", names.join(","))
    }

    fn select(&mut self, table: usize) -> String {
        let mut text = format!(
            "{{\"op\":\"select\",\"table\":\"T{table}\",\"where\":{}",
            self.condition(table)
        );
        if self.one_in(2) {
            text.push_str(&format!(",\"columns\":{}", self.names(table)));
        }
        text.push('}');
        text
    }

    fn wait(&mut self, table: usize) -> String {
        let rows: Vec<_> = (0..self.random.usize(..3))
            .map(|_| self.columns(table, false))
            .collect();
        let until = *self.pick(&["==", "!=", "!=", "=="]);
        format!(
            "{{\"op\":\"wait\",\"table\":\"T{table}\",\"timeout\":0,\"where\":{},\"columns\":{},\"until\":\"{until}\",\"rows\":[{}]}}",
            self.condition(table),
            self.names(table),
            rows.join(",")
        )
    }

    fn odd_operation(&mut self, table: usize) -> String {
        let all = [
            "{\"op\":\"comment\",\"comment\":\"a remark\"}".to_owned(),
            "{\"op\":\"commit\",\"durable\":false}".to_owned(),
            "{\"op\":\"commit\",\"durable\":true}".to_owned(),
            "{\"op\":\"abort\"}".to_owned(),
            "{\"op\":\"assert\",\"lock\":\"lock0\"}".to_owned(),
            "{\"op\":\"assert\"}".to_owned(),
            "{\"op\":\"nothing\"}".to_owned(),
            "{\"op\":\"insert\",\"table\":\"nothing\",\"row\":{}}".to_owned(),
            format!("{{\"op\":\"insert\",\"table\":\"T{table}\"}}"),
            format!("{{\"op\":\"delete\",\"table\":\"T{table}\",\"where\":[],\"more\":1}}"),
            format!(
                "{{\"op\":\"delete\",\"table\":\"T{table}\",\"where\":[[\"nothing\",\"==\",1]]}}"
            ),
            format!("{{\"op\":\"delete\",\"table\":\"T{table}\",\"where\":[[\"_uuid\",\"~\",1]]}}"),
            "{}".to_owned(),
            "[]".to_owned(),
        ];
        // Usually one of the first three, which let the transaction continue.
        let at = if self.one_in(3) {
            self.random.usize(..all.len())
        } else {
            self.random.usize(..3)
        };
        all[at].clone()
    }
}
