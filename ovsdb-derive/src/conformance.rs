//! Checks a struct with `#[derive(Table)]` against the schema.
//!
//! The macro sees only tokens. It rejects names that the schema does not have, and types whose names
//! show that they cannot hold the column. The rest is left to the compiler: the macro writes
//! constants whose evaluation fails if a field's type, after aliases are resolved, has a shape that cannot
//! hold its column, refers to another table or is the enum of another column.

use std::collections::BTreeMap;

use ovsdb_schema::{AtomicType, BaseType, ColumnType, Constraint, DatabaseSchema, TableSchema};
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Error, GenericArgument, LitStr, Path, PathArguments, Result, Type};

use crate::column::Column;
use crate::suggest::did_you_mean;
use crate::{docs, names};

/// Checks the struct against the schema as far as its tokens allow, and returns the indexes whose columns the struct
/// has.
pub(crate) fn check(
    schema: &DatabaseSchema,
    name: &LitStr,
    columns: &[Column],
) -> Result<Vec<Vec<usize>>> {
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
    if may_fit(&column.rust_type, &schema.kind) {
        return Ok(());
    }
    let message = mismatch(table_name, &name, &schema.kind);
    Err(Error::new(column.rust_type.span(), message))
}

/// The error for a field whose type cannot hold its column.
fn mismatch(table: &str, column: &str, kind: &ColumnType) -> String {
    format!(
        "the column `{table}.{column}` is {}: `{}`",
        docs::column_type(kind),
        rust_type(table, column, kind)
    )
}

/// The Rust type of such a column, for error messages.
fn rust_type(table: &str, column: &str, kind: &ColumnType) -> String {
    let enumeration = format!("{}{}", names::type_name(table), names::type_word(column));
    let atom = |base: &BaseType, suffix: &str| match (base.atomic, &base.ref_table) {
        (AtomicType::Integer, _) => "i64".to_owned(),
        (AtomicType::Real, _) => "Real".to_owned(),
        (AtomicType::Boolean, _) => "bool".to_owned(),
        (AtomicType::String, _) if matches!(base.constraint, Constraint::Enum(_)) => {
            format!("{enumeration}{suffix}")
        }
        (AtomicType::String, _) => "Str".to_owned(),
        (AtomicType::Uuid, Some(table)) => format!("Ref<{}>", names::type_name(table)),
        (AtomicType::Uuid, None) => "Uuid".to_owned(),
    };
    match &kind.value {
        Some(value) => format!("Map<{}, {}>", atom(&kind.key, "Key"), atom(value, "Value")),
        None if kind.is_scalar() => atom(&kind.key, ""),
        None if kind.is_optional() => format!("Option<{}>", atom(&kind.key, "")),
        None => format!("Set<{}>", atom(&kind.key, "")),
    }
}

/// Whether a type can hold the column, as far as its name shows. A type of another name may be an
/// alias or a user's own atom, which only the compiler can check.
fn may_fit(rust_type: &Type, kind: &ColumnType) -> bool {
    let Some((name, arguments)) = last_segment(rust_type) else {
        // Not a path; but a macro or parentheses may expand to one.
        return matches!(rust_type, Type::Macro(_) | Type::Paren(_) | Type::Group(_));
    };
    let atom = |rust_type: &Type, atomic| match last_segment(rust_type) {
        Some((name, _)) => atom_may_fit(&name, atomic),
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
        ("i64" | "Real" | "bool" | "Str" | "Uuid" | "Ref", _) => {
            kind.is_scalar() && atom_may_fit(&name, kind.key.atomic)
        }
        _ => atom_may_fit(&name, kind.key.atomic),
    }
}

/// Whether the name of a type is that of a collection, which is empty by default.
pub(crate) fn is_collection(rust_type: &Type) -> bool {
    let last = last_segment(rust_type);
    last.is_some_and(|(name, _)| matches!(name.as_str(), "Option" | "Set" | "Map"))
}

