//! TLS on the server's side: its certificate, and which clients it accepts.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::{
    ALL_VERSIONS, Error as RustlsError, ServerConfig, SupportedProtocolVersion, crypto,
};
use tokio_rustls::server::TlsStream;

use super::error::TlsError;
use super::material::{Configure, Contents, Pem, Reloading, Sources};
use super::read_files;

/// The TLS configuration for `pssl:` remotes: the server's certificate, and which clients are accepted.
///
/// It uses the same files as ovsdb-server, which gets them by `--private-key`, `--certificate` and
/// `--ca-cert`. Like ovsdb-server, it requires a certificate of every client, issued by one of the
/// authorities, for any name. The files are read again at each connection, so certificates can be
/// replaced while the server runs. If the new ones cannot be used, the earlier ones stay in use and a
/// warning is logged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
///
/// use ovsdb::server::{PassiveRemote, Server, TlsServerConfig};
///
/// let pki = Path::new("/etc/ovn");
/// # let folder = tempfile::tempdir()?;
/// # let own = rcgen::generate_simple_self_signed(["ovnnb".to_owned()])?;
/// # let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
/// # for (name, text) in [("cacert", &cert), ("ovnnb-cert", &cert), ("ovnnb-privkey", &key)] {
/// #     std::fs::write(folder.path().join(name).with_extension("pem"), text)?;
/// # }
/// # let pki = folder.path();
/// let tls = TlsServerConfig::builder()
///     .certificate_files(pki.join("ovnnb-cert.pem"), pki.join("ovnnb-privkey.pem"))
///     .ca_file(pki.join("cacert.pem"))
///     .build()?;
/// let schema = ovsdb::schema::bundled("OVN_Northbound").expect("a bundled schema");
/// let server = Server::builder().memory(schema).tls(tls).start()?;
/// let remote: PassiveRemote = "pssl:6641".parse()?;
/// # let remote: PassiveRemote = "pssl:0:127.0.0.1".parse()?;
/// server.listen(&remote).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TlsServerConfig {
    source: Arc<Source>,
}

enum Source {
    /// A configuration made by the user.
    Rustls(Arc<ServerConfig>),
    Material(Reloading<Settings>),
}

impl fmt::Debug for TlsServerConfig {
    /// Prints no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfig").finish_non_exhaustive()
    }
}

/// Builds a [`TlsServerConfig`] from the server's certificate and from which clients are accepted.
/// [`TlsServerConfig::builder`] makes this builder.
///
/// ```
/// use ovsdb::TlsError;
/// use ovsdb::server::TlsServerConfig;
///
/// let without_certificate = TlsServerConfig::builder().verify_clients(false).build();
/// assert!(matches!(without_certificate, Err(TlsError::NoServerCertificate)));
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct TlsServerConfigBuilder {
    settings: Settings,
}

impl fmt::Debug for TlsServerConfigBuilder {
    /// Prints no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerConfigBuilder")
            .finish_non_exhaustive()
    }
}

struct Settings {
    sources: Sources,
    verify_clients: bool,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl TlsServerConfigBuilder {
    /// Sets the PEM files of the server's certificate (followed by its chain, if any) and of its
    /// private key (PKCS #8, PKCS #1 or SEC 1).
    pub fn certificate_files(
        mut self,
        certificate: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> Self {
        let files = (Pem::File(certificate.into()), Pem::File(private_key.into()));
        self.settings.sources.own = Some(files);
        self
    }

    /// Sets the server's certificate and private key, as PEM texts.
    pub fn certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        private_key: impl Into<Vec<u8>>,
    ) -> Self {
        let texts = (Pem::Text(certificate.into()), Pem::Text(private_key.into()));
        self.settings.sources.own = Some(texts);
        self
    }

    /// Adds a PEM file with certificates of authorities whose clients are accepted, at least one.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.sources.ca.push(Pem::File(path.into()));
        self
    }

