//! `#[derive(Table)]`: a hand-written struct with some of a table's columns.

use ovsdb_schema::TableSchema;
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitBool, LitStr, Path, Result};

use crate::column::{Column, accessors};
use crate::indexes::Indexed;
use crate::source::Source;
use crate::suggest::did_you_mean;
use crate::{conformance, default, indexes, names, source};

/// The `#[ovsdb(...)]` of the struct.
struct TableAttributes {
    database: Path,
    table: LitStr,
    schema: Option<LitStr>,
    /// Whether to write `Default`; `None` if the attribute is absent.
    default: Option<LitBool>,
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
    let ident = &input.ident;
    let TableAttributes {
        database,
        table,
        schema,
        default,
    } = attributes;
    let source = schema.as_ref().map(source::load).transpose()?;
    let watch = source.as_ref().map(Source::watch);
    let schema = source.map(|source| source.schema);
    let (indexes, assertions) = match &schema {
        Some(schema) => {
            let known = conformance::check(schema, &table, &columns)?;
            let assertions = conformance::assertions(ident, &database, schema, &table, &columns);
            (known, assertions)
        }
        None => (
            Vec::new(),
            conformance::assertions_without_schema(ident, &database, &table, &columns),
        ),
    };

    let known = schema
        .as_ref()
        .and_then(|schema| schema.tables.get(&table.value()));
    let default = default_implementation(ident, &table, known, default.as_ref(), &columns)?;
    let constants = columns.iter().enumerate().map(|(index, column)| {
        let known = known.and_then(|table| table.columns.get(&column.name.value()));
        let unique = indexes.iter().any(|places| *places == [index]);
        let marker = indexes::marker(known.is_none_or(|known| known.mutable), unique);
        let (constant, field) = (&column.constant, &column.field);
        let doc = format!("The column `{}`.", column.name.value());
        let rust_type = &column.rust_type;
        quote! {
            #[doc = #doc]
            #[allow(dead_code, reason = "not every program names every column")]
            pub const #constant: ::ovsdb::Column<Self, #rust_type #marker> =
                ::ovsdb::Column::new(#index, |row: &Self| &row.#field);
        }
    });
    let names: Vec<String> = columns.iter().map(|column| column.name.value()).collect();
    let indexed: Vec<Indexed<'_>> = columns
        .iter()
        .zip(&names)
        .map(|(column, name)| Indexed {
            name,
            constant: &column.constant,
            rust_type: &column.rust_type,
        })
        .collect();
    let rename_hint =
        |_: &str| "give one of them another name: `#[ovsdb(constant = ...)]`".to_owned();
    let index_constants = indexes::constants(&indexes, &indexed, table.span(), rename_hint)?;
    let infos = columns.iter().map(|column| {
        let (name, rust_type) = (&column.name, &column.rust_type);
        quote! { ::ovsdb::ColumnInfo::new::<#rust_type>(#name) }
    });
    let indexes = indexes.iter().map(|places| quote! { &[#(#places),*] });
    let fields: Vec<Ident> = columns.iter().map(|column| column.field.clone()).collect();
    let accessors = accessors(&fields);
    let references = conformance::references(ident, &columns);
    Ok(quote! {
        #watch
        #references
        #assertions
        #default

        impl #ident {
            #( #constants )*
            #index_constants
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

/// The struct's `Default`, if the attribute `default = true` requests it.
fn default_implementation(
    ident: &Ident,
    name: &LitStr,
    table: Option<&TableSchema>,
    wanted: Option<&LitBool>,
    columns: &[Column],
) -> Result<Option<TokenStream>> {
    match (table, wanted) {
        (Some(table), None) => {
            default::require_choice(&name.value(), table, columns)?;
            Ok(None)
        }
        (Some(table), Some(wanted)) if wanted.value => {
            let fields = columns.iter().filter_map(|column| {
                let known = table.columns.get(&column.name.value())?;
                let value = default::value(&column.rust_type, &known.kind);
                Some((&column.field, value))
            });
            Ok(Some(default::implementation(ident, fields)))
        }
        (None, Some(wanted)) if wanted.value => {
            let message = "what a server stores in omitted columns is in the schema: add `schema`";
            Err(Error::new(wanted.span(), message))
        }
        _ => Ok(None),
    }
}

/// Calls `each` for every `key = value` in the `#[ovsdb(...)]` attributes; a key that is not in `allowed` is an
/// error.
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
    let (mut database, mut table, mut schema, mut default) = (None, None, None, None);
    each_attribute(
        &input.attrs,
        &["database", "table", "schema", "default"],
        |key, meta| {
            match key {
                "database" => database = Some(meta.value()?.parse::<Path>()?),
                "table" => table = Some(meta.value()?.parse::<LitStr>()?),
                "default" => default = Some(meta.value()?.parse::<LitBool>()?),
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
        default,
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
        let mut constant = None;
        each_attribute(&field.attrs, &["column", "constant"], |key, meta| {
            match key {
                "column" => name = meta.value()?.parse()?,
                _ => constant = Some(meta.value()?.parse::<Ident>()?),
            }
            Ok(())
        })?;
        check_column_name(&name)?;
        let constant = constant.unwrap_or_else(|| names::constant(&name.value()));
        for known in &columns {
            let message = if known.name.value() == name.value() {
                format!("the column `{}` has two fields", name.value())
            } else if known.constant == constant {
                format!(
                    "the columns `{}` and `{}` would have one constant, `{constant}`; give one \
                     of them another name: `#[ovsdb(constant = ...)]`",
                    known.name.value(),
                    name.value(),
                )
            } else {
                continue;
            };
            return Err(Error::new(name.span(), message));
        }
        columns.push(Column {
            field: ident.clone(),
            name,
            constant,
            rust_type: field.ty.clone(),
        });
    }
    if columns.is_empty() {
        return Err(Error::new(
            input.ident.span(),
            "a table needs at least one column",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_compiled_again_when_the_schema_file_changes() {
        let derive = |schema: &str| {
            let input = quote! {
                #[ovsdb(database = Database, table = "Shelf", schema = #schema, default = false)]
                struct Shelf {
                    words: Set<Str>,
                }
            };
            let input = syn::parse2(input).expect("a struct");
            expand(&input).map(|code| code.to_string())
        };
        let code = derive("tests/files/library.ovsschema").expect("a table");
        assert_eq!(code.matches("include_str").count(), 1, "{code}");
        assert!(code.contains("tests/files/library.ovsschema"), "{code}");
    }
}
