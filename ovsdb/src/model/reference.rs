//! References between tables: casts to another struct of the same table, and which tables can refer to
//! which.

use std::sync::Arc;

use super::{Database, Row, Table, check};
use crate::value::{Ref, Sealed};

impl<T: Table> Ref<T> {
    /// A reference to the same row, as another struct of its table. The program does not compile unless
    /// `S` and `T` are structs of the same table.
    ///
    /// ```
    /// # #[cfg(feature = "nb")] {
    /// use ovsdb::{Ref, Str, nb};
    ///
    /// #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
    /// #[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
    /// struct Named {
    ///     name: Str,
    /// }
    ///
    /// let switch = Ref::<nb::LogicalSwitch>::default();
    /// let named: Ref<Named> = switch.cast();
    /// # let _ = named;
    /// # }
    /// ```
    ///
    /// A switch is not a router:
    ///
    /// ```compile_fail
    /// # #[cfg(not(feature = "nb"))] compile_error!();
    /// # use ovsdb::{Ref, nb};
    /// let switch = Ref::<nb::LogicalSwitch>::default();
    /// let router: Ref<nb::LogicalRouter> = switch.cast();
    /// ```
    #[must_use]
    pub const fn cast<S: Table>(self) -> Ref<S> {
        const {
            assert!(
                check::same(T::Database::NAME, S::Database::NAME)
                    && check::same(T::TABLE, S::TABLE),
                "a reference can be cast between structs of one table only"
            );
        }
        Ref::new(self.uuid())
    }
}

/// A table with a column that can refer to rows of the table `T`.
///
/// `schema!` implements it where the schema says so, and `#[derive(Table)]` for each `Ref<T>` in a
/// field's type. Where a type alias hides the reference, it can be implemented by hand:
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::{Ref, Set, nb};
///
/// type Ports = Set<Ref<nb::LogicalSwitchPort>>;
///
/// #[derive(Debug, Clone, PartialEq, Default, ovsdb::Table)]
/// #[ovsdb(database = nb::Database, table = "Logical_Switch", schema = "OVN_Northbound")]
/// struct Switch {
///     ports: Ports,
/// }
///
/// impl ovsdb::model::RefersTo<nb::LogicalSwitchPort> for Switch {}
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "no column of `{Self}` can refer to a row of `{T}`",
    label = "cannot refer to a row of `{T}`"
)]
pub trait RefersTo<T: Table>: Table {}

/// A row to which rows of the table `S` can refer, or a reference to such a row;
/// [`Snapshot::referrers`](crate::Snapshot::referrers) takes one.
///
/// ```
/// # #[cfg(feature = "nb")] {
/// use ovsdb::model::ReferredBy;
/// use ovsdb::nb::{LogicalSwitch, Snapshot};
///
/// /// Whether a switch refers to this port, ACL or other row.
/// fn is_used(view: &Snapshot, row: impl ReferredBy<LogicalSwitch>) -> bool {
///     view.referrers(row).len() > 0
/// }
/// # }
/// ```
pub trait ReferredBy<S>: Sealed {
    /// The table of the row.
    #[doc(hidden)]
    type Table: Table;
    /// A reference to the row.
    #[doc(hidden)]
    fn as_reference(&self) -> Ref<Self::Table>;
}

impl<T: Table, S: RefersTo<T>> ReferredBy<S> for Ref<T> {
    type Table = T;
    fn as_reference(&self) -> Self {
        *self
    }
}

impl<T: Table, S: RefersTo<T>> ReferredBy<S> for &Row<T> {
    type Table = T;
    fn as_reference(&self) -> Ref<T> {
        self.reference()
    }
}

impl<T: Table, S: RefersTo<T>> ReferredBy<S> for &Arc<Row<T>> {
    type Table = T;
    fn as_reference(&self) -> Ref<T> {
        self.reference()
    }
}

impl<T> Sealed for Ref<T> {}
impl<T> Sealed for &Row<T> {}
impl<T> Sealed for &Arc<Row<T>> {}
