//! Certificates and keys from files or texts, made into a configuration of rustls.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    ClientConfig, Error as RustlsError, InconsistentKeys, RootCertStore, crypto,
};

use super::error::{TlsError, TlsMaterial, TlsPart};
use super::verifier::ChainVerifier;
use crate::error_chain::ErrorChain;

/// A PEM text, or the path of its file.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Text(Vec<u8>),
}

impl Pem {
    fn material(&self, part: TlsPart) -> TlsMaterial {
        let file = match self {
            Self::File(path) => Some(path.clone()),
            Self::Text(_) => None,
        };
        TlsMaterial { part, file }
    }

    fn read(&self, part: TlsPart) -> Result<Vec<u8>, TlsError> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => std::fs::read(path).map_err(|source| TlsError::Read {
                material: self.material(part),
                source,
            }),
        }
    }
}

/// Where all parts are read from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) ca: Vec<Pem>,
    /// The certificate, followed by its chain, and the key.
    pub(super) own: Option<(Pem, Pem)>,
}

/// What was read. Compared byte by byte to find changes.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    ca: Vec<Vec<u8>>,
    own: Option<(Vec<u8>, Vec<u8>)>,
}

impl Sources {
    pub(super) const fn none() -> Self {
        Self {
            ca: Vec::new(),
            own: None,
        }
    }

    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let ca = self.ca.iter().map(|pem| pem.read(TlsPart::CaCertificates));
        let own = match &self.own {
            Some((certificate, key)) => Some((
                certificate.read(TlsPart::Certificate)?,
                key.read(TlsPart::PrivateKey)?,
            )),
            None => None,
        };
        Ok(Contents {
            ca: ca.collect::<Result<_, _>>()?,
            own,
        })
    }

    /// The certificates of the authorities, at least one.
    pub(super) fn roots(&self, contents: &Contents) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for (pem, text) in self.ca.iter().zip(&contents.ca) {
            let material = pem.material(TlsPart::CaCertificates);
            for certificate in certificates(text, &material)? {
                roots
                    .add(certificate)
                    .map_err(|source| TlsError::Unusable {
                        material: material.clone(),
                        source,
                    })?;
            }
        }
        if roots.is_empty() {
            return Err(TlsError::NoCaCertificates);
        }
        Ok(roots)
    }

    /// The certificate and the key, if they were given.
    pub(super) fn own_key(
        &self,
        contents: &Contents,
        provider: &CryptoProvider,
    ) -> Result<Option<CertifiedKey>, TlsError> {
        match (&self.own, &contents.own) {
            (Some(from), Some(texts)) => certified_key(from, texts, provider).map(Some),
            _ => Ok(None),
        }
    }
}

/// Settings from which a configuration of rustls is made.
pub(super) trait Configure {
    type Config;

    fn sources(&self) -> &Sources;

    /// The configuration for these contents.
    fn configure(&self, contents: &Contents) -> Result<Self::Config, TlsError>;
}

/// A configuration that is made again when its files have changed. They are read at each use.
pub(super) struct Reloading<S: Configure> {
    pub(super) settings: S,
    loaded: Mutex<Loaded<S::Config>>,
}

struct Loaded<C> {
    contents: Contents,
    config: Arc<C>,
}

impl<S: Configure> Reloading<S> {
    pub(super) fn new(settings: S) -> Result<Self, TlsError> {
        let contents = settings.sources().read()?;
        let config = Arc::new(settings.configure(&contents)?);
        Ok(Self {
            settings,
            loaded: Mutex::new(Loaded { contents, config }),
        })
    }

    /// Whether the files differ from those in use, or cannot be read.
    pub(super) fn files_changed(&self) -> bool {
        self.settings.sources().read().map_or(true, |contents| {
            let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            contents != loaded.contents
        })
    }

    /// The configuration for the current files, or the last valid one. `peer` is for the log.
    pub(super) fn current(&self, peer: &str) -> Arc<S::Config> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.settings.sources().read().and_then(|contents| {
            if contents != loaded.contents {
                loaded.config = Arc::new(self.settings.configure(&contents)?);
                loaded.contents = contents;
                tracing::info!(peer, "certificates were read again");
            }
            Ok(())
        });
        if let Err(error) = read {
            let error = ErrorChain::new(&error);
            tracing::warn!(peer, %error, "cannot read the certificates again; the earlier ones stay in use");
        }
        loaded.config.clone()
    }
}

/// A client's certificates, and how it verifies servers.
pub(super) struct ClientSettings {
    pub(super) sources: Sources,
    pub(super) verify_name: bool,
}

impl Configure for ClientSettings {
    type Config = ClientConfig;

    fn sources(&self) -> &Sources {
        &self.sources
    }

    fn configure(&self, contents: &Contents) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(crypto::ring::default_provider());
        let roots = self.sources.roots(contents)?;
        let own = self.sources.own_key(contents, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Other)?;
        let builder = if self.verify_name && !planted!(NameNotCompared) {
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| TlsError::Other(RustlsError::General(error.to_string())))?;
            builder.with_webpki_verifier(verifier)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(ChainVerifier::new(roots, &provider)))
        };
        let mut config = match own {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        // Without session resumption, each connection uses the current certificates, even in clients
        // that run for months.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn certificates(
    text: &[u8],
    material: &TlsMaterial,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem {
        material: material.clone(),
        source,
    };
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if found.is_empty() => Err(pem(pem::Error::NoItemsFound)),
        Ok(found) => Ok(found),
        Err(error) => Err(pem(error)),
    }
}

fn certified_key(
    (certificate, key): &(Pem, Pem),
    (certificate_text, key_text): &(Vec<u8>, Vec<u8>),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let certificate = certificate.material(TlsPart::Certificate);
    let key = key.material(TlsPart::PrivateKey);
    let chain = certificates(certificate_text, &certificate)?;
    let der = PrivateKeyDer::from_pem_slice(key_text).map_err(|source| TlsError::Pem {
        material: key.clone(),
        source,
    })?;
    let signer = provider
        .key_provider
        .load_private_key(der)
        .map_err(|source| TlsError::Unusable {
            material: key.clone(),
            source,
        })?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(RustlsError::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(RustlsError::InconsistentKeys(_)) => Err(TlsError::KeyMismatch { certificate, key }),
        Err(source) => Err(TlsError::Unusable {
            material: certificate,
            source,
        }),
    }
}
