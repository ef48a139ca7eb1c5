//! Rows with columns of every shape, and values of every shape, are equal after they were serialized and
//! deserialized.

use std::fmt::Debug;

use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use serde_json::json;

use crate::cache::AnyRow;
use crate::value::{Atom, Datum};
use crate::{Database, Map, Real, Ref, Row, Set, Str, Table, TableVisitor, Uuid};

struct Shapes;

impl Database for Shapes {
    const NAME: &'static str = "Shapes";
}

ovsdb::__enumeration! {
    /// A string column whose values the schema lists.
    enum Color {
        /// `red`
        Red = "red",
        /// `light-blue`
        LightBlue = "light-blue",
    }
}

/// Declares a table with a column of each shape for each atomic type, and maps.
macro_rules! shapes {
    ($($scalar:ident $optional:ident $set:ident: $atom:ty,)*; $($map:ident: $key:ty => $value:ty,)*) => {
        #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
        #[ovsdb(database = Shapes, table = "Shape")]
        struct Shape {
            $( $scalar: $atom, $optional: Option<$atom>, $set: Set<$atom>, )*
            $( $map: Map<$key, $value>, )*
        }

        /// Serializes and deserializes each value of the row separately.
        fn values_round_trip(row: &Shape) {
            $(
                round_trips(&row.$scalar);
                round_trips(&row.$optional);
                round_trips(&row.$set);
            )*
            $( round_trips(&row.$map); )*
        }
    };
}

shapes! {
    integer integer_optional integer_set: i64,
    real real_optional real_set: Real,
    boolean boolean_optional boolean_set: bool,
    string string_optional string_set: Str,
    uuid uuid_optional uuid_set: Uuid,
    reference reference_optional reference_set: Ref<Shape>,
    color color_optional color_set: Color,
    ;
    integer_real: i64 => Real,
    real_boolean: Real => bool,
    boolean_string: bool => Str,
    string_uuid: Str => Uuid,
    uuid_integer: Uuid => i64,
    reference_color: Ref<Shape> => Color,
    color_reference: Color => Ref<Shape>,
}

const A: &str = "0000000a-0000-0000-0000-000000000000";
const B: &str = "0000000b-0000-0000-0000-000000000000";

fn uuid(first: u32) -> Uuid {
    Uuid::from_fields(first, 0, 0, &[0; 8])
}

/// A row with a value in every column, and several values in most sets and maps.
fn full() -> Shape {
    let (a, b) = (uuid(0xa), uuid(0xb));
    Shape {
        integer: i64::MIN,
        integer_optional: Some(i64::MAX),
        integer_set: [2, -1].into(),
        real: 0.1.into(),
        real_optional: Some(2.0.into()),
        real_set: [5e-300, -1e300].into(),
        boolean: true,
        boolean_optional: Some(false),
        boolean_set: [true, false].into(),
        string: "quote \" and\n€".into(),
        string_optional: Some(Str::default()),
        string_set: ["one"].into(),
        uuid: a,
        uuid_optional: Some(b),
        uuid_set: [a, b].into(),
        reference: a.into(),
        reference_optional: Some(b.into()),
        reference_set: [b].into(),
        color: Color::Red,
        color_optional: Some(Color::Unknown("green".into())),
        color_set: [Color::Red, Color::LightBlue].into(),
        integer_real: [(1, 0.5), (-2, 3.0)].into(),
        real_boolean: [(0.5, true), (1.0, false)].into(),
        boolean_string: [(true, "yes"), (false, "")].into(),
        string_uuid: [("b", b), ("a", a)].into(),
        uuid_integer: [(b, 1)].into(),
        reference_color: [(a, Color::LightBlue)].into(),
        color_reference: [(Color::Red, b)].into(),
    }
}

/// Checks that the value is the same after a round trip through JSON text, and through a tree of values.
fn round_trips<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).expect("serialized");
    let read: T = serde_json::from_str(&text).expect(&text);
    assert_eq!(read, *value, "{text}");
    let tree = serde_json::to_value(value).expect("serialized");
    let read: T = serde_json::from_value(tree).expect(&text);
    assert_eq!(read, *value, "{text}");
}

