//! The rows for the sample manifests are those of a real cluster.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::schema::{AtomicType, ColumnType, DatabaseSchema};
use ovsdb::testing::Server;
use serde_json::{Map, Value, json};
use support::{SCHEMAS, history, manifest, on, rows, schema, server};

/// The tables that are compared, with the prefix of their rows' symbols.
const TABLES: [(&str, &str); 8] = [
    ("Logical_Switch", "ls"),
    ("Logical_Router", "lr"),
    ("Logical_Switch_Port", "lsp"),
    ("Logical_Router_Port", "lrp"),
    ("Gateway_Chassis", "gwc"),
    ("Copp", "copp"),
    ("Meter", "meter"),
    ("Meter_Band", "band"),
];

fn golden() -> Value {
    serde_json::from_str(include_str!("files/golden.json")).expect("golden.json")
}

/// The database's rows by symbol, with their columns in the form of golden.json.
struct Database {
    schema: DatabaseSchema,
    rows: BTreeMap<String, (String, Map<String, Value>)>,
    symbols: BTreeMap<String, String>,
}

impl Database {
    fn read(server: &Server) -> Self {
        let mut database = Self {
            schema: DatabaseSchema::parse(&schema("ovn-23.03")).expect("a schema"),
            rows: BTreeMap::new(),
            symbols: BTreeMap::new(),
        };
        for (table, prefix) in TABLES {
            for row in rows(server, table) {
                let name = match row.get("name").and_then(Value::as_str) {
                    Some(name) => name.to_owned(),
                    None => row["rate"].to_string(),
                };
                let symbol = format!("{prefix}:{name}");
                let uuid = row["_uuid"][1].as_str().expect("a uuid").to_owned();
                database.symbols.insert(uuid, symbol.clone());
                let clash = database
                    .rows
                    .insert(symbol.clone(), (table.to_owned(), row));
                assert!(clash.is_none(), "two rows {symbol}");
            }
        }
        database
    }

    /// A cell in the form of golden.json.
    fn cell(&self, kind: &ColumnType, cell: &Value) -> Value {
        if kind.value.is_some() {
            return support::map(cell);
        }
        let set = cell.as_array().filter(|pair| pair[0] == "set");
        let atoms: Vec<Value> = match set {
            Some(set) => set[1]
                .as_array()
                .expect("a set")
                .iter()
                .map(|a| self.atom(a))
                .collect(),
            None => vec![self.atom(cell)],
        };
        if kind.max.is_one() {
            return atoms.into_iter().next().unwrap_or(Value::Null);
        }
        if kind.key.atomic == AtomicType::Uuid {
            let refs: BTreeSet<String> = atoms
                .iter()
                .map(|atom| atom["ref"].as_str().expect("a reference").to_owned())
                .collect();
            return json!({ "refs": refs });
        }
        Value::Array(atoms)
    }

    fn atom(&self, atom: &Value) -> Value {
        match atom.as_array() {
            Some(pair) if pair[0] == "uuid" => {
                let uuid = pair[1].as_str().expect("a uuid");
                json!({ "ref": self.symbols.get(uuid).map_or(uuid, String::as_str) })
            }
            _ => atom.clone(),
        }
    }
}

/// Whether a cell is as expected: arrays are sets, and `{any: true}` is any text that is not empty.
fn same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Object(any), found) if any.get("any") == Some(&Value::Bool(true)) => {
            found.as_str().is_some_and(|text| !text.is_empty())
        }
        (Value::Object(wanted), Value::Object(found)) => {
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .all(|(key, value)| found.get(key).is_some_and(|f| same(value, f)))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            let set = |list: &[Value]| list.iter().map(Value::to_string).collect::<BTreeSet<_>>();
            set(wanted) == set(found)
        }
        _ => wanted == found,
    }
}

