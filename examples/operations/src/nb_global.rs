//! The one row of `NB_Global`.

use ovsdb::Ref;
use ovsdb::nb::NbGlobal;
use ovsdb::transaction::BuildError;

use crate::{Result, Transaction, rows};

/// The row; ovn-northd or an administrator inserts it.
pub fn get(txn: &Transaction) -> Result<Ref<NbGlobal>> {
    let found = rows::find(txn, |_| true).first().copied();
    let (table, key) = ("NB_Global", "any key".into());
    found.ok_or(BuildError::NotFound { table, key })
}

/// Sets options; an empty value removes the option.
pub fn set_options(txn: &mut Transaction, options: &[(&str, &str)]) -> Result {
    let global = get(txn)?;
    rows::set_keys(txn, global, NbGlobal::OPTIONS, options)
}
