//! TLS between nodes: certificates and keys out of files, and both ends made of them.
//!
//! Must not know the content. Invariants: only TLS 1.3 is spoken; a server is trusted only if a configured CA
//! signed its certificate for the name that it was dialed by; files that are wrong change nothing.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

pub(super) use rustls::ServerConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use super::trouble::trouble;

/// The permissions of users who are neither the owner of a file nor in its group. A group may have a key:
/// Debian's ssl-cert is there for that.
const OTHERS: u32 = 0o007;

/// The certificates that a node shows and trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, with those between it and the authority behind it, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// The authority's certificate, or those of several.
    pub authority: Option<PathBuf>,
    /// True if clients must show a certificate, too.
    pub asks_clients: bool,
}

/// The contents of the files.
pub struct Tls {
    files: TlsFiles,
    read: RwLock<TlsEnds>,
}

/// Both ends of a connection, as far as there are files for them.
#[derive(Clone)]
struct TlsEnds {
    server: Option<Arc<ServerConfig>>,
    client: Option<Arc<ClientConfig>>,
    /// The fault that peers will probably find with the node's own certificate.
    doubt: Option<String>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let read = RwLock::new(TlsEnds::read(&files)?);
        Ok(Self { files, read })
    }

    /// Reads the files again, for connections from now on.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them; then all stays as it is.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = TlsEnds::read(&self.files)?;
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// True if there is a certificate to show.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.files.own.is_some()
    }

    /// True if there are any files.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.files != TlsFiles::default()
    }

    /// The fault that peers will probably find with the node's own certificate.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        self.now().doubt
    }

    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.now().server
    }

    pub(super) fn client(&self) -> Option<Arc<ClientConfig>> {
        self.now().client
    }

    fn now(&self) -> TlsEnds {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        read.clone()
    }
}

impl TlsEnds {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = provider();
        let roots = files.authority.as_deref().map(authority).transpose()?;
        let own = files.own.as_ref();
        let own = own
            .map(|(chain, key)| OwnCertificate::read(chain, key))
            .transpose()?;
        let server = own.as_ref().map(|own| {
            let asked = roots.as_ref().filter(|_| files.asks_clients);
            own.server(&provider, asked)
        });
        let client = roots.as_ref().map(|roots| {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&TLS13])
                .map_err(TlsError::Unfit)?
                .with_root_certificates(Arc::clone(roots));
            let config = match &own {
                Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key()),
                None => Ok(builder.with_no_client_auth()),
            };
            config.map(Arc::new).map_err(TlsError::Unfit)
        });
        let doubt = match (&own, &roots) {
            (Some(own), Some(roots)) => own.doubt(&provider, roots),
            _ => None,
        };
        Ok(Self {
            server: server.transpose()?,
            client: client.transpose()?,
            doubt,
        })
    }
}

/// Returns the cryptography of TLS for the whole program.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate and its key.
struct OwnCertificate {
    path: PathBuf,
    key_path: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl OwnCertificate {
    fn read(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let unreadable = |cause| TlsError::read(key, "private key", cause);
        let certificates = certificates(chain)?;
        let found = fs::metadata(key).map_err(|cause| unreadable(pem::Error::Io(cause)))?;
        if found.is_file() && found.mode() & OTHERS != 0 {
            return Err(TlsError::Public(key.to_owned()));
        }
        Ok(Self {
            path: chain.to_owned(),
            key_path: key.to_owned(),
            chain: certificates,
            key: PrivateKeyDer::from_pem_file(key).map_err(unreadable)?,
        })
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        asked: Option<&Arc<RootCertStore>>,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsError::Unfit)?;
        let builder = match asked {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let (roots, provider) = (Arc::clone(roots), Arc::clone(provider));
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build();
                let verifier =
                    verifier.map_err(|e| TlsError::Unfit(rustls::Error::General(e.to_string())))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(self.chain.clone(), self.key.clone_key());
        config.map(Arc::new).map_err(|cause| TlsError::Pair {
            certificate: self.path.clone(),
            key: self.key_path.clone(),
            cause,
        })
    }

    /// Returns the fault that a client with the same CA file would find, whatever the node's name.
    fn doubt(&self, provider: &Arc<CryptoProvider>, roots: &Arc<RootCertStore>) -> Option<String> {
        let (roots, provider) = (Arc::clone(roots), Arc::clone(provider));
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
        let verifier = verifier.build().ok()?;
        let (own, between) = self.chain.split_first()?;
        // The name that peers dial is not known here.
        let name = ServerName::try_from("node.invalid").ok()?;
        let judged = verifier.verify_server_cert(own, between, &name, &[], UnixTime::now());
        let cause = judged.err().filter(|error| {
            use rustls::CertificateError::{NotValidForName, NotValidForNameContext};
            !matches!(
                error,
                rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })
            )
        })?;
        let why = trouble(&cause).unwrap_or_else(|| cause.to_string());
        Some(format!("{}: {why}", self.path.display()))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |cause| TlsError::read(path, "certificate", cause);
    let all = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(unreadable)?;
    if all.is_empty() {
        return Err(unreadable(pem::Error::NoItemsFound));
    }
    Ok(all)
}

fn authority(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|cause| TlsError::Authority {
                path: path.to_owned(),
                cause,
            })?;
    }
    Ok(Arc::new(roots))
}

/// The reason there is no TLS.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read, or has other content than it should.
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The expected contents.
        what: &'static str,
        /// The error of the system or of the format.
        cause: pem::Error,
    },
    /// Every user of the machine can read or write the file of a key.
    Public(PathBuf),
    /// A certificate in the CA file that is not a CA's.
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// A certificate and a key do not make a pair.
    Pair {
        /// The file of the one.
        certificate: PathBuf,
        /// The file of the other.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// Certificates or keys that cannot be used.
    Unfit(rustls::Error),
}

impl TlsError {
    fn read(path: &Path, what: &'static str, cause: pem::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            what,
            cause,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read {
                path,
                what,
                cause: pem::Error::Io(error),
            } => write!(f, "cannot read the {what} in {}: {error}", path.display()),
            Self::Read {
                path,
                what,
                cause: pem::Error::NoItemsFound,
            } => write!(
                f,
                "there is no {what} in {}; it must be PEM, with a line -----BEGIN …-----",
                path.display()
            ),
            Self::Read { path, what, cause } => {
                write!(
                    f,
                    "the {what} in {} is not valid PEM: {cause}",
                    path.display()
                )
            }
            Self::Public(path) => write!(
                f,
                "every user of this machine can read or write the private key in {0}; chmod o-rwx {0}",
                path.display()
            ),
            Self::Authority { path, cause } => write!(
                f,
                "{} is not the certificate of a CA: {cause}",
                path.display()
            ),
            Self::Pair {
                certificate,
                key,
                cause: rustls::Error::InconsistentKeys(_),
            } => write!(
                f,
                "the key in {} does not belong to the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::Pair {
                certificate,
                key,
                cause,
            } => write!(
                f,
                "the certificate in {} and the key in {} cannot be used: {cause}",
                certificate.display(),
                key.display()
            ),
            Self::Unfit(cause) => write!(f, "the certificates cannot be used: {cause}"),
        }
    }
}

impl std::error::Error for TlsError {}
