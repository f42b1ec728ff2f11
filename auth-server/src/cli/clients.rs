//! `auth-server client …`

mod requests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, ContentEncryption, JwsAlgorithm, KeyManagement};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeToken;
use shared_protocol::time::Instant;
use shared_server::config::Period;

use self::requests::RequestArgs;
use super::output::Output;
use crate::authorization_details::TypeName;
use crate::clients::document;
use crate::clients::exchange_policy::ExchangePolicy;
use crate::clients::redirect_uri::RedirectUri;
use crate::clients::secret::ClientSecret;
use crate::clients::url::ClientUrl;
use crate::clients::{ApplicationType, AuthMethod, ClientMetadata, GrantType};
use crate::profiles::Profile;
use crate::records::Records;
use crate::server::World;
use crate::subjects::SubjectType;

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Register a client; its secret, if it has one, is shown this once
    Create(Box<CreateClient>),
    /// List clients
    List,
    /// Show what a client registered
    Show {
        /// The client
        client_id: ClientId,
    },
    /// Give a client a new secret, shown this once
    RotateSecret {
        /// The client
        client_id: ClientId,
        /// How long the secret before it still works
        #[arg(long, default_value = "1h")]
        overlap: Period,
    },
    /// Say what a client may exchange tokens for, or take it away
    SetTokenExchange {
        /// The client
        client_id: ClientId,
        /// A file with its policy as JSON, as for `client create`; without one, it may exchange nothing more
        #[arg(value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Hold a client to a profile, or let it go
    SetProfile {
        /// The client
        client_id: ClientId,
        /// fapi2, fapi2-message-signing or mcp; without one, what the server demands of everyone is all
        profile: Option<Profile>,
    },
    /// Delete a client; its tokens are dead from then on
    Delete {
        /// The client
        client_id: ClientId,
    },
}

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct CreateClient {
    /// What people are told that it is called
    #[arg(long)]
    name: Option<String>,
    /// How it authenticates
    #[arg(long, value_enum, default_value = "client_secret_basic")]
    auth_method: AuthMethodArg,
    /// A grant that it may use (may repeat)
    #[arg(long = "grant", value_enum, required = true)]
    grants: Vec<GrantArg>,
    /// A scope that it may ask for (may repeat)
    #[arg(long = "scope")]
    scopes: Vec<ScopeToken>,
    /// A type of authorization details that it may ask for (may repeat)
    #[arg(long = "authorization-details-type", value_name = "TYPE")]
    authorization_details_types: Vec<TypeName>,
    /// The audience of its tokens when it names none
    #[arg(long)]
    default_resource: Option<ResourceId>,
    /// A redirect URI (may repeat)
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<RedirectUri>,
    /// Where its people may be sent after they signed out (may repeat)
    #[arg(long = "post-logout-redirect-uri", value_name = "URL")]
    post_logout_redirect_uris: Vec<RedirectUri>,
    /// Where it is told that somebody signed out
    #[arg(long, value_name = "URL")]
    backchannel_logout_uri: Option<ClientUrl>,
    /// It must be told of which session
    #[arg(long, requires = "backchannel_logout_uri")]
    backchannel_logout_session_required: bool,
    /// It runs on people's devices (RFC 8252)
    #[arg(long)]
    native: bool,
    /// A file with its public keys as a JWK Set, for `private_key_jwt`, `self_signed_tls_client_auth`, signed requests, and to encrypt to
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Where it publishes its public keys
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<ClientUrl>,
    /// Where the redirect URIs of its sector are listed
    #[arg(long, value_name = "URL")]
    sector_identifier_uri: Option<ClientUrl>,
    /// Its picture, which people are shown
    #[arg(long, value_name = "URL")]
    logo_uri: Option<ClientUrl>,
    /// Its home page
    #[arg(long, value_name = "URL")]
    client_uri: Option<ClientUrl>,
    /// What it does with what it learns of people
    #[arg(long, value_name = "URL")]
    policy_uri: Option<ClientUrl>,
    /// Its terms of service
    #[arg(long, value_name = "URL")]
    tos_uri: Option<ClientUrl>,
    /// The one algorithm of its assertions
    #[arg(long)]
    signing_alg: Option<JwsAlgorithm>,
    /// The subject of its certificate, as RFC 4514 writes it ("CN=worker,O=Example"); `tls_client_auth` takes this or one of the next four
    #[arg(long, value_name = "DN")]
    subject_dn: Option<String>,
    /// A DNS name in its certificate
    #[arg(long, value_name = "NAME")]
    san_dns: Option<String>,
    /// A URI in its certificate
    #[arg(long, value_name = "URI")]
    san_uri: Option<String>,
    /// An IP address in its certificate
    #[arg(long, value_name = "ADDRESS")]
    san_ip: Option<String>,
    /// An email address in its certificate
    #[arg(long, value_name = "ADDRESS")]
    san_email: Option<String>,
    /// Its tokens are bound to the certificate by which it gets them (RFC 8705)
    #[arg(long)]
    certificate_bound_access_tokens: bool,
    /// It always shows a proof for its tokens (RFC 9449), which are bound to its key then
    #[arg(long, conflicts_with = "certificate_bound_access_tokens")]
    dpop_bound_access_tokens: bool,
    /// The algorithm of its ID tokens, RS256 if not given
    #[arg(long)]
    id_token_alg: Option<Algorithm>,
    /// Encrypt its ID tokens, with A256GCM and a key of its own that this algorithm is for
    #[arg(long, value_name = "ALG")]
    id_token_encryption: Option<KeyManagement>,
    /// Sign what userinfo tells it, by this algorithm
    #[arg(long, value_name = "ALG")]
    userinfo_alg: Option<Algorithm>,
    /// Encrypt what userinfo tells it, as for ID tokens
    #[arg(long, value_name = "ALG")]
    userinfo_encryption: Option<KeyManagement>,
    /// Sign by this algorithm what introspection tells it, where it asks for a JWT; RS256 if not given
    #[arg(long, value_name = "ALG")]
    introspection_alg: Option<Algorithm>,
    /// Encrypt that JWT, as for ID tokens
    #[arg(long, value_name = "ALG")]
    introspection_encryption: Option<KeyManagement>,
    /// What people are called to it: `public`, as to everybody, or `pairwise`, what clients of its sector alone know them by; then
    /// its tokens for resource servers are opaque, and those introspect them
    #[arg(long)]
    subject_type: Option<SubjectType>,
    /// Its authorization requests must carry a code challenge, whatever the server's policy
    #[arg(long)]
    require_pkce: bool,
    /// Hold it to a profile, whatever the server's: fapi2, fapi2-message-signing or mcp
    #[arg(long)]
    profile: Option<Profile>,
    /// Its people are not asked for consent: for your own applications
    #[arg(long)]
    skip_consent: bool,
    /// A file with what it may exchange tokens for, as JSON: `audiences`, `subject_clients`, `impersonation`, `delegation`,
    /// `requested_token_types`, `downstream`, `identity_assertions`
    #[arg(long, value_name = "FILE")]
    token_exchange: Option<PathBuf>,
    /// The one client that may act for its people
    #[arg(long, value_name = "CLIENT_ID")]
    may_act: Option<ClientId>,
    /// It may sign anybody out everywhere (Global Token Revocation): for your own security tools
    #[arg(long)]
    global_token_revocation: bool,
    #[command(flatten)]
    requests: RequestArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AuthMethodArg {
    None,
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    TlsClientAuth,
    SelfSignedTlsClientAuth,
}

impl From<AuthMethodArg> for AuthMethod {
    fn from(arg: AuthMethodArg) -> Self {
        match arg {
            AuthMethodArg::None => Self::None,
            AuthMethodArg::ClientSecretBasic => Self::ClientSecretBasic,
            AuthMethodArg::ClientSecretPost => Self::ClientSecretPost,
            AuthMethodArg::ClientSecretJwt => Self::ClientSecretJwt,
            AuthMethodArg::PrivateKeyJwt => Self::PrivateKeyJwt,
            AuthMethodArg::TlsClientAuth => Self::TlsClientAuth,
            AuthMethodArg::SelfSignedTlsClientAuth => Self::SelfSignedTlsClientAuth,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum GrantArg {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    Implicit,
    Password,
    #[value(alias = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    #[value(alias = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    #[value(alias = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
}

impl From<GrantArg> for GrantType {
    fn from(arg: GrantArg) -> Self {
        match arg {
            GrantArg::AuthorizationCode => Self::AuthorizationCode,
            GrantArg::RefreshToken => Self::RefreshToken,
            GrantArg::ClientCredentials => Self::ClientCredentials,
            GrantArg::Implicit => Self::Implicit,
            GrantArg::Password => Self::Password,
            GrantArg::DeviceCode => Self::DeviceCode,
            GrantArg::TokenExchange => Self::TokenExchange,
            GrantArg::JwtBearer => Self::JwtBearer,
        }
    }
}

impl ClientCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let now = world.clock.now();
        match self {
            Self::Create(create) => create.run(records, world, output).await,
            Self::List => list(records, output).await,
            Self::Show { client_id } => {
                let client = records.clients.find(&client_id).await?;
                let client = client.with_context(|| format!("there is no client {client_id}"))?;
                let permitted_by = records.clients.permitted_by(&client_id).await?;
                output.value(&json!({"client_id": client.id, "metadata": client.metadata,
                    "registered_by": permitted_by.as_deref().unwrap_or("operator")}))
            }
            Self::RotateSecret { client_id, overlap } => {
                let secret = ClientSecret::generate(&*world.random);
                records
                    .clients
                    .rotate_secret(&client_id, &secret, overlap.duration(), now)
                    .await?;
                created(&client_id, Some(&secret), output)
            }
            Self::SetTokenExchange { client_id, policy } => {
                let policy = policy.as_deref();
                let policy = policy.map(|path| exchange_policy(path, records));
                let policy = policy.transpose()?;
                let change = |metadata: &mut ClientMetadata| set_exchange_policy(metadata, policy);
                changed(&client_id, change, records, output, now).await
            }
            Self::SetProfile { client_id, profile } => {
                let change = |metadata: &mut ClientMetadata| metadata.profile = profile;
                changed(&client_id, change, records, output, now).await
            }
            Self::Delete { client_id } => {
                records.clients.delete(&client_id, now).await?;
                output.done(
                    &format!("deleted {client_id}"),
                    &json!({"deleted": client_id}),
                )
            }
        }
    }
}

impl CreateClient {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        for name in &self.authorization_details_types {
            let known = records.resource_servers.details_type(name.as_str());
            known.with_context(|| {
                format!("there is no type {name}: `auth-server authorization-details-type list`")
            })?;
        }
        let jwks = self
            .jwks
            .map(|path| {
                let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
                serde_json::from_slice(&text).with_context(|| path.display().to_string())
            })
            .transpose()?;
        let token_exchange = self
            .token_exchange
            .map(|path| exchange_policy(&path, records))
            .transpose()?;
        let metadata = ClientMetadata {
            client_name: self.name,
            token_endpoint_auth_method: self.auth_method.into(),
            token_endpoint_auth_signing_alg: self.signing_alg,
            grant_types: self
                .grants
                .into_iter()
                .map(GrantType::from)
                .collect::<BTreeSet<_>>(),
            application_type: if self.native {
                ApplicationType::Native
            } else {
                ApplicationType::Web
            },
            redirect_uris: self.redirect_uris,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            backchannel_logout_uri: self.backchannel_logout_uri,
            backchannel_logout_session_required: self.backchannel_logout_session_required,
            scope: self.scopes.into_iter().collect(),
            authorization_details_types: self.authorization_details_types,
            default_resource: self.default_resource,
            jwks,
            tls_client_auth_subject_dn: self.subject_dn,
            tls_client_auth_san_dns: self.san_dns,
            tls_client_auth_san_uri: self.san_uri,
            tls_client_auth_san_ip: self.san_ip,
            tls_client_auth_san_email: self.san_email,
            tls_client_certificate_bound_access_tokens: self.certificate_bound_access_tokens,
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
            id_token_signed_response_alg: self.id_token_alg,
            id_token_encrypted_response_alg: self.id_token_encryption,
            id_token_encrypted_response_enc: self
                .id_token_encryption
                .map(|_| ContentEncryption::A256Gcm),
            userinfo_signed_response_alg: self.userinfo_alg,
            userinfo_encrypted_response_alg: self.userinfo_encryption,
            userinfo_encrypted_response_enc: self
                .userinfo_encryption
                .map(|_| ContentEncryption::A256Gcm),
            introspection_signed_response_alg: self.introspection_alg,
            introspection_encrypted_response_alg: self.introspection_encryption,
            introspection_encrypted_response_enc: self
                .introspection_encryption
                .map(|_| ContentEncryption::A256Gcm),
            subject_type: self.subject_type,
            require_pkce: self.require_pkce,
            profile: self.profile,
            skip_consent: self.skip_consent,
            token_exchange,
            may_act: self.may_act,
            global_token_revocation: self.global_token_revocation,
            jwks_uri: self.jwks_uri,
            sector_identifier_uri: self.sector_identifier_uri,
            logo_uri: self.logo_uri,
            client_uri: self.client_uri,
            policy_uri: self.policy_uri,
            tos_uri: self.tos_uri,
            ..ClientMetadata::default()
        };
        let metadata = self.requests.set(metadata);
        let (id, secret) = records.register_client(metadata, world).await?;
        created(&id, secret.as_ref(), output)
    }
}

/// A policy that names no resource server that is not there.
fn exchange_policy(path: &Path, records: &Records) -> anyhow::Result<ExchangePolicy> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    let policy: ExchangePolicy =
        serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    for resource in policy.resources() {
        anyhow::ensure!(
            records.resource_servers.find(resource).is_some(),
            "there is no resource server {resource}: `auth-server resource list`"
        );
    }
    Ok(policy)
}

