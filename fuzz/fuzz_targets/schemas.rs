#![no_main]
//! Schemas, and what `schema!` makes of them. Only the compiler can use the crate of a macro, so its modules
//! are included here again.

macro_rules! of_the_macro {
    ($($module:ident $path:literal)*) => { $(
        #[path = $path]
        #[allow(dead_code)]
        mod $module;
    )* };
}

of_the_macro! {
    arguments "../../ovsdb-derive/src/arguments.rs"
    column "../../ovsdb-derive/src/column.rs"
    conformance "../../ovsdb-derive/src/conformance.rs"
    default "../../ovsdb-derive/src/default.rs"
    docs "../../ovsdb-derive/src/docs.rs"
    expansion "../src/expansion.rs"
    indexes "../../ovsdb-derive/src/indexes.rs"
    manual "../../ovsdb-derive/src/manual.rs"
    names "../../ovsdb-derive/src/names.rs"
    notes "../../ovsdb-derive/src/notes.rs"
    rename "../../ovsdb-derive/src/rename.rs"
    schema_macro "../../ovsdb-derive/src/schema_macro.rs"
    source "../../ovsdb-derive/src/source.rs"
    suggest "../../ovsdb-derive/src/suggest.rs"
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    ovsdb_fuzz::texts::schemas(data);
    expansion::expansion(data);
});
