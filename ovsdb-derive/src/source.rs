//! Where a macro's schema comes from: the bundled ones, or a file of the crate.

use std::path::PathBuf;

use ovsdb_schema::{BUNDLED, DatabaseSchema, bundled};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, LitStr};

use crate::suggest::did_you_mean;

/// A schema, and the file that the compiler must watch.
pub(crate) struct Source {
    pub(crate) schema: DatabaseSchema,
    file: Option<String>,
}

impl Source {
    /// An item that makes cargo compile the crate again when the file changes; nothing for a bundled schema.
    pub(crate) fn watch(&self) -> TokenStream {
        let file = self.file.iter();
        quote! { #( const _: &str = ::core::include_str!(#file); )* }
    }
}

/// Loads the schema that a macro names.
pub(crate) fn load(name: &LitStr) -> Result<Source, Error> {
    let value = name.value();
    let error = |message: String| Error::new(name.span(), message);
    let parse = |text: &str| {
        DatabaseSchema::parse(text).map_err(|e| error(format!("broken schema `{value}`: {e}")))
    };
    if let Some(text) = bundled(&value) {
        return Ok(Source {
            schema: parse(text)?,
            file: None,
        });
    }
    if !value.contains(['/', '.']) {
        return Err(error(format!(
            "no bundled schema `{value}`{}; there are {}, and a file's path has a `/` or a `.`",
            did_you_mean(&value, BUNDLED.iter().copied()),
            BUNDLED.join(", "),
        )));
    }
    let folder = std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    let path = folder.join(&value);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| error(format!("cannot read the schema `{value}`: {e}")))?;
    Ok(Source {
        schema: parse(&text)?,
        file: Some(path.display().to_string()),
    })
}