/// Gives a client another policy, and the grant with it; without one, takes both away.
fn set_exchange_policy(metadata: &mut ClientMetadata, policy: Option<ExchangePolicy>) {
    metadata.token_exchange = policy;
    if metadata.token_exchange.is_some() {
        metadata.grant_types.insert(GrantType::TokenExchange);
    } else {
        metadata.grant_types.remove(&GrantType::TokenExchange);
    }
}

/// Changes what is registered of a client, if what comes of it makes sense.
async fn changed(
    client_id: &ClientId,
    change: impl FnOnce(&mut ClientMetadata) + Send,
    records: &Records,
    output: &Output,
    now: Instant,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !document::is_document(client_id),
        "{client_id} describes itself: what it is stands in its document alone, and is read there anew"
    );
    let judged = |mut metadata: ClientMetadata| {
        change(&mut metadata);
        records.judged(client_id, metadata, now)
    };
    let is_there = records.clients.change(client_id, judged, now).await?;
    anyhow::ensure!(is_there, "there is no client {client_id}");
    output.done(
        &format!("changed {client_id}"),
        &json!({"changed": client_id}),
    )
}

fn created(id: &ClientId, secret: Option<&ClientSecret>, output: &Output) -> anyhow::Result<()> {
    let Some(secret) = secret.map(ClientSecret::expose) else {
        return output.done(&format!("client_id: {id}"), &json!({"client_id": id}));
    };
    let text = format!("client_id:     {id}\nclient_secret: {secret}   (it cannot be shown again)");
    output.done(&text, &json!({"client_id": id, "client_secret": secret}))
}

async fn list(records: &Records, output: &Output) -> anyhow::Result<()> {
    let mut after = String::new();
    let mut clients = Vec::new();
    loop {
        let page = records.clients.list(&after, 200).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        clients.extend(page);
    }
    if output.json {
        let clients: Vec<_> = clients
            .into_iter()
            .map(|(id, metadata)| json!({"client_id": id, "metadata": metadata}))
            .collect();
        return output.value(&clients);
    }
    let lines: Vec<_> = clients
        .iter()
        .map(|(id, metadata)| {
            let text = |name: &str| {
                metadata
                    .get(name)
                    .and_then(|value| value.as_str())
                    .unwrap_or("-")
                    .to_owned()
            };
            format!(
                "{id}  {:<20}  {}",
                text("token_endpoint_auth_method"),
                text("client_name")
            )
        })
        .collect();
    output.list(
        "client",
        &lines,
        "no clients yet: `auth-server client create --help`",
    )
}
