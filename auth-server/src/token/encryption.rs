//! What is for a client's eyes alone: encrypted to one of its keys (OpenID Connect Core §10.2).

use shared_protocol::jose::{Content, encrypt};
use shared_protocol::time::Instant;

use super::access_token::AccessTokens;
use super::error::TokenError;
use crate::clients::{Client, Encryption};

impl AccessTokens {
    /// Refuses early where nothing can be encrypted to a client that asks for it.
    ///
    /// # Errors
    /// [`TokenError::Encryption`].
    pub async fn check_encryption(
        &self,
        client: &Client,
        encryption: Option<Encryption>,
        now: Instant,
    ) -> Result<(), TokenError> {
        if let Some((alg, _)) = encryption {
            self.client_keys.to_encrypt(client, alg, now).await?;
        }
        Ok(())
    }

    /// A compact JWE for a client.
    ///
    /// # Errors
    /// [`TokenError::Encryption`], [`TokenError::Encrypt`].
    pub async fn encrypt(
        &self,
        (plaintext, content): (&[u8], Content),
        client: &Client,
        (alg, enc): Encryption,
        now: Instant,
    ) -> Result<String, TokenError> {
        let key = self.client_keys.to_encrypt(client, alg, now).await?;
        Ok(encrypt(
            plaintext,
            content,
            (&key, alg, enc),
            &*self.random,
        )?)
    }
}
