//! The parser: from JSON to the model.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{SchemaError, SchemaErrorReason as Reason};
use crate::json::{self, Node, Object, Result};
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

    /// Parses a schema that a server sent. Unknown members are ignored, because a newer server may send some. Reals
    /// that a server writes and its own parser refuses are read ([`Number::lex`](crate::Number::lex)).
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), except that these two are not errors.
    pub fn parse_lenient(text: &str) -> Result<Self> {
        parse(text, true)
    }
}

fn parse(text: &str, lenient: bool) -> Result<DatabaseSchema> {
    database(Node::root(json::document(text)?, lenient))
}

fn database(node: Node<'_>) -> Result<DatabaseSchema> {
    let mut object = node.object()?;
    let name = object.required("name", |node| {
        let name = node.string()?;
        // The server's own databases begin with an underscore.
        match is_id(&name) {
            true => Ok(name),
            false => node.error(Reason::BadId(name)),
        }
    })?;
    let version = object.optional("version", version)?;
    let cksum = object.optional("cksum", |node| node.string())?;
    let mut tables = object.required("tables", |node| {
        let mut tables = BTreeMap::new();
        node.members(|name, node| {
            check_id(node, name)?;
            tables.insert(name.to_owned(), table(node)?);
            Ok(())
        })?;
        Ok(tables)
    })?;
    object.end()?;
    references_exist(&tables)?;
    if !tables.values().any(|table| table.is_root) {
        // A schema older than root tables: the server deletes no row for lack of references (RFC 7047 section 3.2).
        tables.values_mut().for_each(|table| table.is_root = true);
    }
    store_only_references(&mut tables);
    Ok(DatabaseSchema {
        name,
        version,
        cksum,
        tables,
    })
}

fn table(node: Node<'_>) -> Result<TableSchema> {
    let mut object = node.object()?;
    let columns = object.required("columns", |node| {
        let mut columns = BTreeMap::new();
        node.members(|name, node| {
            check_id(node, name)?;
            columns.insert(name.to_owned(), column(node)?);
            Ok(())
        })?;
        if columns.is_empty() {
            return node.error(Reason::NoColumns);
        }
        Ok(columns)
    })?;
    let mutable = object.optional("mutable", |node| node.boolean())?;
    let max_rows = object.optional("maxRows", |node| match u64::try_from(node.integer()?) {
        Ok(rows) if rows > 0 => Ok(rows),
        _ => node.expected("a number of at least 1"),
    })?;
    let is_root = object
        .optional("isRoot", |node| node.boolean())?
        .unwrap_or(false);
    let indexes = object.optional("indexes", |node| {
        let mut indexes = Vec::new();
        node.elements(|node| {
            let index = index(node, &columns)?;
            // The uuid is unique by itself, so an index that includes it constrains nothing.
            if !index.iter().any(|column| column == "_uuid") {
                indexes.push(index);
            }
            Ok(())
        })?;
        Ok(indexes)
    })?;
    object.end()?;
    Ok(TableSchema {
        columns,
        max_rows: max_rows.filter(|rows| *rows < u64::from(u32::MAX)),
        mutable: mutable.unwrap_or(true),
        is_root,
        indexes: indexes.unwrap_or_default(),
    })
}

fn column(node: Node<'_>) -> Result<ColumnSchema> {
    let mut object = node.object()?;
    let kind = object.required("type", column_type)?;
    let ephemeral = object
        .optional("ephemeral", |node| node.boolean())?
        .unwrap_or(false);
    let mutable = object
        .optional("mutable", |node| node.boolean())?
        .unwrap_or(true);
    object.end()?;
    Ok(ColumnSchema {
        ephemeral,
        mutable: mutable || kind.atoms().any(BaseType::is_weak_reference),
        kind,
    })
}

