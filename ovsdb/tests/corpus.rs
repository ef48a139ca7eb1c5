//! Replays the corpus of each fuzz target except `manifests`, so that what a fuzzer once found stays fixed.
//! `examples/tests/corpus.rs` replays that of `manifests`.

#[path = "../../fuzz/src/differences.rs"]
mod differences;
#[path = "../../fuzz/src/server.rs"]
mod server;
mod support;
#[path = "../../fuzz/src/texts.rs"]
mod texts;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

use std::path::Path;

use support::inventory;

/// Calls the target's function with every file of its corpus.
fn replay(target: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for file in std::fs::read_dir(&folder).expect("the target's corpus") {
        let file = file.expect("a file").path();
        let input = std::fs::read(&file).expect("a readable file");
        let held = std::panic::catch_unwind(|| entry(&input));
        assert!(held.is_ok(), "{} breaks the target", file.display());
        files += 1;
    }
    assert!(files >= 10, "{} has only {files} files", folder.display());
}

#[test]
fn framing() {
    replay("framing", wire::framing);
}

#[test]
fn message() {
    replay("message", wire::message);
}

#[test]
fn replica() {
    replay("replica", wire::replica);
}

#[test]
fn session() {
    replay("session", server::session);
}

#[test]
fn file() {
    replay("file", server::file);
}

#[test]
fn differences() {
    replay("differences", differences::differences);
}

#[test]
fn schemas() {
    replay("schemas", texts::schemas);
}

#[test]
fn remotes() {
    replay("remotes", texts::remotes);
}
