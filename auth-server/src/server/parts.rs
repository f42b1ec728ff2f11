//! What the routes are made of, put together from the records and the configuration.

use std::sync::Arc;

use shared_protocol::bearer::Proofs;
use shared_server::ephemeral::Ephemeral;
use shared_server::rate_limits::RateLimiter;

use super::{World, access_tokens};
use crate::accounts::known_devices::KnownDevices;
use crate::accounts::sign_in::SignIn;
use crate::accounts::sign_up::SignUp;
use crate::authorize::Authorize;
use crate::authorize::checks::Checks;
use crate::authorize::front_channel::FrontChannel;
use crate::authorize::pushed::PushedRequests;
use crate::authorize::request_object::RequestObjects;
use crate::authorize::visit::Dialogue;
use crate::back_channel::BackChannel;
use crate::browser::{Cookies, FormTokens};
use crate::clients::authenticate::Authenticator;
use crate::clients::authenticate::binding::Bindings;
use crate::clients::callers::Callers;
use crate::clients::certificate::Certificates;
use crate::clients::jwks_uri::ClientKeys;
use crate::clients::logo::Pictures;
use crate::codes::Codes;
use crate::config::Config;
use crate::consents::Consents;
use crate::device::Devices;
use crate::dpop::{self, TellNonce};
use crate::global_revocation::GlobalRevocation;
use crate::interactions::Interactions;
use crate::introspect::Introspection;
use crate::openapi;
use crate::pages::Frame;
use crate::published::{Document, Published};
use crate::rate_limits::RateLimits;
use crate::records::Records;
use crate::refresh_tokens::RefreshTokens;
use crate::registration::Registration;
use crate::revoke::Revocation;
use crate::routes::{AppState, Parts};
use crate::sign_out::SignOut;
use crate::subjects::Subjects;
use crate::telemetry::Metrics;
use crate::token::Grantor;
use crate::token::access_token::AccessTokens;
use crate::token::jwt_bearer::{Judge, JwtBearer, People};
use crate::token::password::PasswordGrant;
use crate::userinfo::Userinfo;

/// What requests read and change.
pub(super) struct Kept<'a> {
    pub(super) records: &'a Records,
    pub(super) codes: &'a Codes,
    pub(super) back_channel: &'a BackChannel,
    pub(super) limits: RateLimits,
    pub(super) registration: Registration,
}

pub(super) fn app_state(
    config: &Config,
    world: &World,
    kept: Kept,
    metrics: &Arc<Metrics>,
    certificates: Certificates,
) -> AppState {
    let Kept {
        records,
        codes,
        back_channel,
        limits,
        registration,
    } = kept;
    let tokens = access_tokens(config, world, records, metrics);
    let sign_in = Arc::new(sign_in(config, world, records, &codes.ephemeral));
    let grantor = Arc::new(Grantor {
        tokens: Arc::clone(&tokens),
        codes: codes.clone(),
        grants: records.grants.clone(),
        refresh_tokens: RefreshTokens::new(records.root_secret.mac_key("refresh token")),
        accounts: limits.account.clone(),
        clients: records.clients.clone(),
        devices: devices(config, &codes.ephemeral),
        password: password_grant(records, &sign_in),
        jwt_bearer: jwt_bearer(config, records, &codes.ephemeral),
    });
    let offered = records.offered.clone();
    let callers = Callers {
        registered: records.clients.clone(),
        documents: records.sites.documents.clone(),
        fetches: limits.documents,
    };
    let proofs = Proofs {
        dpop: dpop::judge(config, &records.root_secret, &codes.ephemeral),
        nonces: config.dpop.nonce,
    };
    let authenticator = Arc::new(Authenticator {
        clients: callers.clone(),
        bindings: Bindings {
            dpop: proofs.dpop.clone(),
            nonce: proofs.nonces,
        },
        keys: records.sites.keys.clone(),
        ephemeral: codes.ephemeral.clone(),
        audiences: offered.audiences(&config.issuer),
        certificates,
        clock: Arc::clone(&world.clock),
        metrics: Arc::clone(metrics),
        requests: limits.client,
        failures: limits.failures,
    });
    AppState(Arc::new(Parts {
        clients: records.clients.clone(),
        dialogue: Arc::new(dialogue(
            config,
            world,
            (records, codes, &tokens),
            (callers, sign_in),
        )),
        global_revocation: Arc::new(GlobalRevocation::new(
            &config.issuer,
            Arc::clone(&authenticator),
            (records.accounts.clone(), records.identity_links.clone()),
        )),
        authenticator,
        tell_nonce: TellNonce::new(proofs.dpop.clone(), Arc::clone(&world.clock)),
        introspection: Arc::new(Introspection {
            tokens: Arc::clone(&tokens),
            grantor: Arc::clone(&grantor),
            clients: records.clients.clone(),
        }),
        revocation: Arc::new(Revocation {
            tokens: Arc::clone(&tokens),
            grantor: Arc::clone(&grantor),
            revocations: records.revocations.clone(),
        }),
        userinfo: Arc::new(userinfo(records, &tokens, limits.account, proofs)),
        addresses: limits.address,
        grantor,
        pictures: Arc::new(Pictures {
            clients: records.clients.clone(),
            documents: records.sites.documents.clone(),
            logos: records.sites.logos.clone(),
        }),
        registration: Arc::new(registration),
        sign_up: Arc::new(SignUp {
            accounts: records.accounts.clone(),
            attempts: limits.sign_up,
            random: Arc::clone(&world.random),
        }),
        sign_out: Arc::new(sign_out(
            config,
            world,
            records,
            (back_channel, &codes.ephemeral),
        )),
        frame: Arc::new(Frame::new(&config.issuer, Arc::clone(&world.random))),
        tokens,
        description: Document::new(&openapi::document(config), "application/json"),
        offered,
        metadata: Published::default(),
        jwks_max_age: config.keys.jwks_max_age,
        jwks: Published::default(),
    }))
}

