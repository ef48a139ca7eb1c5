//! What a small schema expands to, compared with a file that is checked in.

use ovsdb_schema::DatabaseSchema;

use crate::{fuzzed, schema_macro};

/// The environment variable that makes the test rewrite the file.
const WRITE: &str = "OVSDB_WRITE_EXPANSION";

#[test]
fn a_small_schema_expands_to_the_file() {
    let schema = DatabaseSchema::parse(include_str!("../tests/files/library.ovsschema"))
        .expect("a good schema");
    let arguments = syn::parse_str("\"library.ovsschema\"").expect("arguments");
    let tokens = schema_macro::module(&schema, &arguments).expect("an expansion");
    let items = syn::parse2(tokens).expect("Rust");
    let expansion = format!(
        "// What `schema!` makes of library.ovsschema, with the inner macros left as they are.\n\
         // Written by `{WRITE}=1 cargo test -p ovsdb-derive --lib`.\n\n{}",
        prettyplease::unparse(&items)
    );
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/files/library.expanded.rs"
    );
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, &expansion).expect("the file is written");
    }
    let written = std::fs::read_to_string(path).expect("the file");
    assert!(
        written == expansion,
        "the expansion is another one; {WRITE}=1 writes it to {path}"
    );
}

/// The corpus of the fuzz target `schemas`: what a fuzzer once found stays mended.
#[test]
fn schemas_of_the_corpus_expand_or_are_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/schemas");
    let mut files = 0;
    for file in std::fs::read_dir(folder).expect("the corpus") {
        let file = file.expect("a file").path();
        let input = std::fs::read(&file).expect("a readable file");
        let held = std::panic::catch_unwind(|| fuzzed::expansion(&input));
        assert!(held.is_ok(), "{} breaks the macro", file.display());
        files += 1;
    }
    assert!(files >= 10, "{folder} has {files} files only");
}
