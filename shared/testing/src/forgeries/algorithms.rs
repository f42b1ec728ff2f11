//! Another algorithm than the key's: none at all, and MACs (RFC 8725 §2.1).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::Forgeries;
use super::der::{element, integer};

impl Forgeries<'_> {
    /// RFC 8725 §2.1: nobody's signature, by every name of that.
    pub(super) fn unsigned(&mut self) {
        for alg in ["none", "None", "nOnE", "NONE", " none", "none\0", ""] {
            let input = self.input(&self.with("alg", alg));
            let signed = format!("{input}.{}", self.signature);
            self.put(format!("alg {alg:?}"), format!("{input}."));
            self.put(format!("alg {alg:?} and a signature"), signed);
        }
        let mut nameless = self.original.header.clone();
        nameless.as_object_mut().expect("an object").remove("alg");
        for (what, header) in [
            ("alg absent", nameless),
            ("alg null", self.with("alg", Value::Null)),
            ("alg a list", self.with("alg", json!(["none"]))),
        ] {
            let input = self.input(&header);
            self.put(what, format!("{input}."));
        }
    }

    /// RFC 8725 §2.1: a MAC with what everybody knows.
    pub(super) fn macs(&mut self) {
        for (alg, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let input = self.input(&self.with("alg", alg));
            let known = self.original.known.iter().cloned().enumerate();
            let known = known.map(|(number, key)| (format!("thing {number} that is known"), key));
            let keys = writings_of(&self.original.public_key);
            for (what, key) in keys.into_iter().chain(known) {
                let tag = hmac::sign(&hmac::Key::new(algorithm, &key), input.as_bytes());
                let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
                self.put(format!("{alg} under {what}"), token);
            }
        }
    }
}

/// Everything that a public key has been taken for as the key of a MAC.
fn writings_of(key: &Value) -> Vec<(String, Vec<u8>)> {
    let mut all = vec![
        ("nothing".to_owned(), Vec::new()),
        ("a NUL".into(), vec![0]),
    ];
    let Some(members) = key.as_object() else {
        return all;
    };
    let decoded = |name: &str| {
        let text = members.get(name).and_then(Value::as_str);
        text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
    };
    all.push(("the JWK".into(), key.to_string().into()));
    all.push((
        "the JWK set".into(),
        json!({"keys": [key]}).to_string().into(),
    ));
    for name in ["x", "y", "n", "kid"] {
        if let Some(text) = members.get(name).and_then(Value::as_str) {
            all.push((format!("{name} in writing"), text.into()));
        }
        all.extend(decoded(name).map(|bytes| (format!("the bytes of {name}"), bytes)));
    }
    let info = match (decoded("x"), decoded("y"), decoded("n"), decoded("e")) {
        (Some(x), Some(y), ..) => {
            let point = [&[4], &*x, &*y].concat();
            all.push(("the point".into(), point.clone()));
            // RFC 5480 §2.1.1: id-ecPublicKey, secp256r1.
            let oids = [
                6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1,
                7,
            ];
            element(
                0x30,
                &[element(0x30, &oids), element(3, &[&[0], &*point].concat())].concat(),
            )
        }
        (_, _, Some(n), Some(e)) => {
            let key = element(0x30, &[integer(&n), integer(&e)].concat());
            all.push(("the key in DER".into(), key.clone()));
            // RFC 8017 appendix A.1: rsaEncryption, NULL.
            let oid = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
            element(
                0x30,
                &[element(0x30, &oid), element(3, &[&[0], &*key].concat())].concat(),
            )
        }
        _ => return all,
    };
    let lines: Vec<String> = STANDARD
        .encode(&info)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----",
        lines.join("\n")
    );
    all.push(("PEM without its last line end".into(), pem.clone().into()));
    all.push(("PEM".into(), (pem + "\n").into()));
    all.push(("DER".into(), info));
    all
}
