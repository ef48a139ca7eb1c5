//! Keeps other crates from implementing a trait.

/// The supertrait of traits that only this crate implements, so that methods can be added to them.
/// `For` distinguishes implementations that would otherwise overlap.
///
/// ```compile_fail,E0277
/// struct Sometimes;
///
/// impl ovsdb::model::Changeable for Sometimes {}
/// ```
#[expect(unnameable_types, reason = "no other crate implements it")]
pub trait Sealed<For = ()> {}
