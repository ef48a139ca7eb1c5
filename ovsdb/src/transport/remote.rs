//! Remotes: the addresses of servers.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::value::Sealed;

/// A server's address, in the form of ovsdb(7), "Connection Methods".
///
/// ```
/// use ovsdb::Remote;
///
/// let remote: Remote = "tcp:[::1]:6641".parse()?;
/// assert_eq!(remote, Remote::tcp("::1", 6641));
/// assert_eq!(remote.to_string(), "tcp:[::1]:6641");
/// let error = "tcp:[::1]:66410".parse::<Remote>().expect_err("there is no such port");
/// assert_eq!(
///     error.to_string(),
///     r#"bad remote "tcp:[::1]:66410": the port "66410" is not a number from 1 to 65535"#
/// );
/// # Ok::<(), ovsdb::RemoteError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remote {
    /// `tcp:HOST:PORT`; an IPv6 address is in brackets.
    Tcp {
        /// A host name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// `ssl:HOST:PORT`: TLS, with the feature `tls`; an IPv6 address is in brackets.
    Ssl {
        /// A host name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// `unix:PATH`.
    Unix {
        /// The socket's path.
        path: PathBuf,
    },
    /// A server in this process. It is displayed as `memory:NAME`, which cannot be parsed.
    #[cfg(feature = "server")]
    Memory(super::memory::MemoryRemote),
}

impl Remote {
    /// A server that listens on TCP. `host` is a name or an address; an IPv6 address may be in
    /// brackets.
    pub fn tcp(host: impl fmt::Display, port: u16) -> Self {
        let host = without_brackets(host);
        Self::Tcp { host, port }
    }

    /// A server that listens on TLS. The host is as in [`tcp`](Self::tcp). The server's certificate must
    /// be for this host, unless the client's `TlsConfig` sets another name or does not verify names.
    pub fn ssl(host: impl fmt::Display, port: u16) -> Self {
        let host = without_brackets(host);
        Self::Ssl { host, port }
    }

    /// A server that listens on a unix socket. Any path is possible; in a list of remotes given as
    /// text, a path cannot contain a comma.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix { path: path.into() }
    }
}

fn without_brackets(host: impl fmt::Display) -> String {
    let host = host.to_string();
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.map_or_else(|| host.clone(), str::to_owned)
}

/// The `tcp:` remote of this address.
impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        // `to_string` includes the zone of an IPv6 address.
        let whole = address.to_string();
        let host = whole.rsplit_once(':').map_or(&*whole, |(host, _)| host);
        Self::tcp(host, address.port())
    }
}

/// The `unix:` remote of this socket.
impl From<PathBuf> for Remote {
    fn from(path: PathBuf) -> Self {
        Self::Unix { path }
    }
}

/// The `unix:` remote of this socket.
impl From<&Path> for Remote {
    fn from(path: &Path) -> Self {
        Self::unix(path)
    }
}

/// The default port of `tcp:` and `ssl:` remotes (ovsdb(7)).
const DEFAULT_PORT: u16 = 6640;