#[test]
fn each_shape_has_its_form() {
    let row = Row::new(uuid(1), full());
    let expected = json!({
        "_uuid": "00000001-0000-0000-0000-000000000000",
        "integer": i64::MIN,
        "integer_optional": i64::MAX,
        "integer_set": [-1, 2],
        "real": 0.1,
        "real_optional": 2.0,
        "real_set": [-1e300, 5e-300],
        "boolean": true,
        "boolean_optional": false,
        "boolean_set": [false, true],
        "string": "quote \" and\n€",
        "string_optional": "",
        "string_set": ["one"],
        "uuid": A,
        "uuid_optional": B,
        "uuid_set": [A, B],
        "reference": A,
        "reference_optional": B,
        "reference_set": [B],
        "color": "red",
        "color_optional": "green",
        "color_set": ["light-blue", "red"],
        "integer_real": {"-2": 3.0, "1": 0.5},
        "real_boolean": {"0.5": true, "1.0": false},
        "boolean_string": {"false": "", "true": "yes"},
        "string_uuid": {"a": A, "b": B},
        "uuid_integer": {B: 1},
        "reference_color": {A: "light-blue"},
        "color_reference": {"red": B},
    });
    assert_eq!(serde_json::to_value(&row).expect("serialized"), expected);
    let any: &dyn AnyRow = &row;
    assert_eq!(serde_json::to_value(any).expect("serialized"), expected);

    let empty = serde_json::to_value(Row::new(uuid(1), Shape::default())).expect("serialized");
    assert_eq!(empty["integer"], json!(0));
    assert_eq!(empty["integer_optional"], json!(null));
    assert_eq!(empty["integer_set"], json!([]));
    assert_eq!(empty["integer_real"], json!({}));
}

#[test]
fn each_shape_round_trips() {
    for columns in [full(), Shape::default()] {
        values_round_trip(&columns);
        round_trips(&Row::new(uuid(7), columns));
    }
}

#[cfg(all(feature = "nb", feature = "sb", feature = "vswitch"))]
#[test]
fn generated_tables_round_trip() {
    struct Tables(usize);

    impl<D: Database> TableVisitor<D> for Tables {
        fn table<T: Table<Database = D>>(&mut self) {
            round_trips(&Row::new(uuid(7), T::default()));
            self.0 += 1;
        }
    }

    let mut tables = Tables(0);
    crate::nb::Database::with_all_tables(&mut tables);
    crate::sb::Database::with_all_tables(&mut tables);
    crate::vswitch::Database::with_all_tables(&mut tables);
    assert!(tables.0 > 60, "{}", tables.0);

    let acl = crate::nb::Acl {
        action: "allow-related".into(),
        priority: 1000,
        r#match: "ip4".into(),
        ..Default::default()
    };
    round_trips(&acl);
    let json = serde_json::to_value(&acl).expect("serialized");
    assert_eq!(json["action"], "allow-related");
    assert_eq!(json["match"], "ip4");
    assert_eq!(json.get("_uuid"), None);
}

#[test]
fn columns_that_are_left_out_are_the_defaults() {
    let text = json!({"string": "a", "_uuid": A}).to_string();
    let row: Row<Shape> = serde_json::from_str(&text).expect("a row");
    assert_eq!(row.uuid(), uuid(0xa));
    let expected = Shape {
        string: "a".into(),
        ..Shape::default()
    };
    assert_eq!(*row.columns(), expected);
}

#[test]
fn a_json_value_that_is_not_a_row_is_refused() {
    for (rest, message) in [
        (r#""other": 1"#, "the table `Shape` has no column `other`"),
        (r#""integer": 1, "integer": 2"#, "duplicate field `integer`"),
        (r#""integer": 1.5"#, "expected i64"),
        (r#""integer": null"#, "expected i64"),
        (r#""integer_set": 1"#, "expected a sequence of integer"),
        (r#""uuid": "x""#, "UUID parsing failed"),
        (r#""string": "\u0000""#, "the column `string`: "),
        (r#""string_uuid": []"#, "expected a map"),
    ] {
        let text = format!(r#"{{"_uuid": "{A}", {rest}}}"#);
        let error = serde_json::from_str::<Row<Shape>>(&text).expect_err(&text);
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
    for (text, message) in [
        ("{}".to_owned(), "missing field `_uuid`"),
        (
            format!(r#"{{"_uuid": "{A}", "_uuid": "{A}"}}"#),
            "duplicate field `_uuid`",
        ),
        ("[]".to_owned(), "expected a row of the table `Shape`"),
    ] {
        let error = serde_json::from_str::<Row<Shape>>(&text).expect_err(&text);
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

#[test]
fn values_of_any_type_are_serialized_by_what_they_hold() {
    let cases = [
        (Datum::from(Atom::Integer(1)), json!(1)),
        (Datum::from(Atom::Uuid(uuid(0xa))), json!(A)),
        (Datum::empty(), json!([])),
        (
            Datum::Set([Atom::Boolean(true), Atom::Boolean(false)].into()),
            json!([false, true]),
        ),
        (
            Datum::Map([(Atom::String("a".into()), Atom::Real(0.5.into()))].into()),
            json!({"a": 0.5}),
        ),
    ];
    for (datum, json) in cases {
        assert_eq!(serde_json::to_value(&datum).expect("serialized"), json);
    }
}