fn atom_may_fit(name: &str, atomic: AtomicType) -> bool {
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

/// The constants whose evaluation fails if the struct does not fit the schema.
pub(crate) fn assertions(
    ident: &Ident,
    database: &Path,
    schema: &DatabaseSchema,
    table: &LitStr,
    columns: &[Column],
) -> TokenStream {
    let name = &schema.name;
    let message = format!("the schema is of the database `{name}`, and `database` is another");
    let condition = quote! {
        ::ovsdb::model::check::same(<#database as ::ovsdb::Database>::NAME, #name)
    };
    let mut assertions = assertion(database.span(), &[(condition, message)]);
    let kinds = schema
        .tables
        .get(&table.value())
        .map(|table| &table.columns);
    for column in columns {
        let Some(known) = kinds.and_then(|kinds| kinds.get(&column.name.value())) else {
            continue;
        };
        let rust_type = without_self(column.rust_type.to_token_stream(), ident);
        let expected = expected(name, &known.kind);
        let condition = quote! { ::ovsdb::model::check::fits::<#rust_type>(&#expected) };
        let message = mismatch(&table.value(), &column.name.value(), &known.kind);
        let within = refers_within(ident, database, table, column);
        assertions.extend(assertion(
            column.rust_type.span(),
            &[within, (condition, message)],
        ));
    }
    assertions
}

/// The constants for a struct that names no schema.
pub(crate) fn assertions_without_schema(
    ident: &Ident,
    database: &Path,
    table: &LitStr,
    columns: &[Column],
) -> TokenStream {
    let each = columns.iter().map(|column| {
        let within = refers_within(ident, database, table, column);
        assertion(column.rust_type.span(), &[within])
    });
    each.collect()
}

/// The condition that a field refers only to tables of its own database, and the message if it does not.
fn refers_within(
    ident: &Ident,
    database: &Path,
    table: &LitStr,
    column: &Column,
) -> (TokenStream, String) {
    let rust_type = without_self(column.rust_type.to_token_stream(), ident);
    let condition = quote! {
        ::ovsdb::model::check::refers_within::<#rust_type>(<#database as ::ovsdb::Database>::NAME)
    };
    let message = format!(
        "the column `{}.{}` cannot refer to a table of another database",
        table.value(),
        column.name.value()
    );
    (condition, message)
}

/// Makes the compiler check that each `Ref` in a field's type refers to a table, and know that the
/// struct refers to it. The compiler's error for the whole type would not name the part that is wrong.
pub(crate) fn references(ident: &Ident, columns: &[Column]) -> TokenStream {
    let mut targets = Vec::new();
    let mut distinct = BTreeMap::new();
    for column in columns {
        each_target(&column.rust_type, &mut |target| {
            let target = without_self(target.to_token_stream(), ident);
            distinct.insert(target.to_string(), target.clone());
            targets.push(target);
        });
    }
    let distinct = distinct.values();
    quote! {
        #( const _: () = ::ovsdb::model::check::is_table::<#targets>(); )*
        #( impl ::ovsdb::model::RefersTo<#distinct> for #ident {} )*
    }
}

fn each_target(rust_type: &Type, each: &mut impl FnMut(&Type)) {
    let Some((name, arguments)) = last_segment(rust_type) else {
        return;
    };
    for argument in &arguments {
        match name.as_str() {
            "Ref" => each(argument),
            _ => each_target(argument, each),
        }
    }
}

/// A constant whose evaluation fails with the message of the first condition that is false.
fn assertion(span: Span, conditions: &[(TokenStream, String)]) -> TokenStream {
    let checks = conditions.iter().map(|(condition, message)| {
        quote_spanned! { span=>
            if !#condition {
                ::core::panic!("{}", #message);
            }
        }
    });
    quote_spanned! { span=> const _: () = { #( #checks )* }; }
}

/// A type with the struct's name for `Self`, to be named outside its `impl`.
fn without_self(tokens: TokenStream, ident: &Ident) -> TokenStream {
    let replaced = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(word) if word == "Self" => {
            TokenTree::Ident(Ident::new(&ident.to_string(), word.span()))
        }
        TokenTree::Group(group) => {
            let inner = without_self(group.stream(), ident);
            TokenTree::Group(Group::new(group.delimiter(), inner))
        }
        other => other,
    });
    replaced.collect()
}

/// The column as `ovsdb::model::check::Expected`.
fn expected(database: &str, kind: &ColumnType) -> TokenStream {
    let key = atoms(&kind.key);
    let value = match &kind.value {
        Some(value) => {
            let value = atoms(value);
            quote! { ::core::option::Option::Some(#value) }
        }
        None => quote! { ::core::option::Option::None },
    };
    let (required, single) = (kind.min == 1, kind.max.is_one());
    quote! {
        ::ovsdb::model::check::Expected {
            database: #database,
            key: #key,
            value: #value,
            required: #required,
            single: #single,
        }
    }
}

fn atoms(base: &BaseType) -> TokenStream {
    let atomic = match base.atomic {
        AtomicType::Integer => quote! { Integer },
        AtomicType::Real => quote! { Real },
        AtomicType::Boolean => quote! { Boolean },
        AtomicType::String => quote! { String },
        AtomicType::Uuid => quote! { Uuid },
    };
    let table = match &base.ref_table {
        Some(table) => quote! { ::core::option::Option::Some(#table) },
        None => quote! { ::core::option::Option::None },
    };
    let values = match &base.constraint {
        Constraint::Enum(values) => {
            let values = values.iter().map(ToString::to_string);
            quote! { ::core::option::Option::Some(&[#(#values),*]) }
        }
        _ => quote! { ::core::option::Option::None },
    };
    quote! {
        ::ovsdb::model::check::Atoms {
            atomic: ::ovsdb::schema::AtomicType::#atomic,
            table: #table,
            values: #values,
        }
    }
}
