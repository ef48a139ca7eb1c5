//! How the program reaches databases: TLS, the leader of a cluster, and environment variables.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

#[path = "../../ovsdb/tests/support/certificates.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the library's tests use the rest"
)]
mod certificates;

use std::process::{Command, Stdio};
use std::time::Duration;

use certificates::{Authority, Validity, server_files, write};
use ovsdb::testing::{Cluster, Server};
use support::{Run, manifest, multihoming, multihoming_in, names, schema};

const SWITCH_SCHEMA: &str = include_str!("../../schemas/files/vswitch.ovsschema");

/// A server that accepts TLS connections from clients with the right key.
struct Encrypted {
    server: Server,
    remote: String,
    key: String,
    certificate: String,
    authority: String,
    /// The text of the key.
    secret: String,
    /// The folder of the server's files, which it reads again when they change.
    _folder: tempfile::TempDir,
}

impl Encrypted {
    fn start(schema: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("the authority");
        let certificate = authority.issue(&["ovnnb"], Validity::Now);
        let files = server_files(folder.path(), &certificate, &authority);
        let server = Server::builder().schema(schema).ssl(files).start().unwrap();
        let client = authority.issue(&["client"], Validity::Now);
        let file = |name: &str, text: &str| {
            let path = write(server.folder(), name, text);
            path.display().to_string()
        };
        Self {
            remote: server.ssl_remote().unwrap(),
            key: file("privkey.pem", &client.key),
            certificate: file("cert.pem", &client.certificate),
            authority: file("cacert.pem", &authority.pem()),
            secret: client.key,
            server,
            _folder: folder,
        }
    }

    fn northbound() -> Self {
        Self::start(&schema("bundled"))
    }

    fn options(&self) -> [&str; 6] {
        [
            "-p",
            &self.key,
            "-c",
            &self.certificate,
            "-C",
            &self.authority,
        ]
    }

    /// Runs a command with the options.
    fn on(&self, command: &str, arguments: &[&str]) -> Run {
        let mut all = vec![command, "--nb", &self.remote];
        all.extend(self.options());
        all.extend(arguments);
        multihoming(&all)
    }
}

#[test]
fn every_command_works_over_tls() {
    let encrypted = Encrypted::northbound();
    let folder = manifest("").display().to_string();
    assert_eq!(encrypted.on("plan", &["-f", &folder]).status, Some(1));
    encrypted.on("apply", &["-f", &folder]).succeeded();
    assert_eq!(names(&encrypted.server, "Logical_Switch_Port").len(), 10);
    encrypted.on("plan", &["-f", &folder]).succeeded();
    assert!(encrypted.on("show", &[]).succeeded().contains("l3-network"));
    encrypted.on("delete", &["-f", &folder]).succeeded();
    assert_eq!(
        names(&encrypted.server, "Logical_Switch"),
        Vec::<String>::new()
    );

    // The long options, and a required server name.
    let long = |name: &str| {
        let key = format!("--private-key={}", encrypted.key);
        let certificate = format!("--certificate={}", encrypted.certificate);
        let authority = format!("--ca-cert={}", encrypted.authority);
        multihoming(&[
            "show",
            "--nb",
            &encrypted.remote,
            &key,
            &certificate,
            &authority,
            "--server-name",
            name,
        ])
    };
    long("ovnnb").succeeded();
    let run = long("ovnsb");
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(run.err.contains("not for ovnsb"), "{}", run.err);
}

