//! Runs the benchmark `server-throughput` once with few rows.

use std::process::Command;

#[test]
fn the_benchmark_of_servers_measures_both() {
    let output = Command::new(env!("CARGO_BIN_EXE_server-throughput"))
        .args([
            "--ports",
            "50",
            "--runs",
            "1",
            "--single",
            "10",
            "--batches",
            "2",
        ])
        .args(["--clients", "3", "--made", "3"])
        .output()
        .expect("the benchmark starts");
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{errors}");
    let line = out
        .lines()
        .find(|line| line.starts_with("| 1-row transaction"))
        .expect("a line of the table");
    assert!(!line.contains("| - |"), "{line}");
}
