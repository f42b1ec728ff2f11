//! Clients: what they registered (RFC 7591 §2) and the one check that it makes sense.

pub mod assertion;
pub mod authenticate;
pub mod callers;
pub mod certificate;
pub mod directory;
pub mod document;
pub mod exchange_policy;
mod invalid_metadata;
pub mod jwks_uri;
pub mod logo;
mod metadata;
pub mod redirect_uri;
pub mod request_uris;
pub mod secret;
pub mod sector;
pub mod sites;
pub mod submitted;
pub mod url;
mod written;

use std::sync::atomic::{AtomicBool, Ordering};

use std::sync::Arc;

use ::url::form_urlencoded;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::Confirmation;
use shared_protocol::jose::{Algorithm, JwkSet, JwsAlgorithm};
use shared_protocol::time::Instant;
use shared_server::web::Caller;

use self::certificate::CertificateName;
use self::exchange_policy::ExchangePolicy;
pub use self::invalid_metadata::InvalidClientMetadata;
pub use self::metadata::{
    ApplicationType, AuthMethod, ClientMetadata, Encryption, GrantType, ObjectAlgorithm,
    REGISTRABLE,
};
use self::redirect_uri::{RedirectUri, VerifiedRedirectUri};
use self::secret::{KeptSecret, MacSecret, SecretDigest};
use self::url::ClientUrl;
use crate::accounts::AccountId;
use crate::global_revocation;
use crate::locales::Locales;
use crate::pages::About;
use crate::profiles::{Demands, Profiles, Unmet};
use crate::subjects::SubjectType;

impl Caller for Client {
    fn client_id(&self) -> &str {
        self.id.as_str()
    }
}

/// A client whose metadata made sense.
#[derive(Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// What it registered.
    pub metadata: ClientMetadata,
    keys: Arc<JwkSet>,
    certificate_name: Option<CertificateName>,
    digest: Option<[u8; 32]>,
    secrets: Vec<KeptSecret>,
    demands: Demands,
    unmet: Option<Unmet>,
    /// Whether it registered itself and never got a token, as far as is known here.
    unused: AtomicBool,
}

impl Client {
    /// The one validation of a client's state, however it came to be or changed (threat 14).
    ///
    /// # Errors
    /// [`InvalidClientMetadata`].
    pub fn new(
        id: ClientId,
        metadata: ClientMetadata,
        secrets: Vec<KeptSecret>,
    ) -> Result<Self, InvalidClientMetadata> {
        if id.as_str().parse::<AccountId>().is_ok() {
            return Err(InvalidClientMetadata::AccountId);
        }
        let method = metadata.token_endpoint_auth_method;
        if method == AuthMethod::None
            && metadata.grant_types.contains(&GrantType::ClientCredentials)
        {
            return Err(InvalidClientMetadata::PublicClientCredentials);
        }
        if metadata.grant_types.contains(&GrantType::Password)
            && (method == AuthMethod::None || !metadata.skip_consent)
        {
            return Err(InvalidClientMetadata::PasswordGrant);
        }
        ExchangePolicy::check(&metadata)?;
        if metadata.global_token_revocation
            && (!global_revocation::METHODS.contains(&method)
                || metadata.subject_type() == SubjectType::Pairwise)
        {
            return Err(InvalidClientMetadata::GlobalTokenRevocation);
        }
        metadata.check_texts()?;
        metadata.check_response_types()?;
        metadata.check_binding()?;
        let initiate_login = metadata.initiate_login_uri.as_ref();
        if initiate_login.is_some_and(|uri| !uri.is_https()) {
            return Err(InvalidClientMetadata::PlainInitiateLogin);
        }
        let keys = match &metadata.jwks {
            None => JwkSet::default(),
            Some(Value::Object(set)) => JwkSet::from_object(set)
                .map_err(|error| InvalidClientMetadata::Keys(error.to_string()))?,
            Some(_) => return Err(InvalidClientMetadata::Keys("not an object".into())),
        };
        check_urls(&metadata)?;
        proof(&metadata, &keys)?;
        request_objects(&metadata, &keys)?;
        encryption(&metadata, &keys)?;
        if metadata.subject_type() == SubjectType::Pairwise && metadata.sector().is_none() {
            return Err(InvalidClientMetadata::NoSector);
        }
        let certificate_name = CertificateName::registered(&metadata)?;
        let redirects = &metadata.redirect_uris;
        if redirects.is_empty() == metadata.sends_people() {
            return Err(InvalidClientMetadata::Redirects);
        }
        if redirects.len() > 100 {
            return Err(InvalidClientMetadata::TooLong("redirect_uris"));
        }
        let after_logout = &metadata.post_logout_redirect_uris;
        if after_logout.len() > 100 {
            return Err(InvalidClientMetadata::TooLong("post_logout_redirect_uris"));
        }
        let demands = Demands::of(metadata.profile);
        demands.check(&metadata, &keys)?;
        let native = metadata.application_type == ApplicationType::Native;
        if let Some(plain) = redirects
            .iter()
            .chain(after_logout)
            .find(|uri| uri.is_plain_http() && !(native && uri.is_loopback()))
        {
            return Err(InvalidClientMetadata::PlainRedirect(plain.to_string()));
        }
        Ok(Self {
            digest: document::is_document(&id).then(|| digest(&metadata)),
            id,
            metadata,
            keys: Arc::new(keys),
            certificate_name,
            secrets,
            demands,
            unmet: None,
            unused: AtomicBool::new(false),
        })
    }

