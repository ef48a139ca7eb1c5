//! The fields of a table and the columns they hold.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::{LitStr, Type};

/// A field and the column it holds.
pub(crate) struct Column {
    pub(crate) field: Ident,
    pub(crate) name: LitStr,
    /// The name of its handle.
    pub(crate) constant: Ident,
    pub(crate) rust_type: Type,
}

/// The functions that find a column by its index. They are not marked `#[inline]`: otherwise every crate that uses a
/// table would compile the implementations of its columns' types.
pub(crate) fn accessors(fields: &[Ident]) -> TokenStream {
    let places: Vec<usize> = (0..fields.len()).collect();
    quote! {
        fn column(&self, index: usize) -> ::core::option::Option<&dyn ::ovsdb::ColumnValue> {
            match index {
                #( #places => ::core::option::Option::Some(&self.#fields), )*
                _ => ::core::option::Option::None,
            }
        }

        fn column_mut(
            &mut self,
            index: usize,
        ) -> ::core::option::Option<&mut dyn ::ovsdb::ColumnValue> {
            match index {
                #( #places => ::core::option::Option::Some(&mut self.#fields), )*
                _ => ::core::option::Option::None,
            }
        }
    }
}
