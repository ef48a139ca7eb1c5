//! Typed references to rows.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::Uuid;

/// What a [`Ref`] in a column can refer to: any [`Table`](crate::Table).
#[doc(hidden)]
pub trait Referent: 'static {
    /// The name of the table's database.
    const DATABASE: &'static str;
    /// The table's name in the schema.
    const TABLE: &'static str;
}

/// A reference to a row of the table `T`: the row's uuid, with the table as part of the type.
///
/// The row need not exist in the replica: a condition may hide it, or it may not have arrived yet. `T`
/// is only a compile-time label, so `Ref<T>` is [`Copy`] and as small as a uuid, and converts from and
/// into one:
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Ref, Uuid, nb::LogicalSwitch};
///
/// let uuid = Uuid::from_u128(7);
/// let switch: Ref<LogicalSwitch> = uuid.into();
/// assert_eq!(Uuid::from(switch), uuid);
/// # }
/// ```
pub struct Ref<T: ?Sized> {
    uuid: Uuid,
    table: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Ref<T> {
    /// A reference to the row with this uuid.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self {
            uuid,
            table: PhantomData,
        }
    }

    /// The row's uuid.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<T: ?Sized> From<Uuid> for Ref<T> {
    fn from(uuid: Uuid) -> Self {
        Self::new(uuid)
    }
}

impl<T: ?Sized> From<Ref<T>> for Uuid {
    fn from(reference: Ref<T>) -> Self {
        reference.uuid()
    }
}

impl<T: ?Sized> Clone for Ref<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for Ref<T> {}

impl<T: ?Sized> Default for Ref<T> {
    fn default() -> Self {
        Self::new(Uuid::nil())
    }
}

impl<T: ?Sized> PartialEq for Ref<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<T: ?Sized> Eq for Ref<T> {}

impl<T: ?Sized> PartialOrd for Ref<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> Ord for Ref<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<T: ?Sized> Hash for Ref<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({})", self.uuid)
    }
}

impl<T: ?Sized> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}
