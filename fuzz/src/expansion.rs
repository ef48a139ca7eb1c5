//! The second half of the fuzz target `schemas`: what `schema!` makes of a schema.

#![allow(unreachable_pub, reason = "a module of two crates")]

use ovsdb_schema::DatabaseSchema;

use crate::schema_macro;

/// The macro generates Rust from any schema, or reports why it cannot.
///
/// The text may have the macro's arguments before the schema, on a line of their own.
///
/// # Panics
/// When the macro panics, generates something else than Rust, or reports an error without a text.
pub fn expansion(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (arguments, text) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with('"') => (first, rest),
        _ => ("\"fuzzed.ovsschema\"", text),
    };
    let (Ok(arguments), Ok(schema)) = (syn::parse_str(arguments), DatabaseSchema::parse(text))
    else {
        return;
    };
    match schema_macro::module(&schema, &arguments) {
        Ok(tokens) => drop(syn::parse2::<syn::File>(tokens).expect("Rust")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
