//! Clusters, relays and TLS.
//!
//! # Clusters
//!
//! A clustered database has several servers, of which one leads. Give the client the remotes of all members:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb::{self, LogicalSwitch as Switch};
//! use ovsdb::server::Server;
//!
//! // Three servers in this process, which behave as a cluster.
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let cluster = Server::cluster(schema, 3)?;
//! let client = nb::Client::builder().remotes(cluster.remotes()).leader_only(true).connect().await?;
//! let cache = client.cache().table::<Switch>().start().await?;
//!
//! // Another member becomes the leader. The client follows it.
//! let leader = cluster.leader().ok_or("no leader")?;
//! cluster.transfer_leadership((leader + 1) % 3)?;
//!
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit_once().await?;
//! cache.current().await?;
//! assert_eq!(cache.snapshot().table::<Switch>().len(), 1);
//! # Ok(()) }
//! ```
//!
//! | setting | what it does |
//! |---|---|
//! | [`leader_only(true)`](ClientBuilder::leader_only) | uses the leader only: the rows of followers may be older |
//! | [`remote_order`](ClientBuilder::remote_order) | shuffles the remotes (the default, which spreads clients) or tries them as given |
//! | [`cluster_id`](ClientBuilder::cluster_id) | refuses servers of any other cluster |
//!
//! Without `leader_only` the client may use a follower, which spreads the load of many readers. The leader still decides transactions. The client
//! leaves a member that has applied fewer transactions than the client has seen, so views do not go back in time. There is one exception: if a
//! connection is lost just after a transaction, the next member may lack that transaction ([`leader_only`](ClientBuilder::leader_only) says
//! when).
//!
//! Followers do not share locks: a program that relies on [`Client::lock`] must use the leader.
//!
//! # Relays
//!
//! A relay serves a database of other servers: it answers reads and monitors itself, and forwards transactions that write. For a
//! client it is a server like any other. This library's server can be one:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::nb::{self, LogicalSwitch as Switch};
//! use ovsdb::server::Server;
//!
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let source = Server::memory(schema)?;
//! let relay = Server::relay("OVN_Northbound", source.remote()).await?;
//!
//! let client = nb::Client::builder().server(&relay).connect().await?;
//! let mut txn = client.transaction();
//! txn.insert(Switch { name: "sw0".into(), ..Default::default() });
//! txn.commit().await?;
//! assert_eq!(source.transactions::<nb::Database>().len(), 1);
//! # Ok(()) }
//! ```
//!
//! A relay need not be a leader for `leader_only`. It has locks and row versions of its own.
//! [`Client::databases`] lists the databases of a server, and says of each whether it is standalone,
//! clustered or relayed.
//!
//! # TLS
//!
//! With the feature `tls`, a client reaches `ssl:` remotes by a [`TlsConfig`]. It takes the three files that Open vSwitch's programs take
//! (`--ca-cert`, `--certificate`, `--private-key`):
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
//! # let mut params = CertificateParams::new([])?;
//! # params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
//! # let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
//! # let temporary = tempfile::tempdir()?;
//! # let folder = temporary.path();
//! # std::fs::write(folder.join("cacert.pem"), authority.pem())?;
//! # for (name, host) in [("server", "127.0.0.1"), ("client", "client")] {
//! #     let key = KeyPair::generate()?;
//! #     let certificate = CertificateParams::new([host.to_owned()])?.signed_by(&key, &authority)?;
//! #     std::fs::write(folder.join(format!("{name}-cert.pem")), certificate.pem())?;
//! #     std::fs::write(folder.join(format!("{name}-privkey.pem")), key.serialize_pem())?;
//! # }
//! use ovsdb::server::{Server, TlsServerConfig};
//! use ovsdb::{TlsConfig, nb};
//!
//! // The server: its own certificate, and the authority whose clients it accepts.
//! let tls = TlsServerConfig::builder()
//!     .certificate_files(folder.join("server-cert.pem"), folder.join("server-privkey.pem"))
//!     .ca_file(folder.join("cacert.pem"))
//!     .build()?;
//! let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
//! let server = Server::builder().memory(schema).tls(tls).start()?;
//! let remote = server.listen(&"pssl:0:127.0.0.1".parse()?).await?;
//!
//! // The client: the authority that it trusts, and its own certificate.
//! let tls = TlsConfig::builder()
//!     .ca_file(folder.join("cacert.pem"))
//!     .client_files(folder.join("client-cert.pem"), folder.join("client-privkey.pem"))
//!     .build()?;
//! let client = nb::Client::builder().remotes(remote).tls(tls).connect().await?;
//! # assert_eq!(client.database(), "OVN_Northbound");
//! # Ok(()) }
//! ```
//!
//! - The files are read again at each connection, so certificates can be replaced while the program runs. If the new files cannot
//!   be used, the old ones stay in use and the log says so.
//! - The certificate of a server must be for its host. Certificates that `ovs-pki` makes are not. If they were made with `--unique`, give
//!   [`server_name`](TlsConfigBuilder::server_name) the name in the certificate. Otherwise set
//!   [`verify_name(false)`](TlsConfigBuilder::verify_name), which trusts every certificate of the authority, as Open vSwitch's programs
//!   do.
//! - [`TlsConfig::from_rustls`] takes a configuration of rustls. [`TlsError`] says what is wrong, and with which file.
//!
//! Next: [`schema_skew`](super::schema_skew).

#[cfg(doc)]
use crate::*;
