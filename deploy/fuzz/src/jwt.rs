//! JSON Web Tokens as strangers send them (RFC 7515, RFC 8725): what is parsed is of the one form, is one kind of token, and verifies only
//! if its key signed it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use shared_protocol::jose::{EitherJwt, JwkSet, JwtKind, UnverifiedJwt, unsecured_claims};

/// The `typ` that a kind is written with, and whether it may be written as `JWT` or without.
const fn written(kind: JwtKind) -> (&'static str, bool) {
    match kind {
        JwtKind::AccessToken => ("at+jwt", false),
        JwtKind::ClientAssertion => ("client-authentication+jwt", true),
        JwtKind::DpopProof => ("dpop+jwt", false),
        JwtKind::IdToken | JwtKind::Userinfo | JwtKind::ServerMetadata => ("jwt", false),
        JwtKind::SoftwareStatement | JwtKind::BearerAssertion => ("jwt", true),
        JwtKind::LogoutToken => ("logout+jwt", false),
        JwtKind::RequestObject => ("oauth-authz-req+jwt", true),
        JwtKind::IdentityAssertion => ("oauth-id-jag+jwt", false),
        JwtKind::AuthorizationResponse => ("", true),
        JwtKind::TokenIntrospection => ("token-introspection+jwt", false),
    }
}

/// The public keys of RFC 7515, appendices A.2 and A.3, and of RFC 8037, appendix A.2.
const KEYS: &str = include_str!("keys.json");
/// The key of the MAC in RFC 7515, appendix A.1.
const MAC_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// What the keys signed: in those appendices, and in RFC 8037, appendix A.4.
const SIGNED: [&str; 4] = [
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
];

pub(crate) fn check(bytes: &[u8]) {
    let Some(token) = crate::text(bytes) else {
        return;
    };
    let keys = JwkSet::from_slice(KEYS.as_bytes()).unwrap_or_else(|error| unreachable!("{error}"));
    let secret = URL_SAFE_NO_PAD
        .decode(MAC_KEY)
        .unwrap_or_else(|error| unreachable!("{error}"));
    let signed = |token: &str| {
        SIGNED.iter().any(|input| {
            token
                .strip_prefix(input)
                .is_some_and(|rest| rest.starts_with('.'))
        })
    };
    for kind in JwtKind::ALL.iter().copied() {
        let (typ, may_be_untyped) = written(kind);
        let either = EitherJwt::parse(token, kind);
        let only_signed = UnverifiedJwt::parse(token, kind);
        assert_eq!(
            only_signed.is_ok(),
            matches!(either, Ok(EitherJwt::Signed(_)))
        );
        let unsecured = unsecured_claims(token, kind);
        if unsecured.is_ok() {
            assert!(
                either.is_err() && token.ends_with('.'),
                "signed, and by nobody"
            );
        }
        if either.is_err() && unsecured.is_err() {
            continue;
        }
        let [header, claims] = well_formed(token);
        let said = header
            .get("typ")
            .map(|typ| typ.as_str().unwrap_or_default().to_ascii_lowercase());
        let said = said
            .as_deref()
            .map(|said| said.strip_prefix("application/").unwrap_or(said));
        match said {
            None => assert!(may_be_untyped, "{kind:?} without a type"),
            Some("jwt") if !typ.is_empty() => {
                assert!(may_be_untyped || typ == "jwt", "{kind:?} of any type");
            }
            Some(said) => assert!(said == typ && !typ.is_empty(), "{kind:?} of {said}"),
        }
        let alg = header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match either {
            Err(_) => assert_eq!(alg, "none"),
            Ok(EitherJwt::Signed(jwt)) => {
                assert!(
                    ["ES256", "RS256", "PS256", "EdDSA", "Ed25519"].contains(&alg),
                    "{alg}"
                );
                assert_eq!(
                    jwt.unverified_text("iss"),
                    claims.get("iss").and_then(Value::as_str)
                );
                let kid = jwt.kid().map(|kid| Value::from(kid.as_str()));
                assert_eq!(kid.as_ref(), header.get("kid"));
                if let Ok((verified, key)) = jwt.verify(&keys) {
                    assert!(signed(token), "a signature that nobody made");
                    assert!(
                        key.verifies(alg.parse().unwrap_or_else(|error| unreachable!("{error}")))
                    );
                    assert_eq!(verified.into_members(), claims);
                }
            }
            Ok(EitherJwt::Mac(jwt)) => {
                assert!(["HS256", "HS384", "HS512"].contains(&alg), "{alg}");
                if jwt.verify([secret.as_slice()]).is_ok() {
                    assert!(signed(token), "a MAC that nobody made");
                }
            }
        }
    }
}

/// The header and the claims of what is a compact JWS in the one writing that there is.
fn well_formed(token: &str) -> [Map<String, Value>; 2] {
    assert!(token.len() <= 16 * 1024);
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let [header, claims] = [0, 1].map(|part: usize| {
        let part = parts.get(part).copied().unwrap_or_default();
        let json = URL_SAFE_NO_PAD
            .decode(part)
            .unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(
            URL_SAFE_NO_PAD.encode(&json),
            part,
            "base64 of another writing"
        );
        serde_json::from_slice(&json).unwrap_or_else(|error| unreachable!("{error}"))
    });
    let header: Map<String, Value> = header;
    for refused in ["crit", "b64", "enc", "zip"] {
        assert!(!header.contains_key(refused), "{refused}");
    }
    [header, claims]
}