    /// The same at a server of these profiles. What was let in before the server had its own may not meet it: then it may do nothing here.
    #[must_use]
    pub fn under(self, profiles: Profiles) -> Self {
        let demands = profiles.demands_on(&self.metadata);
        Self {
            unmet: demands.check(&self.metadata, &self.keys).err(),
            demands,
            ..self
        }
    }

    /// The same, if it meets them.
    ///
    /// # Errors
    /// [`InvalidClientMetadata::Profile`].
    pub fn meeting(self, profiles: Profiles) -> Result<Self, InvalidClientMetadata> {
        let client = self.under(profiles);
        match client.unmet {
            None => Ok(client),
            Some(unmet) => Err(unmet.into()),
        }
    }

    /// What is demanded of it.
    #[must_use]
    pub const fn demands(&self) -> Demands {
        self.demands
    }

    /// What it lacks of that, if anything.
    #[must_use]
    pub const fn unmet(&self) -> Option<&Unmet> {
        self.unmet.as_ref()
    }

    /// Whether a token that it got once, bound so, is of use to anybody while its profile demands what it does.
    #[must_use]
    pub fn may_have(&self, bound: Option<&Confirmation>) -> bool {
        self.unmet.is_none() && (bound.is_some() || !self.demands.sender_constraint())
    }

    /// What its certificate is known by (RFC 8705 §2.1.2), of a client of `tls_client_auth`.
    #[must_use]
    pub fn certificate_name(&self) -> Option<&CertificateName> {
        self.certificate_name.as_ref()
    }

    /// The same, if it registered itself and never got a token.
    #[must_use]
    pub(crate) fn unused(self, unused: bool) -> Self {
        Self {
            unused: AtomicBool::new(unused),
            ..self
        }
    }

    /// Whether it was unused until now; it is used from then on.
    pub(crate) fn is_used_first(&self) -> bool {
        // Nearly always it is not: a look that disturbs nobody.
        self.unused.load(Ordering::Relaxed) && self.unused.swap(false, Ordering::Relaxed)
    }

    /// The host of the document in which it describes itself, if it does: the one part of it that nobody else can claim.
    #[must_use]
    pub fn document_host(&self) -> Option<String> {
        let url = document::document_url(&self.id)?;
        let host = url.url().host_str()?;
        Some(match url.url().port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }

    /// Its picture and where it tells more of itself, for a page below `path`, which is the issuer's, and whoever reads these
    /// languages.
    #[must_use]
    pub fn about(&self, path: &str, locales: &Locales) -> About {
        let link = |name: &str, url: &Option<ClientUrl>| {
            let localized = self.localized(name, locales);
            let localized = localized.and_then(|(_, url)| url.parse().ok());
            let url = localized.or_else(|| url.clone());
            url.filter(ClientUrl::is_https).map(|url| url.to_string())
        };
        let logo = self.metadata.logo_uri.as_ref().map(|_| {
            let id = form_urlencoded::byte_serialize(self.id.as_str().as_bytes());
            format!("{path}{}?client_id={}", logo::PATH, id.collect::<String>())
        });
        About {
            logo,
            policy: link("policy_uri", &self.metadata.policy_uri),
            terms: link("tos_uri", &self.metadata.tos_uri),
            name_lang: self
                .localized("client_name", locales)
                .map(|(lang, _)| lang.to_owned()),
        }
    }

    /// Of a client that describes itself, what it said of its redirects and keys: whoever agreed to others is asked again.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8; 32]> {
        self.digest.as_ref()
    }

