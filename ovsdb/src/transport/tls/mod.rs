//! TLS, by rustls.

mod error;
mod material;
#[cfg(feature = "server")]
mod server;
mod stream;
mod verifier;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

pub use self::error::{TlsError, TlsMaterial, TlsPart};
use self::material::{ClientSettings, Pem, Reloading, Sources};
#[cfg(feature = "server")]
pub use self::server::{TlsServerConfig, TlsServerConfigBuilder};
use self::verifier::RequestRecorder;
use super::{ConnectError, ReadHalf, WriteHalf};

/// The TLS configuration for `ssl:` remotes: which authorities to trust, and the client's certificate.
///
/// It uses the same files as Open vSwitch's programs, which get them by `--ca-cert`, `--certificate`
/// and `--private-key`. The files are read again at each attempt to connect, so certificates can be
/// replaced while the client runs. If the new ones cannot be used, the earlier ones stay in use and a
/// warning is logged, since files are rarely replaced all at the same time.
///
/// # Names
/// A server's certificate must be issued by the CA, and must be for the server's name: the one given
/// with [`server_name`](TlsConfigBuilder::server_name), otherwise the host in the remote. Open
/// vSwitch's own programs check only the CA, and `ovs-pki` makes certificates whose name is not a host
/// name: `ovnnb id:6dc3...`, or, with `--unique`, the name of their file, `ovnnb`, independent of the
/// address that the server listens on. For a certificate made with `--unique`, give that name. A name
/// with an id cannot be given: trust every certificate of the CA by
/// [`verify_name(false)`](TlsConfigBuilder::verify_name), as Open vSwitch does.
/// The CA must then issue only servers' certificates, which is why `ovs-pki` has separate CAs,
/// `switchca` and `controllerca`.
///
/// ```
/// # #[cfg(all(feature = "nb", feature = "server"))] #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::path::Path;
///
/// use ovsdb::{TlsConfig, nb};
///
/// let pki = Path::new("/etc/ovn");
/// # let folder = tempfile::tempdir()?;
/// # let own = rcgen::generate_simple_self_signed(["ovnnb".to_owned()])?;
/// # let (cert, key) = (own.cert.pem(), own.signing_key.serialize_pem());
/// # for (name, text) in [("cacert", &cert), ("cms-cert", &cert), ("cms-privkey", &key)] {
/// #     std::fs::write(folder.path().join(name).with_extension("pem"), text)?;
/// # }
/// # let pki = folder.path();
/// let tls = TlsConfig::builder()
///     .ca_file(pki.join("cacert.pem"))
///     .client_files(pki.join("cms-cert.pem"), pki.join("cms-privkey.pem"))
///     .server_name("ovnnb")
///     .build()?;
/// let remotes = "ssl:192.0.2.1:6641,ssl:[2001:db8::1]:6641";
/// # use ovsdb::server::{Server, TlsServerConfig};
/// # let server_tls = TlsServerConfig::builder().certificate_pem(cert.clone(), key).ca_pem(cert);
/// # let server = Server::builder().memory(ovsdb::schema::bundled("OVN_Northbound").expect("nb"));
/// # let server = server.tls(server_tls.build()?).start()?;
/// # let remotes = server.listen(&"pssl:0:127.0.0.1".parse()?).await?;
/// let client = nb::Client::builder().remotes(remotes).tls(tls).connect().await?;
/// # Ok(()) }
/// # #[cfg(not(all(feature = "nb", feature = "server")))] fn main() {}
/// ```
#[derive(Clone)]
pub struct TlsConfig {
    source: Arc<Source>,
    server_name: Option<ServerName<'static>>,
}

enum Source {
    /// A configuration made by the user.
    Rustls(Arc<ClientConfig>),
    Material(Reloading<ClientSettings>),
}

impl fmt::Debug for TlsConfig {
    /// Prints no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Builds a [`TlsConfig`] from the authorities to trust and the client's certificate.
/// [`TlsConfig::builder`] makes this builder.
///
/// ```
/// use ovsdb::{TlsConfig, TlsError};
///
/// let without_authority = TlsConfig::builder().server_name("ovnnb").build();
/// assert!(matches!(without_authority, Err(TlsError::NoCaCertificates)));
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct TlsConfigBuilder {
    settings: ClientSettings,
    server_name: Option<String>,
}

impl fmt::Debug for TlsConfigBuilder {
    /// Prints no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfigBuilder")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsConfigBuilder {
    /// Adds a PEM file with certificates of trusted authorities, at least one.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.sources.ca.push(Pem::File(path.into()));
        self
    }

    /// Adds certificates of trusted authorities, as PEM text.
    pub fn ca_pem(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.settings.sources.ca.push(Pem::Text(text.into()));
        self
    }

    /// Sets the PEM files of the client's certificate (followed by its chain, if any) and of its
    /// private key (PKCS #8, PKCS #1 or SEC 1).
    pub fn client_files(
        mut self,
        certificate: impl Into<PathBuf>,
        private_key: impl Into<PathBuf>,
    ) -> Self {
        let files = (Pem::File(certificate.into()), Pem::File(private_key.into()));
        self.settings.sources.own = Some(files);
        self
    }

