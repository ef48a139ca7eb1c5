//! Replays the corpus of the fuzz target `manifests`, so that what a fuzzer once found stays fixed.

#[path = "../../fuzz/src/manifests.rs"]
mod entry;

use std::path::Path;

#[test]
fn manifests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/manifests");
    let mut files = 0;
    for file in std::fs::read_dir(&folder).expect("the target's corpus") {
        let file = file.expect("a file").path();
        let input = std::fs::read(&file).expect("a readable file");
        let held = std::panic::catch_unwind(|| entry::manifests(&input));
        assert!(held.is_ok(), "{} breaks the target", file.display());
        files += 1;
    }
    assert!(files >= 10, "{} has {files} files only", folder.display());
}
