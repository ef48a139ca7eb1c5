//! The exact messages of the macros for mistakes that they find themselves.
//!
//! After a change of a message, `TRYBUILD=overwrite cargo test -p ovsdb-derive --test messages`
//! writes the new ones.

#[test]
fn mistakes_are_explained() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/messages/*.rs");
}
