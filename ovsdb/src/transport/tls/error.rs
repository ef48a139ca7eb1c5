//! Errors of TLS.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError};

/// A part of the configuration of TLS.
///
/// ```
/// use ovsdb::TlsPart;
///
/// /// The option by which a program gets a part.
/// fn option(part: TlsPart) -> &'static str {
///     match part {
///         TlsPart::CaCertificates => "--ca-cert",
///         TlsPart::Certificate => "--certificate",
///         TlsPart::PrivateKey => "--private-key",
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsPart {
    /// The certificates of the trusted authorities.
    CaCertificates,
    /// The certificate of this side: the client's, or a server's.
    Certificate,
    /// The private key of that certificate.
    PrivateKey,
}

/// A part of the configuration of TLS, and where it came from.
///
/// ```
/// use ovsdb::{TlsConfig, TlsError, TlsPart};
///
/// let error = TlsConfig::builder().ca_file("/no/such/file").build().expect_err("no file");
/// let TlsError::Read { material, .. } = error else { panic!("{error}") };
/// assert_eq!(material.part, TlsPart::CaCertificates);
/// assert_eq!(material.to_string(), "the CA certificates in /no/such/file");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TlsMaterial {
    /// Which part.
    pub part: TlsPart,
    /// Its file; `None` when it was given as text.
    pub file: Option<PathBuf>,
}

impl fmt::Display for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.part {
            TlsPart::CaCertificates => "the CA certificates",
            TlsPart::Certificate => "the certificate",
            TlsPart::PrivateKey => "the private key",
        })?;
        match &self.file {
            Some(file) => write!(f, " in {}", file.display()),
            None => f.write_str(" given as text"),
        }
    }
}

/// What is wrong with TLS: with its configuration, with the server's certificate, with the handshake or
/// connection, or, according to the server, with this client's certificate.
///
/// ```
/// use ovsdb::{TlsConfig, TlsError};
///
/// let error = TlsConfig::builder().ca_pem("not PEM").build().expect_err("no certificate");
/// assert!(matches!(error, TlsError::Pem { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No CA certificate was given, so no peer can be trusted.
    #[error("no CA certificate was given")]
    NoCaCertificates,
    /// A server was configured without a certificate.
    #[error("no certificate and private key of the server were given")]
    NoServerCertificate,
    /// The name cannot be in a certificate.
    #[error("{0:?} is not a name or an address that a server's certificate can have")]
    BadServerName(String),
    /// A file cannot be read.
    #[error("{material} cannot be read")]
    Read {
        /// The file.
        material: TlsMaterial,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The text is not PEM, or does not contain the required part.
    #[error("{material} cannot be read as PEM")]
    Pem {
        /// The text.
        material: TlsMaterial,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// The text is PEM, but its contents cannot be used.
    #[error("{material} cannot be used")]
    Unusable {
        /// The certificate or key.
        material: TlsMaterial,
        /// The reason.
        #[source]
        source: RustlsError,
    },
    /// The certificate of this side is for another key.
    #[error("{key} does not fit {certificate}")]
    KeyMismatch {
        /// The certificate.
        certificate: TlsMaterial,
        /// The key.
        key: TlsMaterial,
    },
    /// The server's certificate was not issued by a trusted authority.
    #[error("the server's certificate is not signed by any of the CA certificates")]
    UnknownIssuer,
    /// The server's certificate, or one in its chain, has expired.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate, or one in its chain, is not valid yet.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// The server's certificate is for other names.
    #[error(
        "the server's certificate is not for {expected}; it is for {names}",
        names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") }
    )]
    WrongName {
        /// The expected name.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The server's certificate has another defect.
    #[error("the server's certificate is not accepted")]
    ServerCertificate(#[source] RustlsError),
    /// The server requires a client certificate, and the client has none.
    #[error("the server requires a client certificate, but none was given")]
    ClientCertificateRequired,
    /// The server does not accept the client's certificate.
    #[error("the server does not accept the client certificate: alert {0:?}")]
    ClientCertificateRefused(AlertDescription),
    /// The server ended TLS for another reason.
    #[error("the server ended TLS: alert {0:?}")]
    Alert(AlertDescription),
    /// What the server sends is not TLS.
    #[error("the server does not speak TLS")]
    NotTls(#[source] RustlsError),
    /// The server closed the connection during the handshake, as a server without TLS does.
    #[error("the server closed the connection during the TLS handshake")]
    HandshakeClosed,
    /// Another error.
    #[error(transparent)]
    Other(RustlsError),
}

/// Whether the server requested a client certificate, and whether the client has one; the meaning of
/// the server's alerts depends on this.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientCertificate {
    pub(super) requested: bool,
    pub(super) given: bool,
}

impl TlsError {
    /// The error for an error of rustls.
    pub(super) fn new(error: RustlsError, client: ClientCertificate) -> Self {
        match error {
            RustlsError::AlertReceived(alert) => Self::of_alert(alert, client),
            RustlsError::InvalidCertificate(error) => Self::of_certificate(error),
            error @ RustlsError::InvalidMessage(_) => Self::NotTls(error),
            error => Self::Other(error),
        }
    }

    fn of_alert(alert: AlertDescription, client: ClientCertificate) -> Self {
        use AlertDescription as Alert;
        let about_a_certificate = matches!(
            alert,
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
        );
        match client {
            // TLS 1.2 has no specific alert for a missing certificate.
            ClientCertificate {
                requested: true,
                given: false,
            } if about_a_certificate || alert == Alert::HandshakeFailure => {
                Self::ClientCertificateRequired
            }
            ClientCertificate { given: true, .. } if about_a_certificate => {
                Self::ClientCertificateRefused(alert)
            }
            _ => Self::Alert(alert),
        }
    }

    fn of_certificate(error: CertificateError) -> Self {
        use CertificateError as Bad;
        match error {
            Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
            // A bad signature usually means that another authority with the same name issued the certificate.
            Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer,
            Bad::NotValidForNameContext {
                expected,
                presented,
            } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented,
            },
            other => Self::ServerCertificate(other.into()),
        }
    }

    /// The error of a stream: errors of rustls are converted, others returned as they are.
    pub(super) fn in_io(error: io::Error, client: ClientCertificate) -> io::Error {
        match error.downcast::<RustlsError>() {
            Ok(error) => io::Error::new(io::ErrorKind::InvalidData, Self::new(error, client)),
            Err(error) => error,
        }
    }
}
