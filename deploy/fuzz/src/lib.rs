//! What must hold of whatever strangers send, each rule a function of the bytes: more than that nothing panics. The fuzzer looks for bytes
//! for which one does not hold; the tests run them over the corpus.

mod authorization;
mod authorization_details;
mod certificate;
mod client_certificate;
mod client_metadata;
mod distinguished_name;
mod dpop_proof;
mod form;
mod json;
mod jwk_set;
mod jwt;
mod redirect_uri;
mod scope;

/// One parser, and what must hold of it.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called, as its folder of the corpus is.
    pub name: &'static str,
    /// Panics when a rule does not hold of these bytes.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "authorization",
        check: authorization::check,
    },
    Target {
        name: "authorization_details",
        check: authorization_details::check,
    },
    Target {
        name: "certificate",
        check: certificate::check,
    },
    Target {
        name: "client_certificate",
        check: client_certificate::check,
    },
    Target {
        name: "client_metadata",
        check: client_metadata::check,
    },
    Target {
        name: "distinguished_name",
        check: distinguished_name::check,
    },
    Target {
        name: "dpop_proof",
        check: dpop_proof::check,
    },
    Target {
        name: "form",
        check: form::check,
    },
    Target {
        name: "json",
        check: json::check,
    },
    Target {
        name: "jwk_set",
        check: jwk_set::check,
    },
    Target {
        name: "jwt",
        check: jwt::check,
    },
    Target {
        name: "redirect_uri",
        check: redirect_uri::check,
    },
    Target {
        name: "scope",
        check: scope::check,
    },
];

/// The bytes as text, if they are some.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
