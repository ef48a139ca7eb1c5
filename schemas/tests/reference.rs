//! The parser accepts what ovsdb-tool accepts, and refuses what it refuses.

use std::fs;
use std::process::Command;

use ovsdb_schema::{Constraint, DatabaseSchema};

/// A schema with these members in addition to its name.
fn database(members: &str) -> String {
    format!(r#"{{"name":"D",{members}}}"#)
}

/// A schema with this table, and `U`, which is not a root table.
fn table(table: &str) -> String {
    let other = r#""U":{"columns":{"n":{"type":"string"}}}"#;
    database(&format!(r#""tables":{{"T":{table},{other}}}"#))
}

/// A schema with this column and `d`.
fn column(column: &str) -> String {
    let other = r#""d":{"type":"string"}"#;
    table(&format!(
        r#"{{"isRoot":true,"columns":{{"c":{column},{other}}}}}"#
    ))
}

/// A schema with a column of this type.
fn kind(kind: &str) -> String {
    column(&format!(r#"{{"type":{kind}}}"#))
}

/// A schema with a column of this type of atoms.
fn base(base: &str) -> String {
    kind(&format!(r#"{{"key":{base}}}"#))
}

/// A schema with a table that has columns and these members.
fn with_columns(members: &str) -> String {
    let columns =
        r#""c":{"type":"integer"},"d":{"type":"string"},"e":{"type":"string","ephemeral":true}"#;
    table(&format!(r#"{{"columns":{{{columns}}},{members}}}"#))
}

fn variations() -> Vec<String> {
    let mut schemas: Vec<String> = ["[]", "{}", "1", "", "{\"name\":\"D\"}"]
        .map(str::to_owned)
        .into();
    schemas.extend(
        ["D", "1D", "", "_", "_D", "__D", "D-1", "é", "D\\u0000"]
            .map(|name| format!(r#"{{"name":"{name}","tables":{{}}}}"#)),
    );
    schemas.extend(
        [
            r#""tables":{}"#,
            r#""tables":[]"#,
            r#""tables":{},"extra":1"#,
            r#""tables":{},"tables":{"T":{"columns":{"c":{"type":"integer"}}}}"#,
            r#""tables":{"_T":{"columns":{"c":{"type":"integer"}}}}"#,
            r#""tables":{"T-1":{"columns":{"c":{"type":"integer"}}}}"#,
            r#""tables":{},"cksum":"any text""#,
            r#""tables":{},"cksum":1"#,
            r#""tables":{},"cksum":"\u0000""#,
            r#""tables":{},"cksum":"\ud800""#,
            r#""tables":{},"cksum":"\ud83d\ude00""#,
        ]
        .map(database),
    );
    schemas.extend(
        [
            "1.2.3",
            "1.2",
            "1.2.3.4",
            "",
            "a.b.c",
            " 1.2.3",
            "1. 2.+3",
            "1.2.-3",
            "1.2.3 ",
            "1 .2.3",
            "0001.2.99999999999999999999",
            "1..2",
            "1.2.+-3",
            "\\t1.2.3",
            "0x1.2.3",
        ]
        .map(|version| database(&format!(r#""version":"{version}","tables":{{}}"#))),
    );
    schemas.extend(
        [
            "{}",
            "[]",
            r#"{"columns":{}}"#,
            r#"{"columns":[]}"#,
            r#"{"columns":{"_c":{"type":"integer"}}}"#,
            r#"{"columns":{"a-b":{"type":"integer"}}}"#,
            r#"{"columns":{"c":{}}}"#,
            r#"{"columns":{"c":"integer"}}"#,
        ]
        .map(table),
    );
    schemas.extend(
        [
            r#""mutable":true"#,
            r#""mutable":false"#,
            r#""mutable":1"#,
            r#""isRoot":true"#,
            r#""isRoot":0"#,
            r#""isRoot":null"#,
            r#""maxRows":1"#,
            r#""maxRows":1e18"#,
            r#""maxRows":9223372036854775808"#,
            r#""maxRows":4294967295"#,
            r#""maxRows":1.5"#,
            r#""maxRows":0"#,
            r#""maxRows":-1"#,
            r#""maxRows":"1""#,
            r#""extra":1"#,
            r#""indexes":[]"#,
            r#""indexes":{}"#,
            r#""indexes":[[]]"#,
            r#""indexes":["c"]"#,
            r#""indexes":[["c"],["c"]]"#,
            r#""indexes":[["c","d"]]"#,
            r#""indexes":[["c","c"]]"#,
            r#""indexes":[["x"]]"#,
            r#""indexes":[[1]]"#,
            r#""indexes":[["e"]]"#,
            r#""indexes":[["_uuid"]]"#,
            r#""indexes":[["c","_uuid"]]"#,
            r#""indexes":[["_uuid","_uuid"]]"#,
            r#""indexes":[["_version"]]"#,
        ]
        .map(with_columns),
    );
    schemas.extend(
        [
            r#"{"type":"integer","mutable":false}"#,
            r#"{"type":"integer","mutable":"no"}"#,
            r#"{"type":"integer","ephemeral":true}"#,
            r#"{"type":"integer","extra":true}"#,
            r#"{"type":1}"#,
            r#"{"type":["integer"]}"#,
        ]
        .map(column),
    );
    schemas.extend(
        [
            r#""text""#,
            r#""void""#,
            r#""Integer""#,
            "{}",
            r#"{"value":"integer"}"#,
            r#"{"key":"integer"}"#,
            r#"{"key":"integer","extra":1}"#,
            r#"{"key":"integer","value":"text"}"#,
            r#"{"key":"integer","value":null}"#,
            r#"{"key":"integer","value":{"type":"real","maxReal":2},"max":"unlimited"}"#,
            r#"{"key":"integer","min":0}"#,
            r#"{"key":"integer","min":1.0}"#,
            r#"{"key":"integer","min":1e0,"max":2e3}"#,
            r#"{"key":"integer","min":2,"max":3}"#,
            r#"{"key":"integer","min":-1}"#,
            r#"{"key":"integer","min":"0"}"#,
            r#"{"key":"integer","min":0.5}"#,
            r#"{"key":"integer","max":0}"#,
            r#"{"key":"integer","max":-1}"#,
            r#"{"key":"integer","max":1.5}"#,
            r#"{"key":"integer","max":4294967294}"#,
            r#"{"key":"integer","max":4294967295}"#,
            r#"{"key":"integer","max":4294967296}"#,
            r#"{"key":"integer","max":"many"}"#,
            r#"{"key":"integer","max":"unlimited"}"#,
            r#"{"key":"integer","max":null}"#,
        ]
        .map(kind),
    );
    schemas.extend(
        [
            "{}",
            "[]",
            r#"{"type":"text"}"#,
            r#"{"type":"integer","extra":1}"#,
            r#"{"type":"integer","minInteger":1e18}"#,
            r#"{"type":"integer","maxInteger":9223372036854775807.0}"#,
            r#"{"type":"integer","maxInteger":9223372036854775808}"#,
            r#"{"type":"integer","minInteger":-9223372036854775808.00}"#,
            r#"{"type":"integer","minInteger":1.99999999999999999999999999999999999999999999999999999999995}"#,
            r#"{"type":"integer","minInteger":1.5}"#,
            r#"{"type":"integer","minInteger":2,"maxInteger":1}"#,
            r#"{"type":"integer","minInteger":2,"maxInteger":2}"#,
            r#"{"type":"integer","minReal":1}"#,
            r#"{"type":"integer","maxLength":1}"#,
            r#"{"type":"integer","refTable":"U"}"#,
            r#"{"type":"real","minReal":1}"#,
            r#"{"type":"real","minReal":1e-400,"maxReal":1.7976931348623157e308}"#,
            r#"{"type":"real","minReal":2e-308}"#,
            r#"{"type":"real","maxReal":1.79769313486232e+308}"#,
            r#"{"type":"real","maxReal":1e400}"#,
            r#"{"type":"real","minReal":1.5,"maxReal":1}"#,
            r#"{"type":"real","minReal":"x"}"#,
            r#"{"type":"real","minInteger":1}"#,
            r#"{"type":"boolean","minInteger":1}"#,
            r#"{"type":"string","minLength":0,"maxLength":4294967295}"#,
            r#"{"type":"string","maxLength":4294967296}"#,
            r#"{"type":"string","minLength":-1}"#,
            r#"{"type":"string","minLength":2,"maxLength":1}"#,
            r#"{"type":"string","minLength":1.0}"#,
            r#"{"type":"string","minInteger":1}"#,
            r#"{"type":"uuid","refTable":"U"}"#,
            r#"{"type":"uuid","refTable":"V"}"#,
            r#"{"type":"uuid","refTable":1}"#,
            r#"{"type":"uuid","refTable":"U","refType":"strong"}"#,
            r#"{"type":"uuid","refTable":"U","refType":"weak"}"#,
            r#"{"type":"uuid","refTable":"U","refType":"soft"}"#,
            r#"{"type":"uuid","refTable":"U","refType":null}"#,
            r#"{"type":"uuid","refType":"weak"}"#,
            r#"{"type":"string","refTable":"U"}"#,
            r#"{"type":"string","enum":"a"}"#,
            r#"{"type":"string","enum":"\u0000"}"#,
            r#"{"type":"string","enum":null}"#,
            r#"{"type":"string","enum":["set",["a","b"]]}"#,
            r#"{"type":"string","enum":["set",["a","a"]]}"#,
            r#"{"type":"string","enum":["set",[]]}"#,
            r#"{"type":"string","enum":["set",[1]]}"#,
            r#"{"type":"string","enum":["set"]}"#,
            r#"{"type":"string","enum":["set",["a"],1]}"#,
            r#"{"type":"string","enum":["a","b"]}"#,
            r#"{"type":"string","enum":["map",[]]}"#,
            r#"{"type":"string","enum":["set",["a"]],"minLength":1}"#,
            r#"{"type":"integer","enum":["set",[1,1.0]]}"#,
            r#"{"type":"integer","enum":["set",[1,1e18]]}"#,
            r#"{"type":"integer","enum":1,"minInteger":1}"#,
            r#"{"type":"real","enum":["set",[1,0.5]]}"#,
            r#"{"type":"boolean","enum":true}"#,
            r#"{"type":"uuid","enum":["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515"]}"#,
            r#"{"type":"uuid","enum":["uuid","F4BB6A91-019b-4612-b6aa-88fc663dd515"]}"#,
            r#"{"type":"uuid","enum":["set",[["uuid","F4BB6A91-019b-4612-b6aa-88fc663dd515"],["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515"]]]}"#,
            r#"{"type":"uuid","enum":["uuid","f4bb6a91"]}"#,
            r#"{"type":"uuid","enum":["uuid","f4bb6a91+019b-4612-b6aa-88fc663dd515"]}"#,
            r#"{"type":"uuid","enum":["named-uuid","a"]}"#,
            r#"{"type":"uuid","enum":["uuid","f4bb6a91-019b-4612-b6aa-88fc663dd515"],"refTable":"U"}"#,
        ]
        .map(base),
    );
    schemas
}

/// The result of ovsdb-tool for a schema: the database that it creates, or its error.
fn reference(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (schema, database) = (folder.path().join("schema"), folder.path().join("database"));
    fs::write(&schema, text).expect("the schema is written");
    let output = Command::new("ovsdb-tool")
        .arg("create")
        .args([&database, &schema])
        .output()
        .expect("ovsdb-tool");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let output = Command::new("ovsdb-tool")
        .args(["db-name".as_ref(), database.as_os_str()])
        .output()
        .expect("ovsdb-tool");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn the_parser_takes_what_the_reference_takes() {
    let mut different = Vec::new();
    let (mut taken, mut refused) = (0, 0);
    for schema in variations() {
        let ours = DatabaseSchema::parse(&schema);
        match (&ours, &reference(&schema)) {
            (Ok(ours), Ok(name)) => {
                taken += 1;
                assert_eq!(ours.name, *name);
            }
            (Err(_), Err(_)) => refused += 1,
            (ours, reference) => different.push(format!(
                "{schema}\n  ours: {ours:?}\n  reference: {reference:?}"
            )),
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(
        taken > 40 && refused > 60,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn bounds_are_read_exactly() {
    let text = base(r#"{"type":"integer","minInteger":1e18,"maxInteger":9223372036854775807.0}"#);
    let schema = DatabaseSchema::parse(&text).expect("a schema");
    let bounds = Constraint::Integer {
        min: Some(1_000_000_000_000_000_000),
        max: Some(i64::MAX),
    };
    assert_eq!(schema.tables["T"].columns["c"].kind.key.constraint, bounds);
}

/// What the server derives from a schema beyond its text.
#[test]
fn the_model_equals_the_servers_form_of_the_schema() {
    let flags = |base: &str, flags: &str| {
        let text = column(&format!(
            r#"{{"type":{{"key":{base},"min":0,"max":"unlimited"}},{flags}}}"#
        ));
        let schema = DatabaseSchema::parse(&text).expect("a schema");
        let column = &schema.tables["T"].columns["c"];
        (column.mutable, column.ephemeral)
    };
    let weak = r#"{"type":"uuid","refTable":"U","refType":"weak"}"#;
    let strong = r#"{"type":"uuid","refTable":"U"}"#;
    let root = r#"{"type":"uuid","refTable":"T"}"#;
    let all = r#""mutable":false,"ephemeral":true"#;
    assert_eq!(flags(weak, all), (true, true));
    assert_eq!(flags(strong, all), (false, false));
    assert_eq!(flags(root, all), (false, true));
    assert_eq!(flags(r#""string""#, all), (false, true));

    for (rows, limit) in [
        ("7", Some(7)),
        ("4294967294", Some(4_294_967_294)),
        ("4294967295", None),
    ] {
        let schema = DatabaseSchema::parse(&with_columns(&format!(r#""maxRows":{rows}"#)));
        assert_eq!(
            schema.expect("a schema").tables["T"].max_rows,
            limit,
            "{rows}"
        );
    }
    let schema = DatabaseSchema::parse(&with_columns(r#""indexes":[["c","_uuid"],["d"]]"#));
    assert_eq!(schema.expect("a schema").tables["T"].indexes, [["d"]]);
    let schema = DatabaseSchema::parse(&with_columns(r#""mutable":false"#));
    assert!(!schema.expect("a schema").tables["T"].mutable);
}
