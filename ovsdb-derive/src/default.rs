//! The `Default` of a table: what a server stores in the columns that an insert omits.

use ovsdb_schema::{BaseType, ColumnType, TableSchema};
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Result};

use crate::column::Column;
use crate::conformance;

/// The implementation of `Default`, from the fields and their values.
pub(crate) fn implementation<'a>(
    table: &Ident,
    fields: impl Iterator<Item = (&'a Ident, TokenStream)>,
) -> TokenStream {
    let values = fields.map(|(field, value)| quote! { #field: #value });
    quote! {
        impl ::core::default::Default for #table {
            fn default() -> Self {
                Self { #( #values, )* }
            }
        }
    }
}

/// The default of a field of type `rust_type`, for a column of type `kind`. Its atoms may be of a program's own type,
/// whose `Default` may differ from the server's.
pub(crate) fn value(rust_type: &impl ToTokens, kind: &ColumnType) -> TokenStream {
    if holds_an_atom(kind) {
        quote! { ::ovsdb::value::one_default::<#rust_type>() }
    } else {
        quote! { ::core::default::Default::default() }
    }
}

/// The same for generated tables: the `Default` of their atoms is the server's.
pub(crate) fn value_of_own(rust_type: &impl ToTokens, kind: &ColumnType) -> TokenStream {
    if kind.is_scalar() {
        quote! { ::core::default::Default::default() }
    } else {
        value(rust_type, kind)
    }
}

/// Whether a server stores one atom in a column of this type if an insert omits it.
///
/// False for references: the server refuses a row that omits a required one, and an empty set is a better start than
/// a reference to no row.
fn holds_an_atom(kind: &ColumnType) -> bool {
    let is_reference = |base: &BaseType| base.ref_table.is_some();
    let refers = is_reference(&kind.key) || kind.value.as_ref().is_some_and(is_reference);
    kind.min == 1 && !refers
}

/// Refuses a struct with a column that has one atom by default on the server and is empty by default in Rust. A macro
/// cannot see whether the struct derives `Default`, so an attribute must say what is meant.
pub(crate) fn require_choice(table: &str, schema: &TableSchema, columns: &[Column]) -> Result<()> {
    let mut errors: Option<Error> = None;
    for column in columns {
        let name = column.name.value();
        let kind = schema.columns.get(&name).map(|column| &column.kind);
        if !kind.is_some_and(holds_an_atom) || !conformance::is_collection(&column.rust_type) {
            continue;
        }
        let message = format!(
            "a server stores one default element in `{table}.{name}` where an insert leaves it \
             out, which a derived `Default` does not: write `#[ovsdb(default = true)]` in its place, \
             or `#[ovsdb(default = false)]` with a `Default` of your own"
        );
        let error = Error::new(column.name.span(), message);
        match &mut errors {
            Some(errors) => errors.combine(error),
            None => errors = Some(error),
        }
    }
    errors.map_or(Ok(()), Err)
}
