//! What attackers make of a JWT that holds (RFC 8725 §2): no verifier takes any of it.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// A JWT that holds, and what is known of it.
pub struct Original {
    /// Its header: `alg`, and whatever else it has.
    pub header: Value,
    /// What it says.
    pub claims: Value,
    /// The public key of its signer as a JWK; `null` for a MAC.
    pub public_key: Value,
    /// What else an attacker might know and try as the key of a MAC.
    pub known: Vec<Vec<u8>>,
    /// Each `typ` with which it would hold too.
    pub types: Vec<&'static str>,
}

/// One that must not hold.
pub struct Forgery {
    /// What was done.
    pub what: String,
    /// The outcome.
    pub token: String,
}

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

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The longest token that anybody reads.
const LONGEST: usize = 16 * 1024;

/// A key of the attacker's.
struct Stranger {
    pair: EcdsaKeyPair,
    public_key: Value,
}

impl Stranger {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let point = pair.public_key().as_ref();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(&point[from..from + 32]);
        let public_key = json!({"kty": "EC", "crv": "P-256", "x": half(1), "y": half(33)});
        Self { pair, public_key }
    }

    fn sign(&self, input: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes());
        let signature = signature.expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// The original as it holds, and everything that is tried, each signed by `sign` where the attacker has the key and lies about something else.
///
/// # Panics
/// If the original has no JSON objects.
pub async fn forgeries(
    original: &Original,
    sign: impl AsyncFn(&[u8]) -> Vec<u8>,
) -> (String, Vec<Forgery>) {
    let input = input(&original.header, &original.claims);
    let signature = sign(input.as_bytes()).await;
    let mut all = Forgeries {
        original,
        stranger: Stranger::new(),
        signature: URL_SAFE_NO_PAD.encode(&signature),
        all: Vec::new(),
    };
    all.unsigned();
    all.macs();
    all.signatures(&input, &signature);
    all.keys_of_the_attacker();
    all.writings(&input);
    for (what, input) in all.signed() {
        let signature = sign(input.as_bytes()).await;
        all.put(
            what,
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
        );
    }
    (format!("{input}.{}", all.signature), all.all)
}

fn input(header: &Value, claims: &Value) -> String {
    parts(&header.to_string(), &claims.to_string())
}

fn parts(header: &str, claims: &str) -> String {
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}", encode(header), encode(claims))
}

struct Forgeries<'a> {
    original: &'a Original,
    stranger: Stranger,
    signature: String,
    all: Vec<Forgery>,
}

