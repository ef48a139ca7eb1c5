//! Values: atoms, sets, maps, optional values and typed references, with their wire form.
//!
//! The types of RFC 7047 section 3.2 and their Rust counterparts:
//!
//! | schema | Rust |
//! |---|---|
//! | `integer`, `boolean`, `uuid` | [`i64`], [`bool`], [`Uuid`] |
//! | `real` | [`Real`] |
//! | `string` | [`Str`], or a generated enum where the schema lists the values |
//! | `uuid` with `refTable` | [`Ref<Table>`](Ref) |
//! | `min` 0, `max` 1 | [`Option<T>`] |
//! | `max` over 1 | [`Set<T>`] |
//! | `value` present | [`Map<K, V>`](Map) |
//!
//! [`Atom`] and [`Datum`] hold values whose type is known only at run time.
//!
//! # Generated enums
//!
//! A generated enum has a variant for each value that the schema lists, and `Unknown` for any other
//! text, as a newer server may send it. So every text is a value, and the conversion from text
//! (`From<&str>`, `From<Str>`, [`FromStr`](std::str::FromStr)) never fails. `as_str`, `Display` and
//! `AsRef<str>` give the text as the schema spells it.
//!
//! ```
//! # #[cfg(feature = "nb")] {
//! use ovsdb::nb::AclAction;
//!
//! assert_eq!(AclAction::from("allow-related"), AclAction::AllowRelated);
//! assert_eq!("drop".parse(), Ok(AclAction::Drop));
//! assert_eq!(AclAction::AllowRelated.to_string(), "allow-related");
//! assert_eq!(AclAction::from("newer"), AclAction::Unknown("newer".into()));
//! # }
//! ```
//!
//! # Serialization
//!
//! With the feature `serde`, values and rows implement serde's `Serialize` and `Deserialize`. The
//! shape is that of the column, not RFC 7047's:
//!
//! | value | serde | JSON |
//! |---|---|---|
//! | `i64`, `bool` | integer, boolean | `5`, `true` |
//! | [`Real`] | float | `0.5` |
//! | [`Str`], a generated enum | string | `"allow-related"` |
//! | [`Uuid`], [`Ref`] | string (16 bytes in a binary format) | `"f4bb6a91-019b-4612-b6aa-88fc663dd515"` |
//! | [`Option`] | option | the value, or `null` |
//! | [`Set`] | sequence, sorted | `[1, 2]` |
//! | [`Map`] | map, sorted by key | `{"pod": "true"}`; integer, real and boolean keys as strings |
//! | a row's columns | map, by the schema's names | `{"name": "sw0", ...}` |
//! | [`Row`](crate::Row) | the same, with the uuid first | `{"_uuid": "f4bb...", "name": "sw0", ...}` |
//!
//! [`Atom`] and [`Datum`] only implement `Serialize`, because their types could not be told when
//! reading: a uuid looks like a string. A [`Datum`] with one element is serialized as that atom, any
//! other as a sequence or a map.

mod atom;
mod cell;
mod collection;
mod column;
mod datum;
mod default;
mod enumeration;
pub mod json;
mod map;
mod prefetch;
mod real;
mod reference;
mod repeats;
mod sealed;
#[cfg(feature = "serde")]
mod serialize;
mod set;
mod shared_slice;
mod text;

pub use uuid::Uuid;

#[doc(hidden)]
pub use self::atom::Domain;
pub use self::atom::{Atom, Atomic};
pub(crate) use self::atom::{parse_uuid, read_uuid};
pub(crate) use self::cell::Cell;
pub(crate) use self::column::read_datum;
pub use self::column::{ColumnKind, ColumnValue, Value};
pub use self::datum::Datum;
#[doc(hidden)]
pub use self::default::one_default;
pub use self::map::{Map, MapIter};
pub(crate) use self::prefetch::Prefetch;
pub use self::real::Real;
pub use self::reference::Ref;
#[doc(hidden)]
pub use self::reference::Referent;
pub(crate) use self::repeats::Repeats;
pub(crate) use self::sealed::Sealed;
#[cfg(feature = "serde")]
pub(crate) use self::serialize::{ColumnSeed, SerializedColumn};
pub use self::set::Set;
pub use self::shared_slice::IntoIter;
pub use self::text::Str;
