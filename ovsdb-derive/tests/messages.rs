//! What the macros say of mistakes they see themselves, word for word.
//!
//! After a change of a message, `TRYBUILD=overwrite cargo test -p ovsdb-derive --test messages`
//! writes the new ones.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/messages/*.rs");
}
