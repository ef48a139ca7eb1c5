//! The handles of a schema's indexes: the marker of a column that is unique, and a constant for each index
//! over several columns.

use std::collections::BTreeMap;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Result};

/// The largest number of columns that `ovsdb::model::UniqueIndex` supports.
const MOST_COLUMNS: usize = 6;

/// What the indexes need to know of a column.
pub(crate) struct Indexed<'a> {
    pub(crate) name: &'a str,
    pub(crate) constant: &'a Ident,
    pub(crate) rust_type: &'a dyn ToTokens,
}

/// The last type argument of a column's handle, if it is not the default.
pub(crate) fn marker(mutable: bool, unique: bool) -> Option<TokenStream> {
    match (mutable, unique) {
        (true, false) => None,
        (false, false) => Some(quote! { , ::ovsdb::Immutable }),
        (true, true) => Some(quote! { , ::ovsdb::Unique }),
        (false, true) => Some(quote! { , ::ovsdb::Unique<::ovsdb::Immutable> }),
    }
}

/// A constant for each of these indexes over several of the columns, with its documentation. `rename_hint` says
/// how a column's constant gets another name.
pub(crate) fn constants(
    indexes: &[Vec<usize>],
    columns: &[Indexed<'_>],
    span: Span,
    rename_hint: impl Fn(&str) -> String,
) -> Result<TokenStream> {
    let mut taken: BTreeMap<String, (String, &[usize])> = columns
        .iter()
        .map(|column| {
            let what = format!("the column `{}`", column.name);
            (column.constant.to_string(), (what, [].as_slice()))
        })
        .collect();
    let mut constants = TokenStream::new();
    for index in indexes {
        if !(2..=MOST_COLUMNS).contains(&index.len()) {
            continue;
        }
        let parts: Vec<&Indexed<'_>> = index.iter().map(|place| &columns[*place]).collect();
        let words: Vec<String> = parts.iter().map(|part| part.constant.to_string()).collect();
        let name = words.join("_AND_");
        let quoted: Vec<String> = parts
            .iter()
            .map(|part| format!("`{}`", part.name))
            .collect();
        let listed = quoted.join(", ");
        let what = format!("the index over {listed}");
        match taken.insert(name.clone(), (what.clone(), index)) {
            None => {}
            // A schema may list an index twice.
            Some((_, known)) if known == index.as_slice() => continue,
            Some((other, _)) => {
                let rename_hint = rename_hint(parts[0].name);
                let message = format!(
                    "both {other} and {what} would be one constant, `{name}`; {rename_hint}"
                );
                return Err(Error::new(span, message));
            }
        }
        let doc =
            format!("The index over {listed}: no two rows have the same values in all of them.");
        let constant = Ident::new(&name, Span::call_site());
        let types = parts.iter().map(|part| part.rust_type);
        let types = quote! { (#(#types,)*) };
        let handles = parts.iter().map(|part| part.constant);
        constants.extend(quote! {
            #[doc = #doc]
            #[allow(dead_code, reason = "not every program names every index")]
            pub const #constant: ::ovsdb::UniqueIndex<Self, #types> =
                ::ovsdb::UniqueIndex::<Self, #types>::new((#(Self::#handles,)*));
        });
    }
    Ok(constants)
}
