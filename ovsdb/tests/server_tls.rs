//! The embedded server over TLS: with this library's client, and with ovsdb-client and ovn-nbctl.

#![cfg(all(feature = "server", feature = "tls", feature = "nb"))]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;

use std::path::{Path, PathBuf};
use std::process::Command;

use certificates::{Authority, Issued, Validity, write};
use ovsdb::server::{Server, TlsServerConfig};
use ovsdb::testing::program;
use ovsdb::{ConnectError, DisconnectReason, Error, TlsConfig, TlsConfigBuilder, TlsError, nb};

const LOCAL: &[&str] = &["127.0.0.1"];

struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    server: Issued,
    client: Issued,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("the authority");
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            server: authority.issue(LOCAL, Validity::Now),
            client: authority.issue(&["client"], Validity::Now),
            authority,
        }
    }

    async fn serve(&self, verify_clients: bool) -> (Server, String) {
        let tls = TlsServerConfig::builder()
            .certificate_pem(self.server.certificate.clone(), self.server.key.clone());
        let tls = if verify_clients {
            tls.ca_pem(self.authority.pem())
        } else {
            tls.verify_clients(false)
        };
        serve(tls.build().expect("TLS")).await
    }

    fn trusting(&self) -> TlsConfigBuilder {
        TlsConfig::builder().ca_pem(self.authority.pem())
    }

    fn tls(&self, client: &Issued) -> TlsConfig {
        let tls = self.trusting();
        let tls = tls.client_pem(client.certificate.clone(), client.key.clone());
        tls.build().expect("TLS")
    }

    /// The options of Open vSwitch's programs for a client with this certificate.
    fn options(&self, client: &Issued) -> Vec<String> {
        let folder = self.folder.path();
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        vec![
            option("private-key", write(folder, "key.pem", &client.key)),
            option(
                "certificate",
                write(folder, "cert.pem", &client.certificate),
            ),
            option("ca-cert", write(folder, "ca.pem", &self.authority.pem())),
        ]
    }
}

async fn serve(tls: TlsServerConfig) -> (Server, String) {
    let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a schema");
    let server = Server::builder().memory(schema).tls(tls).start();
    let server = server.expect("a server");
    let address = "pssl:0:127.0.0.1".parse().expect("a remote");
    let remote = server.listen(&address).await.expect("a port").to_string();
    assert!(remote.starts_with("ssl:127.0.0.1:"), "{remote}");
    (server, remote)
}

async fn connect(remote: &str, tls: TlsConfig) -> Result<nb::Client, Error> {
    nb::Client::builder()
        .remotes(remote)
        .tls(tls)
        .connect()
        .await
}

async fn refused(remote: &str, tls: TlsConfig) -> Error {
    connect(remote, tls).await.expect_err("a refusal")
}

/// The TLS error of an attempt, in the handshake or, with TLS 1.3, after it.
fn reason(error: &Error) -> &TlsError {
    match error {
        Error::Connect { source, .. } => match &**source {
            ConnectError::Tls(error) => error,
            other => panic!("expected a TLS error, got {other:?}"),
        },
        Error::Unusable { lost, .. } => match lost.reason() {
            DisconnectReason::Tls(error) => error,
            other => panic!("expected a TLS error, got {other:?}"),
        },
        other => panic!("expected a TLS error, got {other:?}"),
    }
}

/// Writes and reads more than the buffers on the way can hold.
async fn works(client: &nb::Client) {
    let large = "x".repeat(3 << 20);
    let mut transaction = client.transaction();
    for number in 0..4 {
        transaction.insert(nb::LogicalSwitch {
            name: format!("sw{number}").into(),
            external_ids: [("large", large.as_str())].into(),
            ..Default::default()
        });
    }
    transaction.commit().await.expect("a commit");
    let cache = client.cache().table::<nb::LogicalSwitch>().start().await;
    let view = cache.expect("a cache").snapshot();
    let rows = view.rows::<nb::LogicalSwitch>();
    assert!(rows.len() >= 4);
    for row in rows {
        assert_eq!(row.external_ids, [("large", large.as_str())].into());
    }
}

