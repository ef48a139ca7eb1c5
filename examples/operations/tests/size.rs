//! Checks the number of lines of the operations that the README states.

#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// The lines of a file or folder that are neither empty nor comments.
fn lines(path: &Path) -> usize {
    if path.is_dir() {
        let files = fs::read_dir(path).unwrap();
        return files.map(|file| lines(&file.unwrap().path())).sum();
    }
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.count()
}

#[test]
fn the_readme_has_the_number_of_lines() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(package.join("README.md")).unwrap();
    let (mut theirs, mut ours) = (0, 0);
    for row in readme.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, _, their_lines, files, our_lines, _] = cells[..] else {
            continue;
        };
        let (Ok(their_lines), Ok(our_lines)) =
            (their_lines.parse::<usize>(), our_lines.parse::<usize>())
        else {
            continue;
        };
        if files.is_empty() {
            assert_eq!((their_lines, our_lines), (theirs, ours), "the sums");
            continue;
        }
        let files = files.split(", ").map(|file| file.trim_matches('`'));
        let counted: usize = files
            .map(|file| lines(&package.join("src").join(file)))
            .sum();
        assert_eq!(counted, our_lines, "{row}");
        theirs += their_lines;
        ours += our_lines;
    }
    assert_eq!(ours, lines(&package.join("src")), "all files");
    assert!(ours * 5 <= theirs, "{ours} lines for {theirs}");
}
