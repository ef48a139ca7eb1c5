//! What keeps other crates from implementing a trait.

/// The supertrait of traits that this crate alone implements, so that they can get further methods.
/// `For` tells apart implementations that could overlap.
///
/// ```compile_fail,E0277
/// struct Sometimes;
///
/// impl ovsdb::model::Changeable for Sometimes {}
/// ```
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Sealed<For = ()> {}
