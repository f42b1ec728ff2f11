//! What a resource server and an authorization server both need to speak OAuth 2: protocol words as types, JOSE, the
//! guard for bearer-protected routes, an SSRF-safe fetcher, and time and randomness as values that are passed in.

pub mod authorization_details;
pub mod bearer;
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
