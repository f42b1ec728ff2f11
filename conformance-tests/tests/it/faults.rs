//! Broken behaviour, row by row, and the requirements that must fail of it.

mod binding;
mod documents;
mod grants;
mod oauth;
mod openid;
mod profiles;
mod requests;

use serde_json::Value;

use crate::server::{Fault, Members, Who};
pub(crate) use profiles::of_profiles;

pub(crate) type Row = (&'static str, Who, Fault, &'static [&'static str]);

/// The same of a profile.
pub(crate) type ProfileRow = (&'static str, &'static str, Fault, &'static [&'static str]);

const UNREACHABLE: &str = "http://as.invalid/";

pub(crate) fn faults() -> Vec<Row> {
    [
        oauth::token_endpoint(),
        oauth::tokens(),
        oauth::revocation(),
        oauth::introspection(),
        oauth::assertions(),
        documents::keys(),
        documents::metadata(),
        documents::resource(),
        oauth::authorization(),
        oauth::codes(),
        oauth::refresh_tokens(),
        openid::sign_in(),
        openid::id_tokens(),
        requests::registrations(),
        requests::pushed_requests(),
        requests::request_objects(),
        requests::signed_responses(),
        requests::details(),
        openid::claims(),
        openid::sign_out(),
        grants::devices(),
        grants::exchanges(),
        grants::grants(),
        grants::signed_introspection(),
        grants::identity_assertions(),
        grants::global_revocation(),
        binding::proofs(),
        binding::bound_tokens(),
        binding::certificates(),
        documents::client_documents(),
    ]
    .concat()
}

fn set(members: &mut Members, name: &str, value: Value) {
    members.insert(name.into(), value);
}
