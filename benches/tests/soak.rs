//! Runs `soak` for some seconds with few rows; with `OVSDB_TEST_SCALE=full`, for two minutes.

#![allow(
    clippy::print_stdout,
    reason = "with --nocapture, the test shows what was measured"
)]

#[path = "../../ovsdb/tests/support/scale.rs"]
#[allow(unreachable_pub)]
mod scale;

use std::process::Command;

const SECONDS: &str = "--minutes 0.2 --rows 500 --transfer-every 2 --kill-every 5 --down 2";
const MINUTES: &str = "--minutes 2 --rows 5000 --transfer-every 5 --kill-every 20";

#[test]
fn nothing_is_lost_or_duplicated_on_a_cluster_with_faults() {
    let arguments = scale::size(SECONDS, MINUTES);
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(arguments.split(' '))
        .output()
        .expect("the program starts");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    assert!(output.status.success(), "{out}\n{errors}");
    let nothing_wrong = "duplicates: 0; lost commits: 0; refused, but present: 0";
    assert!(out.contains(nothing_wrong), "{out}\n{errors}");
    let caches = out.lines().filter(|line| line.starts_with("| ovsdb |"));
    assert_eq!(caches.count(), 3, "{out}\n{errors}");
}
