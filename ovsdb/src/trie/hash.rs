//! The hashes of rows and index keys.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use crate::simulated::HashState;
use crate::value::Uuid;

/// One seed for the whole process, so that look-ups hash like the writer. The order of rows in a
/// snapshot, and in the replies of this crate's own server, depends on the seed.
static HASHER: LazyLock<HashState> = LazyLock::new(Default::default);

#[expect(
    clippy::cast_possible_truncation,
    reason = "the trie uses 32 bits of a hash"
)]
pub(crate) fn hash_of(write: impl FnOnce(&mut foldhash::fast::FoldHasher<'_>)) -> u32 {
    let mut hasher = HASHER.build_hasher();
    write(&mut hasher);
    hasher.finish() as u32
}

pub(crate) fn hash_uuid(uuid: Uuid) -> u32 {
    hash_of(|hasher| hasher.write_u128(uuid.as_u128()))
}
