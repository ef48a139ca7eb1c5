//! Writes the text of a schema as ovsdb-server does: without defaults, and with the values of enums
//! sorted.

use ovsdb_schema::{
    BaseType, ColumnSchema, ColumnType, Constraint, DatabaseSchema, EnumValue, Max, RefType,
    TableSchema,
};

use crate::protocol::Wire;
use crate::value::json::{write_real, write_string};
use crate::value::{Atom, Datum, Set};

/// A JSON object that is being written.
struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut String) -> Self {
        out.push('{');
        let is_empty = true;
        Self { out, is_empty }
    }

    fn member(&mut self, name: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        write_string(self.out, name);
        self.out.push(':');
        self.out
    }

    fn string(&mut self, name: &str, text: &str) {
        write_string(self.member(name), text);
    }

    fn integer(&mut self, name: &str, integer: i64) {
        integer.write(self.member(name));
    }

    fn boolean(&mut self, name: &str, boolean: bool) {
        self.member(name)
            .push_str(if boolean { "true" } else { "false" });
    }

    fn end(self) {
        self.out.push('}');
    }
}

/// The text of a schema.
pub(super) fn text(schema: &DatabaseSchema) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    object.string("name", &schema.name);
    for (name, text) in [("version", &schema.version), ("cksum", &schema.cksum)] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            object.string(name, text);
        }
    }
    let all_are_root = schema.tables.values().all(|table| table.is_root);
    let mut tables = Object::begin(object.member("tables"));
    for (name, table) in &schema.tables {
        write_table(tables.member(name), table, all_are_root);
    }
    tables.end();
    object.end();
    out
}

fn write_table(out: &mut String, table: &TableSchema, all_are_root: bool) {
    let mut object = Object::begin(out);
    if !table.mutable {
        object.boolean("mutable", false);
    }
    if table.is_root != all_are_root {
        object.boolean("isRoot", table.is_root);
    }
    let mut columns = Object::begin(object.member("columns"));
    for (name, column) in &table.columns {
        write_column(columns.member(name), column);
    }
    columns.end();
    if let Some(most) = table.max_rows {
        object.integer("maxRows", i64::try_from(most).unwrap_or(i64::MAX));
    }
    if !table.indexes.is_empty() {
        let out = object.member("indexes");
        out.push('[');
        for (at, columns) in table.indexes.iter().enumerate() {
            out.push_str(if at > 0 { ",[" } else { "[" });
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(out, column);
            }
            out.push(']');
        }
        out.push(']');
    }
    object.end();
}

fn write_column(out: &mut String, column: &ColumnSchema) {
    let mut object = Object::begin(out);
    if !column.mutable {
        object.boolean("mutable", false);
    }
    if column.ephemeral {
        object.boolean("ephemeral", true);
    }
    write_type(object.member("type"), &column.kind);
    object.end();
}

fn write_type(out: &mut String, kind: &ColumnType) {
    if kind.is_scalar() && !is_constrained(&kind.key) {
        write_base(out, &kind.key);
        return;
    }
    let mut object = Object::begin(out);
    write_base(object.member("key"), &kind.key);
    if let Some(value) = &kind.value {
        write_base(object.member("value"), value);
    }
    if kind.min != 1 {
        object.integer("min", kind.min.into());
    }
    match kind.max {
        Max::Unlimited | Max::Limited(u32::MAX) => object.string("max", "unlimited"),
        Max::Limited(1) => {}
        Max::Limited(most) => object.integer("max", most.into()),
    }
    object.end();
}

/// The constraints of a type, without those that every value meets anyway.
enum Effective<'a> {
    Enum(&'a [EnumValue]),
    Integer(Option<i64>, Option<i64>),
    Real(Option<f64>, Option<f64>),
    Length(Option<u64>, Option<u64>),
    None,
}

fn effective(base: &BaseType) -> Effective<'_> {
    match &base.constraint {
        Constraint::Enum(values) => Effective::Enum(values),
        Constraint::Integer { min, max } => Effective::Integer(
            min.filter(|min| *min != i64::MIN),
            max.filter(|max| *max != i64::MAX),
        ),
        Constraint::Real { min, max } => Effective::Real(
            min.filter(|min| *min > f64::MIN),
            max.filter(|max| *max < f64::MAX),
        ),
        Constraint::Length { min, max } => Effective::Length(
            min.filter(|min| *min != 0),
            max.filter(|max| *max < u64::from(u32::MAX)),
        ),
        _ => Effective::None,
    }
}

fn is_constrained(base: &BaseType) -> bool {
    base.ref_table.is_some()
        || !matches!(
            effective(base),
            Effective::None
                | Effective::Integer(None, None)
                | Effective::Real(None, None)
                | Effective::Length(None, None)
        )
}

fn write_base(out: &mut String, base: &BaseType) {
    if !is_constrained(base) {
        write_string(out, base.atomic.as_str());
        return;
    }
    let mut object = Object::begin(out);
    object.string("type", base.atomic.as_str());
    match effective(base) {
        Effective::Enum(values) => {
            let values = values.iter().filter_map(atom);
            Datum::Set(values.collect::<Set<_>>()).write(object.member("enum"));
        }
        Effective::Integer(min, max) => {
            for (name, limit) in [("minInteger", min), ("maxInteger", max)] {
                if let Some(limit) = limit {
                    object.integer(name, limit);
                }
            }
        }
        Effective::Real(min, max) => {
            for (name, limit) in [("minReal", min), ("maxReal", max)] {
                if let Some(limit) = limit {
                    write_real(object.member(name), limit);
                }
            }
        }
        Effective::Length(min, max) => {
            for (name, limit) in [("minLength", min), ("maxLength", max)] {
                if let Some(limit) = limit {
                    object.integer(name, i64::try_from(limit).unwrap_or(i64::MAX));
                }
            }
        }
        Effective::None => {}
    }
    if let Some(table) = &base.ref_table {
        object.string("refTable", table);
        if base.ref_type == RefType::Weak {
            object.string("refType", "weak");
        }
    }
    object.end();
}