/// Why a text is not a remote.
///
/// ```
/// let error = ovsdb::parse_remotes("tcp:192.0.2.1:6641,udp:192.0.2.2").expect_err("no such method");
/// assert_eq!(error.remote, "udp:192.0.2.2");
/// ```
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
///
/// ```
/// use ovsdb::{Remote, RemoteErrorReason};
///
/// let error = "udp:192.0.2.2".parse::<Remote>().expect_err("no such method");
/// assert!(matches!(error.reason, RemoteErrorReason::UnknownMethod(_)));
/// let error = "/run/ovn/ovnnb_db.sock".parse::<Remote>().expect_err("it is a path");
/// assert_eq!(error.reason, RemoteErrorReason::NoMethod);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteErrorReason {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// The method is missing: the text is only a path or a host, for instance.
    #[error(
        "the method is missing; write `unix:PATH` for a socket, `tcp:HOST:PORT` or `ssl:HOST:PORT` for a host"
    )]
    NoMethod,
    /// The method is none that this library supports.
    #[error("the method {0:?} is none of `tcp:`, `ssl:`, `unix:`")]
    UnknownMethod(String),
    /// The remote is passive, for a server to listen on.
    #[error(
        "the method {0:?} is passive, for a server to listen at; a client needs `tcp:`, `ssl:` or `unix:`"
    )]
    Passive(String),
    /// The host is missing.
    #[error("the host is missing")]
    NoHost,
    /// An IPv6 address lacks a bracket, or both.
    #[error("the IPv6 address in {0:?} is not in brackets, as in `[::1]:6640`")]
    Brackets(String),
    /// There is a bracket within the host.
    #[error("the host {0:?} is neither a name nor an address: it has a bracket")]
    BadHost(String),
    /// The port is not a number from 1 to 65535.
    #[error("the port {0:?} is not a number from 1 to 65535")]
    BadPort(String),
    /// What follows an address in brackets does not begin with a colon.
    #[error("the address in brackets is followed by {0:?}, where a colon and a port are expected")]
    NoColon(String),
    /// The path is missing.
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
            Some((method @ ("ptcp" | "punix" | "pssl"), _)) => {
                Err(error(RemoteErrorReason::Passive(method.to_owned())))
            }
            _ if text.is_empty() => Err(error(RemoteErrorReason::Empty)),
            Some((method, _)) if method.bytes().all(|byte| byte.is_ascii_lowercase()) => {
                Err(error(RemoteErrorReason::UnknownMethod(method.to_owned())))
            }
            _ => Err(error(RemoteErrorReason::NoMethod)),
        }
    }
}

