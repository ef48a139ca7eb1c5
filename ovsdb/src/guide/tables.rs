//! Tables and columns: how a schema becomes Rust types.
//!
//! # Generated tables
//!
//! [`schema!`] generates a struct for each table of a schema, or for those that its argument `tables` names. Its first argument is a
//! schema file, or the name of a bundled schema. The modules [`nb`], [`sb`] and [`vswitch`] of this crate are generated in this way.
//!
//! ```
//! mod inventory {
//!     ovsdb::schema!("OVN_Northbound", tables = ["Logical_Switch", "Logical_Switch_Port", "ACL"]);
//! }
//! use inventory::{Acl, AclAction, LogicalSwitch};
//!
//! let switch = LogicalSwitch { name: "sw0".into(), ..Default::default() };
//! let acl = Acl { action: AclAction::Drop, priority: 100, r#match: "ip4".into(), ..Default::default() };
//! assert_eq!(acl.action.as_str(), "drop");
//! # let _ = switch;
//! ```
//!
//! A table's words become one name (`Logical_Switch` is `LogicalSwitch`, `ACL` is `Acl`), and a column is the field of
//! the same name (`r#type` where Rust reserves the name). [`ovsdb_derive`] has the complete rule.
//!
//! The documentation of a generated table or column says what the schema says of it: its limits, its default, whether an
//! insert must set it, and what keeps a row alive. In [`nb`], [`sb`] and [`vswitch`] it also says since which release a
//! table or column exists and which keys are documented, and links to the section of the manual. The argument `manual` of
//! [`schema!`] adds such links to a schema of your own.
//!
//! # Types
//!
//! | in the schema | in Rust |
//! |---|---|
//! | `integer`, `boolean`, `real`, `uuid` | [`i64`], [`bool`], [`Real`], [`Uuid`] |
//! | `string` | [`Str`], an immutable string that is cheap to clone |
//! | `string` with a list of values | a generated enum, whose variant `Unknown` holds any other text |
//! | `uuid` that refers to a table | [`Ref<Table>`](Ref): a reference to a switch cannot be used as one to a port |
//! | at most one value | [`Option`] |
//! | several values | [`Set`] |
//! | keys and values | [`Map`] |
//!
//! Sets and maps are copy-on-write: clones share their memory until one of them is changed. Clones of a long string share
//! its memory, too. Strings, sets and maps convert from standard types: `"p1".into()`, `["a", "b"].into()`, `[("key", "value")].into()`.
//!
//! ```
//! use ovsdb::nb::LogicalSwitchPort as Port;
//!
//! let mut port = Port { name: "p1".into(), ..Default::default() };
//! port.addresses.insert("dynamic");
//! port.external_ids.insert("namespace", "web");
//! port.tag = Some(7);
//! assert!(port.addresses.contains("dynamic"));
//! assert_eq!(port.external_ids.get("namespace").map(|name| name.as_str()), Some("web"));
//! ```
//!
//! `Default` gives each column what the server stores when an insert omits it, so `..Default::default()` leaves these
//! columns to the server. A required reference, and a column whose default the schema forbids (most required enums), must be set.
//!
//! A row of the database is a [`Row<T>`](Row). It dereferences to the struct, and adds its [`uuid`](Row::uuid) and a
//! [`reference`](Row::reference) to it.
//!
//! # Columns as constants
//!
//! Each column is also a constant ([`Column`]). Conditions, mutations and look-ups start from it, and the compiler
//! accepts only what the type of the column allows:
//!
//! ```
//! use ovsdb::nb::{Acl, LogicalSwitchPort as Port};
//!
//! let named = Port::NAME.eq("p1");
//! let labelled = Port::EXTERNAL_IDS.includes([("namespace", "web")]);
//! let urgent = Acl::PRIORITY.ge(1000);
//! # let _ = (named, labelled, urgent);
//! ```
//!
//! ```compile_fail
//! use ovsdb::nb::LogicalSwitchPort as Port;
//!
//! let before = Port::NAME.lt("p1"); // OVSDB does not order strings
//! ```
//!
//! The type of the constant also says whether the schema keeps the column [unique](Unique), so that rows can be looked up by it,
//! and whether it is [immutable](Immutable): an update of such a column does not compile.
//!
//! # Part of a table
//!
//! A program that needs few columns of a wide table declares a struct of its own. [`derive(Table)`](derive@Table) checks
//! it against the schema when it is compiled. The server then sends only these columns:
//!
//! ```
//! use ovsdb::{Map, Str, nb};
//!
//! #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
//! #[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
//! struct Switch {
//!     name: Str,
//!     external_ids: Map<Str, Str>,
//! }
//! let labelled = Switch::EXTERNAL_IDS.includes([("owner", "me")]);
//! # let _ = labelled;
//! ```
//!
//! Such a struct is a table of the same database as the generated ones: it is replicated, read, written and followed in
//! the same way. [`Ref::cast`] converts references between structs of the same table.
//!
//! A program that does not know the tables when it is compiled uses [`any_tables`](super::any_tables).
//!
//! Next: [`reading`](super::reading).

#[cfg(doc)]
use crate::*;