/// Compares the rows of these networks. Returns how many there were.
fn compare(server: &Server, networks: &[&str]) -> usize {
    let database = Database::read(server);
    let golden = golden();
    let seed = golden["seed"].as_object().expect("seed");
    let printed = seed
        .iter()
        .filter(|(name, _)| networks.contains(&name.as_str()));
    let derived = golden["derived"].as_object().expect("derived");
    let derived = derived
        .iter()
        .filter(|(name, _)| *name == "_shared" || networks.contains(&name.as_str()));
    let sections = printed
        .map(|(_, network)| &network["tables"])
        .chain(derived.map(|(_, t)| t));
    let (mut count, mut wrong) = (0, Vec::new());
    for tables in sections {
        for (table, prefix) in TABLES {
            for wanted in tables[table].as_array().into_iter().flatten() {
                let symbol = wanted["_sym"].as_str().expect("a symbol");
                assert!(symbol.starts_with(prefix));
                count += 1;
                let Some((_, row)) = database.rows.get(symbol) else {
                    wrong.push(format!("there is no row {symbol}"));
                    continue;
                };
                compare_row(&database, table, wanted, row, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

fn compare_row(
    database: &Database,
    table: &str,
    wanted: &Value,
    row: &Map<String, Value>,
    wrong: &mut Vec<String>,
) {
    // Rows of earlier stages than `pods` were printed before all pods existed, and show only some ports.
    let early = !matches!(wanted["_stage"].as_str(), None | Some("pods"));
    let columns = &database.schema.tables[table].columns;
    for (column, value) in wanted.as_object().expect("a row") {
        // Only northd sets `up`.
        if column.starts_with('_') || column == "up" {
            continue;
        }
        let found = database.cell(&columns[column.as_str()].kind, &row[column]);
        let fits = if early && column == "ports" {
            let set = |value: &Value| -> BTreeSet<String> {
                let refs = value["refs"].as_array().expect("references");
                refs.iter().map(Value::to_string).collect()
            };
            set(value).is_subset(&set(&found))
        } else {
            same(value, &found)
        };
        if !fits {
            let symbol = &wanted["_sym"];
            wrong.push(format!("{symbol}.{column}: wanted {value}, found {found}"));
        }
    }
}

/// Checks that the comparison can fail.
#[test]
fn a_wrong_row_is_found() {
    assert!(!same(&json!({"a": "1"}), &json!({"a": "1", "b": "2"})));
    assert!(!same(&json!(["a"]), &json!(["a", "b"])));
    assert!(!same(&json!({"any": true}), &json!("")));
    assert!(!same(&Value::Null, &json!("")));
    let server = server("ovn-23.03");
    let folder = manifest("");
    on(&server, "apply", &["-f", &folder.display().to_string()]).succeeded();
    let port = "rtos-l3.network_work001";
    support::nbctl(
        &server,
        &[
            "set",
            "Logical_Router_Port",
            port,
            "mac=\"00:00:00:00:00:01\"",
        ],
    );
    let found = std::panic::catch_unwind(|| compare(&server, &["l3-network"]));
    let message = found.expect_err("the wrong row");
    let message = message.downcast_ref::<String>().expect("a text");
    assert!(
        message.contains("lrp:rtos-l3.network_work001") && message.contains(".mac"),
        "{message}"
    );
}

#[test]
fn the_layer3_network_has_its_rows() {
    for schema in SCHEMAS {
        let server = server(schema);
        let file = manifest("l3-network.yaml").display().to_string();
        let nodes = ["--node-subnets", "master001=0,work002=1,work001=2"];
        let apply = || on(&server, "apply", &["-f", &file, nodes[0], nodes[1]]).succeeded();
        apply();
        assert_eq!(compare(&server, &["l3-network"]), 27);
        let before = history(&server);
        assert_eq!(apply(), "nothing to do\n");
        assert_eq!(history(&server), before, "the second run wrote something");
        assert_eq!(compare(&server, &["l3-network"]), 27);
    }
}

#[test]
fn all_networks_have_their_rows_also_after_a_restart() {
    for schema in SCHEMAS {
        let mut server = server(schema);
        let folder = manifest("").display().to_string();
        on(&server, "apply", &["-f", &folder]).succeeded();
        let networks = ["l3-network", "l2-network", "localnet-network"];
        assert_eq!(compare(&server, &networks), 35);
        server.kill().expect("the server ends");
        server.start().expect("the server starts");
        let before = history(&server);
        assert_eq!(
            on(&server, "apply", &["-f", &folder]).succeeded(),
            "nothing to do\n"
        );
        assert_eq!(history(&server), before, "the second run wrote something");
        assert_eq!(compare(&server, &networks), 35);
    }
}
