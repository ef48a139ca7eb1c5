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
//! [`Atom`] and [`Datum`] hold any value where the type is known only at run time.

mod atom;
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
mod set;
mod shared_slice;
mod text;

pub use uuid::Uuid;

#[doc(hidden)]
pub use self::atom::Domain;
pub(crate) use self::atom::parse_uuid;
pub use self::atom::{Atom, Atomic};
pub use self::column::{ColumnKind, ColumnValue, Value};
pub use self::datum::Datum;
#[doc(hidden)]
pub use self::default::one_default;
pub use self::map::Map;
pub(crate) use self::prefetch::Prefetch;
pub use self::real::Real;
pub use self::reference::Ref;
#[doc(hidden)]
pub use self::reference::Referent;
pub(crate) use self::repeats::Repeats;
pub use self::set::Set;
pub use self::text::Str;
