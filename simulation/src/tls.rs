//! TLS between clients and servers, and what can be wrong with it. It is real TLS with the certificates in
//! `simulation/certificates`. Its randomness does not come from the seed; runs stay the same because each
//! message has the same length in every run.

use std::cell::RefCell;
use std::fmt;
use std::io;

use ovsdb::server::TlsServerConfig;
use ovsdb::{ConnectError, DisconnectReason, TlsConfig, TlsError};

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!("../certificates/", $name, ".pem"))
    };
}

/// The host that a client expects.
pub(crate) const HOST: &str = "server";

/// What is wrong with the TLS of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Its certificate has expired.
    Expired,
    /// Its certificate is for another host.
    WrongHost,
    /// Its certificate is signed by an authority that clients do not trust.
    UnknownAuthority,
    /// It does not trust the authority of the clients.
    RefusesClients,
    /// It does not speak TLS.
    Plain,
}

impl Bad {
    pub(crate) const ALL: [Self; 5] = [
        Self::Expired,
        Self::WrongHost,
        Self::UnknownAuthority,
        Self::RefusesClients,
        Self::Plain,
    ];

    fn certificate(of: Option<Self>) -> (&'static str, &'static str) {
        match of {
            Some(Self::Expired) => (pem!("expired"), pem!("expired-key")),
            Some(Self::WrongHost) => (pem!("renamed"), pem!("renamed-key")),
            Some(Self::UnknownAuthority) => (pem!("strange"), pem!("strange-key")),
            Some(Self::RefusesClients | Self::Plain) | None => (pem!("server"), pem!("server-key")),
        }
    }

    /// Whether this error reports the problem.
    fn is_reported_by(self, error: &TlsError) -> bool {
        match self {
            Self::Expired => matches!(error, TlsError::Expired),
            Self::WrongHost => {
                matches!(error, TlsError::WrongName { expected, .. } if expected == HOST)
            }
            Self::UnknownAuthority => matches!(error, TlsError::UnknownIssuer),
            Self::RefusesClients => matches!(error, TlsError::ClientCertificateRefused(_)),
            // The server closes the connection, with or without an answer that is not TLS.
            Self::Plain => matches!(error, TlsError::HandshakeClosed | TlsError::NotTls(_)),
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has a certificate that has expired",
            Self::WrongHost => "has the certificate of another host",
            Self::UnknownAuthority => "has a certificate of an authority that clients do not trust",
            Self::RefusesClients => "refuses the certificates of clients",
            Self::Plain => "does not speak TLS",
        })
    }
}

/// The last attempt of a client to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attempt {
    /// What was wrong with the server's TLS.
    pub(crate) bad: Option<Bad>,
    /// Whether anything else went wrong with it.
    pub(crate) is_disturbed: bool,
}

impl Attempt {
    /// Whether this reason for the end of the attempt, or of its connection, is right.
    pub(crate) fn is_reported_by(self, reason: &DisconnectReason) -> bool {
        let error = match reason {
            DisconnectReason::Tls(error) => error,
            DisconnectReason::Connect(error) => match &**error {
                ConnectError::Tls(error) => error,
                ConnectError::Io(error) => return error.kind() != io::ErrorKind::InvalidData,
                _ => return false,
            },
            DisconnectReason::Io(error) => return error.kind() != io::ErrorKind::InvalidData,
            DisconnectReason::ByServer => return self.is_disturbed || self.bad.is_none(),
            _ => return true,
        };
        let is_cut = self.is_disturbed && matches!(error, TlsError::HandshakeClosed);
        is_cut || self.bad.is_some_and(|bad| bad.is_reported_by(error))
    }
}

/// The TLS configuration of clients.
pub(crate) fn of_clients() -> Result<TlsConfig, TlsError> {
    TlsConfig::builder()
        .ca_pem(pem!("authority"))
        .client_pem(pem!("client"), pem!("client-key"))
        .build()
}

thread_local! {
    /// The configurations of servers. They are the same in each run, so they are made only once.
    static SERVERS: RefCell<Vec<(Option<Bad>, TlsServerConfig)>> = const { RefCell::new(Vec::new()) };
}

/// The TLS configuration of a server.
pub(crate) fn of_server(bad: Option<Bad>) -> Result<TlsServerConfig, TlsError> {
    SERVERS.with_borrow_mut(|known| {
        if let Some((_, config)) = known.iter().find(|(known, _)| *known == bad) {
            return Ok(config.clone());
        }
        let config = new_server(bad)?;
        known.push((bad, config.clone()));
        Ok(config)
    })
}

fn new_server(bad: Option<Bad>) -> Result<TlsServerConfig, TlsError> {
    let (certificate, key) = Bad::certificate(bad);
    let authority = match bad {
        Some(Bad::RefusesClients) => pem!("stranger"),
        _ => pem!("authority"),
    };
    TlsServerConfig::builder()
        .certificate_pem(certificate, key)
        .ca_pem(authority)
        .build()
}
