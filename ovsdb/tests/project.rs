//! What the project says of itself.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

#[test]
fn the_oldest_rust_is_the_same_everywhere() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let line = format!("\nRust {oldest} or later.\n");
    assert!(
        text("README.md").contains(&line),
        "README.md lacks {line:?}"
    );
}

#[test]
fn every_feature_is_in_the_readme_and_in_the_guide() {
    let manifest = text("ovsdb/Cargo.toml");
    let (_, features) = manifest.split_once("[features]\n").expect("features");
    let (features, _) = features.split_once("\n\n").expect("their end");
    let names = features
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| *name != "default");
    for name in names {
        let cell = format!("| `{name}`");
        assert!(text("README.md").contains(&cell), "README.md lacks {name}");
        let guide = text("ovsdb/src/lib.rs");
        assert!(
            guide.contains(&format!("//! {cell}")),
            "the guide lacks {name}"
        );
    }
}

#[test]
fn every_chapter_of_the_guide_is_listed_and_its_examples_run() {
    let mut files = Vec::new();
    sources(&root().join("ovsdb/src/guide"), &mut files);
    let (list, front) = (text("ovsdb/src/guide/mod.rs"), text("ovsdb/src/lib.rs"));
    let mut chapters = 0;
    for file in files.iter().filter(|file| !file.ends_with("mod.rs")) {
        let name = file.file_stem().and_then(|stem| stem.to_str());
        let name = name.expect("a name");
        assert!(
            list.contains(&format!("//! | [`{name}`] |")),
            "guide/mod.rs lacks {name}"
        );
        assert!(
            front.contains(&format!("(guide::{name})")),
            "lib.rs lacks {name}"
        );
        let chapter = fs::read_to_string(file).expect("a chapter");
        assert!(chapter.contains("```"), "{name} has no example");
        assert!(
            !chapter.contains("no_run"),
            "{name} has an example that does not run"
        );
        chapters += 1;
    }
    assert!(chapters >= 20, "{chapters} chapters found");
}

/// Every file of Rust below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_of_the_documentation_is_compiled() {
    let mut files = Vec::new();
    for package in ["ovsdb", "ovsdb-derive", "schemas"] {
        sources(&root().join(package).join("src"), &mut files);
    }
    assert!(files.len() > 50);
    for file in files {
        let source = fs::read_to_string(&file).expect("a source");
        let ignored = source.lines().find(|line| {
            let line = line.trim_start();
            line.starts_with("//") && line.contains("```") && line.contains("ignore")
        });
        assert_eq!(ignored, None, "{}", file.display());
    }
}