    /// Adds certificates of authorities whose clients are accepted, as PEM text.
    pub fn ca_pem(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.settings.sources.ca.push(Pem::Text(text.into()));
        self
    }

    /// Whether clients must have a certificate of the authorities: `true` by default. `false` accepts
    /// every client and requests no certificate, like `--ca-cert=none`.
    pub const fn verify_clients(mut self, verify: bool) -> Self {
        self.settings.verify_clients = verify;
        self
    }

    /// Sets the versions of TLS that the server speaks, like `--ssl-protocols` of ovsdb-server: 1.2 and
    /// 1.3 by default.
    ///
    /// ```
    /// use ovsdb::rustls::version::TLS13;
    /// use ovsdb::server::TlsServerConfig;
    ///
    /// let tls = TlsServerConfig::builder()
    ///     .certificate_files("ovnnb-cert.pem", "ovnnb-privkey.pem")
    ///     .protocol_versions([&TLS13]);
    /// ```
    pub fn protocol_versions(
        mut self,
        versions: impl IntoIterator<Item = &'static SupportedProtocolVersion>,
    ) -> Self {
        self.settings.versions = versions.into_iter().collect();
        self
    }

    /// Reads the certificates and keys.
    ///
    /// # Errors
    /// When the server has no certificate; when clients are to be verified and there is no CA
    /// certificate; when a file cannot be read; when a file or text is not PEM or has no usable contents;
    /// when the key does not fit the certificate; when the list of TLS versions is empty.
    pub fn build(self) -> Result<TlsServerConfig, TlsError> {
        let source = Source::Material(Reloading::new(self.settings)?);
        Ok(TlsServerConfig {
            source: Arc::new(source),
        })
    }
}

impl Configure for Settings {
    type Config = ServerConfig;

    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn configure(&self, contents: &Contents) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let own = self.sources.own_key(contents, &provider)?;
        let own = own.ok_or(TlsError::NoServerCertificate)?;
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .map_err(TlsError::Other)?;
        let builder = if self.verify_clients {
            let roots = Arc::new(self.sources.roots(contents)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| TlsError::Other(RustlsError::General(error.to_string())))?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
        // Without stored sessions, every connection verifies its client's certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl TlsServerConfig {
    /// Starts a configuration from PEM files or texts.
    pub fn builder() -> TlsServerConfigBuilder {
        TlsServerConfigBuilder {
            settings: Settings {
                sources: Sources::none(),
                verify_clients: true,
                versions: ALL_VERSIONS.to_vec(),
            },
        }
    }

    /// Uses a configuration of rustls as it is. The crate re-exports the version of rustls that it uses
    /// as `ovsdb::rustls`.
    pub fn from_rustls(config: impl Into<Arc<ServerConfig>>) -> Self {
        Self {
            source: Arc::new(Source::Rustls(config.into())),
        }
    }

    /// Makes the handshake with a client that has connected. `peer` is for the log. If the handshake
    /// fails, the connection is returned too, so that it can be closed after the alert was sent.
    pub(crate) async fn accept<S>(
        &self,
        stream: S,
        peer: String,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<S>, (io::Error, S)>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let source = self.source.clone();
        let reading = move || match &*source {
            Source::Rustls(config) => config.clone(),
            Source::Material(material) => material.current(&peer),
        };
        let config = match read_files(reading).await {
            Ok(config) => config,
            Err(error) => return Err((error, stream)),
        };
        let accepted = TlsAcceptor::from(config).accept(stream).into_fallible();
        accepted.await.map(Flushing)
    }
}

/// A stream that, while it is read from, also sends what is left in TLS's buffer because the socket had
/// no room.
struct Flushing<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Flushing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // An error will also occur when the stream is read, or written to again.
        let _ = Pin::new(&mut self.0).poll_flush(context);
        match Pin::new(&mut self.0).poll_read(context, buffer) {
            // Few clients end TLS properly. This is harmless: a truncated message is never handled, since
            // the framer returns whole messages only.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Flushing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
