//! `ovsdb-serve`: what it serves, where it listens, how it ends, and what it refuses.

#[path = "support/serve.rs"]
mod serve;
mod support;

use std::fs;
use std::path::Path;

use serve::{Serve, command, run};

fn in_folder(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// Runs the program, which must fail. Returns its error.
fn refused(arguments: &[&str]) -> String {
    let output = command(arguments).output().expect("it runs");
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn missing_databases_are_created_and_existing_ones_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let (nb, sb) = (in_folder(path, "nb.db"), in_folder(path, "sb.db"));
    let remote = format!("--remote=punix:{}", in_folder(path, "db.sock"));
    let databases = [
        format!("{nb}=OVN_Northbound"),
        format!("{sb}=OVN_Southbound"),
    ];
    for (round, signal) in ["-TERM", "-INT", "-TERM"].into_iter().enumerate() {
        let arguments = [
            &*databases[0],
            &databases[1],
            &remote,
            "--remote=ptcp:0:127.0.0.1",
        ];
        let server = Serve::start(&arguments);
        assert_eq!(server.databases, ["OVN_Northbound", "OVN_Southbound"]);
        assert!(
            server.remotes[1].starts_with("tcp:127.0.0.1:"),
            "{:?}",
            server.remotes
        );
        let name = format!("sw{round}");
        for (remote, rest) in [
            (&server.remotes[0], &["ls-add", &name][..]),
            (&server.remotes[1], &["ls-list"]),
        ] {
            let db = format!("--db={remote}");
            let output = run(path, "ovn-nbctl", &[&[&*db], rest].concat()).succeeded();
            assert!(
                rest[0] == "ls-add" || output.lines().count() == round + 1,
                "{output}"
            );
        }
        assert!(server.end(signal).success());
        assert!(!path.join("db.sock").exists());
    }
    // The files have the format of ovsdb-server.
    let output = run(path, "ovsdb-tool", &["query", &nb, r#"["OVN_Northbound",{"op":"select","table":"Logical_Switch","where":[],"columns":["name"]}]"#]).succeeded();
    for name in ["sw0", "sw1", "sw2"] {
        assert!(output.contains(name), "{output}");
    }
    // A file that exists needs no schema.
    let server = Serve::start(&[&nb, &remote]);
    assert_eq!(server.databases, ["OVN_Northbound"]);
}

#[test]
fn schemas_in_files_are_served_from_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let schema = in_folder(folder.path(), "small.ovsschema");
    fs::write(&schema, r#"{"name": "Small", "tables": {}}"#).expect("written");
    let server = Serve::memory(folder.path(), &[&schema, "Open_vSwitch"]);
    assert_eq!(server.databases, ["Open_vSwitch", "Small"]);
    let listed = run(
        folder.path(),
        "ovsdb-client",
        &["list-dbs", server.remote()],
    )
    .succeeded();
    assert_eq!(listed, "Open_vSwitch\nSmall\n_Server\n");
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let socket = format!("--remote=punix:{}", in_folder(path, "db.sock"));
    let memory = |remote: &str| refused(&["--no-file", "OVN_Northbound", "--remote", remote]);

    for (remote, part) in [
        (
            "db:OVN_Northbound,NB_Global,connections",
            "(`db:`) are not supported",
        ),
        ("tcp:127.0.0.1:6641", "\"tcp\" is active"),
        ("ssl:127.0.0.1:6641", "\"ssl\" is active"),
        ("pssl:0", "pssl:0 needs --private-key"),
        (
            "punix:/no/such/folder/socket",
            "cannot listen on punix:/no/such/folder/socket",
        ),
    ] {
        let error = memory(remote);
        assert!(error.contains(part), "{remote}: {error}");
    }
    for option in ["--unixctl=x", "--sync-from=tcp:1.2.3.4", "--pidfile"] {
        let error = refused(&[option, "--no-file", "OVN_Northbound", &socket]);
        let (name, _) = option.split_once('=').unwrap_or((option, ""));
        assert!(error.contains(name), "{error}");
    }

    let schema = in_folder(path, "a.ovsschema");
    fs::write(&schema, r#"{"name": "A", "tables": {}}"#).expect("written");
    let error = refused(&[&schema, &socket]);
    assert!(error.contains("is a schema, not a database"), "{error}");
    let error = refused(&[&in_folder(path, "nb.db"), &socket]);
    assert!(
        error.contains("there is no file") && error.contains("nb.db=SCHEMA"),
        "{error}"
    );
    let error = refused(&[
        &format!("{}=OVN_Nothing", in_folder(path, "nb.db")),
        &socket,
    ]);
    assert!(
        error.contains("one of OVN_Northbound, OVN_Southbound"),
        "{error}"
    );
    assert!(!path.join("nb.db").exists());

    let clustered = in_folder(path, "raft.db");
    let local = ["create-cluster", &clustered, &schema, "tcp:127.0.0.1:6643"];
    run(path, "ovsdb-tool", &local).succeeded();
    let error = refused(&[&clustered, &socket]);
    assert!(error.contains("clustered database"), "{error}");

    let twice = [
        &*format!("{}=OVN_Northbound", in_folder(path, "1.db")),
        &format!("{}=OVN_Northbound", in_folder(path, "2.db")),
        &socket,
    ]
    .map(str::to_owned);
    let error = refused(&twice.each_ref().map(|argument| &**argument));
    assert!(
        error.contains("two databases with the name \"OVN_Northbound\""),
        "{error}"
    );

    let _server = Serve::start(&[
        &format!("{}=OVN_Northbound", in_folder(path, "3.db")),
        &socket,
    ]);
    let error = refused(&[&in_folder(path, "3.db"), "--remote=ptcp:0:127.0.0.1"]);
    assert!(
        error.contains("another server or tool has locked"),
        "{error}"
    );
    let error = refused(&["--no-file", "OVN_Southbound", &socket]);
    assert!(error.contains("cannot listen on punix:"), "{error}");
}

#[test]
fn tls_has_the_options_of_ovsdb_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let pki = ["--dir=pki", "--log=log", "--batch"];
    run(path, "ovs-pki", &[&pki[..], &["init"]].concat()).succeeded();
    run(
        path,
        "ovs-pki",
        &[&pki[..], &["req+sign", "ovnnb", "controller"]].concat(),
    )
    .succeeded();
    run(
        path,
        "ovs-pki",
        &[&pki[..], &["req+sign", "cms", "switch"]].concat(),
    )
    .succeeded();
    let files = |name: &str, ca: &str| {
        [
            format!(
                "--private-key={}",
                in_folder(path, &format!("{name}-privkey.pem"))
            ),
            format!(
                "--certificate={}",
                in_folder(path, &format!("{name}-cert.pem"))
            ),
            format!(
                "--ca-cert={}",
                in_folder(path, &format!("pki/{ca}/cacert.pem"))
            ),
        ]
    };
    let [key, certificate, ca] = files("ovnnb", "switchca");
    let server = Serve::start(&[
        "--no-file",
        "OVN_Northbound",
        "--remote=pssl:0:127.0.0.1",
        &key,
        &certificate,
        &ca,
    ]);
    let [client_key, client_certificate, client_ca] = files("cms", "controllerca");
    let db = format!("--db={}", server.remote());
    let options = [&*client_key, &client_certificate, &client_ca, &db];
    run(
        path,
        "ovn-nbctl",
        &[&options[..], &["ls-add", "sw0"]].concat(),
    )
    .succeeded();

    // A certificate of the other authority is not accepted.
    let options = [&*key, &certificate, &client_ca, "--timeout=10", &db];
    let refusal = run(path, "ovn-nbctl", &[&options[..], &["ls-list"]].concat());
    assert_ne!(refusal.status, Some(0), "{refusal:?}");

    let error = refused(&[
        "--no-file",
        "OVN_Northbound",
        "--remote=pssl:0:127.0.0.1",
        &key,
        &certificate,
    ]);
    assert!(error.contains("--ca-cert is missing"), "{error}");
    let error = refused(&[
        "--no-file",
        "OVN_Northbound",
        "--remote=pssl:0:127.0.0.1",
        &key,
        &certificate,
        "--ca-cert=/no/such",
    ]);
    assert!(error.contains("/no/such"), "{error}");
    let arguments = [
        "--no-file",
        "OVN_Northbound",
        "--remote=pssl:0:127.0.0.1",
        &key,
        &certificate,
        "--ca-cert=none",
    ];
    let open = Serve::start(&arguments);
    let db = format!("--db={}", open.remote());
    let options = [&*key, &certificate, &client_ca, &db];
    run(path, "ovn-nbctl", &[&options[..], &["ls-list"]].concat()).succeeded();
}
