//! Where the server listens.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Where the server listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Addresses for everyone.
    pub listen: Vec<SocketAddr>,
    /// Addresses for operators: metrics and detailed health. May be empty.
    pub operations_listen: Vec<SocketAddr>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 8000).into()],
            operations_listen: vec![(Ipv4Addr::LOCALHOST, 9090).into()],
        }
    }
}

impl ServerConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        if self.listen.is_empty() {
            return vec![
                "server.listen is empty: name at least one address, such as \"127.0.0.1:8000\""
                    .into(),
            ];
        }
        Vec::new()
    }
}
