//! The `Default` of a table: what a server stores in the columns that an insert leaves out.

use ovsdb_schema::{BaseType, ColumnType};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

/// The implementation, of the fields and their values.
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

/// The value of a field of this type, for a column of that one.
pub(crate) fn value(rust_type: &TokenStream, kind: &ColumnType) -> TokenStream {
    let atom = quote! { ::core::default::Default::default() };
    if !holds_an_atom(kind) {
        return atom;
    }
    let element = match &kind.value {
        Some(_) => quote! { (#atom, #atom) },
        None => atom,
    };
    quote! { <#rust_type as ::core::convert::From<::std::vec::Vec<_>>>::from(::std::vec![#element]) }
}

/// Whether a server stores one atom in a set or map of this type where an insert leaves it out.
///
/// It stores no reference: a row that leaves out a required one is refused, and an empty set to
/// put references into serves better than one with a reference to no row.
pub(crate) fn holds_an_atom(kind: &ColumnType) -> bool {
    let is_reference = |base: &BaseType| base.ref_table.is_some();
    let refers = is_reference(&kind.key) || kind.value.as_ref().is_some_and(is_reference);
    kind.min == 1 && !kind.is_scalar() && !refers
}
