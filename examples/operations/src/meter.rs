//! Meters.

use ovsdb::nb::MeterBand;
use ovsdb::{Ref, Row};

use crate::{Transaction, rows};

/// A band that is equal to `wanted`, or a new one. If several are equal, it always returns the same one, so
/// that meters eventually share it and the server deletes the others. A meter must refer to
/// a new one in the same transaction.
pub fn ensure_band(txn: &mut Transaction, wanted: &MeterBand) -> Ref<MeterBand> {
    let equal = rows::find(txn, |band: &Row<MeterBand>| **band == *wanted);
    let first = equal.into_iter().min_by_key(|band| band.uuid());
    first.unwrap_or_else(|| txn.insert(wanted.clone()))
}
