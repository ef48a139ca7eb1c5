//! The demo, and databases that the program serves to itself.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb::nb;
use ovsdb::testing::program;
use support::{manifest, multihoming};

#[test]
fn the_demo_builds_the_sample_networks_and_draws_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("networks.svg");
    let svg_name = svg.display().to_string();
    let out = multihoming(&["demo", "--svg", &svg_name]).succeeded();
    for part in [
        "l3-network (layer3)",
        "l2-network (layer2)",
        "localnet-network (localnet)",
        "pod default/nginx1-l3",
        &svg_name,
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    let picture = std::fs::read_to_string(svg).expect("a picture");
    assert!(picture.contains("<svg") && picture.contains("l2-network"));
}

#[test]
fn the_picture_of_the_readme_is_what_the_demo_draws() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("networks.svg");
    multihoming(&["demo", "--svg", &svg.display().to_string()]).succeeded();
    let drawn = std::fs::read_to_string(svg).expect("a picture");
    assert!(
        drawn == include_str!("../networks.svg"),
        "the picture changed: look at it, and draw it again with \
         cargo run --bin multihoming -- demo --svg examples/networks.svg"
    );
}

#[test]
fn the_demo_keeps_serving_with_the_option_keep() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (svg, socket) = (path("networks.svg"), path("nb.sock"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_multihoming"))
        .args(["demo", "--svg", &svg, "--keep", "--socket", &socket])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let served = lines
        .map_while(Result::ok)
        .find(|line| line.starts_with("serving on"));
    let served = served.expect("it serves");
    assert!(served.contains(&format!("ovn-nbctl --db=unix:{socket} show")));
    let nbctl = program("ovn-nbctl").expect("ovn-nbctl");
    let shown = Command::new(nbctl)
        .args([&format!("--db=unix:{socket}"), "show"])
        .output()
        .expect("ovn-nbctl runs");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();

    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let ended = wait(&mut child);
    assert!(shown.contains("l3.network_ovn_cluster_router"), "{shown}");
    assert!(ended, "it ends when it is interrupted");
    assert!(!std::path::Path::new(&socket).exists());
}

/// Waits for the end of a process, which is ended if it takes longer than 20 seconds.
fn wait(child: &mut std::process::Child) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if child.try_wait().expect("a process").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[test]
fn a_database_in_memory_is_planned_on_and_forgotten() {
    let folder = manifest("").display().to_string();
    for _ in 0..2 {
        let run = multihoming(&["plan", "--nb", "memory:", "-f", &folder]);
        assert_eq!(run.status, Some(1), "{run:?}");
        assert!(run.out.contains("l2-network"), "{}", run.out);
    }
}

#[tokio::test]
async fn a_database_in_a_file_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("nb.db");
    let (remote, manifests) = (
        format!("file:{}", file.display()),
        manifest("").display().to_string(),
    );
    let apply = ["apply", "--nb", &remote, "-f", &manifests];
    assert!(multihoming(&apply).succeeded().contains("done"));
    assert_eq!(multihoming(&apply).succeeded(), "nothing to do\n");

    let tool = program("ovsdb-tool").expect("ovsdb-tool");
    let name = Command::new(tool)
        .arg("db-name")
        .arg(&file)
        .output()
        .expect("ovsdb-tool runs");
    assert_eq!(name.stdout, b"OVN_Northbound\n");

    let server = ovsdb::server::Server::file(&file).expect("our server opens it");
    let client = nb::Client::builder().server(&server).connect().await;
    let client = client.expect("a client");
    let cache = client.cache().all_tables().start().await.expect("a cache");
    assert!(cache.snapshot().table::<nb::LogicalSwitch>().len() > 3);
    let run = multihoming(&apply);
    assert_eq!(run.status, Some(2));
    assert!(
        run.err
            .contains("another server or tool has locked this database"),
        "{}",
        run.err
    );
}