    /// What it says of itself in one of these languages, and in which (RFC 7591 §2.2).
    fn localized(&self, name: &str, locales: &Locales) -> Option<(&str, &str)> {
        let localized = &self.metadata.localized;
        locales.choose(|wanted| {
            localized.iter().find_map(|(member, text)| {
                let (base, tag) = member.split_once('#')?;
                let is_wanted = base == name && tag.eq_ignore_ascii_case(wanted);
                is_wanted.then_some((tag, text.as_str()))
            })
        })
    }

    /// The name that it gave itself, for whoever reads these languages.
    #[must_use]
    pub fn own_name(&self, locales: &Locales) -> Option<&str> {
        let localized = self.localized("client_name", locales);
        localized
            .map(|(_, name)| name)
            .or(self.metadata.client_name.as_deref())
    }

    /// What people are told that it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.metadata.client_name.as_deref();
        name.unwrap_or(self.id.as_str())
    }

    /// The redirect URI of a request, if it is one that this client registered (RFC 6749 §3.1.2.3): exactly one, but for the port
    /// of a native client's loopback redirect (RFC 8252 §7.3).
    #[must_use]
    pub fn matching(
        &self,
        requested: &str,
        localhost_port_varies: bool,
    ) -> Option<VerifiedRedirectUri> {
        self.among(
            &self.metadata.redirect_uris,
            requested,
            localhost_port_varies,
        )
    }

    /// The same for where somebody goes who signed out (OpenID Connect RP-Initiated Logout §3).
    #[must_use]
    pub fn matching_after_logout(
        &self,
        requested: &str,
        localhost_port_varies: bool,
    ) -> Option<VerifiedRedirectUri> {
        let registered = &self.metadata.post_logout_redirect_uris;
        self.among(registered, requested, localhost_port_varies)
    }

    fn among(
        &self,
        registered: &[RedirectUri],
        requested: &str,
        localhost_port_varies: bool,
    ) -> Option<VerifiedRedirectUri> {
        let native = self.metadata.application_type == ApplicationType::Native;
        registered
            .iter()
            .find_map(|uri| uri.exactly(requested))
            .or_else(|| {
                let mut natives = registered.iter().filter(|_| native);
                natives.find_map(|uri| uri.on_any_port(requested, localhost_port_varies))
            })
    }

    /// The redirect URI of a request that names none: the only one there is (RFC 6749 §3.1.2.3).
    #[must_use]
    pub fn only_redirect_uri(&self) -> Option<VerifiedRedirectUri> {
        match self.metadata.redirect_uris.as_slice() {
            [only] => Some(only.unnamed()),
            _ => None,
        }
    }

    /// The keys that it registered by value; [`jwks_uri::ClientKeys`] knows those that it publishes too.
    #[must_use]
    fn keys(&self) -> &Arc<JwkSet> {
        &self.keys
    }

    /// The digests of its secrets that work at `now`.
    pub fn live_secrets(&self, now: Instant) -> impl Iterator<Item = &SecretDigest> {
        self.live(now).map(|secret| &secret.digest)
    }

    /// Its secrets themselves that work at `now`, of a client that makes MACs with them.
    pub fn live_mac_secrets(&self, now: Instant) -> impl Iterator<Item = &[u8]> {
        let secrets = self.live(now).filter_map(|secret| secret.mac.as_ref());
        secrets.map(MacSecret::as_bytes)
    }

    fn live(&self, now: Instant) -> impl Iterator<Item = &KeptSecret> {
        self.secrets
            .iter()
            .filter(move |secret| secret.ends_at.is_none_or(|end| end > now))
    }
}