    /// Sets the client's certificate and private key, as PEM texts.
    pub fn client_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        private_key: impl Into<Vec<u8>>,
    ) -> Self {
        let texts = (Pem::Text(certificate.into()), Pem::Text(private_key.into()));
        self.settings.sources.own = Some(texts);
        self
    }

    /// Sets the name or address that the servers' certificates are for, instead of the host in the
    /// remote. A name, but not an address, is also sent to the server as the requested name (SNI).
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Whether a server's certificate must be for its name: `true` by default. `false` trusts every
    /// certificate of the CA, as Open vSwitch's programs do.
    pub const fn verify_name(mut self, verify: bool) -> Self {
        self.settings.verify_name = verify;
        self
    }

    /// Reads the certificates and keys.
    ///
    /// # Errors
    /// When there is no CA certificate; when a file cannot be read; when a file or text is not PEM or
    /// has no usable contents; when the key does not fit the certificate; when the name is invalid.
    pub fn build(self) -> Result<TlsConfig, TlsError> {
        let config = TlsConfig {
            source: Arc::new(Source::Material(Reloading::new(self.settings)?)),
            server_name: None,
        };
        match self.server_name {
            Some(name) => config.with_server_name(name),
            None => Ok(config),
        }
    }
}

impl TlsConfig {
    /// Starts a configuration from PEM files or texts.
    pub const fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder {
            settings: ClientSettings {
                sources: Sources::none(),
                verify_name: true,
            },
            server_name: None,
        }
    }

    /// Uses a configuration of rustls as it is. The crate re-exports the version of rustls that it uses
    /// as `ovsdb::rustls`.
    pub fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self {
            source: Arc::new(Source::Rustls(config.into())),
            server_name: None,
        }
    }

    /// Sets the name or address that the servers' certificates are for, instead of the host in the
    /// remote.
    ///
    /// # Errors
    /// When the name cannot be in a certificate.
    pub fn with_server_name(self, name: impl Into<String>) -> Result<Self, TlsError> {
        Ok(Self {
            server_name: Some(parse_name(&name.into())?),
            ..self
        })
    }

    /// Whether the files differ from those in use, or cannot be read. The next attempt to connect reads
    /// them again; existing connections keep what they were made with.
    ///
    /// This reads the files, which are small.
    #[must_use]
    pub fn files_changed(&self) -> bool {
        match &*self.source {
            Source::Rustls(_) => false,
            Source::Material(material) => material.files_changed(),
        }
    }

    /// Does the handshake on a new connection to `host`.
    pub(super) async fn handshake<S>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<(ReadHalf, WriteHalf), ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (source, server) = (self.source.clone(), host.to_owned());
        let span = tracing::Span::current();
        let reading = move || span.in_scope(|| source.current(&server));
        let config = match read_files(reading).await {
            Ok(config) => config,
            Err(error) => return Err(error.into()),
        };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => match parse_name(host) {
                Ok(name) => name,
                Err(_) if !self.source.verifies_names() => no_name(),
                Err(error) => return Err(error.into()),
            },
        };
        let recorder = Arc::new(RequestRecorder::new(
            config.client_auth_cert_resolver.clone(),
        ));
        let mut config = ClientConfig::clone(&config);
        config.client_auth_cert_resolver = recorder.clone();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        match connecting.await {
            Ok(stream) => {
                let (read, write) = stream::split(stream, recorder.outcome());
                Ok((Box::new(read), Box::new(write)))
            }
            Err(error) => Err(failed_handshake(TlsError::in_io(error, recorder.outcome()))),
        }
    }
}

/// Reads files on another thread, since reading may block.
#[cfg(not(simulation))]
async fn read_files<C: Send + 'static>(read: impl FnOnce() -> C + Send + 'static) -> io::Result<C> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(io::Error::other)
}

/// Runs on this thread: a simulation has no other thread, and no files.
#[cfg(simulation)]
async fn read_files<C>(read: impl FnOnce() -> C) -> io::Result<C> {
    Ok(read())
}

fn failed_handshake(error: io::Error) -> ConnectError {
    if error.kind() == io::ErrorKind::UnexpectedEof || planted!(TlsErrorLost) {
        return TlsError::HandshakeClosed.into();
    }
    match error.downcast::<TlsError>() {
        Ok(error) => error.into(),
        Err(error) => error.into(),
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::BadServerName(name.to_owned()))
}

/// A placeholder for a server whose name is not verified. It is an address, since TLS does not send
/// addresses to the server (SNI).
fn no_name() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED))
}

impl Source {
    fn verifies_names(&self) -> bool {
        match self {
            Self::Rustls(_) => true,
            Self::Material(material) => material.settings.verify_name,
        }
    }

    /// The configuration for the current files, or the last valid one.
    fn current(&self, server: &str) -> Arc<ClientConfig> {
        match self {
            Self::Rustls(config) => config.clone(),
            Self::Material(material) => material.current(server),
        }
    }
}