#[test]
fn the_environment_replaces_options() {
    let encrypted = Encrypted::northbound();
    let [_, key, _, certificate, _, authority] = encrypted.options();
    let options = format!("--timeout=5 -p '{key}' --certificate={certificate} -C {authority}");
    let remote = encrypted.remote.as_str();
    let run = |db: &str, options: &str, arguments: &[&str]| {
        let environment = [("OVN_NB_DB", db), ("OVN_NBCTL_OPTIONS", options)];
        multihoming_in(&environment, arguments)
    };
    run(remote, &options, &["show"]).succeeded();
    // Options in the variable take precedence over OVN_NB_DB, and the command line over both.
    let with_db = format!("{options} --db {remote}");
    run("unix:/nowhere/db.sock", &with_db, &["show"]).succeeded();
    let nowhere = format!("-C /nowhere/ca.pem --db {remote}");
    let mut all = vec!["show"];
    all.extend(encrypted.options());
    run("unix:/nowhere/db.sock", &nowhere, &all).succeeded();

    let failed = run(remote, "-C /nowhere/ca.pem", &["show"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    assert!(
        failed
            .err
            .contains("--ca-cert in OVN_NBCTL_OPTIONS: the CA certificates in /nowhere/ca.pem"),
        "{}",
        failed.err
    );
    let failed = run("http://nb", "", &["show"]);
    assert_eq!(failed.status, Some(2), "{failed:?}");
    assert!(
        failed.err.contains("OVN_NB_DB: bad remote \"http://nb\""),
        "{}",
        failed.err
    );
}

#[test]
fn a_server_of_this_machine_is_the_default() {
    let server = support::server("bundled");
    let folder = server.folder().display().to_string();
    std::os::unix::fs::symlink(server.socket(), server.folder().join("ovnnb_db.sock")).unwrap();
    multihoming_in(&[("OVN_RUNDIR", &folder)], &["show"]).succeeded();
    let run = multihoming_in(&[("OVN_RUNDIR", "/nowhere")], &["show"]);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert!(
        run.err
            .contains("cannot connect to unix:/nowhere/ovnnb_db.sock: No such file"),
        "{}",
        run.err
    );

    let server = Server::builder().schema(SWITCH_SCHEMA).start().unwrap();
    let folder = server.folder().display().to_string();
    let run = multihoming_in(
        &[("OVS_RUNDIR", &folder)],
        &["node", "bridge-mapping", "net:br"],
    );
    // The database was reached, and is empty.
    assert!(run.err.contains("the node was never set up"), "{run:?}");
}

#[test]
fn a_node_is_set_up_over_tls() {
    let encrypted = Encrypted::start(SWITCH_SCHEMA);
    let mut arguments = vec!["node", "--ovs", &encrypted.remote];
    arguments.extend(encrypted.options());
    arguments.extend(["init", "--system-id", "n1", "--ovn-remote", "ssl:sb:6642"]);
    arguments.extend(["--encap-ip", "192.0.2.1"]);
    assert_eq!(multihoming(&arguments).succeeded(), "node n1: changed\n");
    assert_eq!(multihoming(&arguments).succeeded(), "node n1: unchanged\n");
}

#[test]
fn a_bad_file_is_reported_with_its_option() {
    let encrypted = Encrypted::northbound();
    let folder = encrypted.server.folder();
    let stranger = Authority::new("a stranger");
    let other = stranger.issue(&["other"], Validity::Now);
    let path = |name: &str, text: &str| write(folder, name, text).display().to_string();
    let other_key = path("other-key.pem", &other.key);
    let junk = path("junk.pem", "junk");
    let directory = folder.display().to_string();
    let stranger = path("stranger.pem", &stranger.pem());
    let [_, key, _, certificate, _, authority] = encrypted.options();

    let absent = "/nowhere/absent.pem";
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&[], 2, &[&encrypted.remote, "needs --ca-cert"]),
        (
            &["-p", key, "-C", authority],
            2,
            &["--private-key also needs --certificate"],
        ),
        (
            &["-c", key, "-C", authority],
            2,
            &["--certificate also needs --private-key"],
        ),
        (&["-C", absent], 2, &["--ca-cert: ", absent, "No such file"]),
        (
            &["-C", "none"],
            2,
            &["--ca-cert: \"none\" would trust any server"],
        ),
        (
            &["-p", absent, "-c", certificate, "-C", authority],
            2,
            &["--private-key: ", absent, "No such file"],
        ),
        (
            &["-p", key, "-c", &directory, "-C", authority],
            2,
            &["--certificate: ", &directory, "Is a directory"],
        ),
        (
            &["-p", &junk, "-c", certificate, "-C", authority],
            2,
            &["--private-key: ", &junk],
        ),
        (
            &["-p", &other_key, "-c", certificate, "-C", authority],
            2,
            &["--private-key: ", &other_key, "does not fit", certificate],
        ),
        // Errors that show only when the server is contacted.
        (
            &["-p", key, "-c", certificate, "-C", &stranger],
            1,
            &[
                "cannot connect to ssl:",
                "not signed by any of the CA certificates",
            ],
        ),
        (
            &["-C", authority],
            1,
            &["the server requires a client certificate"],
        ),
    ];
    for (options, status, expected) in cases {
        for command in ["show", "run"] {
            let mut arguments = vec![command, "--nb", &encrypted.remote];
            arguments.extend(*options);
            if command == "run" {
                // After such errors, `run` keeps trying.
                if *status == 1 {
                    continue;
                }
                arguments.extend(["-f", "/dev/null"]);
            }
            let run = multihoming(&arguments);
            assert_eq!(run.status, Some(*status), "{arguments:?}: {run:?}");
            for text in *expected {
                assert!(run.err.contains(text), "{arguments:?}: {}", run.err);
            }
            assert_eq!(run.err.lines().count(), 1, "{}", run.err);
        }
    }
}

