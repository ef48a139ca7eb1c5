//! From JSON to the model.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::{SchemaError, SchemaErrorReason as Reason};
use crate::json::{Node, Object, Result};
use crate::model::{
    AtomicType, BaseType, ColumnSchema, ColumnType, Constraint, DatabaseSchema, EnumValue, Max,
    RefType, TableSchema,
};

impl DatabaseSchema {
    /// Parses a schema (RFC 7047 section 3.2).
    ///
    /// # Errors
    /// When the text is not JSON or not a schema; the error names the place.
    pub fn parse(text: &str) -> Result<Self> {
        parse(text, false)
    }

    /// Parses a schema that a server sent. A newer server's may have members that are not known
    /// yet: they are passed over.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), but for unknown members.
    pub fn parse_lenient(text: &str) -> Result<Self> {
        parse(text, true)
    }
}

fn parse(text: &str, lenient: bool) -> Result<DatabaseSchema> {
    let value: Value = serde_json::from_str(text).map_err(|error| SchemaError {
        path: String::new(),
        reason: Reason::Json {
            line: error.line(),
            column: error.column(),
            message: error.to_string(),
        },
    })?;
    let names: BTreeSet<&str> = value
        .get("tables")
        .and_then(Value::as_object)
        .map(|tables| tables.keys().map(String::as_str).collect())
        .unwrap_or_default();
    Parser { lenient, names }.database(Node::root(&value))
}

/// What every part of the parser needs to know.
struct Parser<'a> {
    lenient: bool,
    /// The names of all tables, which references are checked against.
    names: BTreeSet<&'a str>,
}

