//! ACLs, which a switch or a port group refers to.

use ovsdb::nb::{Acl, AclSeverity};
use ovsdb::{Ref, Str};

use crate::{ACLS, Result, Transaction, rows};

/// A name that the schema allows: at most 63 characters; `None` if it is empty.
pub fn name(name: &str) -> Option<Str> {
    let name: String = name.chars().take(63).collect();
    (!name.is_empty()).then(|| name.into())
}

/// Creates the owner's ACL with this id, or changes it. Another row must refer to a new one in the same
/// transaction.
pub fn ensure(txn: &mut Transaction, id: &str, change: impl FnOnce(&mut Acl)) -> Ref<Acl> {
    txn.ensure(&*ACLS, id, change)
}

/// Changes an ACL that exists.
pub fn update(txn: &mut Transaction, id: &str, change: impl FnOnce(&mut Acl)) -> Result<Ref<Acl>> {
    rows::update(txn, &*ACLS, id, change)
}

/// Sets the severity at which packets of an existing ACL are logged; `None` turns logging off.
pub fn set_logging(
    txn: &mut Transaction,
    id: &str,
    severity: Option<AclSeverity>,
) -> Result<Ref<Acl>> {
    update(txn, id, |acl| {
        (acl.log, acl.severity) = (severity.is_some(), severity);
    })
}
