//! The notes on the bundled schemas fit them, and are written from the sources of OVN and Open vSwitch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use ovsdb_schema::{AtomicType, DatabaseSchema, bundled, bundled_notes};
use serde_json::Value;

/// A bundled schema and where its sources are.
struct Origin {
    database: &'static str,
    /// The file of the notes, without its extension.
    file: &'static str,
    product: &'static str,
    release: &'static str,
    /// The oldest release whose schema is compared.
    oldest: &'static str,
    /// The manual page, and its source and that of the schema in the product's repository.
    page: &'static str,
    manual: &'static str,
    schema: &'static str,
    /// The environment variable that names a clone of the repository.
    repository: &'static str,
    /// Schemas of packages: the release, and its file in `tests/files`.
    packaged: &'static [(&'static str, &'static str)],
}

const ORIGINS: [Origin; 3] = [
    Origin {
        database: "OVN_Northbound",
        file: "ovn-nb",
        product: "OVN",
        release: "26.03",
        oldest: "20.03",
        page: "ovn-nb(5)",
        manual: "ovn-nb.xml",
        schema: "ovn-nb.ovsschema",
        repository: "OVN_REPOSITORY",
        packaged: &[("23.03", "ovn-23.03/ovn-nb"), ("25.03", "ovn-25.03/ovn-nb")],
    },
    Origin {
        database: "OVN_Southbound",
        file: "ovn-sb",
        product: "OVN",
        release: "26.03",
        oldest: "20.03",
        page: "ovn-sb(5)",
        manual: "ovn-sb.xml",
        schema: "ovn-sb.ovsschema",
        repository: "OVN_REPOSITORY",
        packaged: &[("23.03", "ovn-23.03/ovn-sb"), ("25.03", "ovn-25.03/ovn-sb")],
    },
    Origin {
        database: "Open_vSwitch",
        file: "vswitch",
        product: "Open vSwitch",
        release: "4.0",
        oldest: "2.0",
        page: "ovs-vswitchd.conf.db(5)",
        manual: "vswitchd/vswitch.xml",
        schema: "vswitchd/vswitch.ovsschema",
        repository: "OVS_REPOSITORY",
        packaged: &[("3.1", "ovs-3.1/vswitch")],
    },
];

/// The lines of the notes that are not comments, as words.
fn lines(origin: &Origin) -> Vec<Vec<&'static str>> {
    let notes = bundled_notes(origin.database).expect("notes");
    let lines = notes.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect()).collect()
}

/// `20.03` as numbers, to be compared.
fn release(text: &str) -> Vec<u32> {
    let number = |part: &str| part.parse().expect("a number in a release");
    text.split('.').map(number).collect()
}

#[test]
fn notes_name_what_the_schema_has() {
    for origin in &ORIGINS {
        let text = bundled(origin.database).expect("a schema");
        let schema = DatabaseSchema::parse(text).expect("a good schema");
        let lines = lines(origin);
        assert!(lines.len() > 100, "{} has few notes", origin.file);
        let mut seen = BTreeSet::new();
        for line in &lines {
            let (table, column) = match line.get(2).and_then(|item| item.split_once('.')) {
                _ if line[0] == "product" => continue,
                _ if line[0] == "key" => line[1].split_once('.').expect("a column"),
                Some(item) => item,
                None => (line[2], ""),
            };
            let columns = &schema.tables.get(table).expect(table).columns;
            let kind = columns.get(column).map(|column| &column.kind);
            assert!(kind.is_some() || column.is_empty(), "{line:?}");
            match line.as_slice() {
                ["since", since, _] => {
                    assert!(release(since) > release(origin.oldest), "{line:?}");
                    assert!(release(since) <= release(origin.release), "{line:?}");
                    assert!(seen.insert(line[2..].to_vec()), "{line:?} is there twice");
                }
                ["key", _, _]
                | [
                    "key",
                    _,
                    _,
                    "boolean" | "integer" | "real" | "string" | "uuid",
                    ..,
                ] => {
                    let kind = kind.expect("a column");
                    let strings = kind.key.atomic == AtomicType::String;
                    assert!(strings && (kind.is_map() || kind.is_set()), "{line:?}");
                    assert!(seen.insert(line[1..3].to_vec()), "{line:?} is there twice");
                }
                _ => panic!("{line:?}"),
            }
        }
    }
}

