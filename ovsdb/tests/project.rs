//! What the project says about itself is true.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

#[test]
fn the_readme_names_the_minimum_rust_version() {
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
            "lib.rs lacks {name}"
        );
    }
}

#[test]
fn every_example_program_is_in_the_index_of_the_readme() {
    let mut programs = Vec::new();
    for folder in ["examples/examples", "examples/src/bin"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let path = entry.expect("a program").path();
            let name = path.file_stem().and_then(|stem| stem.to_str());
            programs.push(name.expect("a name").to_owned());
        }
    }
    assert!(programs.len() >= 6, "{programs:?}");
    for page in ["README.md", "examples/README.md"] {
        for name in &programs {
            let cell = format!("| [{name}](");
            assert!(text(page).contains(&cell), "{page} lacks {name}");
        }
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
    files(folder, "rs", found);
}

/// Every file with this extension below a folder, except in `target` and in hidden folders.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str());
        if path.is_dir() {
            if name.is_some_and(|name| name != "target" && !name.starts_with('.')) {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// A link of a page: `(path#heading "title")`.
struct Link<'a> {
    path: &'a str,
    heading: Option<&'a str>,
    title: Option<&'a str>,
}

impl<'a> Link<'a> {
    fn new(target: &'a str) -> Self {
        let (address, title) = match target.split_once(char::is_whitespace) {
            Some((address, title)) => (address, Some(title.trim().trim_matches('"'))),
            None => (target, None),
        };
        let (path, heading) = match address.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (address, None),
        };
        Link {
            path,
            heading,
            title,
        }
    }

    /// The links of a page into the repository.
    fn all(page: &'a str) -> impl Iterator<Item = Self> {
        let targets = page.split("](").skip(1);
        let targets = targets.filter_map(|rest| rest.split(')').next());
        let images = page.split("<img src=\"").skip(1);
        let images = images.filter_map(|rest| rest.split('"').next());
        let inside = |target: &&str| !target.contains("://");
        targets.chain(images).filter(inside).map(Self::new)
    }
}

/// The anchor that a heading gets on a web page.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.replace(' ', "-");
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

/// A link to a test has the name of the test as its title.
#[test]
fn links_between_the_pages_lead_to_files_headings_and_tests() {
    let mut pages = Vec::new();
    files(&root(), "md", &mut pages);
    let (mut links, mut tests) = (0, 0);
    for page in &pages {
        let folder = page.parent().expect("a folder");
        let text = fs::read_to_string(page).expect("a page");
        for Link {
            path,
            heading,
            title,
        } in Link::all(&text)
        {
            links += 1;
            let file = if path.is_empty() {
                page.clone()
            } else {
                folder.join(path)
            };
            let place = format!("{}: {path}", page.display());
            assert!(file.exists(), "{place} does not exist");
            if let Some(heading) = heading {
                let target = fs::read_to_string(&file).expect("a page");
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{place} has no heading {heading}"
                );
            }
            if let Some(title) = title {
                tests += 1;
                let target = fs::read_to_string(&file).expect("a test");
                assert!(
                    target.contains(&format!("fn {title}(")),
                    "{place} has no test {title}"
                );
            }
        }
    }
    assert!(pages.len() > 5 && links > 40, "{links} links in {pages:?}");
    assert!(tests > 15, "{tests} tests");
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
