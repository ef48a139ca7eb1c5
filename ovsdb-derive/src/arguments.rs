//! The arguments of `schema!`.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, LitStr, Result, Token, braced, bracketed};

use crate::manual::Manual;
use crate::suggest::did_you_mean;

/// `"schema", tables = [..], rename = { .. }, manual = ".."`
pub(crate) struct Arguments {
    /// The schema's name or path.
    pub(crate) schema: LitStr,
    /// The only tables to generate.
    pub(crate) tables: Option<Vec<LitStr>>,
    /// The names that replace those of the rule.
    pub(crate) rename: Vec<Rename>,
    /// The manual page to link to.
    pub(crate) manual: Option<Manual>,
}

/// `"Table.column" => name`
pub(crate) struct Rename {
    /// What is renamed: a table, a column or a value.
    pub(crate) key: LitStr,
    /// The name.
    pub(crate) name: Ident,
}

impl Parse for Rename {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key = input.parse()?;
        input.parse::<Token![=>]>()?;
        // Keywords are accepted here, because a field may have one as its name; the module `rename` refuses them
        // for other items.
        let name = input
            .call(Ident::parse_any)
            .map_err(|error| Error::new(error.span(), "expected a name, without quotes"))?;
        Ok(Self { key, name })
    }
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self {
            schema: input.parse()?,
            tables: None,
            rename: Vec::new(),
            manual: None,
        };
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            if seen.contains(&key) {
                return Err(Error::new(key.span(), format!("`{key}` is given twice")));
            }
            let known = ["tables", "rename", "manual"];
            if !known.iter().any(|known| key == known) {
                let hint = did_you_mean(&key.to_string(), known);
                let message = format!(
                    "unknown argument `{key}`{hint}; known: {}",
                    known.join(", ")
                );
                return Err(Error::new(key.span(), message));
            }
            input.parse::<Token![=]>()?;
            let content;
            if key == "manual" {
                arguments.manual = Some(Manual::new(&input.parse()?)?);
            } else if key == "tables" {
                bracketed!(content in input);
                let tables = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?;
                arguments.tables = Some(tables.into_iter().collect());
            } else {
                braced!(content in input);
                let rename = Punctuated::<Rename, Token![,]>::parse_terminated(&content)?;
                arguments.rename = rename.into_iter().collect();
            }
            seen.push(key);
        }
        Ok(arguments)
    }
}
