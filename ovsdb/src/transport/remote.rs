//! Where a server listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A server's address, in the form of ovsdb(7) "Active OVSDB Connections".
///
/// ```
/// use ovsdb::Remote;
///
/// let remote: Remote = "tcp:[::1]:6641".parse()?;
/// assert_eq!(remote.to_string(), "tcp:[::1]:6641");
/// assert!("ptcp:6641".parse::<Remote>().is_err());
/// # Ok::<(), ovsdb::RemoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remote {
    /// `tcp:HOST:PORT`; an IPv6 address stands in brackets.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// `ssl:HOST:PORT`: TLS, with the feature `tls`; an IPv6 address stands in brackets.
    Ssl {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// `unix:PATH`.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
}

/// The port that a `tcp:` or `ssl:` remote without one means (ovsdb(7)).
const DEFAULT_PORT: u16 = 6640;

/// Why a text is not a remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad remote {remote:?}: {reason}")]
#[non_exhaustive]
pub struct RemoteError {
    /// The text.
    pub remote: String,
    /// What is wrong with it.
    pub reason: RemoteErrorReason,
}

/// What is wrong with a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteErrorReason {
    /// No remote at all.
    #[error("it is empty")]
    Empty,
    /// Not one of the methods this library has.
    #[error("it starts with none of `tcp:`, `ssl:`, `unix:`")]
    UnknownMethod,
    /// A passive remote, for a server to listen at.
    #[error("it is a passive remote, for a server to listen at")]
    Passive,
    /// No host.
    #[error("the host is missing or malformed")]
    BadHost,
    /// Not a port.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// No path.
    #[error("the path is missing")]
    NoPath,
}

impl FromStr for Remote {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<Self, RemoteError> {
        let error = |reason| RemoteError {
            remote: text.to_owned(),
            reason,
        };
        match text.split_once(':') {
            Some(("tcp", address)) => parse_address(address)
                .map(|(host, port)| Self::Tcp { host, port })
                .map_err(error),
            Some(("ssl", address)) => parse_address(address)
                .map(|(host, port)| Self::Ssl { host, port })
                .map_err(error),
            Some(("unix", "")) => Err(error(RemoteErrorReason::NoPath)),
            Some(("unix", path)) => Ok(Self::Unix { path: path.into() }),
            Some(("ptcp" | "punix" | "pssl", _)) => Err(error(RemoteErrorReason::Passive)),
            _ if text.is_empty() => Err(error(RemoteErrorReason::Empty)),
            _ => Err(error(RemoteErrorReason::UnknownMethod)),
        }
    }
}

fn parse_address(address: &str) -> Result<(String, u16), RemoteErrorReason> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(RemoteErrorReason::BadHost)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(RemoteErrorReason::BadPort),
            }
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(RemoteErrorReason::BadHost);
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(RemoteErrorReason::BadPort),
        },
    };
    Ok((host.to_owned(), port))
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, host, port) = match self {
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Ssl { host, port } => ("ssl", host, port),
            Self::Unix { path } => return write!(f, "unix:{}", path.display()),
        };
        if host.contains(':') {
            write!(f, "{method}:[{host}]:{port}")
        } else {
            write!(f, "{method}:{host}:{port}")
        }
    }
}

/// Parses remotes separated by commas, at least one.
///
/// # Errors
/// When one of them is malformed, or there is none.
pub fn parse_remotes(text: &str) -> Result<Vec<Remote>, RemoteError> {
    text.split(',')
        .map(|remote| remote.trim().parse())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_round_trip() {
        for text in [
            "tcp:127.0.0.1:6641",
            "tcp:nb.example:1",
            "tcp:[::1]:65535",
            "ssl:nb.example:6641",
            "ssl:[2001:db8::1]:6641",
            "unix:/a b/c:d",
        ] {
            assert_eq!(text.parse::<Remote>().expect(text).to_string(), text);
        }
        let plain: Remote = "tcp:[fe80::1]".parse().expect("a remote");
        assert_eq!(plain.to_string(), "tcp:[fe80::1]:6640");
        let plain: Remote = "ssl:nb.example".parse().expect("a remote");
        assert_eq!(plain.to_string(), "ssl:nb.example:6640");
        assert_eq!(parse_remotes("tcp:a:1, unix:/b").expect("two").len(), 2);
    }

    #[test]
    fn malformed_remotes_say_what_is_wrong() {
        use RemoteErrorReason as Reason;
        for (text, reason) in [
            ("", Reason::Empty),
            ("tcp", Reason::UnknownMethod),
            ("http:host:1", Reason::UnknownMethod),
            ("ptcp:6641", Reason::Passive),
            ("pssl:6641", Reason::Passive),
            ("unix:", Reason::NoPath),
            ("ssl:", Reason::BadHost),
            ("ssl:a:0", Reason::BadPort),
            ("tcp::1", Reason::BadHost),
            ("tcp:[::1", Reason::BadHost),
            ("tcp:a:0", Reason::BadPort),
            ("tcp:a:65536", Reason::BadPort),
            ("tcp:a:b", Reason::BadPort),
            ("tcp:::1:6641", Reason::BadHost),
        ] {
            assert_eq!(
                text.parse::<Remote>().expect_err(text).reason,
                reason,
                "{text}"
            );
        }
    }
}
