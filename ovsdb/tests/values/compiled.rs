//! Compiled columns of every shape, by their names.

use ovsdb::model::{Condition, Ordered};
use ovsdb::value::json::Reader;
use ovsdb::value::{Atomic, Datum, Value};
use ovsdb::{Column, Map, Real, Ref, Set, Str, Table, TableVisitor, Uuid};

/// The database whose table [`Shape`] has the columns.
#[derive(Debug)]
pub struct Shapes;

impl ovsdb::Database for Shapes {
    const NAME: &'static str = "Shapes";

    fn with_all_tables<V: TableVisitor<Self>>(visitor: &mut V) {
        visitor.table::<Shape>();
    }
}

#[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
#[ovsdb(database = Shapes, table = "Target")]
pub struct Target {
    label: Str,
}

type Key = Ref<Target>;

macro_rules! columns {
    (
        numbers { $($number:ident: $number_type:ty;)* }
        others { $($other:ident: $other_type:ty;)* }
        sets { $($set:ident: $set_type:ty;)* }
        maps { $($map:ident: $map_key:ty => $map_value:ty;)* }
    ) => {
        #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
        #[ovsdb(database = Shapes, table = "Shape")]
        pub struct Shape {
            number: i64,
            $($number: $number_type,)*
            $($other: $other_type,)*
            $($set: Set<$set_type>,)*
            $($map: Map<$map_key, $map_value>,)*
        }

        /// The clause as a program writes it, if the column has the function and the argument is of its
        /// type.
        pub fn clause(name: &str, function: &str, text: &str) -> Option<Condition<Shape>> {
            let index = index(name)?;
            match name {
                $(stringify!($number) => {
                    let column = Column::<Shape, $number_type>::new(index, |row| &row.$number);
                    ordered(column, function, text)
                })*
                $(stringify!($other) => {
                    let column = Column::<Shape, $other_type>::new(index, |row| &row.$other);
                    equality(column, function, text)
                })*
                $(stringify!($set) => {
                    let column = Column::<Shape, Set<$set_type>>::new(index, |row| &row.$set);
                    of_set(column, function, text)
                })*
                $(stringify!($map) => {
                    let column =
                        Column::<Shape, Map<$map_key, $map_value>>::new(index, |row| &row.$map);
                    of_map(column, function, text)
                })*
                _ => None,
            }
        }
    };
}

columns! {
    numbers {
        integer_one: i64;
        integer_opt: Option<i64>;
        real_one: Real;
        real_opt: Option<Real>;
    }
    others {
        boolean_one: bool;
        boolean_opt: Option<bool>;
        string_one: Str;
        string_opt: Option<Str>;
        uuid_one: Uuid;
        uuid_opt: Option<Uuid>;
        strong_one: Key;
        strong_opt: Option<Key>;
        weak_one: Key;
        weak_opt: Option<Key>;
    }
    sets {
        integer_set: i64;
        real_set: Real;
        boolean_set: bool;
        string_set: Str;
        uuid_set: Uuid;
        strong_set: Key;
        weak_set: Key;
    }
    maps {
        integer_to_integer: i64 => i64;
        integer_to_real: i64 => Real;
        integer_to_boolean: i64 => bool;
        integer_to_string: i64 => Str;
        integer_to_uuid: i64 => Uuid;
        real_to_integer: Real => i64;
        real_to_real: Real => Real;
        real_to_boolean: Real => bool;
        real_to_string: Real => Str;
        real_to_uuid: Real => Uuid;
        boolean_to_integer: bool => i64;
        boolean_to_real: bool => Real;
        boolean_to_boolean: bool => bool;
        boolean_to_string: bool => Str;
        boolean_to_uuid: bool => Uuid;
        string_to_integer: Str => i64;
        string_to_real: Str => Real;
        string_to_boolean: Str => bool;
        string_to_string: Str => Str;
        string_to_uuid: Str => Uuid;
        uuid_to_integer: Uuid => i64;
        uuid_to_real: Uuid => Real;
        uuid_to_boolean: Uuid => bool;
        uuid_to_string: Uuid => Str;
        uuid_to_uuid: Uuid => Uuid;
        strong_to_string: Key => Str;
        string_to_strong: Str => Key;
        weak_to_string: Key => Str;
        string_to_weak: Str => Key;
    }
}

fn index(name: &str) -> Option<usize> {
    Shape::COLUMNS.iter().position(|column| column.name == name)
}

fn read<V: Value>(text: &str) -> Option<V> {
    let mut value = V::default();
    let mut reader = Reader::new(text);
    value.decode(&mut reader).ok()?;
    reader.end().ok()?;
    Some(value)
}

fn equality<V: Value>(
    column: Column<Shape, V>,
    function: &str,
    text: &str,
) -> Option<Condition<Shape>> {
    match function {
        "==" => Some(column.eq(read::<V>(text)?)),
        "!=" => Some(column.ne(read::<V>(text)?)),
        _ => None,
    }
}

fn ordered<V: Ordered>(
    column: Column<Shape, V>,
    function: &str,
    text: &str,
) -> Option<Condition<Shape>> {
    let number = || read::<V::Number>(text);
    match function {
        "<" => Some(column.lt(number()?)),
        "<=" => Some(column.le(number()?)),
        ">" => Some(column.gt(number()?)),
        ">=" => Some(column.ge(number()?)),
        _ => equality(column, function, text),
    }
}

fn of_set<A: Atomic>(
    column: Column<Shape, Set<A>>,
    function: &str,
    text: &str,
) -> Option<Condition<Shape>> {
    match function {
        "includes" => Some(column.includes(read::<Set<A>>(text)?)),
        "excludes" => Some(column.excludes(read::<Set<A>>(text)?)),
        _ => equality(column, function, text),
    }
}

fn of_map<K: Atomic, V: Atomic>(
    column: Column<Shape, Map<K, V>>,
    function: &str,
    text: &str,
) -> Option<Condition<Shape>> {
    match function {
        "includes" => Some(column.includes(read::<Map<K, V>>(text)?)),
        "excludes" => Some(column.excludes(read::<Map<K, V>>(text)?)),
        _ => equality(column, function, text),
    }
}

/// A row whose column has the value in this text, and the value; `None` if it has another type.
pub fn row(name: &str, text: &str) -> Option<(Shape, Datum)> {
    let mut row = Shape::default();
    let column = row.column_mut(index(name)?)?;
    let mut reader = Reader::new(text);
    column.decode(&mut reader).ok()?;
    reader.end().ok()?;
    let datum = column.to_datum();
    Some((row, datum))
}
