//! `#[derive(Table)]`: a hand-written struct with some of a table's columns.

use ovsdb_schema::{AtomicType, ColumnType, DatabaseSchema, TableSchema};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, GenericArgument, LitStr, Path, PathArguments,
    Result, Type,
};

use crate::suggest::did_you_mean;
use crate::{names, schema_macro, source};

/// The `#[ovsdb(...)]` of the struct.
struct TableAttributes {
    database: Path,
    table: LitStr,
    schema: Option<LitStr>,
}

/// A field and the column it holds.
struct Column {
    field: Ident,
    name: LitStr,
    rust_type: Type,
}

/// Expands the derive.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a table cannot be generic",
        ));
    }
    let attributes = table_attributes(input)?;
    let columns = columns(input)?;
    let indexes = match &attributes.schema {
        Some(name) => {
            let schema = source::load(name)?.schema;
            check(&schema, &attributes.table, &columns)?
        }
        None => Vec::new(),
    };

    let TableAttributes {
        database, table, ..
    } = attributes;
    let ident = &input.ident;
    let constants = columns.iter().enumerate().map(|(index, column)| {
        let constant = names::constant(&column.name.value());
        let doc = format!("The column `{}`.", column.name.value());
        let rust_type = &column.rust_type;
        quote! {
            #[doc = #doc]
            #[allow(dead_code, reason = "not every program names every column")]
            pub const #constant: ::ovsdb::Column<Self, #rust_type> = ::ovsdb::Column::new(#index);
        }
    });
    let infos = columns.iter().map(|column| {
        let (name, rust_type) = (&column.name, &column.rust_type);
        quote! { ::ovsdb::ColumnInfo::new::<#rust_type>(#name) }
    });
    let indexes = indexes.iter().map(|index| quote! { &[#(#index),*] });
    let fields: Vec<Ident> = columns.iter().map(|column| column.field.clone()).collect();
    let accessors = schema_macro::accessors(&fields);
    Ok(quote! {
        impl #ident {
            #( #constants )*
        }

        impl ::ovsdb::Table for #ident {
            type Database = #database;
            const TABLE: &'static str = #table;
            const COLUMNS: &'static [::ovsdb::ColumnInfo] = &[#(#infos),*];
            const INDEXES: &'static [&'static [usize]] = &[#(#indexes),*];

            #accessors
        }
    })
}

/// Calls `each` for every `key = value` in the `#[ovsdb(...)]` attributes; it returns false for a
/// key that does not belong there.
fn each_attribute(
    attributes: &[Attribute],
    allowed: &[&str],
    mut each: impl FnMut(&str, syn::meta::ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen: Vec<String> = Vec::new();
    for attribute in attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("ovsdb"))
    {
        attribute.parse_nested_meta(|meta| {
            let key = meta
                .path
                .get_ident()
                .map(ToString::to_string)
                .unwrap_or_default();
            if !allowed.contains(&key.as_str()) {
                let hint = did_you_mean(&key, allowed.iter().copied());
                let message = format!(
                    "unknown attribute `{key}`{hint}; known: {}",
                    allowed.join(", ")
                );
                return Err(meta.error(message));
            }
            if seen.contains(&key) {
                return Err(meta.error(format!("`{key}` is given twice")));
            }
            seen.push(key.clone());
            each(&key, meta)
        })?;
    }
    Ok(())
}

fn table_attributes(input: &DeriveInput) -> Result<TableAttributes> {
    let (mut database, mut table, mut schema) = (None, None, None);
    each_attribute(
        &input.attrs,
        &["database", "table", "schema"],
        |key, meta| {
            match key {
                "database" => database = Some(meta.value()?.parse::<Path>()?),
                "table" => table = Some(meta.value()?.parse::<LitStr>()?),
                _ => schema = Some(meta.value()?.parse::<LitStr>()?),
            }
            Ok(())
        },
    )?;
    let missing = |name: &str, example: &str| {
        let message = format!("the attribute `#[ovsdb({name} = {example})]` is missing");
        Error::new(input.ident.span(), message)
    };
    Ok(TableAttributes {
        database: database.ok_or_else(|| missing("database", "path::to::Database"))?,
        table: table.ok_or_else(|| missing("table", "\"Table_Name\""))?,
        schema,
    })
}

fn columns(input: &DeriveInput) -> Result<Vec<Column>> {
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            _ => {
                let message = "a table is a struct with named fields, one for each column";
                return Err(Error::new(input.ident.span(), message));
            }
        },
        _ => {
            let message = "a table is a struct, not an enum or a union";
            return Err(Error::new(input.ident.span(), message));
        }
    };
    let mut columns: Vec<Column> = Vec::new();
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let mut name = LitStr::new(&ident.unraw().to_string(), ident.span());
        each_attribute(&field.attrs, &["column"], |_, meta| {
            name = meta.value()?.parse()?;
            Ok(())
        })?;
        check_column_name(&name)?;
        if columns
            .iter()
            .any(|known| known.name.value() == name.value())
        {
            let message = format!("the column `{}` has two fields", name.value());
            return Err(Error::new(name.span(), message));
        }
        columns.push(Column {
            field: ident.clone(),
            name,
            rust_type: field.ty.clone(),
        });
    }
    if columns.is_empty() {
        return Err(Error::new(
            input.ident.span(),
            "a table has one column at least",
        ));
    }
    Ok(columns)
}