fn run(name: &str, arguments: &[String]) -> std::process::Output {
    let mut command = Command::new(program(name).expect(name));
    command.args(arguments).output().expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_authority_are_served_and_others_are_refused() {
    let world = World::new();
    let (_server, remote) = world.serve(true).await;
    works(
        &connect(&remote, world.tls(&world.client))
            .await
            .expect("a client"),
    )
    .await;

    let bare = world.trusting().build().expect("TLS");
    let error = refused(&remote, bare).await;
    let error = reason(&error);
    assert!(
        matches!(error, TlsError::ClientCertificateRequired),
        "{error:?}"
    );
    let expired = world.authority.issue(&["client"], Validity::Past);
    let foreign = Authority::new("another").issue(&["client"], Validity::Now);
    for client in [expired, foreign] {
        let error = refused(&remote, world.tls(&client)).await;
        let error = reason(&error);
        assert!(
            matches!(error, TlsError::ClientCertificateRefused(_)),
            "{error:?}"
        );
    }
    // Refused clients left nothing behind that would hinder others.
    works(
        &connect(&remote, world.tls(&world.client))
            .await
            .expect("a client"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_certificate_is_requested_unless_clients_are_verified() {
    let world = World::new();
    let (_server, remote) = world.serve(false).await;
    let bare = world.trusting().build().expect("TLS");
    works(&connect(&remote, bare).await.expect("a client")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_open_vswitch_and_ovn_speak_tls_with_the_server() {
    let world = World::new();
    let (_server, remote) = world.serve(true).await;
    let with = |options: &[String], rest: &[&str]| {
        let rest = rest.iter().map(ToString::to_string);
        options.iter().cloned().chain(rest).collect::<Vec<_>>()
    };
    let options = world.options(&world.client);
    let listed = run("ovsdb-client", &with(&options, &["list-dbs", &remote]));
    assert_eq!(listed.stdout, b"OVN_Northbound\n_Server\n", "{listed:?}");
    let nbctl = |rest: &[&str]| {
        let options = with(&options, &[&format!("--db={remote}"), "--no-leader-only"]);
        let output = run("ovn-nbctl", &with(&options, rest));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    nbctl(&["ls-add", "sw0", "--", "lsp-add", "sw0", "p0"]);
    assert!(nbctl(&["lsp-list", "sw0"]).contains("(p0)"));

    let foreign = Authority::new("another").issue(&["client"], Validity::Now);
    let options = world.options(&foreign);
    let refused = run(
        "ovsdb-client",
        &with(&options, &["--timeout=10", "list-dbs", &remote]),
    );
    assert!(!refused.status.success(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_files_are_read_at_the_next_connection() {
    let world = World::new();
    let folder = world.folder.path();
    let files = |issued: &Issued, authority: &Authority| {
        (
            write(folder, "server-cert.pem", &issued.certificate),
            write(folder, "server-key.pem", &issued.key),
            write(folder, "server-ca.pem", &authority.pem()),
        )
    };
    let (certificate, key, ca) = files(&world.server, &world.authority);
    let tls = TlsServerConfig::builder()
        .certificate_files(certificate, key)
        .ca_file(ca);
    let (_server, remote) = serve(tls.build().expect("TLS")).await;
    let first = connect(&remote, world.tls(&world.client))
        .await
        .expect("a client");

    let next = World::new();
    files(&next.server, &next.authority);
    connect(&remote, next.tls(&next.client))
        .await
        .expect("a client of the new authority");
    let error = refused(&remote, world.tls(&world.client)).await;
    let error = reason(&error);
    assert!(matches!(error, TlsError::UnknownIssuer), "{error:?}");
    // Existing connections are not affected.
    works(&first).await;
    // If the files cannot be used, what was read before stays in use.
    write(folder, "server-cert.pem", "not PEM");
    connect(&remote, next.tls(&next.client))
        .await
        .expect("a client of the new authority");
}

#[tokio::test]
async fn faults_of_the_configuration_name_what_is_wrong() {
    let world = World::new();
    let own = || {
        let (certificate, key) = (world.server.certificate.clone(), world.server.key.clone());
        TlsServerConfig::builder().certificate_pem(certificate, key)
    };
    let error = own().build().expect_err("no authority");
    assert!(matches!(error, TlsError::NoCaCertificates), "{error:?}");
    let absent = Path::new("/no/such/file");
    let error = own().ca_file(absent).build().expect_err("no such file");
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let mixed = TlsServerConfig::builder()
        .certificate_pem(world.server.certificate.clone(), world.client.key.clone());
    let error = mixed
        .verify_clients(false)
        .build()
        .expect_err("another key");
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error:?}");
    // Secrets do not appear in logs.
    assert!(!format!("{:?} {:?}", own(), own().verify_clients(false).build()).contains("PRIVATE"));

    let server = Server::memory(r#"{"name": "Empty", "tables": {}}"#).expect("a server");
    let listening = server
        .listen(&"pssl:0:127.0.0.1".parse().expect("a remote"))
        .await;
    let error = listening.expect_err("no certificate").to_string();
    assert!(error.contains("TlsServerConfig"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_speak_tls_is_disconnected() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new();
    let (_server, remote) = world.serve(true).await;
    let address = remote.trim_start_matches("ssl:");
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    let request = br#"{"method":"list_dbs","params":[],"id":0}"#;
    stream.write_all(request).await.expect("written");
    let mut answer = Vec::new();
    // An alert, and the end of the stream.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"{"), "{answer:?}");
    works(
        &connect(&remote, world.tls(&world.client))
            .await
            .expect("a client"),
    )
    .await;
}