impl Forgeries<'_> {
    fn put(&mut self, what: impl Into<String>, token: String) {
        let what = what.into();
        self.all.push(Forgery { what, token });
    }

    /// The header with this member.
    fn with(&self, name: &str, value: impl Into<Value>) -> Value {
        let mut header = self.original.header.clone();
        header[name] = value.into();
        header
    }

    fn input(&self, header: &Value) -> String {
        input(header, &self.original.claims)
    }

    /// RFC 8725 §2.1: nobody's signature, by every name of that.
    fn unsigned(&mut self) {
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
    fn macs(&mut self) {
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

    /// Signatures that are none.
    fn signatures(&mut self, input: &str, signature: &[u8]) {
        let mut flipped = signature.to_vec();
        flipped[0] ^= 1;
        let other = self.stranger.sign(input);
        let other = URL_SAFE_NO_PAD.decode(other.rsplit('.').next().expect("a signature"));
        let zeros = vec![0; signature.len()];
        let orders = [ORDER, ORDER].concat();
        let halves = signature.split_at(signature.len() / 2);
        for (what, forged) in [
            ("no signature", Vec::new()),
            ("zeros", zeros.clone()),
            ("the order of the curve, twice", orders),
            ("ones", vec![0xff; signature.len()]),
            ("r of zero", [&zeros[..halves.0.len()], halves.1].concat()),
            ("s of zero", [halves.0, &zeros[..halves.1.len()]].concat()),
            ("the halves changed over", [halves.1, halves.0].concat()),
            ("one byte cut", signature[..signature.len() - 1].to_vec()),
            ("half of it", halves.0.to_vec()),
            ("one byte more", [signature, &[0]].concat()),
            ("one byte before", [&[0], signature].concat()),
            ("twice", [signature, signature].concat()),
            ("a bit flipped", flipped),
            ("in DER", der(halves)),
            ("numbers of zero in DER", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
            ("of another key", other.expect("base64")),
        ] {
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(forged));
            self.put(format!("signature: {what}"), token);
        }
        let trailing = with_trailing_bits(&self.signature);
        for (what, text) in [
            ("trailing bits", trailing),
            (
                "padding",
                Some(URL_SAFE.encode(signature)).filter(|it| it.ends_with('=')),
            ),
            (
                "another alphabet",
                Some(STANDARD_NO_PAD.encode(signature)).filter(|it| it.contains(['+', '/'])),
            ),
            ("a line", Some(format!("{}\n", self.signature))),
            ("no base64", Some("!!!!".to_owned())),
        ] {
            if let Some(text) = text {
                self.put(format!("signature: {what}"), format!("{input}.{text}"));
            }
        }
    }

    /// RFC 8725 §2.5, §3.5: a key that the token itself brings, or tells where to find.
    fn keys_of_the_attacker(&mut self) {
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

    /// Other writings of the same, which another parser might read as something else.
    fn writings(&mut self, input: &str) {
        let signature = self.signature.clone();
        let good = format!("{input}.{signature}");
        let (header, claims) = input.split_once('.').expect("two parts");
        let flattened = json!({"protected": header, "payload": claims, "signature": signature});
        let general = json!({"payload": claims, "signatures": [{"protected": header, "signature": signature}]});
        for (what, token) in [
            ("two parts", input.to_owned()),
            ("four parts", format!("{good}.")),
            ("five parts", format!("{good}.x.y")),
            ("one part", header.to_owned()),
            ("no header", format!(".{claims}.{signature}")),
            ("no claims", format!("{header}..{signature}")),
            ("dots", "..".to_owned()),
            ("flattened JSON", flattened.to_string()),
            ("JSON", general.to_string()),
            ("a blank before", format!(" {good}")),
            ("a blank after", format!("{good} ")),
            ("a line after", format!("{good}\r\n")),
            ("a blank within", good.replacen('.', " .", 1)),
            ("a NUL after", format!("{good}\0")),
            ("in quotes", format!("\"{good}\"")),
            (
                "padding of the header",
                format!("{header}=.{claims}.{signature}"),
            ),
            (
                "padding of the claims",
                format!("{header}.{claims}=.{signature}"),
            ),
            ("the claims, bare", self.original.claims.to_string()),
        ] {
            self.put(what, token);
        }
        for (what, header, claims) in [
            (
                "trailing bits of the header",
                with_trailing_bits(header),
                Some(claims.to_owned()),
            ),
            (
                "trailing bits of the claims",
                Some(header.to_owned()),
                with_trailing_bits(claims),
            ),
        ] {
            if let (Some(header), Some(claims)) = (header, claims) {
                self.put(what, format!("{header}.{claims}.{signature}"));
            }
        }
    }

    /// What is signed by the right key, and must not be understood all the same.
    fn signed(&self) -> Vec<(String, String)> {
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

/// Names of keys that are something else to somebody else.
const KIDS: [(&str, &str); 7] = [
    ("of a path", "../../../../dev/null"),
    ("of a file", "file:///dev/null"),
    ("of SQL", "' OR 1=1 --"),
    ("of SQL that brings a key", "x' UNION SELECT 'AA' --"),
    ("of a NUL", "a\0b"),
    ("of a shell", "$(id)|id;`id`"),
    ("of nothing", ""),
];

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

/// One element in DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    let length = match length {
        [0, short @ 0..=127] => vec![short],
        [0, one] => vec![0x81, one],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &*length, content].concat()
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    let number = &bytes[start..];
    let sign = if number.first().is_none_or(|first| *first >= 0x80) {
        &[0][..]
    } else {
        &[]
    };
    element(2, &[sign, number].concat())
}

/// RFC 3279 §2.2.3: the signature as X.509 has it.
fn der((r, s): (&[u8], &[u8])) -> Vec<u8> {
    element(0x30, &[integer(r), integer(s)].concat())
}

/// The same bytes with a bit behind the last, where there is room for one.
fn with_trailing_bits(encoded: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *encoded.as_bytes().last()?;
    let value = ALPHABET.iter().position(|letter| *letter == last)?;
    let next = char::from(*ALPHABET.get(value + 1)?);
    (!encoded.len().is_multiple_of(4)).then(|| format!("{}{next}", &encoded[..encoded.len() - 1]))
}
