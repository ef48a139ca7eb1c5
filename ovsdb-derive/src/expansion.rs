//! What a small schema expands to, compared with a file that is checked in.

use ovsdb_schema::DatabaseSchema;
use syn::{Attribute, Expr, ExprLit, ImplItem, Item, Lit, Meta, MetaNameValue};

use crate::notes::Notes;
use crate::{docs, fuzzed, schema_macro};

/// The environment variable that makes the test rewrite the file.
const WRITE: &str = "OVSDB_WRITE_EXPANSION";

#[test]
fn a_small_schema_expands_to_the_file() {
    let schema = DatabaseSchema::parse(include_str!("../tests/files/library.ovsschema"))
        .expect("a good schema");
    let arguments = "\"library.ovsschema\", manual = \"https://example.org/library#{table}\"";
    let arguments = syn::parse_str(arguments).expect("arguments");
    let tokens = schema_macro::module(&schema, &arguments).expect("an expansion");
    let items = syn::parse2(tokens).expect("Rust");
    let expansion = format!(
        "// What `schema!` generates from library.ovsschema, with the inner macros left as they are.\n\
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
        "the expansion differs from {path}; {WRITE}=1 writes the file again"
    );
}

/// The modules `nb`, `sb` and `vswitch` of the library: what a reader of their documentation finds.
#[test]
fn every_table_and_column_of_the_library_links_to_its_manual() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ovsdb/src/lib.rs");
    let library = std::fs::read_to_string(path).expect("the library's root");
    let library = syn::parse_file(&library).expect("Rust");
    for (module, page) in [
        ("nb", "ovn-nb.5"),
        ("sb", "ovn-sb.5"),
        ("vswitch", "ovs-vswitchd.conf.db.5"),
    ] {
        let (mut checked, mut keys, mut since) = (0, 0, 0);
        for item in generated_by(&library, module) {
            match item {
                Item::Struct(item) if item.ident != "Database" => {
                    let doc = documentation(&item.attrs);
                    let table = doc.split('`').nth(1).expect("the table's name").to_owned();
                    let address =
                        format!("https://manpages.debian.org/unstable/{page}#{table}_TABLE");
                    let link = format!("\n\n[Manual: `{table}`]({address})");
                    assert!(doc.ends_with(&link), "{module}::{}: {doc}", item.ident);
                    for field in &item.fields {
                        let doc = documentation(&field.attrs);
                        assert!(doc.ends_with(&link), "{module}::{}: {doc}", item.ident);
                        checked += 1;
                        keys += usize::from(doc.contains(" documented for O"));
                        since += usize::from(doc.contains(" Since O"));
                    }
                }
                Item::Impl(item) if item.trait_.is_none() => {
                    for constant in item.items {
                        let ImplItem::Const(constant) = constant else {
                            continue;
                        };
                        let doc = documentation(&constant.attrs);
                        let linked = doc.contains("\n\n[Manual: `") || doc.starts_with("The index");
                        assert!(linked, "{module}: {}: {doc}", constant.ident);
                    }
                }
                _ => {}
            }
        }
        assert!(checked > 150, "{module} has only {checked} columns");
        assert!(keys >= 10, "{module} has keys of only {keys} columns");
        assert!(since >= 20, "{module} has releases of only {since} columns");
    }
}

/// What `schema!` generates for its call in a module.
fn generated_by(library: &syn::File, name: &str) -> Vec<Item> {
    let module = library.items.iter().find_map(|item| match item {
        Item::Mod(module) if module.ident == name => module.content.as_ref(),
        _ => None,
    });
    let (_, items) = module.expect("the module");
    let call = items.iter().find_map(|item| match item {
        Item::Macro(item) => Some(item.mac.tokens.clone()),
        _ => None,
    });
    let tokens = schema_macro::expand(call.expect("a call of `schema!`")).expect("an expansion");
    syn::parse2::<syn::File>(tokens).expect("Rust").items
}

/// The text of an item's documentation.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(MetaNameValue {
                path,
                value:
                    Expr::Lit(ExprLit {
                        lit: Lit::Str(text),
                        ..
                    }),
                ..
            }) if path.is_ident("doc") => Some(text.value()),
            _ => None,
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// What documentation says of columns that no bundled schema has.
#[test]
fn the_facts_of_a_column_are_documented() {
    let schema = DatabaseSchema::parse(
        r#"{"name": "Facts", "version": "1.0.0", "tables": {
            "Root": {"isRoot": true, "columns": {
                "at_least": {"type": {"key": {"type": "integer", "minInteger": 3}}},
                "flags": {"type": {"key": "boolean", "min": 1, "max": 2}},
                "kind": {"type": {"key": {"type": "string", "enum": ["set", ["", "a"]]}}},
                "only": {"type": {"key": {"type": "string", "enum": "a"}}},
                "short": {"type": {"key": {"type": "string", "maxLength": 8}}},
                "pairs": {"type": {"key": "string", "value": "real", "min": 1, "max": "unlimited"}},
                "own": {"type": {"key": {"type": "uuid", "refTable": "Part"}, "max": "unlimited", "min": 0}},
                "next": {"type": {"key": {"type": "uuid", "refTable": "Root"}}},
                "near": {"type": {"key": {"type": "uuid", "refTable": "Root", "refType": "weak"}, "min": 0, "max": 3}}
            }},
            "Part": {"columns": {"x": {"type": "string"}, "y": {"type": "string"}, "z": {"type": "string"}},
                "indexes": [["x", "y", "z"]]}
        }}"#,
    )
    .expect("a good schema");
    let facts = docs::Facts {
        schema: &schema,
        notes: Notes::default(),
        manual: None,
    };
    for (table, column, doc) in [
        (
            "Root",
            "at_least",
            "integer (3 or more). An insert must set it.",
        ),
        (
            "Root",
            "flags",
            "set of 1 to 2 booleans. Default: the one element `false`.",
        ),
        (
            "Root",
            "kind",
            "string (one of `\"\"`, `\"a\"`). Default: `\"\"`.",
        ),
        (
            "Root",
            "only",
            "string (only `\"a\"`). An insert must set it.",
        ),
        (
            "Root",
            "short",
            "string (at most 8 characters). Default: `\"\"`.",
        ),
        (
            "Root",
            "pairs",
            "map of 1 or more pairs from string to real. Default: the one pair `\"\"=0`.",
        ),
        (
            "Root",
            "own",
            "set of strong references to `Part`. The server keeps a row as long as a strong reference to it exists.",
        ),
        (
            "Root",
            "next",
            "strong reference to `Root`. An insert must set it. The server refuses to delete a row that is referred to.",
        ),
        (
            "Root",
            "near",
            "set of at most 3 weak references to `Root`. The server removes a reference when the row it refers to is deleted.",
        ),
        (
            "Part",
            "y",
            "string. Default: `\"\"`. No two rows have the same `x`, `y` and `z`.",
        ),
    ] {
        let found = docs::column(&facts, table, column);
        assert_eq!(found, format!("`{column}`: {doc}"));
    }
    let root = docs::table(&facts, "Root");
    assert!(
        root.contains(
            "\n\nStrong references to it: `Root.next`.\n\nWeak references to it: `Root.near`."
        ),
        "{root}"
    );
}

/// The corpus of the fuzz target `schemas`: what the fuzzer found once stays fixed.
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
    assert!(files >= 10, "{folder} has only {files} files");
}