/// Whether there is what the method rests on, and nothing that another would need (RFC 7591 §2, RFC 8725 §3.1).
fn proof(metadata: &ClientMetadata, keys: &JwkSet) -> Result<(), InvalidClientMetadata> {
    let method = metadata.token_endpoint_auth_method;
    let alg = metadata.token_endpoint_auth_signing_alg;
    let published = metadata.jwks_uri.is_some();
    match (method, alg) {
        (_, None)
        | (AuthMethod::PrivateKeyJwt, Some(JwsAlgorithm::Signature(_)))
        | (AuthMethod::ClientSecretJwt, Some(JwsAlgorithm::Mac(_))) => {}
        (_, Some(alg)) => return Err(InvalidClientMetadata::SigningAlgorithm(alg)),
    }
    if method == AuthMethod::PrivateKeyJwt {
        let fits = |alg| keys.keys().iter().any(|key| key.verifies(alg));
        let signs = match alg {
            Some(JwsAlgorithm::Signature(alg)) => fits(alg),
            Some(JwsAlgorithm::Mac(_)) | None => Algorithm::ALL.into_iter().any(fits),
        };
        if !published && !signs {
            return Err(InvalidClientMetadata::NoKey);
        }
    }
    let has_keys = published || !keys.keys().is_empty();
    if method == AuthMethod::SelfSignedTlsClientAuth && !has_keys {
        return Err(InvalidClientMetadata::NoCertificateKey);
    }
    Ok(())
}

/// Whether there is what would be encrypted to. Of keys that the client publishes, the ones of then count.
fn encryption(metadata: &ClientMetadata, keys: &JwkSet) -> Result<(), InvalidClientMetadata> {
    metadata.check_encryption()?;
    for (name, encryption) in [
        (
            "id_token_encrypted_response",
            metadata.id_token_encryption(),
        ),
        (
            "userinfo_encrypted_response",
            metadata.userinfo_encryption(),
        ),
        (
            "introspection_encrypted_response",
            metadata.introspection_encryption(),
        ),
    ] {
        let has_key = |(alg, _)| keys.encryption_key(alg).is_some();
        if metadata.jwks_uri.is_none() && !encryption.is_none_or(has_key) {
            return Err(InvalidClientMetadata::NoEncryptionKey(name));
        }
    }
    Ok(())
}

/// Whether there is what request objects are verified with, where the client says that it signs them.
fn request_objects(metadata: &ClientMetadata, keys: &JwkSet) -> Result<(), InvalidClientMetadata> {
    if metadata.request_uris.len() > 100 {
        return Err(InvalidClientMetadata::TooLong("request_uris"));
    }
    let fits = |alg| keys.keys().iter().any(|key| key.verifies(alg));
    let verifies = match metadata.request_object_signing_alg {
        Some(ObjectAlgorithm::None) if metadata.require_signed_request_object => {
            return Err(InvalidClientMetadata::UnsignedRequired);
        }
        Some(ObjectAlgorithm::Signature(alg)) => fits(alg),
        None if metadata.require_signed_request_object => Algorithm::ALL.into_iter().any(fits),
        Some(ObjectAlgorithm::None) | None => true,
    };
    if verifies || metadata.jwks_uri.is_some() {
        Ok(())
    } else {
        Err(InvalidClientMetadata::NoObjectKey)
    }
}

fn digest(metadata: &ClientMetadata) -> [u8; 32] {
    let ClientMetadata {
        redirect_uris,
        token_endpoint_auth_method,
        jwks,
        jwks_uri,
        ..
    } = metadata;
    let said = serde_json::json!([redirect_uris, token_endpoint_auth_method, jwks, jwks_uri]);
    Sha256::digest(said.to_string()).into()
}

fn check_urls(metadata: &ClientMetadata) -> Result<(), InvalidClientMetadata> {
    if metadata.jwks.is_some() && metadata.jwks_uri.is_some() {
        return Err(InvalidClientMetadata::BothKeys);
    }
    for (name, url) in [
        ("jwks_uri", &metadata.jwks_uri),
        ("sector_identifier_uri", &metadata.sector_identifier_uri),
        ("logo_uri", &metadata.logo_uri),
        ("backchannel_logout_uri", &metadata.backchannel_logout_uri),
    ] {
        if url.as_ref().is_some_and(ClientUrl::has_fragment) {
            return Err(InvalidClientMetadata::Fragment(name));
        }
    }
    Ok(())
}
