//! What is signed by the right key, and must not be understood all the same.

use serde_json::{Value, json};

use super::keys::KIDS;
use super::{Forgeries, input, parts};

/// The kinds of JWTs that there are here, and some that nobody knows.
const TYPES: [&str; 14] = [
    "at+jwt",
    "client-authentication+jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "oauth-id-jag+jwt",
    "secevent+jwt",
    "token-introspection+jwt",
    "application/dpop+jwt",
    "at+jwt\0",
    "JOSE",
    "",
];

/// The longest token that anybody reads.
const LONGEST: usize = 16 * 1024;

impl Forgeries<'_> {
    pub(super) fn signed(&self) -> Vec<(String, String)> {
        let (header, claims) = (&self.original.header, &self.original.claims);
        let mut rows: Vec<(String, Value)> = vec![
            (
                "b64 of false".into(),
                json!({"crit": ["b64"], "b64": false}),
            ),
            ("b64 of false, not critical".into(), json!({"b64": false})),
            ("crit of nothing".into(), json!({"crit": []})),
            (
                "crit of what is there".into(),
                json!({"crit": ["exp"], "exp": 1}),
            ),
            (
                "crit of what nobody knows".into(),
                json!({"crit": ["http://evil.example/x"], "http://evil.example/x": true}),
            ),
            (
                "crit of what is registered".into(),
                json!({"crit": ["alg", "typ"]}),
            ),
            ("crit a text".into(), json!({"crit": "b64"})),
            ("zip".into(), json!({"zip": "DEF"})),
            ("enc".into(), json!({"enc": "A256GCM"})),
            ("kid a number".into(), json!({"kid": 1})),
            ("typ a number".into(), json!({"typ": 1})),
            ("typ a list".into(), json!({"typ": ["JWT"]})),
        ];
        for alg in [
            "ES256",
            "ES384",
            "ES512",
            "ES256K",
            "RS256",
            "RS384",
            "PS256",
            "EdDSA",
            "es256",
            "ES256 ",
            "HS256",
            "RSA-OAEP-256",
            "dir",
            "A256GCM",
        ] {
            if header["alg"] != alg {
                rows.push((format!("alg {alg:?}"), json!({"alg": alg})));
            }
        }
        // A DPoP proof has its key in its header, and a secret has no name.
        if header["jwk"].is_null() && !self.original.public_key.is_null() {
            rows.extend(
                KIDS.iter()
                    .map(|(what, kid)| (format!("kid {what}"), json!({"kid": kid}))),
            );
            rows.push(("kid of 8 KiB".into(), json!({"kid": "k".repeat(8 * 1024)})));
        }
        for typ in TYPES {
            let bare = typ.strip_prefix("application/").unwrap_or(typ);
            if !self
                .original
                .types
                .iter()
                .any(|taken| taken.eq_ignore_ascii_case(bare))
            {
                rows.push((format!("typ {typ:?}"), json!({"typ": typ})));
            }
        }
        let changed = rows.into_iter().map(|(what, changes)| {
            let mut header = header.clone();
            let members = header.as_object_mut().expect("an object");
            members.extend(changes.as_object().expect("an object").clone());
            (what, self.input(&header))
        });
        let mut all: Vec<_> = changed.collect();
        let claim = claims.as_object().and_then(|claims| claims.keys().next());
        let claim = claim.cloned().unwrap_or_default();
        let nested = format!("{}.{}", input(header, claims), self.signature);
        let (header, claims) = (header.to_string(), claims.to_string());
        let alg = self.original.header["alg"].as_str().unwrap_or_default();
        let texts = [
            (
                "alg twice, first none",
                header.replacen('{', r#"{"alg":"none","#, 1),
                claims.clone(),
            ),
            (
                "alg twice, last none",
                header.replacen('}', r#","alg":"none"}"#, 1),
                claims.clone(),
            ),
            (
                "alg twice, the same",
                header.replacen('{', &format!(r#"{{"alg":"{alg}","#), 1),
                claims.clone(),
            ),
            (
                "alg twice, by an escape",
                header.replacen('{', r#"{"\u0061lg":"none","#, 1),
                claims.clone(),
            ),
            (
                "an unknown member twice",
                header.replacen('{', r#"{"x":1,"x":1,"#, 1),
                claims.clone(),
            ),
            (
                "a claim twice, first another",
                header.clone(),
                claims.replacen('{', &format!(r#"{{"{claim}":"evil","#), 1),
            ),
            (
                "a claim twice, last another",
                header.clone(),
                claims.trim_end_matches('}').to_owned() + &format!(r#","{claim}":"evil"}}"#),
            ),
            (
                "a claim twice within",
                header.clone(),
                claims.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
            ),
            (
                "text after the header",
                header.clone() + " x",
                claims.clone(),
            ),
            (
                "a second object after the claims",
                header.clone(),
                claims.clone() + "{}",
            ),
            (
                "a mark before the header",
                format!("\u{feff}{header}"),
                claims.clone(),
            ),
            (
                "a NUL after the claims",
                header.clone(),
                claims.clone() + "\0",
            ),
            (
                "a list of the claims",
                header.clone(),
                format!("[{claims}]"),
            ),
            (
                "a text of the claims",
                header.clone(),
                Value::from(claims.clone()).to_string(),
            ),
            (
                "a list of the header",
                format!("[{header}]"),
                claims.clone(),
            ),
            ("nested, the token within", header.clone(), nested.clone()),
            (
                "nested, the token as a text",
                header.replacen('{', r#"{"cty":"JWT","#, 1),
                Value::from(nested).to_string(),
            ),
            (
                "nested, one unsigned",
                header.replacen('{', r#"{"cty":"JWT","#, 1),
                parts(r#"{"alg":"none"}"#, &claims) + ".",
            ),
            ("claims of nothing", header.clone(), String::new()),
            (
                "claims nested too deep",
                header.clone(),
                claims.replacen(
                    '{',
                    &format!(r#"{{"x":{}{},"#, "[".repeat(200), "]".repeat(200)),
                    1,
                ),
            ),
            (
                "beyond the longest",
                header.clone(),
                claims.replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(LONGEST)), 1),
            ),
        ];
        let texts = texts
            .into_iter()
            .map(|(what, header, claims)| (what.to_owned(), parts(&header, &claims)));
        all.extend(texts);
        all.into_iter()
            .map(|(what, input)| (format!("by the right key: {what}"), input))
            .collect()
    }
}