/// The releases of the notes, compared with schemas of Debian's packages.
#[test]
fn packages_of_a_release_have_what_the_notes_say() {
    for origin in &ORIGINS {
        let since: BTreeMap<&str, &str> = lines(origin)
            .iter()
            .filter(|line| line[0] == "since")
            .map(|line| (line[2], line[1]))
            .collect();
        let now = items(bundled(origin.database).expect("a schema"));
        for (packaged, file) in origin.packaged {
            let path = format!(
                "{}/tests/files/{file}.ovsschema",
                env!("CARGO_MANIFEST_DIR")
            );
            let then = items(&std::fs::read_to_string(&path).expect(&path));
            for item in &now {
                let first = since.get(item.as_str()).unwrap_or(&origin.oldest);
                let exists = release(first) <= release(packaged);
                assert_eq!(
                    then.contains(item),
                    exists,
                    "{item} in {file}, since {first}"
                );
            }
        }
    }
}

/// The tables and columns of a schema.
fn items(schema: &str) -> BTreeSet<String> {
    let schema = DatabaseSchema::parse_lenient(schema).expect("a good schema");
    let mut items = BTreeSet::new();
    for (name, table) in schema.tables {
        items.extend(
            table
                .columns
                .keys()
                .map(|column| format!("{name}.{column}")),
        );
        items.insert(name);
    }
    items
}

#[test]
#[ignore = "needs clones of the repositories of OVN and Open vSwitch; writes the notes"]
fn write_notes() {
    for origin in &ORIGINS {
        let repository = std::env::var(origin.repository).expect(origin.repository);
        let notes = notes(origin, Path::new(&repository));
        let path = format!("{}/files/{}.notes", env!("CARGO_MANIFEST_DIR"), origin.file);
        std::fs::write(path, notes).expect("the file is written");
    }
}