#[test]
fn the_controller_works_over_tls_and_logs_no_secret() {
    let encrypted = Encrypted::northbound();
    let folder = manifest("").display().to_string();
    let log = encrypted.server.folder().join("run.log");
    let mut arguments = vec!["run", "--nb", &encrypted.remote, "-f", &folder];
    arguments.extend(encrypted.options());
    arguments.extend(["--log", "trace"]);
    let mut process = Command::new(env!("CARGO_BIN_EXE_multihoming"))
        .args(&arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let text = || std::fs::read_to_string(&log).unwrap();
    for _ in 0..3000 {
        if text().contains("the database is as the manifests say") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let text = text();
    assert!(
        text.contains("the database is as the manifests say"),
        "{text}"
    );
    assert_eq!(names(&encrypted.server, "Logical_Switch_Port").len(), 10);
    let secrets = encrypted.secret.lines().filter(|line| line.len() > 16);
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn only_the_leader_of_a_cluster_is_used_unless_asked_otherwise() {
    let cluster = Cluster::start(&schema("bundled"), 3).unwrap();
    let leader = cluster.leader().unwrap();
    let follower = &cluster.members()[(leader + 1) % 3];
    let show = |options: &str, environment: &str| {
        let remote = follower.remote();
        let mut arguments = vec!["show", "--nb", &remote];
        arguments.extend(options.split_whitespace());
        multihoming_in(&[("OVN_NBCTL_OPTIONS", environment)], &arguments)
    };
    for (options, environment) in [
        ("", ""),
        ("--leader-only", "--no-leader-only"),
        ("--no-leader-only --leader-only", ""),
    ] {
        let run = show(options, environment);
        assert_eq!(run.status, Some(1), "{options}: {run:?}");
        assert!(run.err.contains("not its cluster's leader"), "{}", run.err);
    }
    for (options, environment) in [
        ("--no-leader-only", ""),
        ("", "--no-leader-only"),
        ("--leader-only --no-leader-only", "--leader-only"),
    ] {
        show(options, environment).succeeded();
    }
    multihoming(&["show", "--nb", &cluster.remotes()]).succeeded();
    let run = multihoming(&["run", "--nb", "unix:/x", "-f", "/x", "--no-leader-only"]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(
        run.err.contains("--no-leader-only cannot be used with run"),
        "{}",
        run.err
    );
}

#[test]
fn apply_waits_only_for_daemons_that_can_confirm() {
    let folder = manifest("").display().to_string();
    let run = multihoming(&[
        "apply", "-f", &folder, "--nb", "memory:", "--wait", "northd",
    ]);
    assert_eq!(run.status, Some(2), "{run:?}");
    assert_eq!(
        run.err,
        "multihoming: --wait needs a server that ovn-northd uses, but --nb names a database in this program\n"
    );
    multihoming(&["apply", "-f", &folder, "--nb", "memory:", "--wait", "none"]).succeeded();

    // No daemon confirms it, but everything is written.
    let server = support::server("bundled");
    let arguments = ["-f", &folder, "--wait", "northd", "--timeout", "1"];
    let run = support::on(&server, "apply", &arguments);
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(
        run.err,
        "multihoming: ovn-northd did not confirm nb_cfg 1 within 1s: sb_cfg is 0\n"
    );
    assert_eq!(names(&server, "Logical_Switch_Port").len(), 10);
    let run = support::on(
        &server,
        "apply",
        &["-f", &folder, "--wait", "hv", "--sb", "udp:1"],
    );
    assert_eq!(run.status, Some(2), "{run:?}");
    assert!(run.err.starts_with("multihoming: --sb: "), "{run:?}");
}
