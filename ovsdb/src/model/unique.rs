//! What an index of the schema makes unique: one column, or several columns together.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use super::{Changeable, Column, Mutability, Mutable, Table, check};
use crate::value::{Sealed, Value};

/// Marks a [`Column`] with an index of its own in the schema: no two rows have the same value in it.
/// `M` tells whether the column can be changed.
///
/// [`Snapshot::get_by`](crate::Snapshot::get_by) looks rows up by such a column. Generated code gives
/// columns this marker where the schema says so. In a table written by hand, [`Table::INDEXES`] must
/// contain the index:
///
/// ```compile_fail
/// # #[cfg(not(feature = "nb"))] compile_error!();
/// use ovsdb::{Column, Str, Unique, nb::LogicalSwitch};
///
/// // Several switches may have the same name.
/// const NAME: Column<LogicalSwitch, Str, Unique> =
///     Column::new(LogicalSwitch::NAME.index(), |switch| &switch.name);
/// ```
#[derive(Debug)]
pub struct Unique<M = Mutable> {
    mutability: PhantomData<fn() -> M>,
    /// Keeps values of this type from being made.
    _never: Infallible,
}

impl<M> Sealed for Unique<M> {}
impl<M: Mutability> Mutability for Unique<M> {
    const UNIQUE: bool = true;
}
impl<M: Changeable> Changeable for Unique<M> {}

/// An index of the schema over several columns: no two rows have the same values in all of them.
///
/// `K` is the tuple of the columns' types. [`Snapshot::get_by`](crate::Snapshot::get_by) looks rows up
/// in it by a tuple of borrowed values. Generated code has a constant for each such index of up to six
/// columns, whose name joins the names of the columns:
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "testing"))] {
/// # let mut rows = ovsdb::testing::SnapshotBuilder::<ovsdb::nb::Database>::new();
/// # let (logical_port, dst_ip) = ("rtr0-public".into(), "192.0.2.1".into());
/// # rows.insert(ovsdb::nb::Bfd { logical_port, dst_ip, min_tx: Some(10), ..Default::default() });
/// # let view = rows.build()?;
/// use ovsdb::nb::Bfd;
///
/// let session = view.get_by(Bfd::LOGICAL_PORT_AND_DST_IP, ("rtr0-public", "192.0.2.1"));
/// assert_eq!(session.expect("a session").min_tx, Some(10));
/// # }
/// # Ok::<(), ovsdb::testing::ReplayError>(())
/// ```
pub struct UniqueIndex<T, K: UniqueKey<T>> {
    position: usize,
    accessors: K::Accessors,
}

/// A tuple of two to six column types, the key of a [`UniqueIndex`].
pub trait UniqueKey<T>: Sealed<Unique> {
    /// Functions that read the columns.
    #[doc(hidden)]
    type Accessors: Copy;
}

impl<T, K: UniqueKey<T>> UniqueIndex<T, K> {
    /// The position in [`Table::INDEXES`].
    pub(crate) const fn position(self) -> usize {
        self.position
    }

    pub(crate) const fn accessors(self) -> K::Accessors {
        self.accessors
    }
}

impl<T, K: UniqueKey<T>> Sealed for UniqueIndex<T, K> {}

impl<T, K: UniqueKey<T>> Clone for UniqueIndex<T, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, K: UniqueKey<T>> Copy for UniqueIndex<T, K> {}

impl<T: Table, K: UniqueKey<T>> fmt::Debug for UniqueIndex<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = T::INDEXES[self.position].iter();
        let columns: Vec<_> = columns.map(|column| T::COLUMNS[*column].name).collect();
        write!(f, "{}.({})", T::TABLE, columns.join(", "))
    }
}

/// Implements [`UniqueKey`] for tuples of column types, and `UniqueIndex::new` for these keys.
macro_rules! tuples {
    ($( ($($value:ident $marker:ident $at:tt),*) )*) => { $(
        impl<$($value: Value),*> Sealed<Unique> for ($($value,)*) {}

        impl<T: 'static, $($value: Value),*> UniqueKey<T> for ($($value,)*) {
            type Accessors = ($(fn(&T) -> &$value,)*);
        }

        impl<T: Table, $($value: Value),*> UniqueIndex<T, ($($value,)*)> {
            /// The index over these columns, in the order of the schema. In a constant, columns without
            /// such an index do not compile.
            ///
            /// # Panics
            /// When [`Table::INDEXES`] has no index over these columns in this order.
            #[must_use]
            pub const fn new<$($marker: Mutability),*>(
                columns: ($(Column<T, $value, $marker>,)*),
            ) -> Self {
                Self {
                    position: check::position_of(T::INDEXES, &[$(columns.$at.index),*]),
                    accessors: ($(columns.$at.get,)*),
                }
            }
        }
    )* };
}

tuples! {
    (A M 0, B N 1)
    (A M 0, B N 1, C O 2)
    (A M 0, B N 1, C O 2, D P 3)
    (A M 0, B N 1, C O 2, D P 3, E Q 4)
    (A M 0, B N 1, C O 2, D P 3, E Q 4, F R 5)
}
