//! The manual page that documents the tables of a schema.

use syn::{Error, LitStr, Result};

/// The placeholder for the table's name in the address.
const TABLE: &str = "{table}";

/// The address of the page, with a placeholder for the table's name.
pub(crate) struct Manual {
    address: String,
}

impl Manual {
    /// Reads the argument `manual`.
    pub(crate) fn new(argument: &LitStr) -> Result<Self> {
        let address = argument.value();
        let error = |message: &str| Err(Error::new(argument.span(), message));
        if !address.starts_with("https://") && !address.starts_with("http://") {
            return error("expected the address of a page, which begins with `https://`");
        }
        if address.replace(TABLE, "").contains(['{', '}']) {
            return error("unknown name in braces; known: `{table}`, the name of the table");
        }
        if address.contains([' ', '<', '>', '(', ')', '\n']) {
            return error(
                "an address cannot contain spaces, parentheses or angle brackets; write `%20` for a space, `%28` for `(`",
            );
        }
        Ok(Self { address })
    }

    /// The link to the section of a table, as Markdown.
    pub(crate) fn link(&self, table: &str) -> String {
        format!(
            "[Manual: `{table}`]({})",
            self.address.replace(TABLE, table)
        )
    }
}
