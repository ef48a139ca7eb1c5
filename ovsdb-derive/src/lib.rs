//! Procedural macros that turn an OVSDB schema into typed Rust tables. Use them through the crate
//! `ovsdb`, which re-exports them.
//!
//! # Names
//!
//! One rule makes the schema's names Rust's:
//!
//! - A table's words are split at `_`. A word all in capitals is written as one word (`ACL` is
//!   `Acl`, `DHCP_Options` is `DhcpOptions`), of any other the first letter becomes a capital
//!   (`Logical_Switch` is `LogicalSwitch`, `QoS` stays).
//! - A column keeps its name, in lower case, as a field; a name that Rust reserves is written as a
//!   raw identifier (`r#type`). Its typed handle is the constant of the name in upper case
//!   (`TYPE`).
//! - The enum of a string column is named after table and column (`AclAction`; in a map `...Key`
//!   or `...Value`). Its values' words are split where a character is neither letter nor digit
//!   (`allow-related` is `AllowRelated`); a value that begins with a digit gets a `V` before it.
//!   `Unknown(..)` holds any other value.

mod conformance;
mod docs;
#[cfg(test)]
mod expansion;
mod names;
mod schema_macro;
mod source;
mod suggest;
mod table_derive;

use proc_macro::TokenStream;

/// Writes the typed tables of a schema into the current module.
///
/// The argument is the name of a bundled schema (`"OVN_Northbound"`, `"OVN_Southbound"`,
/// `"Open_vSwitch"`), or the path of a schema file, relative to the crate's folder. The
/// crate's documentation has the rule by which names are made.
///
/// Expands to `Database`, a label for the database; a struct for each table, with a constant for
/// each column; and an enum for each string column whose values the schema lists. Each is
/// documented with the schema's facts.
///
/// ```
/// mod switches {
///     ovsdb::schema!("OVN_Northbound");
/// }
/// let port = switches::LogicalSwitchPort { name: "p1".into(), ..Default::default() };
/// assert_eq!(port.r#type, "");
/// ```
#[proc_macro]
pub fn schema(input: TokenStream) -> TokenStream {
    schema_macro::expand(input.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a struct with some of a table's columns a table.
///
/// ```
/// use ovsdb::{Map, Str, nb};
///
/// #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
/// #[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
/// struct Switch {
///     name: Str,
///     #[ovsdb(column = "other_config")]
///     configuration: Map<Str, Str>,
/// }
/// assert_eq!(Switch::OTHER_CONFIG.name(), "other_config");
/// ```
///
/// - `database`: the type that stands for the database.
/// - `table`: the table's name in the schema.
/// - `schema`, optional: the name of a bundled schema or the path of a schema file, which the
///   table, the columns and the fields' types are then checked against: a reference must be to the
///   schema's table (a [`Ref`] to a struct of that table, or a [`Uuid`], which may be any
///   reference), a generated enum must list the column's values (a [`Str`] may be any of them).
/// - `column`, on a field: the column's name, where it is not the field's.
///
/// With or without a schema, references to tables of another database do not compile.
///
/// [`Ref`]: https://docs.rs/ovsdb/latest/ovsdb/struct.Ref.html
/// [`Str`]: https://docs.rs/ovsdb/latest/ovsdb/struct.Str.html
/// [`Uuid`]: https://docs.rs/ovsdb/latest/ovsdb/struct.Uuid.html
#[proc_macro_derive(Table, attributes(ovsdb))]
pub fn table(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    table_derive::expand(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
