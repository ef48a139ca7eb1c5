//! Procedural macros that turn an OVSDB schema into typed Rust tables. Use them through the crate
//! `ovsdb`, which re-exports them.
//!
//! # Names
//!
//! Names of the schema become Rust names by these rules:
//!
//! - A table's name is split into words at `_`. Of a word all in capitals, only the first letter stays
//!   a capital (`ACL` is `Acl`, `DHCP_Options` is `DhcpOptions`). In any other word the first letter becomes a capital
//!   (`Logical_Switch` is `LogicalSwitch`, `QoS` stays). A table called `self` is `SelfTable`.
//! - A column keeps its name, in lower case, as a field; a name that Rust reserves is written as a
//!   raw identifier (`r#type`), and `self`, `super` and `crate` get a `_` at the end. Its typed
//!   handle is the constant of the name in upper case (`TYPE`).
//! - An index over two to six columns is a constant that joins the names of their constants
//!   (`LOGICAL_PORT_AND_DST_IP`).
//! - The enum of a string column has the name of the table's type, followed by the column's words (`AclAction`; for a
//!   map followed by `Key` or `Value`). Its values' words are split where a character is neither a letter
//!   nor a digit of ASCII (`allow-related` is `AllowRelated`); a value whose first letter or digit is a digit gets a
//!   `V` before it, one without letters and digits is `Empty`, and `unknown` and `self` are
//!   `UnknownValue` and `SelfValue`. `Unknown(..)` holds any other value.
//!
//! The aliases of the library's types (`Client`, `Cache`, ...) do not come from the schema: an alias is omitted if a
//! table or an enum has its name.
//!
//! Two names may become the same Rust name: `ACL` and `Acl`, `a-b` and `a_b`, the type `Database` and a table of
//! that name. That is an error, which says how to rename one of them: see [`schema!`](schema!).

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

/// Generates the typed tables of a schema in the current module.
///
/// The argument is the name of a bundled schema (`"OVN_Northbound"`, `"OVN_Southbound"`,
/// `"Open_vSwitch"`), or the path of a schema file, relative to the folder of the crate that calls the macro.
/// The documentation of the crate `ovsdb-derive` states how the names are formed.
///
/// Expands to `Database`, a type that stands for the database; a struct for each table, with a constant for each
/// column and each index over two to six columns; and an enum for each string column whose values the schema lists.
/// Their documentation states what the schema says of them, and for the bundled schemas since which release they
/// exist and which keys their manual documents. `Client`, `ClientBuilder`, `Cache`, `CacheBuilder`,
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
/// - `rename = { "Table" => Name, "Table.column" => name, "Table.column.value" => Name }` gives other names than the
///   rules do. A column's name becomes its field, the constant in upper case,
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

/// Implements `Table` for a struct that has some of a table's columns.
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
/// - `schema`, optional: the name of a bundled schema or the path of a schema file. The table, the columns
///   and the fields' types are then checked against it. A [`Ref`] must be to a struct of the table that the
///   schema names (a [`Uuid`] may be any reference), and a generated enum must list the column's values (a
///   [`Str`] may be any of them).
/// - `default`, optional: with `true`, which needs `schema`, the derive writes the struct's `Default`. It is what a
///   server of that schema stores in the columns that an insert omits; required references stay unset. The attribute
///   is required if a column has one element by default on the server, and its field is an `Option`, `Set` or `Map`,
///   which `#[derive(Default)]` leaves empty. `false` says that the program writes its own `Default`.
/// - `column`, on a field: the column's name, if it differs from the field's.
/// - `constant`, on a field: the name of the column's handle, if it differs from the column's name in upper case.
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