fn parse_address(address: &str) -> Result<(String, u16), RemoteErrorReason> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| RemoteErrorReason::Brackets(address.to_owned()))?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(RemoteErrorReason::NoColon(rest.to_owned())),
            }
        }
        None => match address.split_once(':') {
            Some((_, rest)) if rest.contains(':') => {
                return Err(RemoteErrorReason::Brackets(address.to_owned()));
            }
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(RemoteErrorReason::NoHost);
    }
    if host.contains(['[', ']']) {
        return Err(RemoteErrorReason::BadHost(host.to_owned()));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(RemoteErrorReason::BadPort(port.to_owned())),
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
            #[cfg(feature = "server")]
            Self::Memory(remote) => return remote.fmt(f),
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
///
/// ```
/// let remotes = ovsdb::parse_remotes("tcp:192.0.2.1:6641, unix:/run/ovn/ovnnb_db.sock")?;
/// assert_eq!(remotes[0], ovsdb::Remote::tcp("192.0.2.1", 6641));
/// # Ok::<(), ovsdb::RemoteError>(())
/// ```
pub fn parse_remotes(text: &str) -> Result<Vec<Remote>, RemoteError> {
    text.split(',')
        .map(|remote| remote.trim().parse())
        .collect()
}

/// Remotes in any form: text as in ovsdb(7), separated by commas; a [`Remote`]; an array or vector of
/// these; or a slice of [`Remote`]s.
///
/// ```
/// use ovsdb::{IntoRemotes, Remote};
///
/// let remotes = "tcp:192.0.2.1:6641,tcp:192.0.2.2:6641".into_remotes()?;
/// assert_eq!(remotes, [("192.0.2.1", 6641), ("192.0.2.2", 6641)].map(|(host, port)| Remote::tcp(host, port)));
/// assert_eq!(Remote::unix("/run/a,b.sock").into_remotes()?.len(), 1);
/// # Ok::<(), ovsdb::RemoteError>(())
/// ```
pub trait IntoRemotes: Sealed {
    /// The remotes.
    ///
    /// # Errors
    /// When a text is malformed.
    fn into_remotes(self) -> Result<Vec<Remote>, RemoteError>;
}

macro_rules! into_remotes {
    ($([$($generics:tt)*] $type:ty: $remotes:ident => $made:expr;)*) => { $(
        impl<$($generics)*> Sealed for $type {}
        impl<$($generics)*> IntoRemotes for $type {
            fn into_remotes(self) -> Result<Vec<Remote>, RemoteError> {
                let $remotes = self;
                $made
            }
        }
    )* };
}

into_remotes! {
    [] &str: text => parse_remotes(text);
    [] &String: text => parse_remotes(text);
    [] String: text => parse_remotes(&text);
    [] Remote: remote => Ok(vec![remote]);
    [] &[Remote]: remotes => Ok(remotes.to_vec());
    [R: IntoRemotes] Vec<R>: remotes => all(remotes);
    [R: IntoRemotes, const N: usize] [R; N]: remotes => all(remotes);
}

fn all<R: IntoRemotes>(lists: impl IntoIterator<Item = R>) -> Result<Vec<Remote>, RemoteError> {
    let mut remotes = Vec::new();
    for list in lists {
        remotes.extend(list.into_remotes()?);
    }
    Ok(remotes)
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
            "tcp:[fe80::1%lo]:6641",
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
        let method = |method: &str| Reason::UnknownMethod(method.into());
        let passive = |method: &str| Reason::Passive(method.into());
        let port = |port: &str| Reason::BadPort(port.into());
        let brackets = |address: &str| Reason::Brackets(address.into());
        let host = |host: &str| Reason::BadHost(host.into());
        for (text, reason) in [
            ("", Reason::Empty),
            ("tcp", Reason::NoMethod),
            ("/run/ovn/ovnnb_db.sock", Reason::NoMethod),
            ("192.0.2.1:6641", Reason::NoMethod),
            ("C:/ovnnb_db.sock", Reason::NoMethod),
            ("http:host:1", method("http")),
            ("ptcp:6641", passive("ptcp")),
            ("pssl:6641", passive("pssl")),
            ("unix:", Reason::NoPath),
            ("ssl:", Reason::NoHost),
            ("ssl:a:0", port("0")),
            ("tcp::1", Reason::NoHost),
            ("tcp:[]:1", Reason::NoHost),
            ("tcp:[::1", brackets("[::1")),
            ("tcp:[::1]6641", Reason::NoColon("6641".into())),
            ("tcp:[[]:1", host("[")),
            ("ssl:a]:1", host("a]")),
            ("tcp:a:0", port("0")),
            ("tcp:a:65536", port("65536")),
            ("tcp:a:b", port("b")),
            ("tcp:a:", port("")),
            ("tcp:::1:6641", brackets("::1:6641")),
            ("tcp:fe80::1", brackets("fe80::1")),
        ] {
            assert_eq!(
                text.parse::<Remote>().expect_err(text).reason,
                reason,
                "{text}"
            );
        }
    }

    #[test]
    fn remotes_are_made_of_their_parts() {
        for (made, text) in [
            (Remote::tcp("nb.example", 1), "tcp:nb.example:1"),
            (Remote::tcp(std::net::Ipv6Addr::LOCALHOST, 1), "tcp:[::1]:1"),
            (Remote::tcp("[::1]", 1), "tcp:[::1]:1"),
            (
                Remote::ssl(std::net::Ipv4Addr::LOCALHOST, 1),
                "ssl:127.0.0.1:1",
            ),
            (Remote::unix("/a"), "unix:/a"),
            (Path::new("/a").into(), "unix:/a"),
            (PathBuf::from("/a").into(), "unix:/a"),
            (
                SocketAddr::from(([192, 0, 2, 1], 1)).into(),
                "tcp:192.0.2.1:1",
            ),
            (SocketAddr::from(([0; 16], 1)).into(), "tcp:[::]:1"),
        ] {
            assert_eq!(made.to_string(), text);
            assert_eq!(text.parse::<Remote>().expect("a remote"), made);
        }
        let zone = std::net::SocketAddrV6::new(std::net::Ipv6Addr::LOCALHOST, 1, 0, 2);
        assert_eq!(
            Remote::from(SocketAddr::V6(zone)).to_string(),
            "tcp:[::1%2]:1"
        );
    }

    #[test]
    fn lists_of_remotes_have_any_form() {
        let two = [Remote::tcp("a", 1), Remote::unix("/b")];
        let lists = [
            "tcp:a:1,unix:/b".into_remotes(),
            "tcp:a:1, unix:/b".to_owned().into_remotes(),
            two.clone().into_remotes(),
            two.to_vec().into_remotes(),
            two.as_slice().into_remotes(),
            ["tcp:a:1", "unix:/b"].into_remotes(),
            vec!["tcp:a:1,unix:/b".to_owned()].into_remotes(),
        ];
        for list in lists {
            assert_eq!(list.expect("remotes"), two);
        }
        let error = ["tcp:a:1", "tcp:b:c"]
            .into_remotes()
            .expect_err("a bad one");
        assert_eq!(error.remote, "tcp:b:c");
        assert_eq!(Vec::<Remote>::new().into_remotes(), Ok(Vec::new()));
    }
}