fn column_type(node: Node<'_>) -> Result<ColumnType> {
    if node.is_string() {
        let key = BaseType::new(atomic_type(node)?);
        return Ok(ColumnType {
            key,
            value: None,
            min: 1,
            max: Max::Limited(1),
        });
    }
    let mut object = node.object()?;
    let key = object.required("key", base_type)?;
    let value = object.optional("value", base_type)?;
    let min = object.optional("min", |node| match node.integer() {
        Ok(0) => Ok(0),
        Ok(1) => Ok(1),
        _ => node.error(Reason::BadMin),
    })?;
    let max = object.optional("max", |node| {
        if node.string().is_ok_and(|word| word == "unlimited") {
            return Ok(Max::Unlimited);
        }
        // The server reserves the greatest number for "unlimited".
        match node.integer().map(u32::try_from) {
            Ok(Ok(max)) if (1..u32::MAX).contains(&max) => Ok(Max::Limited(max)),
            _ => node.error(Reason::BadMax),
        }
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

fn base_type(node: Node<'_>) -> Result<BaseType> {
    if node.is_string() {
        return atomic_type(node).map(BaseType::new);
    }
    let mut object = node.object()?;
    let atomic = object.required("type", atomic_type)?;
    let values = object.optional("enum", |node| enumeration(node, atomic))?;
    let bounds = bounds(&mut object, node, atomic)?;
    let ref_table = object.optional("refTable", |node| {
        applies(node, "refTable", atomic, AtomicType::Uuid)?;
        node.string()
    })?;
    let ref_type = object.optional("refType", |node| {
        applies(node, "refType", atomic, AtomicType::Uuid)?;
        match node.string()?.as_str() {
            "strong" => Ok(RefType::Strong),
            "weak" => Ok(RefType::Weak),
            _ => node.expected("\"strong\" or \"weak\""),
        }
    })?;
    object.end()?;
    if ref_type.is_some() && ref_table.is_none() {
        return node.error(Reason::Missing("refTable"));
    }
    let constraint = match (values, bounds) {
        (Some(_), bounds) if bounds != Constraint::None || ref_table.is_some() => {
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

/// Checks that references are to tables that the schema has.
fn references_exist(tables: &BTreeMap<String, TableSchema>) -> Result<()> {
    for (table, schema) in tables {
        for (column, schema) in &schema.columns {
            let parts = [
                ("key", Some(&schema.kind.key)),
                ("value", schema.kind.value.as_ref()),
            ];
            for (part, base) in parts {
                let Some(target) = base.and_then(|base| base.ref_table.as_ref()) else {
                    continue;
                };
                if !tables.contains_key(target) {
                    return Err(SchemaError {
                        path: format!("tables.{table}.columns.{column}.type.{part}.refTable"),
                        reason: Reason::UnknownTable(target.clone()),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Makes columns persistent that keep rows of tables that are not root tables alive, as the server does. It would
/// delete those rows after a restart if the references to them were lost.
fn store_only_references(tables: &mut BTreeMap<String, TableSchema>) {
    let collected = tables.iter().filter(|(_, table)| !table.is_root);
    let collected: BTreeSet<String> = collected.map(|(name, _)| name.clone()).collect();
    let keeps_alive = |base: &BaseType| {
        let target = base.ref_table.as_ref();
        base.ref_type == RefType::Strong && target.is_some_and(|table| collected.contains(table))
    };
    for table in tables.values_mut() {
        for column in table.columns.values_mut() {
            column.ephemeral &= !column.kind.atoms().any(keeps_alive);
        }
    }
}

/// Whether this is an identifier (RFC 7047 section 3.1, `<id>`).
fn is_id(id: &str) -> bool {
    let mut bytes = id.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Checks the identifier of a table or a column.
fn check_id(node: Node<'_>, id: &str) -> Result<()> {
    match is_id(id) {
        false => node.error(Reason::BadId(id.to_owned())),
        true if id.starts_with('_') => node.error(Reason::ReservedId(id.to_owned())),
        true => Ok(()),
    }
}

/// Reads a version `x.y.z`. Like the server, it accepts whitespace and a sign before each number.
fn version(node: Node<'_>) -> Result<String> {
    let text = node.string()?;
    let number = |part: &str| {
        let part = part.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
        let digits = part.strip_prefix(['+', '-']).unwrap_or(part);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 3 && parts.into_iter().all(number) {
        return Ok(text);
    }
    node.error(Reason::BadVersion(text))
}

fn atomic_type(node: Node<'_>) -> Result<AtomicType> {
    let name = node.string()?;
    AtomicType::from_name(&name).map_or_else(|| node.error(Reason::UnknownType(name)), Ok)
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

/// Reads the bounds, such as `minInteger`; each applies to one atomic type.
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
        bound!("minLength", String, length),
        bound!("maxLength", String, length),
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

/// The values of an enum: an OVSDB set, or a single atom.
fn enumeration(node: Node<'_>, atomic: AtomicType) -> Result<Vec<EnumValue>> {
    let mut values: Vec<EnumValue> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |node: Node<'_>| {
        let value = match atomic {
            AtomicType::Integer => EnumValue::Integer(node.integer()?),
            AtomicType::Real => EnumValue::Real(node.real()?),
            AtomicType::Boolean => EnumValue::Boolean(node.boolean()?),
            AtomicType::String => EnumValue::String(node.string()?),
            AtomicType::Uuid => EnumValue::Uuid(uuid(node)?),
        };
        if !seen.insert(value.to_string()) {
            return node.error(Reason::DuplicateValue(value.to_string()));
        }
        values.push(value);
        Ok(())
    };
    let array = node.array().unwrap_or_default();
    if array.first().is_some_and(|tag| *tag == "\"set\"") {
        if array.len() != 2 {
            return node.expected("[\"set\", [values]]");
        }
        let mut index = 0;
        node.elements(|node| {
            index += 1;
            match index {
                2 => node.elements(&mut add),
                _ => Ok(()),
            }
        })?;
    } else {
        add(node)?;
    }
    if values.is_empty() {
        return node.error(Reason::EmptyEnum);
    }
    Ok(values)
}

/// `["uuid", "..."]`, with the 36 characters of a uuid; in lower case, as the server writes it.
fn uuid(node: Node<'_>) -> Result<String> {
    let mut parts = Vec::new();
    let array = node.elements(|node| {
        parts.push(node.string()?);
        Ok(())
    });
    match (array, parts.as_slice()) {
        (Ok(()), [tag, uuid]) if tag == "uuid" && is_uuid(uuid) => Ok(uuid.to_ascii_lowercase()),
        _ => node.expected("[\"uuid\", \"...\"]"),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn index(node: Node<'_>, columns: &BTreeMap<String, ColumnSchema>) -> Result<Vec<String>> {
    let mut index: Vec<String> = Vec::new();
    node.elements(|node| {
        let name = node.string()?;
        // The server's own columns can be named too; it does not store `_version`.
        let ephemeral = match name.as_str() {
            "_uuid" => Some(false),
            "_version" => Some(true),
            name => columns.get(name).map(|column| column.ephemeral),
        };
        match ephemeral {
            None => return node.error(Reason::UnknownColumn(name)),
            Some(true) => return node.error(Reason::EphemeralInIndex(name)),
            Some(false) if index.contains(&name) => {
                return node.error(Reason::DuplicateColumn(name));
            }
            Some(false) => index.push(name),
        }
        Ok(())
    })?;
    if index.is_empty() {
        return node.error(Reason::EmptyIndex);
    }
    Ok(index)
}
