//! The schemas of several releases parse; the errors of broken ones say where and why.

use ovsdb_schema::{
    BUNDLED, Constraint, DatabaseSchema, EnumValue, RefType, SchemaErrorReason as Reason, bundled,
};

#[test]
fn every_release_parses() {
    for (file, name, version, tables, columns) in [
        ("ovn-23.03/ovn-nb", "OVN_Northbound", "7.0.0", 30, 193),
        ("ovn-23.03/ovn-sb", "OVN_Southbound", "20.27.0", 34, 182),
        ("ovn-25.03/ovn-nb", "OVN_Northbound", "7.11.0", 34, 221),
        ("ovn-25.03/ovn-sb", "OVN_Southbound", "20.41.0", 38, 208),
        ("ovn-26.03/ovn-br", "OVN_Bridge_Controller", "0.0.1", 5, 29),
        ("ovn-26.03/ovn-nb", "OVN_Northbound", "7.18.0", 39, 250),
        ("ovn-26.03/ovn-sb", "OVN_Southbound", "21.8.0", 39, 221),
        ("ovs-3.1/vswitch", "Open_vSwitch", "8.3.1", 19, 184),
        ("ovs-4.0/vswitch", "Open_vSwitch", "8.8.0", 19, 190),
    ] {
        let path = format!(
            "{}/tests/files/{file}.ovsschema",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).expect(&path);
        let schema = DatabaseSchema::parse(&text).expect(file);
        assert_eq!(
            (schema.name.as_str(), schema.version.as_deref()),
            (name, Some(version))
        );
        assert_eq!(schema.tables.len(), tables, "{file}");
        let all: usize = schema
            .tables
            .values()
            .map(|table| table.columns.len())
            .sum();
        assert_eq!(all, columns, "{file}");
    }
}

#[test]
fn the_bundled_schemas_exist() {
    for name in BUNDLED {
        let schema = DatabaseSchema::parse(bundled(name).expect(name)).expect(name);
        assert_eq!(schema.name, *name);
    }
    assert_eq!(bundled("Nobody"), None);
}

#[test]
fn the_model_has_what_the_schema_says() {
    let schema = DatabaseSchema::parse(bundled("OVN_Northbound").expect("nb")).expect("nb");
    let switch = &schema.tables["Logical_Switch"];
    assert!(switch.is_root && switch.indexes.is_empty());
    assert!(switch.columns["ports"].kind.is_set());
    assert!(switch.columns["name"].kind.is_scalar());
    assert!(switch.columns["external_ids"].kind.is_map());
    let port = &schema.tables["Logical_Switch_Port"];
    assert!(!port.is_root);
    assert_eq!(port.indexes, [["name"]]);
    let tag = &port.columns["tag"].kind;
    assert!(tag.is_optional());
    assert_eq!(
        tag.key.constraint,
        Constraint::Integer {
            min: Some(1),
            max: Some(4095)
        }
    );
    let dhcp = &port.columns["dhcpv4_options"].kind.key;
    assert_eq!(
        (dhcp.ref_table.as_deref(), dhcp.ref_type),
        (Some("DHCP_Options"), RefType::Weak)
    );
    // An enum of one value may be a single atom.
    let band = &schema.tables["Meter_Band"].columns["action"].kind.key;
    assert_eq!(
        band.constraint,
        Constraint::Enum(vec![EnumValue::String("drop".into())])
    );
}

#[test]
fn without_a_root_table_every_table_is_one() {
    let schema = DatabaseSchema::parse(
        r#"{"name":"D","tables":{"T":{"columns":{"c":{"type":"integer"}}}}}"#,
    );
    assert!(schema.expect("a schema").tables["T"].is_root);
}

