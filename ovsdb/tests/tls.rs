//! TLS with real servers: whose certificates are trusted, and how each fault is reported.

mod support;

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ovsdb::rustls::{AlertDescription, ClientConfig, RootCertStore, pki_types};
use ovsdb::testing::{Server, SslFiles, program};
use ovsdb::{
    Client, ConnectError, ConnectionState, DisconnectReason, Error, TlsConfig, TlsConfigBuilder,
    TlsError, TlsPart,
};
use support::INVENTORY;
use support::certificates::{Authority, Issued, Validity, server_files, write};
use support::inventory::{Database, Item, ItemOnly};

const LOCAL: &[&str] = &["127.0.0.1"];

/// An authority, a client's certificate, and a folder for files.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    client: Issued,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("the authority");
        let client = authority.issue(&["client"], Validity::Now);
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            folder,
            authority,
            client,
        }
    }

    fn server_with(&self, certificate: &Issued, arguments: &[&str]) -> Server {
        let mut builder = Server::builder().schema(INVENTORY);
        for argument in arguments {
            builder = builder.argument(*argument);
        }
        builder
            .ssl(server_files(
                self.folder.path(),
                certificate,
                &self.authority,
            ))
            .start()
            .expect("a server")
    }

    fn server(&self) -> Server {
        self.server_with(&self.authority.issue(LOCAL, Validity::Now), &[])
    }

    fn trusting(&self) -> TlsConfigBuilder {
        TlsConfig::builder().ca_pem(self.authority.pem())
    }

    fn tls(&self) -> TlsConfigBuilder {
        self.trusting()
            .client_pem(self.client.certificate.clone(), self.client.key.clone())
    }
}

async fn connect_to(remote: String, tls: TlsConfig) -> Result<Client<Database>, Error> {
    Client::builder().remotes(remote).tls(tls).connect().await
}

async fn connect(server: &Server, tls: TlsConfig) -> Result<Client<Database>, Error> {
    connect_to(server.ssl_remote().expect("a port"), tls).await
}

/// The TLS error of an attempt, in the handshake or, with TLS 1.3, after it.
#[derive(Debug, Clone)]
struct Refusal(Error);

impl Refusal {
    async fn of(server: &Server, tls: TlsConfig) -> Self {
        Self(connect(server, tls).await.expect_err("a refusal"))
    }