impl Parser<'_> {
    fn database(&self, node: Node<'_>) -> Result<DatabaseSchema> {
        let mut object = node.object(self.lenient)?;
        let name = object.required("name", |node| {
            let name = node.string()?;
            // The server's own databases begin with an underscore.
            check_id(node, name.strip_prefix('_').unwrap_or(name))?;
            Ok(name.to_owned())
        })?;
        let version = object.optional("version", version)?;
        let cksum = object.optional("cksum", |node| node.string().map(str::to_owned))?;
        let mut tables = object.required("tables", |node| {
            let mut tables = BTreeMap::new();
            node.members(|name, node| {
                check_id(node, name)?;
                tables.insert(name.to_owned(), self.table(node)?);
                Ok(())
            })?;
            Ok(tables)
        })?;
        object.end()?;
        if !tables.values().any(|table| table.is_root) {
            // A schema from before root sets: nothing is collected (RFC 7047 section 3.2).
            tables.values_mut().for_each(|table| table.is_root = true);
        }
        Ok(DatabaseSchema {
            name,
            version,
            cksum,
            tables,
        })
    }

    fn table(&self, node: Node<'_>) -> Result<TableSchema> {
        let mut object = node.object(self.lenient)?;
        let columns = object.required("columns", |node| {
            let mut columns = BTreeMap::new();
            node.members(|name, node| {
                check_id(node, name)?;
                columns.insert(name.to_owned(), self.column(node)?);
                Ok(())
            })?;
            Ok(columns)
        })?;
        let max_rows = object.optional("maxRows", |node| match node.count()? {
            0 => node.expected("a number from 1 on"),
            count => Ok(count),
        })?;
        let is_root = object
            .optional("isRoot", |node| node.boolean())?
            .unwrap_or(false);
        let indexes = object.optional("indexes", |node| {
            let mut indexes = Vec::new();
            node.elements(|node| {
                indexes.push(index(node, &columns)?);
                Ok(())
            })?;
            Ok(indexes)
        })?;
        object.end()?;
        Ok(TableSchema {
            columns,
            max_rows,
            is_root,
            indexes: indexes.unwrap_or_default(),
        })
    }

    fn column(&self, node: Node<'_>) -> Result<ColumnSchema> {
        let mut object = node.object(self.lenient)?;
        let kind = object.required("type", |node| self.column_type(node))?;
        let ephemeral = object
            .optional("ephemeral", |node| node.boolean())?
            .unwrap_or(false);
        let mutable = object
            .optional("mutable", |node| node.boolean())?
            .unwrap_or(true);
        object.end()?;
        Ok(ColumnSchema {
            kind,
            ephemeral,
            mutable,
        })
    }

    fn column_type(&self, node: Node<'_>) -> Result<ColumnType> {
        if node.value.is_string() {
            let key = BaseType::new(atomic_type(node)?);
            return Ok(ColumnType {
                key,
                value: None,
                min: 1,
                max: Max::Limited(1),
            });
        }
        let mut object = node.object(self.lenient)?;
        let key = object.required("key", |node| self.base_type(node))?;
        let value = object.optional("value", |node| self.base_type(node))?;
        let min = object.optional("min", |node| match node.integer() {
            Ok(0) => Ok(0),
            Ok(1) => Ok(1),
            _ => node.error(Reason::BadMin),
        })?;
        let max = object.optional("max", |node| match node.value {
            Value::String(word) if word == "unlimited" => Ok(Max::Unlimited),
            _ => match node.integer().ok().and_then(|max| u32::try_from(max).ok()) {
                Some(max) if max > 0 => Ok(Max::Limited(max)),
                _ => node.error(Reason::BadMax),
            },
        })?;
        object.end()?;
        let (min, max) = (min.unwrap_or(1), max.unwrap_or(Max::Limited(1)));
        Ok(ColumnType {
            key,
            value,
            min,
            max,
        })
    }

    fn base_type(&self, node: Node<'_>) -> Result<BaseType> {
        if node.value.is_string() {
            return atomic_type(node).map(BaseType::new);
        }
        let mut object = node.object(self.lenient)?;
        let atomic = object.required("type", atomic_type)?;
        let values = object.optional("enum", |node| enumeration(node, atomic))?;
        let bounds = bounds(&mut object, node, atomic)?;
        let ref_table = object.optional("refTable", |node| {
            applies(node, "refTable", atomic, AtomicType::Uuid)?;
            let table = node.string()?;
            if !self.names.contains(table) {
                return node.error(Reason::UnknownTable(table.to_owned()));
            }
            Ok(table.to_owned())
        })?;
        let ref_type = object.optional("refType", |node| {
            applies(node, "refType", atomic, AtomicType::Uuid)?;
            match node.string()? {
                "strong" => Ok(RefType::Strong),
                "weak" => Ok(RefType::Weak),
                _ => node.expected("\"strong\" or \"weak\""),
            }
        })?;
        object.end()?;
        let constraint = match (values, bounds) {
            (Some(_), constraint) if constraint != Constraint::None => {
                return node.error(Reason::EnumAndConstraint);
            }
            (Some(values), _) => Constraint::Enum(values),
            (None, constraint) => constraint,
        };
        Ok(BaseType {
            atomic,
            constraint,
            ref_table,
            ref_type: ref_type.unwrap_or(RefType::Strong),
        })
    }
}

/// Checks an identifier (RFC 7047 section 3.1, `<id>`).
fn check_id(node: Node<'_>, id: &str) -> Result<()> {
    let mut bytes = id.bytes();
    let first = bytes.next();
    let good = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match first {
        _ if !good => node.error(Reason::BadId(id.to_owned())),
        Some(b'_') => node.error(Reason::ReservedId(id.to_owned())),
        _ => Ok(()),
    }
}

fn version(node: Node<'_>) -> Result<String> {
    let text = node.string()?;
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.len() == 3 && parts.iter().all(number) {
        return Ok(text.to_owned());
    }
    node.error(Reason::BadVersion(text.to_owned()))
}

fn atomic_type(node: Node<'_>) -> Result<AtomicType> {
    let name = node.string()?;
    AtomicType::from_name(name).map_or_else(|| node.error(Reason::UnknownType(name.to_owned())), Ok)
}

fn applies(
    node: Node<'_>,
    constraint: &'static str,
    atomic: AtomicType,
    needed: AtomicType,
) -> Result<()> {
    if atomic == needed {
        return Ok(());
    }
    node.error(Reason::WrongConstraint {
        constraint,
        atomic: atomic.as_str(),
    })
}

