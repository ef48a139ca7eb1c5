//! What can be wrong with TLS.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls::pki_types::pem;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as RustlsError};

/// A part of what TLS needs.
///
/// ```
/// use ovsdb::TlsPart;
///
/// /// The option of a program that gives a part.
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
    /// The certificates of the authorities that are trusted.
    CaCertificates,
    /// The own certificate: the client's, or a server's.
    Certificate,
    /// The private key of the own certificate.
    PrivateKey,
}

/// A part of what TLS needs, and where it was taken from.
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
    /// The file it is in; `None` when it was given as text.
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

/// What is wrong with TLS: with its configuration, with the server's certificate, or with ours in
/// the server's eyes.
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
    /// No CA certificate was given, so that no peer could be trusted.
    #[error("no CA certificate was given")]
    NoCaCertificates,
    /// A server without a certificate of its own.
    #[error("no certificate and private key of the server were given")]
    NoServerCertificate,
    /// A name that no certificate can have.
    #[error("{0:?} is not a name or an address that a server's certificate can have")]
    BadServerName(String),
    /// A file cannot be read.
    #[error("{material} cannot be read")]
    Read {
        /// The file.
        material: TlsMaterial,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A text is not PEM, or has nothing of the kind that is needed.
    #[error("{material} cannot be read as PEM")]
    Pem {
        /// The text.
        material: TlsMaterial,
        /// What is wrong.
        #[source]
        source: pem::Error,
    },
    /// PEM, but its contents are unusable.
    #[error("{material} cannot be used")]
    Unusable {
        /// The certificate or key.
        material: TlsMaterial,
        /// Why not.
        #[source]
        source: RustlsError,
    },
    /// The own certificate is for another key.
    #[error("{key} does not fit {certificate}")]
    KeyMismatch {
        /// The certificate.
        certificate: TlsMaterial,
        /// The key.
        key: TlsMaterial,
    },
    /// The server's certificate does not come from an authority that is trusted.
    #[error("the server's certificate is not signed by any of the CA certificates")]
    UnknownIssuer,
    /// The server's certificate, or one between it and the authority, has expired.
    #[error("the server's certificate has expired")]
    Expired,
    /// The server's certificate, or one between it and the authority, is not valid yet.
    #[error("the server's certificate is not valid yet")]
    NotYetValid,
    /// The server's certificate has other names.
    #[error(
        "the server's certificate is not for {expected}; it is for {names}",
        names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") }
    )]
    WrongName {
        /// The name that it should have.
        expected: String,
        /// The names that it has.
        presented: Vec<String>,
    },
    /// The server's certificate has another fault.
    #[error("the server's certificate is not accepted")]
    ServerCertificate(#[source] RustlsError),
    /// The server demands a client certificate, and the client has none.
    #[error("the server demands a client certificate, and none was given")]
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
    /// The server closed the connection in the middle of the handshake, as one does that does not
    /// speak TLS.
    #[error("the server closed the connection during the TLS handshake")]
    HandshakeClosed,
    /// Anything else.
    #[error(transparent)]
    Other(RustlsError),
}

/// What the server asked for, which says what its alert means.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientCertificate {
    pub(super) asked_for: bool,
    pub(super) given: bool,
}

impl TlsError {
    /// What rustls found, in our words.
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
            // TLS 1.2 has no alert of its own for a certificate that is missing.
            ClientCertificate {
                asked_for: true,
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
            // An authority of the same name with another key is another authority.
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

    /// The error of a stream in our words, where rustls made it; others as they are.
    pub(super) fn in_io(error: io::Error, client: ClientCertificate) -> io::Error {
        match error.downcast::<RustlsError>() {
            Ok(error) => io::Error::new(io::ErrorKind::InvalidData, Self::new(error, client)),
            Err(error) => error,
        }
    }
}