/// A schema with this as the type of its only column.
fn with_type(kind: &str) -> String {
    format!(r#"{{"name":"D","tables":{{"T":{{"columns":{{"c":{{"type":{kind}}}}}}}}}}}"#)
}

#[test]
fn broken_schemas_say_where_and_why() {
    let key = "tables.T.columns.c.type.key";
    let kind = "tables.T.columns.c.type";
    let wrong = |constraint, atomic| Reason::WrongConstraint { constraint, atomic };
    let of_table = |table: &str| format!(r#"{{"name":"D","tables":{{"T":{table}}}}}"#);
    for (text, path, reason) in [
        ("[]".into(), "", Reason::Expected("an object")),
        ("{}".into(), "", Reason::Missing("name")),
        (r#"{"name":"D"}"#.into(), "", Reason::Missing("tables")),
        (
            r#"{"name":"1D","tables":{}}"#.into(),
            "name",
            Reason::BadId("1D".into()),
        ),
        (
            r#"{"name":1,"tables":{}}"#.into(),
            "name",
            Reason::Expected("a string"),
        ),
        (
            r#"{"name":"D","version":"1.2","tables":{}}"#.into(),
            "version",
            Reason::BadVersion("1.2".into()),
        ),
        (
            r#"{"name":"D","tables":{},"extra":1}"#.into(),
            "",
            Reason::UnknownMember("extra".into()),
        ),
        (
            r#"{"name":"D","tables":[]}"#.into(),
            "tables",
            Reason::Expected("an object"),
        ),
        (of_table("{}"), "tables.T", Reason::Missing("columns")),
        (
            of_table(r#"{"columns":{}}"#),
            "tables.T.columns",
            Reason::NoColumns,
        ),
        (
            of_table(r#"{"columns":{"d":{"type":"string"}},"maxRows":0}"#),
            "tables.T.maxRows",
            Reason::Expected("a number of at least 1"),
        ),
        (
            of_table(r#"{"columns":{"d":{"type":"string"}},"isRoot":1}"#),
            "tables.T.isRoot",
            Reason::Expected("a boolean"),
        ),
        (
            of_table(r#"{"columns":{"_c":{"type":"integer"}}}"#),
            "tables.T.columns._c",
            Reason::ReservedId("_c".into()),
        ),
        (
            of_table(r#"{"columns":{"a-b":{"type":"integer"}}}"#),
            "tables.T.columns.a-b",
            Reason::BadId("a-b".into()),
        ),
        (
            of_table(r#"{"columns":{"c":{}}}"#),
            "tables.T.columns.c",
            Reason::Missing("type"),
        ),
        (
            of_table(r#"{"columns":{"d":{"type":"string"}},"indexes":[["c"]]}"#),
            "tables.T.indexes[0][0]",
            Reason::UnknownColumn("c".into()),
        ),
        (
            of_table(r#"{"columns":{"d":{"type":"string"}},"indexes":[[]]}"#),
            "tables.T.indexes[0]",
            Reason::EmptyIndex,
        ),
        (
            of_table(r#"{"columns":{"c":{"type":"integer"}},"indexes":[["c","c"]]}"#),
            "tables.T.indexes[0][1]",
            Reason::DuplicateColumn("c".into()),
        ),
        (
            of_table(r#"{"columns":{"c":{"type":"integer","ephemeral":true}},"indexes":[["c"]]}"#),
            "tables.T.indexes[0][0]",
            Reason::EphemeralInIndex("c".into()),
        ),
        (
            with_type(r#""text""#),
            kind,
            Reason::UnknownType("text".into()),
        ),
        (with_type("{}"), kind, Reason::Missing("key")),
        (
            with_type(r#"{"key":"integer","min":2}"#),
            "tables.T.columns.c.type.min",
            Reason::BadMin,
        ),
        (
            with_type(r#"{"key":"integer","max":0}"#),
            "tables.T.columns.c.type.max",
            Reason::BadMax,
        ),
        (
            with_type(r#"{"key":"integer","max":"many"}"#),
            "tables.T.columns.c.type.max",
            Reason::BadMax,
        ),
        (
            with_type(r#"{"key":{"type":"uuid","refTable":"U"}}"#),
            "tables.T.columns.c.type.key.refTable",
            Reason::UnknownTable("U".into()),
        ),
        (
            with_type(r#"{"key":{"type":"string","refTable":"T"}}"#),
            "tables.T.columns.c.type.key.refTable",
            wrong("refTable", "string"),
        ),
        (
            with_type(r#"{"key":{"type":"uuid","refTable":"T","refType":"soft"}}"#),
            "tables.T.columns.c.type.key.refType",
            Reason::Expected("\"strong\" or \"weak\""),
        ),
        (
            with_type(r#"{"key":{"type":"uuid","refType":"weak"}}"#),
            key,
            Reason::Missing("refTable"),
        ),
        (
            with_type(r#"{"key":{"type":"uuid","enum":["uuid","f4bb6a91"]}}"#),
            "tables.T.columns.c.type.key.enum",
            Reason::Expected("[\"uuid\", \"...\"]"),
        ),
        (
            with_type(r#"{"key":{"type":"string","enum":"a\u0000"}}"#),
            "tables.T.columns.c.type.key.enum",
            Reason::Nul,
        ),
        (
            with_type(r#"{"key":{"type":"string","minInteger":1}}"#),
            "tables.T.columns.c.type.key.minInteger",
            wrong("minInteger", "string"),
        ),
        (
            with_type(r#"{"key":{"type":"integer","maxLength":1}}"#),
            "tables.T.columns.c.type.key.maxLength",
            wrong("maxLength", "integer"),
        ),
        (
            with_type(r#"{"key":{"type":"integer","minInteger":2,"maxInteger":1}}"#),
            key,
            Reason::MinAboveMax,
        ),
        (
            with_type(r#"{"key":{"type":"string","enum":["set",[]]}}"#),
            "tables.T.columns.c.type.key.enum",
            Reason::EmptyEnum,
        ),
        (
            with_type(r#"{"key":{"type":"string","enum":["set",["a","a"]]}}"#),
            "tables.T.columns.c.type.key.enum[1][1]",
            Reason::DuplicateValue("a".into()),
        ),
        (
            with_type(r#"{"key":{"type":"string","enum":["set",[1]]}}"#),
            "tables.T.columns.c.type.key.enum[1][0]",
            Reason::Expected("a string"),
        ),
        (
            with_type(r#"{"key":{"type":"integer","enum":1,"minInteger":1}}"#),
            key,
            Reason::EnumAndConstraint,
        ),
        (
            with_type(r#"{"key":"integer","value":{"type":"real","minReal":"x"}}"#),
            "tables.T.columns.c.type.value.minReal",
            Reason::Expected("a number"),
        ),
    ] {
        let error = DatabaseSchema::parse(&text).expect_err(&text);
        assert_eq!(
            (error.path.as_str(), &error.reason),
            (path, &reason),
            "{text}"
        );
        assert!(error.to_string().ends_with(&reason.to_string()));
    }
    let error = DatabaseSchema::parse("{\n  \"name\": }").expect_err("not JSON");
    assert!(
        matches!(error.reason, Reason::Json { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn unknown_members_of_a_newer_schema_are_ignored_when_lenient() {
    let text = r#"{"name":"D","new":1,"tables":{"T":{"columns":{"c":{"type":{"key":{"type":"string","new":1},"new":1},"new":1}},"new":1}}}"#;
    assert!(DatabaseSchema::parse(text).is_err());
    assert!(DatabaseSchema::parse_lenient(text).is_ok());
}

/// Rounded to 15 digits, the smallest positive normal double and the greatest double are out of range: the server
/// writes them and refuses to read them.
#[test]
fn bounds_are_read_as_a_server_writes_them() {
    let text = with_type(
        r#"{"key":{"type":"real","minReal":2.2250738585072e-308,"maxReal":1.79769313486232e+308}}"#,
    );
    assert!(DatabaseSchema::parse(&text).is_err());
    let schema = DatabaseSchema::parse_lenient(&text).expect("a server's schema");
    let bounds = Constraint::Real {
        min: Some(2.225_073_858_507_2e-308),
        max: Some(f64::MAX),
    };
    assert_eq!(schema.tables["T"].columns["c"].kind.key.constraint, bounds);
}