/// The notes, from a clone with a branch `branch-RELEASE` for each release, and its tags.
fn notes(origin: &Origin, repository: &Path) -> String {
    let Origin {
        database,
        product,
        page,
        oldest,
        ..
    } = origin;
    let mut notes = format!(
        "# Facts about {database}, from the sources of {product}, that its schema does not state:\n\
         # product NAME RELEASE: the product and release that the schema and the keys belong to.\n\
         # since RELEASE TABLE[.COLUMN]: the release that introduced it; without a line, {oldest} or earlier.\n\
         # key TABLE.COLUMN KEY [TYPE]: a key of a map, or an element of a set, that {page} documents.\n\
         # TYPE is how the value of the key is written, where the page declares it; bounds may be open.\n\
         # Written by the test `notes`; see README.md.\n\
         product {product} {}\n",
        origin.release
    );
    let mut releases: Vec<String> = git(repository, &["branch", "--format=%(refname:short)"])
        .lines()
        .filter_map(|branch| branch.strip_prefix("branch-").map(ToOwned::to_owned))
        .filter(|name| name.split('.').all(|part| part.parse::<u32>().is_ok()))
        .filter(|name| (release(oldest)..=release(origin.release)).contains(&release(name)))
        .collect();
    releases.sort_by_key(|name| std::cmp::Reverse(release(name)));
    assert_eq!(
        releases.last().map(String::as_str),
        Some(*oldest),
        "branches"
    );
    // A branch gets new columns after its first release, so the tag of that release is read, if it exists.
    let tags = git(repository, &["tag"]);
    let show = |release: &str, path: &str| {
        let mut names = [format!("v{release}.0"), format!("v{release}")].into_iter();
        let tag = names.find(|name| tags.lines().any(|tag| tag == name));
        let revision = tag.unwrap_or_else(|| format!("branch-{release}"));
        git(repository, &["show", &format!("{revision}:{path}")])
    };
    let schemas: Vec<BTreeSet<String>> = releases
        .iter()
        .map(|release| items(&show(release, origin.schema)))
        .collect();
    for item in items(bundled(database).expect("a schema")) {
        let without_gap = schemas
            .iter()
            .take_while(|items| items.contains(&item))
            .count();
        assert!(without_gap > 0, "{item} is not in the sources");
        if without_gap < releases.len() {
            let _ = writeln!(notes, "since {} {item}", releases[without_gap - 1]);
        }
    }
    // The manual is read from the branch, where it is corrected after the release.
    let manual = format!("branch-{}:{}", origin.release, origin.manual);
    for ((column, key), kind) in keys(&git(repository, &["show", &manual])) {
        let space = if kind.is_empty() { "" } else { " " };
        let _ = writeln!(notes, "key {column} {key}{space}{kind}");
    }
    notes
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(repository)
        .args(arguments)
        .output();
    let output = output.expect("git");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The keys that the source of a manual page documents: `(TABLE.COLUMN, KEY)` and the type of the value.
fn keys(xml: &str) -> BTreeMap<(String, String), String> {
    let mut keys: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut table = String::new();
    let mut rest = xml;
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let (tag, after) = tag.split_once('>').expect("the end of a tag");
        rest = after;
        // An element without content (`<column .../>`) documents nothing: it is a link in the text.
        let (Some((element, attributes)), false) =
            (tag.split_once(char::is_whitespace), tag.ends_with('/'))
        else {
            continue;
        };
        let attributes = read_attributes(attributes);
        let get = |name: &str| attributes.get(name).map(String::as_str);
        match (element, get("name"), get("key")) {
            ("table", Some(name), _) => name.clone_into(&mut table),
            ("column", Some(name), Some(key)) => {
                let kind = get("type").map(value_type).unwrap_or_default();
                let known = keys.entry((format!("{table}.{name}"), key.to_owned()));
                // The type of a key that is documented twice is left out where the two differ.
                known
                    .and_modify(|known| {
                        if *known != kind {
                            known.clear();
                        }
                    })
                    .or_insert_with(|| kind.clone());
            }
            _ => {}
        }
    }
    keys
}

fn read_attributes(mut text: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    while let Some((name, value)) = text.split_once('=') {
        let value = value.trim_start();
        let quote = value.chars().next().expect("a quote");
        let (value, rest) = value[1..].split_once(quote).expect("the end of a value");
        attributes.insert(name.trim().to_owned(), value.to_owned());
        text = rest;
    }
    attributes
}

/// A type of the manual's source, such as `{"type": "integer", "minInteger": 1}`, as the notes write it.
fn value_type(json: &str) -> String {
    let json: Value = serde_json::from_str(json).expect(json);
    let mut kind = json["type"].as_str().expect("a type").to_owned();
    let known = ["type", "minInteger", "maxInteger", "enum"];
    let members = json.as_object().expect("an object");
    assert!(
        members
            .keys()
            .all(|member| known.contains(&member.as_str())),
        "{json}"
    );
    if members.contains_key("minInteger") || members.contains_key("maxInteger") {
        let bound = |name: &str| {
            members
                .get(name)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let _ = write!(kind, " {}..{}", bound("minInteger"), bound("maxInteger"));
    }
    if kind == "string" && !members.contains_key("enum") {
        // Equivalent to no type.
        return String::new();
    }
    if let Some(values) = json.pointer("/enum/1").and_then(Value::as_array) {
        let values: Vec<&str> = values
            .iter()
            .map(|value| value.as_str().expect("text"))
            .collect();
        assert!(
            values.iter().all(|value| !value.contains(['|', ' '])),
            "{json}"
        );
        let _ = write!(kind, " {}", values.join("|"));
    }
    kind
}
