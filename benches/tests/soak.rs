//! Runs `soak` for some seconds with few rows.

use std::process::Command;

#[test]
fn nothing_is_lost_or_made_twice_on_a_cluster_with_faults() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--minutes", "0.2", "--rows", "500", "--transfer-every", "2"])
        .args(["--kill-every", "5", "--down", "2"])
        .output()
        .expect("the program starts");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{errors}");
    let nothing_wrong = "duplicates: 0; lost commits: 0; refused, but present: 0";
    assert!(out.contains(nothing_wrong), "{out}\n{errors}");
    let caches = out.lines().filter(|line| line.starts_with("| ovsdb |"));
    assert_eq!(caches.count(), 3, "{out}\n{errors}");
}