    fn tls(&self) -> &TlsError {
        match &self.0 {
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
}

/// Writes and reads more than the buffers on the way can hold.
async fn works(client: &Client<Database>) {
    let large = "x".repeat(3 << 20);
    let cache = client
        .cache()
        .table::<Item>()
        .start()
        .await
        .expect("a cache");
    let before = cache.snapshot().rows::<Item>().len();
    let mut txn = client.transaction();
    let rows: Vec<_> = (0..4)
        .map(|n| {
            txn.insert(Item {
                name: format!("{before} {n}").into(),
                total: (before * 10 + n) as i64,
                only: ItemOnly::Sole,
                notes: [("large", large.as_str())].into(),
                ..Default::default()
            })
        })
        .collect();
    txn.commit().await.expect("a commit");
    let view = cache.snapshot();
    for row in rows {
        let row = view.get(row).expect("the row");
        assert_eq!(row.notes, [("large", large.as_str())].into());
    }
    let other = client
        .cache()
        .table::<Item>()
        .start()
        .await
        .expect("a cache");
    assert_eq!(other.snapshot().rows::<Item>().len(), before + 4);
}

#[tokio::test]
async fn commits_and_large_replies_pass_with_each_version_of_tls() {
    let world = World::new();
    let certificate = world.authority.issue(LOCAL, Validity::Now);
    for arguments in [&[][..], &["--ssl-protocols=TLSv1.2"]] {
        let server = world.server_with(&certificate, arguments);
        let client = connect(&server, world.tls().build().expect("TLS"))
            .await
            .expect("a client");
        works(&client).await;
        client.close().await;
    }
}

#[tokio::test]
async fn addresses_of_both_families_and_names_are_verified() {
    let world = World::new();
    let names = ["::1", "localhost", "nb.example"];
    let certificate = world.authority.issue(&names, Validity::Now);
    let files = server_files(world.folder.path(), &certificate, &world.authority);
    let server = world.server_with(&certificate, &[]);
    let port = server.ssl_remote().expect("a port");
    let port = port.rsplit(':').next().expect("a port");
    let tls = || world.tls().build().expect("TLS");

    connect_to(format!("ssl:localhost:{port}"), tls())
        .await
        .expect("the name is right");
    let named = tls().with_server_name("nb.example").expect("a name");
    connect(&server, named).await.expect("the name is right");

    let wrong = Refusal::of(&server, tls()).await;
    match wrong.tls() {
        TlsError::WrongName {
            expected,
            presented,
        } => {
            assert_eq!(expected, "127.0.0.1");
            assert_eq!(presented.len(), 3);
        }
        other => panic!("{other:?}"),
    }
    let message = wrong.tls().to_string();
    assert!(
        message.contains("not for 127.0.0.1") && message.contains("nb.example"),
        "{message}"
    );
    let any = world.tls().verify_name(false).build().expect("TLS");
    connect(&server, any).await.expect("names do not matter");

    // IPv6 has its own port here: the harness listens with IPv4.
    let free = std::net::TcpListener::bind("[::1]:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let server = Server::builder()
        .schema(INVENTORY)
        .ssl(files)
        .argument(format!("--remote=pssl:{port}:[::1]"))
        .start()
        .expect("a server");
    while std::net::TcpStream::connect(("::1", port)).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    connect_to(format!("ssl:[::1]:{port}"), tls())
        .await
        .expect("the address is right");
    drop(server);
}

#[tokio::test]
async fn each_fault_of_the_servers_certificate_has_its_error() {
    let world = World::new();
    let tls = || world.tls().build().expect("TLS");
    let unnamed = || world.tls().verify_name(false).build().expect("TLS");
    let with = |validity| world.server_with(&world.authority.issue(LOCAL, validity), &[]);

    let server = with(Validity::Past);
    for tls in [tls(), unnamed()] {
        let refusal = Refusal::of(&server, tls).await;
        assert!(matches!(refusal.tls(), TlsError::Expired), "{refusal:?}");
    }
    let server = with(Validity::Future);
    for tls in [tls(), unnamed()] {
        let refusal = Refusal::of(&server, tls).await;
        assert!(
            matches!(refusal.tls(), TlsError::NotYetValid),
            "{refusal:?}"
        );
    }
    // An authority with another name, and one with the same name and another key.
    let server = with(Validity::Now);
    for name in ["another authority", "the authority"] {
        for verify in [true, false] {
            let other = TlsConfig::builder()
                .ca_pem(Authority::new(name).pem())
                .client_pem(world.client.certificate.clone(), world.client.key.clone())
                .verify_name(verify)
                .build()
                .expect("TLS");
            let refusal = Refusal::of(&server, other).await;
            assert!(
                matches!(refusal.tls(), TlsError::UnknownIssuer),
                "{refusal:?}"
            );
        }
    }
    // One of several authorities is enough.
    let several = world
        .tls()
        .ca_pem(Authority::new("another authority").pem())
        .build()
        .expect("TLS");
    connect(&server, several).await.expect("a client");
}

#[tokio::test]
async fn the_reason_why_a_server_refuses_the_clients_certificate_is_reported() {
    let world = World::new();
    let certificate = world.authority.issue(LOCAL, Validity::Now);
    let expired = world.authority.issue(&["client"], Validity::Past);
    let foreign = Authority::new("another authority").issue(&["client"], Validity::Now);
    for arguments in [&[][..], &["--ssl-protocols=TLSv1.2"]] {
        let server = world.server_with(&certificate, arguments);
        // The server resets the connection after the alert, because it leaves bytes unread. The alert must
        // not be lost.
        for _ in 0..20 {
            let none = world.trusting().build().expect("TLS");
            let refusal = Refusal::of(&server, none).await;
            assert!(
                matches!(refusal.tls(), TlsError::ClientCertificateRequired),
                "{arguments:?}: {refusal:?}"
            );
        }
        for (client, alert) in [
            (&expired, AlertDescription::CertificateExpired),
            (&foreign, AlertDescription::UnknownCA),
        ] {
            let tls = world
                .trusting()
                .client_pem(client.certificate.clone(), client.key.clone())
                .build()
                .expect("TLS");
            let refusal = Refusal::of(&server, tls).await;
            match refusal.tls() {
                TlsError::ClientCertificateRefused(found) => assert_eq!(*found, alert),
                other => panic!("{arguments:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn bad_files_are_named() {
    let world = World::new();
    let folder = world.folder.path();
    let certificate = write(folder, "cert.pem", &world.client.certificate);
    let key = write(folder, "privkey.pem", &world.client.key);
    let ca = write(folder, "cacert.pem", &world.authority.pem());
    let other = world.authority.issue(&["other"], Validity::Now);
    let other_key = write(folder, "other-privkey.pem", &other.key);
    let junk = write(folder, "junk.pem", "junk");
    let cut = write(folder, "cut.pem", &world.authority.pem()[..100]);
    let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let hollow = write(folder, "hollow.pem", hollow);
    let hollow_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let hollow_key = write(folder, "hollow-privkey.pem", hollow_key);
    let absent = folder.join("absent.pem");

    let fault = |ca: &Path, certificate: &Path, key: &Path| {
        let tls = TlsConfig::builder()
            .ca_file(ca)
            .client_files(certificate, key);
        tls.build().expect_err("a fault")
    };
    let names = |error: &TlsError, path: &Path| {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
    };
    for (path, part, error) in [
        (
            &junk,
            TlsPart::CaCertificates,
            fault(&junk, &certificate, &key),
        ),
        (
            &cut,
            TlsPart::CaCertificates,
            fault(&cut, &certificate, &key),
        ),
        (
            &key,
            TlsPart::CaCertificates,
            fault(&key, &certificate, &key),
        ),
        (&junk, TlsPart::Certificate, fault(&ca, &junk, &key)),
        (&key, TlsPart::Certificate, fault(&ca, &key, &key)),
        (&junk, TlsPart::PrivateKey, fault(&ca, &certificate, &junk)),
        (
            &certificate,
            TlsPart::PrivateKey,
            fault(&ca, &certificate, &certificate),
        ),
    ] {
        names(&error, path);
        match error {
            TlsError::Pem { material, .. } => {
                assert_eq!((material.part, material.file.as_ref()), (part, Some(path)));
            }
            other => panic!("{other:?}"),
        }
    }
    for (path, error) in [
        (&hollow, fault(&hollow, &certificate, &key)),
        (&hollow, fault(&ca, &hollow, &key)),
        (&hollow_key, fault(&ca, &certificate, &hollow_key)),
    ] {
        names(&error, path);
        assert!(matches!(error, TlsError::Unusable { .. }), "{error:?}");
    }
    for error in [
        fault(&absent, &certificate, &key),
        fault(&ca, &absent, &key),
        fault(&ca, &certificate, &absent),
    ] {
        names(&error, &absent);
        assert!(matches!(error, TlsError::Read { .. }), "{error:?}");
        assert!(error.source().is_some());
    }
    let error = fault(&ca, &certificate, &other_key);
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error:?}");
    names(&error, &certificate);
    names(&error, &other_key);

    let error = TlsConfig::builder().build().expect_err("no authority");
    assert!(matches!(error, TlsError::NoCaCertificates));
    let error = world.tls().server_name("ovnnb id:1").build();
    assert!(matches!(error, Err(TlsError::BadServerName(_))));
    // Secrets do not appear in logs.
    let tls = world.tls();
    assert!(!format!("{tls:?} {:?}", world.tls().build()).contains("PRIVATE"));
}

#[tokio::test]
async fn replaced_files_are_read_at_the_next_attempt() {
    let world = World::new();
    let folder = world.folder.path();
    let ca = write(folder, "cacert.pem", &world.authority.pem());
    let certificate = write(folder, "cert.pem", &world.client.certificate);
    let key = write(folder, "privkey.pem", &world.client.key);
    let tls = TlsConfig::builder()
        .ca_file(&ca)
        .client_files(&certificate, &key)
        .build()
        .expect("TLS");
    let server = world.server();
    let client = connect(&server, tls.clone()).await.expect("a client");
    assert!(!tls.files_changed());

    // A new authority, whose files are replaced one by one.
    let next = World::new();
    let next_server = next.server();
    fs::write(&ca, next.authority.pem()).expect("written");
    fs::write(&certificate, &next.client.certificate).expect("written");
    assert!(tls.files_changed());
    // The key does not fit: what was read before stays in use.
    connect(&server, tls.clone()).await.expect("a client");
    assert!(tls.files_changed());
    fs::write(&key, &next.client.key).expect("written");
    connect(&next_server, tls.clone()).await.expect("a client");
    assert!(!tls.files_changed());
    let refusal = Refusal::of(&server, tls.clone()).await;
    assert!(
        matches!(refusal.tls(), TlsError::UnknownIssuer),
        "{refusal:?}"
    );
    fs::remove_file(&ca).expect("removed");
    assert!(tls.files_changed());
    connect(&next_server, tls).await.expect("a client");
    // Existing connections are not affected.
    works(&client).await;
}

#[tokio::test]
async fn a_session_lives_through_a_change_of_authorities() {
    let world = World::new();
    let folder = world.folder.path();
    let ca = write(folder, "cacert.pem", &world.authority.pem());
    let certificate = write(folder, "cert.pem", &world.client.certificate);
    let key = write(folder, "privkey.pem", &world.client.key);
    let tls = TlsConfig::builder()
        .ca_file(&ca)
        .client_files(&certificate, &key)
        .build()
        .expect("TLS");
    let mut server = world.server();
    let client = Client::<Database>::builder()
        .remotes(server.ssl_remote().expect("a port"))
        .tls(tls)
        .backoff(Duration::from_millis(50), Duration::from_millis(50));
    let client = client.connect().await.expect("a client");
    works(&client).await;

    let next = World::new();
    let issued = next.authority.issue(LOCAL, Validity::Now);
    server.kill().expect("killed");
    server_files(folder, &issued, &next.authority);
    server.start().expect("started");
    let mut state = client.state();
    let unknown = state.wait_for(|state| match state {
        ConnectionState::Waiting { lost: Some(lost) } => matches!(
            lost.reason(),
            DisconnectReason::Connect(error)
                if matches!(**error, ConnectError::Tls(TlsError::UnknownIssuer))
        ),
        _ => false,
    });
    drop(unknown.await.expect("the client lives"));

    // The client trusts the new authority, but the server refuses the client's old certificate.
    fs::write(&ca, next.authority.pem()).expect("written");
    let refused = state.wait_for(|state| match state {
        ConnectionState::Waiting { lost: Some(lost) } => matches!(
            lost.reason(),
            DisconnectReason::Tls(TlsError::ClientCertificateRefused(_))
        ),
        _ => false,
    });
    drop(refused.await.expect("the client lives"));
    fs::write(&certificate, &next.client.certificate).expect("written");
    fs::write(&key, &next.client.key).expect("written");
    works(&client).await;
}

#[tokio::test]
async fn a_configuration_of_rustls_is_used_as_it_is() {
    use pki_types::pem::PemObject;
    let world = World::new();
    let server = world.server();
    let mut roots = RootCertStore::empty();
    let der = pki_types::CertificateDer::from_pem_slice(world.authority.pem().as_bytes());
    roots.add(der.expect("PEM")).expect("a certificate");
    let certificate =
        pki_types::CertificateDer::from_pem_slice(world.client.certificate.as_bytes());
    let key = pki_types::PrivateKeyDer::from_pem_slice(world.client.key.as_bytes());
    let provider = Arc::new(ovsdb::rustls::crypto::ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots.clone())
    };
    let config = builder()
        .with_client_auth_cert(vec![certificate.expect("PEM")], key.expect("PEM"))
        .expect("a key that fits");
    let client = connect(&server, TlsConfig::from_rustls(config)).await;
    works(&client.expect("a client")).await;
    let anonymous = TlsConfig::from_rustls(builder().with_no_client_auth());
    let refusal = Refusal::of(&server, anonymous).await;
    assert!(matches!(refusal.tls(), TlsError::ClientCertificateRequired));
}

#[tokio::test]
async fn a_half_closed_tls_connection_gets_its_reply() {
    use pki_types::pem::PemObject;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let world = World::new();
    let server = world.server();
    let mut roots = RootCertStore::empty();
    let authority = pki_types::CertificateDer::from_pem_slice(world.authority.pem().as_bytes());
    roots.add(authority.expect("PEM")).expect("a certificate");
    let certificate = world.client.certificate.as_bytes();
    let certificate = pki_types::CertificateDer::from_pem_slice(certificate).expect("PEM");
    let key = pki_types::PrivateKeyDer::from_pem_slice(world.client.key.as_bytes());
    let provider = Arc::new(ovsdb::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key.expect("PEM"))
        .expect("a key that fits");
    let remote = server.ssl_remote().expect("a port");
    let socket = tokio::net::TcpStream::connect(remote.trim_start_matches("ssl:"));
    let name = "127.0.0.1".try_into().expect("an address");
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = stream.connect(name, socket.await.expect("a connection"));
    let mut stream = stream.await.expect("TLS");
    let request = br#"{"method":"list_dbs","params":[],"id":0}"#;
    stream.write_all(request).await.expect("written");
    stream.shutdown().await.expect("shut down");
    let mut reply = String::new();
    let end = stream.read_to_string(&mut reply).await;
    assert!(
        reply.contains(r#"["Inventory","_Server"]"#),
        "{reply} {end:?}"
    );
}

/// Runs `ovs-pki` in its own folder.
fn ovs_pki(folder: &Path, arguments: &[&str]) {
    let output = Command::new(program("ovs-pki").expect("ovs-pki"))
        .current_dir(folder)
        .arg(format!("--dir={}", folder.join("pki").display()))
        .arg(format!("--log={}", folder.join("log").display()))
        .arg("--batch")
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn certificates_of_ovs_pki_are_accepted_by_name_or_by_their_authority_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    ovs_pki(path, &["init"]);
    ovs_pki(path, &["--unique", "req+sign", "ovnnb", "controller"]);
    ovs_pki(path, &["req+sign", "usual", "controller"]);
    ovs_pki(path, &["req+sign", "cms", "switch"]);
    let server = |name: &str| {
        let files = SslFiles {
            private_key: path.join(format!("{name}-privkey.pem")),
            certificate: path.join(format!("{name}-cert.pem")),
            ca_certificate: path.join("pki/switchca/cacert.pem"),
        };
        let server = Server::builder().schema(INVENTORY).ssl(files).start();
        server.expect("a server")
    };
    let tls = || {
        TlsConfig::builder()
            .ca_file(path.join("pki/controllerca/cacert.pem"))
            .client_files(path.join("cms-cert.pem"), path.join("cms-privkey.pem"))
    };
    let plain = server("ovnnb");
    let by_name = tls().server_name("ovnnb").build().expect("TLS");
    works(&connect(&plain, by_name).await.expect("a client")).await;
    let refusal = Refusal::of(&plain, tls().build().expect("TLS")).await;
    assert!(
        matches!(refusal.tls(), TlsError::WrongName { presented, .. } if presented.len() == 1),
        "{refusal:?}"
    );
    for server in [plain, server("usual")] {
        let any = tls().verify_name(false).build().expect("TLS");
        works(&connect(&server, any).await.expect("a client")).await;
        let wrong = TlsConfig::builder()
            .ca_file(path.join("pki/switchca/cacert.pem"))
            .client_files(path.join("cms-cert.pem"), path.join("cms-privkey.pem"))
            .verify_name(false);
        let refusal = Refusal::of(&server, wrong.build().expect("TLS")).await;
        assert!(
            matches!(refusal.tls(), TlsError::UnknownIssuer),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_peer_without_tls_is_recognised() {
    let world = World::new();
    let server = Server::builder().schema(INVENTORY).tcp(true).start();
    let server = server.expect("a server");
    let remote = server.tcp_remote().expect("a port").replace("tcp:", "ssl:");
    let tls = || world.tls().build().expect("TLS");
    let refusal = Refusal(connect_to(remote, tls()).await.expect_err("no TLS"));
    assert!(
        matches!(refusal.tls(), TlsError::HandshakeClosed),
        "{refusal:?}"
    );

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let talker = async {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let echo = br#"{"method":"echo","params":[],"id":"echo"}"#;
        stream.write_all(echo).await.expect("written");
        stream
    };
    let remote = format!("ssl:127.0.0.1:{port}");
    let (refused, _stream) = tokio::join!(connect_to(remote.clone(), tls()), talker);
    let refusal = Refusal(refused.expect_err("no TLS"));
    assert!(matches!(refusal.tls(), TlsError::NotTls(_)), "{refusal:?}");

    let bare = Client::<Database>::builder().remotes(remote).connect();
    match bare.await.expect_err("no configuration") {
        Error::Connect { source, .. } => {
            assert!(matches!(*source, ConnectError::NoTlsConfig) && source.is_permanent());
        }
        other => panic!("{other:?}"),
    }
}