fn userinfo(
    records: &Records,
    tokens: &Arc<AccessTokens>,
    accounts: RateLimiter,
    proofs: Proofs,
) -> Userinfo {
    Userinfo {
        tokens: Arc::clone(tokens),
        grants: records.grants.clone(),
        clients: records.clients.clone(),
        accounts,
        proofs,
    }
}

/// What signing out takes.
fn sign_out(
    config: &Config,
    world: &World,
    records: &Records,
    told: (&BackChannel, &Ephemeral),
) -> SignOut {
    let (back_channel, ephemeral) = told;
    SignOut {
        issuer: Arc::new(config.issuer.clone()),
        sessions: records.sessions.clone(),
        cookies: Cookies::new(&config.issuer),
        forms: FormTokens::new(&records.root_secret),
        clients: records.clients.clone(),
        keys: records.keys.clone(),
        subjects: Subjects::new(&records.root_secret),
        back_channel: back_channel.clone(),
        interactions: interactions(config, ephemeral),
        localhost_port_varies: config.authorization.localhost_port_varies,
        random: Arc::clone(&world.random),
    }
}

/// The steps from an authorization request to its answer.
fn dialogue(
    config: &Config,
    world: &World,
    (records, codes, tokens): (&Records, &Codes, &Arc<AccessTokens>),
    (clients, sign_in): (Callers, Arc<SignIn>),
) -> Dialogue {
    let ephemeral = &codes.ephemeral;
    let issuer = Arc::new(config.issuer.clone());
    Dialogue {
        cookies: Cookies::new(&issuer),
        forms: FormTokens::new(&records.root_secret),
        sign_in,
        may_sign_up: records.offered.sign_up,
        devices: devices(config, ephemeral),
        authorize: Authorize {
            checks: Checks {
                issuer,
                clients,
                resource_servers: records.resource_servers.clone(),
                keys: records.keys.clone(),
                objects: RequestObjects {
                    keys: records.sites.keys.clone(),
                    published: records.sites.request_objects.clone(),
                },
                policy: records.offered.requests.clone(),
                subjects: Subjects::new(&records.root_secret),
                levels: records.offered.acr.clone(),
                sign_up: records.offered.sign_up,
                pkce: config.authorization.pkce,
                localhost_port_varies: config.authorization.localhost_port_varies,
            },
            interactions: interactions(config, ephemeral),
            sessions: records.sessions.clone(),
            consents: Consents {
                store: records.store.clone(),
            },
            codes: codes.clone(),
            front_channel: FrontChannel {
                tokens: Arc::clone(tokens),
                grants: records.grants.clone(),
                session_lifetime: config.sessions.absolute,
            },
            pushed: PushedRequests {
                ephemeral: ephemeral.clone(),
                lifetime: config.authorization.request_lifetime,
                interaction_lifetime: config.authorization.interaction_lifetime,
            },
            random: Arc::clone(&world.random),
        },
    }
}

fn devices(config: &Config, ephemeral: &Ephemeral) -> Devices {
    Devices {
        ephemeral: ephemeral.clone(),
        lifetime: config.device.lifetime,
        interval: config.device.interval,
        per_client: config.device.requests_per_client,
        per_address: config.by_address(config.device.requests_per_address),
        guesses: config.guess_limits(),
    }
}

fn interactions(config: &Config, ephemeral: &Ephemeral) -> Interactions {
    Interactions {
        ephemeral: ephemeral.clone(),
        lifetime: config.authorization.interaction_lifetime,
        per_address: config.interactions_per_address(),
    }
}

/// What the password grant takes, where it is served.
fn password_grant(records: &Records, sign_in: &Arc<SignIn>) -> Option<PasswordGrant> {
    records.offered.password_grant.then(|| PasswordGrant {
        sign_in: Arc::clone(sign_in),
        sessions: records.sessions.clone(),
        resource_servers: records.resource_servers.clone(),
        levels: records.offered.acr.clone(),
    })
}

/// What the JWT bearer grant takes. The keys of issuers are fetched beside those of clients, whom nobody needs to trust.
fn jwt_bearer(config: &Config, records: &Records, ephemeral: &Ephemeral) -> JwtBearer {
    JwtBearer {
        judge: Judge {
            issuers: records.trusted_issuers.clone(),
            keys: ClientKeys::new(&records.sites.fetcher),
            audiences: records.offered.audiences(&config.issuer),
            used: ephemeral.clone(),
        },
        people: People {
            accounts: records.accounts.clone(),
            links: records.identity_links.clone(),
            levels: records.offered.acr.clone(),
        },
    }
}

fn sign_in(config: &Config, world: &World, records: &Records, ephemeral: &Ephemeral) -> SignIn {
    SignIn {
        accounts: records.accounts.clone(),
        ephemeral: ephemeral.clone(),
        devices: KnownDevices::new(&records.root_secret, config.sign_in.known_device),
        limits: config.sign_in_limits(),
        random: Arc::clone(&world.random),
    }
}