/// The minimum and maximum of whichever type takes them.
fn bounds(object: &mut Object<'_>, node: Node<'_>, atomic: AtomicType) -> Result<Constraint> {
    use AtomicType::{Integer, Real, String};

    macro_rules! bound {
        ($name:literal, $needed:ident, $read:ident) => {
            object.optional($name, |node| {
                applies(node, $name, atomic, $needed)?;
                node.$read()
            })?
        };
    }
    let integer = (
        bound!("minInteger", Integer, integer),
        bound!("maxInteger", Integer, integer),
    );
    let real = (bound!("minReal", Real, real), bound!("maxReal", Real, real));
    let length = (
        bound!("minLength", String, count),
        bound!("maxLength", String, count),
    );

    fn above<T: PartialOrd>(bounds: &(Option<T>, Option<T>)) -> bool {
        matches!(bounds, (Some(min), Some(max)) if min > max)
    }
    if above(&integer) || above(&real) || above(&length) {
        return node.error(Reason::MinAboveMax);
    }
    Ok(match (integer, real, length) {
        ((None, None), (None, None), (None, None)) => Constraint::None,
        (_, (None, None), (None, None)) => Constraint::Integer {
            min: integer.0,
            max: integer.1,
        },
        (_, _, (None, None)) => Constraint::Real {
            min: real.0,
            max: real.1,
        },
        _ => Constraint::Length {
            min: length.0,
            max: length.1,
        },
    })
}

/// The values of an enum: a set, or the bare atom of a set of one.
fn enumeration(node: Node<'_>, atomic: AtomicType) -> Result<Vec<EnumValue>> {
    let mut values: Vec<EnumValue> = Vec::new();
    let mut add = |node: Node<'_>| {
        let value = match atomic {
            AtomicType::Integer => EnumValue::Integer(node.integer()?),
            AtomicType::Real => EnumValue::Real(node.real()?),
            AtomicType::Boolean => EnumValue::Boolean(node.boolean()?),
            AtomicType::String => EnumValue::String(node.string()?.to_owned()),
            AtomicType::Uuid => EnumValue::Uuid(uuid(node)?),
        };
        if values.contains(&value) {
            return node.error(Reason::DuplicateValue(value.to_string()));
        }
        values.push(value);
        Ok(())
    };
    let set = node
        .value
        .as_array()
        .filter(|array| array.first() == Some(&Value::from("set")));
    match set {
        Some(array) => {
            if array.len() != 2 {
                return node.expected("[\"set\", [values]]");
            }
            let mut index = 0;
            node.elements(|node| {
                index += 1;
                if index == 2 {
                    node.elements(&mut add)
                } else {
                    Ok(())
                }
            })?;
        }
        None => add(node)?,
    }
    if values.is_empty() {
        return node.error(Reason::EmptyEnum);
    }
    Ok(values)
}

fn uuid(node: Node<'_>) -> Result<String> {
    match node.value.as_array().map(Vec::as_slice) {
        Some([Value::String(tag), Value::String(uuid)]) if tag == "uuid" => Ok(uuid.clone()),
        _ => node.expected("[\"uuid\", \"...\"]"),
    }
}

fn index(node: Node<'_>, columns: &BTreeMap<String, ColumnSchema>) -> Result<Vec<String>> {
    let mut index: Vec<String> = Vec::new();
    node.elements(|node| {
        let name = node.string()?;
        match columns.get(name) {
            None => return node.error(Reason::UnknownColumn(name.to_owned())),
            Some(column) if column.ephemeral => {
                return node.error(Reason::EphemeralInIndex(name.to_owned()));
            }
            Some(_) if index.iter().any(|known| known == name) => {
                return node.error(Reason::DuplicateColumn(name.to_owned()));
            }
            Some(_) => index.push(name.to_owned()),
        }
        Ok(())
    })?;
    if index.is_empty() {
        return node.error(Reason::EmptyIndex);
    }
    Ok(index)
}