/// The name becomes a constant, so it must be an identifier.
fn check_column_name(name: &LitStr) -> Result<()> {
    let value = name.value();
    let good = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if good {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        format!("`{value}` is not the name of a column"),
    ))
}

/// Checks the struct against the schema, and returns the indexes whose columns are all there.
fn check(schema: &DatabaseSchema, name: &LitStr, columns: &[Column]) -> Result<Vec<Vec<usize>>> {
    let value = name.value();
    let Some(table) = schema.tables.get(&value) else {
        let hint = did_you_mean(&value, schema.tables.keys().map(String::as_str));
        let message = format!(
            "the database `{}` has no table `{value}`{hint}",
            schema.name
        );
        return Err(Error::new(name.span(), message));
    };
    let mut errors: Option<Error> = None;
    for error in columns
        .iter()
        .filter_map(|column| check_column(&value, table, column).err())
    {
        match &mut errors {
            Some(errors) => errors.combine(error),
            None => errors = Some(error),
        }
    }
    if let Some(errors) = errors {
        return Err(errors);
    }
    let place = |name: &String| {
        columns
            .iter()
            .position(|column| column.name.value() == *name)
    };
    Ok(table
        .indexes
        .iter()
        .filter_map(|index| index.iter().map(place).collect())
        .collect())
}

fn check_column(table_name: &str, table: &TableSchema, column: &Column) -> Result<()> {
    let name = column.name.value();
    let Some(schema) = table.columns.get(&name) else {
        let hint = did_you_mean(&name, table.columns.keys().map(String::as_str));
        let message = format!("the table `{table_name}` has no column `{name}`{hint}");
        return Err(Error::new(column.name.span(), message));
    };
    let wanted = rust_type(&schema.kind);
    if fits(&column.rust_type, &schema.kind) {
        return Ok(());
    }
    let message = format!(
        "the column `{table_name}.{name}` is {}: `{wanted}`",
        schema.kind
    );
    Err(Error::new(column.rust_type.span(), message))
}

/// The type that holds such a column, for people.
fn rust_type(kind: &ColumnType) -> String {
    let atom = |atomic| match atomic {
        AtomicType::Integer => "i64",
        AtomicType::Real => "Real",
        AtomicType::Boolean => "bool",
        AtomicType::String => "Str",
        AtomicType::Uuid => "Uuid",
    };
    let key = atom(kind.key.atomic);
    match &kind.value {
        Some(value) => format!("Map<{key}, {}>", atom(value.atomic)),
        None if kind.is_scalar() => key.to_owned(),
        None if kind.is_optional() => format!("Option<{key}>"),
        None => format!("Set<{key}>"),
    }
}

/// Whether a field's type can hold the column, as far as its name tells: a type of another name
/// may be a user's own atom, which the compiler checks.
fn fits(rust_type: &Type, kind: &ColumnType) -> bool {
    let Some((name, arguments)) = last_segment(rust_type) else {
        return false;
    };
    let atom = |rust_type: &Type, atomic| match last_segment(rust_type) {
        Some((name, _)) => atom_fits(&name, atomic),
        None => false,
    };
    match (name.as_str(), arguments.as_slice()) {
        ("Map", [key, value]) => {
            let value_type = kind.value.as_ref();
            value_type.is_some_and(|v| atom(key, kind.key.atomic) && atom(value, v.atomic))
        }
        ("Set", [element]) => kind.value.is_none() && atom(element, kind.key.atomic),
        ("Option", [element]) => {
            kind.value.is_none() && kind.max.is_one() && atom(element, kind.key.atomic)
        }
        _ => kind.is_scalar() && atom_fits(&name, kind.key.atomic),
    }
}

fn atom_fits(name: &str, atomic: AtomicType) -> bool {
    match name {
        "i64" => atomic == AtomicType::Integer,
        "Real" => atomic == AtomicType::Real,
        "bool" => atomic == AtomicType::Boolean,
        "Str" => atomic == AtomicType::String,
        "Uuid" | "Ref" => atomic == AtomicType::Uuid,
        "Map" | "Set" | "Option" | "String" | "f64" | "f32" | "i32" | "u32" | "u64" | "usize"
        | "Vec" | "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => false,
        _ => true,
    }
}

/// The last name of a path, and its generic arguments that are types.
fn last_segment(rust_type: &Type) -> Option<(String, Vec<Type>)> {
    let Type::Path(path) = rust_type else {
        return None;
    };
    let segment = path.path.segments.last()?;
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner.clone()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((segment.ident.to_string(), arguments))
}
