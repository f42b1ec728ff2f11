//! A kit for resource servers: whatever guards an API with access tokens of OAuth 2, and the words that an API and an authorization
//! server both need to speak it. `resource-api` of this repository is its first user; the authorization server is its second. It
//! brings no database and no store.
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::routing::get;
//! use axum::{Extension, Router};
//! use shared_protocol::bearer::{AccessToken, Guard, GuardSettings, TrustedIssuer};
//!
//! async fn me(Extension(token): Extension<Arc<AccessToken>>) -> String {
//!     format!("{} of {}", token.subject(), token.issuer())
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::new(GuardSettings::new(
//!     // Who we are: what `aud` of a token must name.
//!     "https://api.example".parse()?,
//!     // Whose tokens are taken: its keys are found by its metadata (RFC 8414), and kept fresh.
//!     TrustedIssuer::by_keys("https://as.example".parse()?),
//! )?)?;
//! let profile = "profile:read".parse()?;
//! // What the API is, where the challenges of the guard lead (RFC 9728).
//! let described: Router = guard.resource_metadata_route(&profile, &[]);
//! let app = described.route("/me", get(me).layer(guard.requiring(profile)));
//! # Ok(())
//! # }
//! ```
//!
//! Who comes without a token, or with one that is not good here, reads in the challenge why, and where to get one. `examples/api.rs` is a
//! whole API that runs beside the quickstart.
//!
//! | what you want | what to use |
//! |---|---|
//! | tokens verified offline, by the issuer's keys (RFC 9068 §4) | [`bearer::Policy::Jwks`] |
//! | opaque tokens, or every token asked about (RFC 7662) | [`bearer::Policy::Introspect`] |
//! | revocations that show at once, on one route: its issuer is asked for each request | [`bearer::Guard::introspecting`] |
//! | a scope for a route | [`bearer::Guard::requiring`] |
//! | a scope, or a refusal, that the handler finds out about | [`bearer::Guard::refusal`] |
//! | permissions in more words than a scope has (RFC 9396) | [`bearer::Guard::details`] |
//! | a person who signed in lately, or strongly (RFC 9470) | [`bearer::GuardLayer::authenticated`] |
//! | tokens that are bound to a key (RFC 9449) | [`bearer::GuardSettings::with_proofs_in_one_process`]; for more, [`bearer::GuardSettings::proofs`] and [`dpop`] |
//! | tokens that are bound to a certificate (RFC 8705 §3) | [`bearer::Certificates::InExtensions`], and [`confirmation::CertificateThumbprint`] there |
//! | to hear of certificates from a proxy that ends TLS (RFC 9440) | [`bearer::Certificates::OfProxy`] |
//! | no other tokens than those | [`bearer::GuardLayer::sender_constrained`] |
//! | no signatures with RS256, as FAPI 2.0 has it | [`bearer::GuardSettings::algorithms`] |
//! | to be found by clients, as every challenge promises them (RFC 9728) | [`bearer::Guard::resource_metadata_route`] |
//! | to know whether an issuer can be reached, at start | [`bearer::Guard::ready`] |
//! | to fetch what a stranger names, and not from your own network | [`outbound`] |
//! | to sign, verify, encrypt and read keys and tokens (RFC 7515 to 7519) | [`jose`] |
//!
//! What it does not do:
//!
//! - TLS. Whatever ends it, your server or a proxy, tells of client certificates as above, and is believed.
//! - Remember DPoP proofs for more than one process: [`dpop::UsedProofs`] is the trait to write over your own store.
//! - Hear of revocations: with [`bearer::Policy::Jwks`] a token is good until it expires, but for routes that ask.
//! - Take every answer about a token (RFC 7662 §2.2): an issuer that calls one active has to say `aud`, `client_id` and `exp` too, or the
//!   token is refused. Without `sub` it speaks for its client alone.
//! - Show a token to the one issuer that knows it: of several with [`bearer::Policy::Introspect`], an opaque token is shown to one after the
//!   other until it is called active. Trust more than one so only if each may see the tokens of the others.
//! - Show a certificate when it asks an issuer: it proves who it is by a secret or by an assertion.
//! - Reach issuers on private networks, but for the one that [`bearer::GuardSettings::new`] was given: [`outbound::FetcherSettings::allowed`]
//!   names the others, such as one within a cluster, and whatever their metadata sends to.
//! - Speak to pages in browsers: a layer for CORS around the guard has to let `Authorization` and `DPoP` in, and expose `WWW-Authenticate` and
//!   `DPoP-Nonce`.
//! - Know what a proxy took off the path of a request: a DPoP proof is about the path as its sender saw it, so that path has to come here.
//! - Know of scopes that imply others: a route names all that it needs.
//! - Guard anything but axum: the layer is a tower layer over axum's request and response. Everything below it, from
//!   [`bearer::access_token`] to [`jose`], knows of `http` types alone.
//! - Read the time or make randomness by itself: a [`time::Clock`] and a [`random::Random`] are passed in.
//!
//! Every failure is a typed error; nothing panics on what a stranger sends, and everything that a stranger sends has a bound.

pub mod authorization_details;
pub mod bearer;
pub mod client_cert;
pub mod client_id;
pub mod confirmation;
pub mod dpop;
pub mod issuer;
pub mod jose;
pub mod lookups;
pub mod outbound;
pub mod random;
pub mod resource;
pub mod scope;
mod text;
pub mod time;
