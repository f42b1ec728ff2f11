//! The section `[mtls]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared_protocol::resource::ResourceId;
use shared_server::web::MtlsSection;

/// Where clients are asked for the certificates that their tokens are bound to (RFC 8705 §3). Off unless something is said here or of the
/// proxies.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MtlsConfig {
    /// Addresses on which clients are asked for certificates. May be empty.
    pub listen: Vec<SocketAddr>,
    /// The API as it is reached there.
    pub url: Option<ResourceId>,
    /// The certificate of these addresses; that of `tls` when absent.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

impl MtlsConfig {
    pub(crate) fn section(&self) -> MtlsSection<'_> {
        MtlsSection {
            listen: &self.listen,
            url: self.url.as_ref().map(ResourceId::url),
            certificate: self.certificate.as_deref(),
            key: self.key.as_deref(),
        }
    }
}
