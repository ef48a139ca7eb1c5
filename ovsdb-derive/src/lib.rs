//! Procedural macros that turn an OVSDB schema into typed Rust tables. Use them through the crate
//! `ovsdb`, which re-exports them.
//!
//! # Names
//!
//! One rule makes the schema's names Rust's:
//!
//! - A table's words are split at `_`. A word all in capitals is written as one word (`ACL` is
//!   `Acl`, `DHCP_Options` is `DhcpOptions`), of any other the first letter becomes a capital
//!   (`Logical_Switch` is `LogicalSwitch`, `QoS` stays). A table called `self` is `SelfTable`.
//! - A column keeps its name, in lower case, as a field; a name that Rust reserves is written as a
//!   raw identifier (`r#type`), and `self`, `super` and `crate` get a `_` after it. Its typed
//!   handle is the constant of the name in upper case (`TYPE`).
//! - An index over two to six columns is a constant that joins the names of their constants
//!   (`LOGICAL_PORT_AND_DST_IP`).
//! - The enum of a string column is named after the types of table and column (`AclAction`; in a
//!   map `...Key` or `...Value`). Its values' words are split where a character is neither letter
//!   nor digit (`allow-related` is `AllowRelated`); a value that begins with a digit gets a `V`
//!   before it, one without letters and digits is `Empty`, and `unknown` and `self` are
//!   `UnknownValue` and `SelfValue`. `Unknown(..)` holds any other value.
//!
//! The aliases of the library's types (`Client`, `Cache`, ...) are no names of the schema: where a table
//! or an enum has the name, there is no alias.
//!
//! Two names may become one: `ACL` and `Acl`, `a-b` and `a_b`, the label `Database` and a table of
//! that name. The error says so, and how one gets another name: see [`schema!`](schema!).

mod arguments;
mod column;
mod conformance;
mod default;
mod docs;
#[cfg(test)]
mod expansion;
#[cfg(test)]
#[path = "../../fuzz/src/expansion.rs"]
mod fuzzed;
mod indexes;
mod manual;
mod names;
mod notes;
mod rename;
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
/// documented with the schema's facts. `Client`, `ClientBuilder`, `Cache`, `CacheBuilder`,
/// `Snapshot`, `Transaction`, `Desired`, `Plan`, `Reconciler`, `Runner` and `AllChanges` are aliases of the
/// library's types for this database. With the feature `serde` of `ovsdb`, structs and enums implement
/// serde's `Serialize` and `Deserialize`.
///
/// ```
/// mod switches {
///     ovsdb::schema!("OVN_Northbound");
/// }
/// let port = switches::LogicalSwitchPort { name: "p1".into(), ..Default::default() };
/// assert_eq!(port.r#type, "");
/// ```
///
/// Three arguments can follow:
///
/// - `tables = ["Table", ...]` generates only these tables. A reference to a table that is left
///   out is a plain [`Uuid`].
/// - `rename = { "Table" => Name, "Table.column" => name, "Table.column.value" => Name }` gives
///   names other than the rule's. A column's name becomes its field, the constant in upper case,
///   and the end of its enum's name.
/// - `manual = "https://example.org/inventory.html#{table}"` links the documentation of each table and column to
///   the page that describes it. `{table}` stands for the table's name in the schema; an address without it
///   links to the page as a whole.
///
/// ```
/// mod switches {
///     ovsdb::schema!(
///         "OVN_Northbound",
///         tables = ["Logical_Switch", "Logical_Switch_Port"],
///         rename = {
///             "Logical_Switch" => Switch,
///             "Logical_Switch_Port" => Port,
///             "Logical_Switch_Port.type" => kind,
///         },
///         manual = "https://manpages.debian.org/unstable/ovn-nb.5#{table}_TABLE",
///     );
/// }
/// let port = switches::Port { kind: "router".into(), ..Default::default() };
/// assert_eq!(switches::Port::KIND.get(&port), "router");
/// // The table `ACL` is left out.
/// let _: ovsdb::Set<ovsdb::Uuid> = switches::Switch::default().acls;
/// ```
///
/// [`Uuid`]: https://docs.rs/ovsdb/latest/ovsdb/struct.Uuid.html
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
/// - `default`, optional: with `true`, the derive writes the struct's `Default`, which is what a
///   server of that schema stores in the columns that an insert leaves out. Where that is not what
///   `#[derive(Default)]` makes, because a set or a map has one element there, this must be said;
///   `false` stands for a `Default` of one's own.
/// - `column`, on a field: the column's name, where it is not the field's.
/// - `constant`, on a field: the name of the column's handle, where it is not the column's name in
///   upper case.
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
