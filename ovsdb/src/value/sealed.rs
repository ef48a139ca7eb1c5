//! What keeps other crates from implementing a trait.

/// The supertrait of traits that this crate alone implements, so that they can get further methods.
/// `For` tells apart implementations that could overlap.
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Sealed<For = ()> {}
