//! Behaviour of the authorization server, with real stores.

// So that Clippy knows that all of it is a test.
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod acr;
#[cfg(test)]
mod alg_confusion;
#[cfg(test)]
mod announced;
#[cfg(test)]
mod authorization_details;
#[cfg(test)]
mod authorize;
#[cfg(test)]
mod back_channel;
#[cfg(test)]
mod bindable;
#[cfg(test)]
mod bound_userinfo;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod certificate_bound;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod client_authentication;
#[cfg(test)]
mod client_commands;
#[cfg(test)]
mod client_documents;
#[cfg(test)]
mod code_grant;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod device;
#[cfg(test)]
mod dpop;
#[cfg(test)]
mod envelopes;
#[cfg(test)]
mod example_config;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod global_revocation;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod id_token;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod jwks_uri;
#[cfg(test)]
mod jwt_bearer;
#[cfg(test)]
mod key_rotation;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod locks;
#[cfg(test)]
mod logo;
#[cfg(test)]
mod macs;
#[cfg(test)]
mod mapped_claims;
#[cfg(test)]
mod mtls;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod opaque;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod pairwise;
#[cfg(test)]
mod password_grant;
#[cfg(test)]
mod person;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod pruning;
#[cfg(test)]
mod pushed;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod refresh_grant;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod replay_matrix;
#[cfg(test)]
mod request_object;
#[cfg(test)]
mod resource_indicators;
#[cfg(test)]
mod response_types;
#[cfg(test)]
mod revocation_levels;
#[cfg(test)]
mod select_account;
#[cfg(test)]
mod server;
#[cfg(test)]
mod sign_in_page;
#[cfg(test)]
mod sign_out;
#[cfg(test)]
mod sign_up;
#[cfg(test)]
mod signed_introspection;
#[cfg(test)]
mod site;
#[cfg(test)]
mod source;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod start_again;
#[cfg(test)]
mod token;
#[cfg(test)]
mod token_exchange;
#[cfg(test)]
mod token_preview;
#[cfg(test)]
mod two_processes;
#[cfg(test)]
mod userinfo;
#[cfg(test)]
mod users;
