//! Values in other code: compared, converted, printed, iterated and hashed.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use ovsdb::schema::{ColumnType, DatabaseSchema};
use ovsdb::value::{ColumnKind, Datum};
use ovsdb::{ColumnValue, Map, Real, Ref, Set, Str, Uuid};

#[test]
fn strings_equal_those_of_other_types_with_the_same_text() {
    let text = Str::from("p1");
    let (equal, other) = ("p1".to_owned(), "p2".to_owned());
    assert!(text == equal && text != other);
    assert!(equal == text && other != text);
    assert!(*equal.as_str() == text && *other.as_str() != text);
    assert!(equal.as_str() == text && other.as_str() != text);
    let as_text: &str = text.as_ref();
    assert_eq!(as_text, "p1");
    assert_eq!(String::from(text), "p1");
}

#[test]
fn reals_have_one_zero_and_hash_by_value() {
    // -0.0 and 0.0 are the same value in a database.
    assert!(f64::from(Real::from(-0.0)).is_sign_positive());
    assert_eq!(f64::from(Real::from(-2.5)).to_bits(), (-2.5_f64).to_bits());
    assert_eq!(Real::from(2.5).to_string(), "2.5");
    let state = RandomState::new();
    let hash = |real: f64| state.hash_one(Real::from(real));
    assert_eq!(hash(-0.0), hash(0.0));
    let different: HashSet<u64> = (0..20).map(|number| hash(f64::from(number))).collect();
    assert_eq!(different.len(), 20);
}

#[test]
fn references_show_their_uuid() {
    let uuid = Uuid::from_u128(0xf4bb_6a91_019b_4612_b6aa_88fc_663d_d515);
    let reference = Ref::<()>::from(uuid);
    assert_eq!(Uuid::from(reference), uuid);
    assert_eq!(reference.to_string(), uuid.to_string());
    assert_eq!(format!("{reference:?}"), format!("Ref({uuid})"));
}

#[test]
fn collections_show_what_is_in_them() {
    let set: Set<i64> = [2, 1].into();
    assert_eq!(format!("{set:?}"), "{1, 2}");
    let map: Map<Str, i64> = [("b", 2), ("a", 1)].into();
    assert_eq!(format!("{map:?}"), r#"{"a": 1, "b": 2}"#);
}

#[test]
fn collections_are_iterated_from_both_ends_and_know_how_many_are_left() {
    let set: Set<i64> = [3, 1, 2].into();
    let mut elements = set.into_iter();
    assert_eq!(elements.size_hint(), (3, Some(3)));
    assert_eq!(elements.next_back(), Some(3));
    assert_eq!(elements.next(), Some(1));
    assert_eq!(elements.len(), 1);
    let map: Map<i64, i64> = [(1, 10), (2, 20)].into();
    let mut pairs = map.iter();
    assert_eq!(pairs.size_hint(), (2, Some(2)));
    assert_eq!(pairs.next(), Some((&1, &10)));
    assert_eq!(pairs.len(), 1);
}

#[test]
fn collections_that_do_not_change_stay_shared() {
    let set: Set<Str> = ["a", "b"].into();
    let mut same = set.clone();
    same.retain(|_| true);
    same.extend(Vec::<Str>::new());
    assert_eq!(set.as_ptr(), same.as_ptr());
    let map: Map<Str, Str> = [("a", "1"), ("b", "2")].into();
    let mut same = map.clone();
    same.retain(|_, _| true);
    same.extend(Vec::<(Str, Str)>::new());
    let first = |map: &Map<Str, Str>| map.iter().next().map(|(key, _)| std::ptr::from_ref(key));
    assert_eq!(first(&map), first(&same));
}

#[test]
fn equal_collections_hash_alike_and_others_do_not() {
    let state = RandomState::new();
    let hash = |elements: &[i64]| {
        let set: Set<i64> = elements.iter().copied().collect();
        state.hash_one(set)
    };
    assert_eq!(hash(&[1, 2]), hash(&[2, 1]));
    let sets: Vec<Vec<i64>> = (0..20).map(|number| vec![number, 100]).collect();
    let different: HashSet<u64> = sets.iter().map(|set| hash(set)).collect();
    assert_eq!(different.len(), 20);
}

#[test]
fn a_datum_is_empty_without_elements() {
    assert!(Datum::empty().is_empty());
    assert!(!Datum::from(5_i64).is_empty());
}

fn column(text: &str) -> ColumnType {
    let schema = format!(
        r#"{{"name":"D","version":"1.0.0","tables":{{"T":{{"columns":{{"c":{{"type":{text}}}}}}}}}}}"#
    );
    let schema = DatabaseSchema::parse(&schema).expect("a schema");
    schema.tables["T"].columns["c"].kind.clone()
}

fn kind(text: &str) -> ColumnKind {
    ColumnKind::from(&column(text))
}

#[test]
fn shapes_are_named() {
    for (column, name) in [
        (r#""integer""#, "integer"),
        (r#"{"key":"string","min":0,"max":1}"#, "optional string"),
        (r#"{"key":"uuid","min":0,"max":"unlimited"}"#, "set of uuid"),
        (
            r#"{"key":"string","value":"real","min":0,"max":"unlimited"}"#,
            "map of string to real",
        ),
    ] {
        assert_eq!(kind(column).to_string(), name);
    }
}

#[test]
fn a_shape_accepts_columns_whose_values_it_can_all_hold() {
    let columns = [
        r#""string""#,
        r#"{"key":"string","min":0,"max":1}"#,
        r#"{"key":"string","min":0,"max":"unlimited"}"#,
        r#"{"key":"string","value":"string","min":0,"max":"unlimited"}"#,
        r#"{"key":"string","value":"string","min":1,"max":1}"#,
        r#""integer""#,
    ];
    let accepted = columns.map(|own| columns.map(|server| kind(own).accepts(&column(server))));
    // One value, at most one, any number, pairs, one pair; another type.
    let [one, at_most_one, any, pairs, one_pair, integer] = accepted;
    assert_eq!(one, [true, false, false, false, false, false]);
    assert_eq!(at_most_one, [true, true, false, false, false, false]);
    assert_eq!(any, [true, true, true, false, false, false]);
    assert_eq!(pairs, [false, false, false, true, true, false]);
    assert_eq!(one_pair, [false, false, false, true, true, false]);
    assert_eq!(integer, [false, false, false, false, false, true]);
}

#[test]
fn a_value_includes_its_parts() {
    let includes = |own: &dyn ColumnValue, part: &dyn ColumnValue| own.includes(part);
    assert!(includes(&5_i64, &5_i64) && !includes(&5_i64, &6_i64));
    assert!(includes(&Some(5_i64), &Some(5_i64)) && !includes(&Some(5_i64), &Some(6_i64)));
    assert!(includes(&Some(5_i64), &None::<i64>) && !includes(&None::<i64>, &Some(5_i64)));
    let set: Set<i64> = [1, 2, 3].into();
    assert!(
        includes(&set, &Set::<i64>::from([1, 3])) && !includes(&set, &Set::<i64>::from([1, 4]))
    );
    let map: Map<i64, i64> = [(1, 10), (2, 20)].into();
    assert!(includes(&map, &Map::<i64, i64>::from([(1, 10)])));
    assert!(!includes(&map, &Map::<i64, i64>::from([(1, 20)])));
}

#[cfg(feature = "serde")]
#[test]
fn deserializing_another_type_says_what_is_expected() {
    let error = serde_json::from_str::<Str>("5").expect_err("a number");
    assert!(error.to_string().contains("expected a string"), "{error}");
}