fn atom(value: &EnumValue) -> Option<Atom> {
    Some(match value {
        EnumValue::Integer(value) => Atom::Integer(*value),
        EnumValue::Real(value) => Atom::Real((*value).into()),
        EnumValue::Boolean(value) => Atom::Boolean(*value),
        EnumValue::String(value) => Atom::String(value.as_str().into()),
        // The parser has checked the text.
        EnumValue::Uuid(value) => Atom::Uuid(value.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_left_out_and_enums_are_in_order() {
        let schema = r#"{ "name": "D", "version": "1.0.0", "tables": {
            "T": { "isRoot": true, "maxRows": 3, "mutable": true, "indexes": [["a", "e"]], "columns": {
                "a": { "type": { "key": "integer", "min": 1, "max": 1 }, "mutable": false },
                "e": { "type": { "key": { "type": "string", "enum": ["set", ["small", "large"]] } } },
                "i": { "type": { "key": { "type": "integer", "minInteger": -9223372036854775808 } } },
                "m": { "ephemeral": true,
                       "type": { "key": "string", "value": { "type": "real", "maxReal": 1.5 },
                                 "min": 0, "max": "unlimited" } },
                "r": { "mutable": true,
                       "type": { "key": { "type": "uuid", "refTable": "T", "refType": "weak" },
                                 "min": 0, "max": 2 } } } } } }"#;
        let source = DatabaseSchema::parse(schema).expect("a schema");
        let written = text(&source);
        assert_eq!(
            written,
            concat!(
                r#"{"name":"D","version":"1.0.0","tables":{"T":{"columns":{"a":{"mutable":false,"type":"integer"},"#,
                r#""e":{"type":{"key":{"type":"string","enum":["set",["large","small"]]}}},"#,
                r#""i":{"type":"integer"},"m":{"ephemeral":true,"type":{"key":"string","#,
                r#""value":{"type":"real","maxReal":1.5},"min":0,"max":"unlimited"}},"#,
                r#""r":{"type":{"key":{"type":"uuid","refTable":"T","#,
                r#""refType":"weak"},"min":0,"max":2}}},"maxRows":3,"indexes":[["a","e"]]}}}"#
            )
        );
        assert_eq!(
            text(&DatabaseSchema::parse(&written).expect("a schema")),
            written
        );
    }

    #[test]
    fn limits_that_every_value_meets_are_left_out() {
        let least = "-1.7976931348623157e308";
        let most = "1.7976931348623157e308";
        for (given, written) in [
            (
                format!(r#"{{"type":"real","minReal":{least}}}"#),
                r#""real""#,
            ),
            (
                format!(r#"{{"type":"real","maxReal":{most}}}"#),
                r#""real""#,
            ),
            (
                format!(r#"{{"type":"real","minReal":{least},"maxReal":-1.5}}"#),
                r#"{"key":{"type":"real","maxReal":-1.5}}"#,
            ),
            (
                r#"{"type":"real","minReal":-1.5,"maxReal":1.5}"#.into(),
                r#"{"key":{"type":"real","minReal":-1.5,"maxReal":1.5}}"#,
            ),
            (
                r#"{"type":"integer","maxInteger":9223372036854775807}"#.into(),
                r#""integer""#,
            ),
            (
                r#"{"type":"integer","minInteger":-1,"maxInteger":1}"#.into(),
                r#"{"key":{"type":"integer","minInteger":-1,"maxInteger":1}}"#,
            ),
            (
                r#"{"type":"string","minLength":0,"maxLength":4294967295}"#.into(),
                r#""string""#,
            ),
            (
                r#"{"type":"string","minLength":1,"maxLength":4294967294}"#.into(),
                r#"{"key":{"type":"string","minLength":1,"maxLength":4294967294}}"#,
            ),
        ] {
            let schema = format!(
                r#"{{"name":"D","tables":{{"T":{{"columns":{{"c":{{"type":{{"key":{given}}}}}}}}}}}}}"#
            );
            let text = text(&DatabaseSchema::parse(&schema).expect("a schema"));
            let expected = format!(r#""c":{{"type":{written}}}"#);
            assert!(text.contains(&expected), "{given}: {text}");
        }
        for (most, is_written) in [(u32::MAX - 1, true), (u32::MAX, false)] {
            let schema = format!(
                r#"{{"name":"D","tables":{{"T":{{"maxRows":{most},"columns":{{"c":{{"type":"string"}}}}}}}}}}"#
            );
            let text = text(&DatabaseSchema::parse(&schema).expect("a schema"));
            assert_eq!(text.contains("maxRows"), is_written, "{text}");
        }
    }

    #[test]
    fn the_bundled_schemas_round_trip() {
        for name in ["OVN_Northbound", "OVN_Southbound", "Open_vSwitch"] {
            let bundled = ovsdb_schema::bundled(name).expect("bundled");
            let bundled = DatabaseSchema::parse(bundled).expect("a schema");
            let again = DatabaseSchema::parse(&text(&bundled)).expect("a schema");
            assert_eq!(again.tables.len(), bundled.tables.len());
            assert_eq!(text(&again), text(&bundled), "{name}");
        }
    }
}
