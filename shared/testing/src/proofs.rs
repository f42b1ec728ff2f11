//! What is no DPoP proof, and what is one (RFC 9449 §4.3): for every endpoint of every server that takes any.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shared_protocol::jose::Signer as _;
use shared_protocol::time::Instant;

use crate::forgeries::{Original, forgeries};
use crate::prover::{Prover, ath, unique, with};

/// The longest value of a header that is sent: a server may refuse to read more before anybody looks at it.
const LONGEST: usize = 12 * 1024;

/// Paths that some endpoint of ours has.
const ENDPOINTS: [&str; 4] = [
    "/oauth/token",
    "/oauth/par",
    "/oauth/userinfo",
    "/api/v1/users/me",
];

/// A request that proofs are made for.
pub struct Proven {
    /// Its method.
    pub method: String,
    /// Where it goes, as whoever sends it sees that: scheme, authority and path.
    pub url: String,
    /// The access token that it presents, if any.
    pub token: Option<String>,
    /// A nonce of the server.
    pub nonce: String,
    /// The server's time.
    pub now: Instant,
}

/// What is said of a proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It proves the key.
    Good,
    /// `invalid_dpop_proof` (RFC 9449 §5, §7.1).
    Invalid,
    /// `use_dpop_nonce` (RFC 9449 §8, §9).
    UseNonce,
}

impl Verdict {
    /// The error code of the answer, if it is a refusal.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::Invalid => Some("invalid_dpop_proof"),
            Self::UseNonce => Some("use_dpop_nonce"),
        }
    }
}

/// What a request is sent with.
pub struct Row {
    /// What it is.
    pub what: String,
    /// A value for each header `DPoP`.
    pub proofs: Vec<String>,
    /// What comes of it, where a proof may be without a nonce.
    pub expected: Verdict,
}

impl Proven {
    /// The claims of a good proof.
    #[must_use]
    pub fn claims(&self) -> Value {
        let ath = self.token.as_deref().map(ath);
        let claims = json!({"htm": self.method, "htu": self.url, "iat": self.now.as_secs(), "jti": unique(), "ath": ath});
        with(&claims, &json!({}))
    }
}

impl Prover {
    /// A good proof of this request, but for these claims.
    pub async fn prove(&self, request: &Proven, changes: &Value) -> String {
        let claims = with(&request.claims(), changes);
        self.sign(&self.header(), &claims).await
    }
}

/// Everything that is sent in the place of a proof, none of it twice; what depends on the time comes first. A request without any proof is
/// not among it: what comes of that is for each endpoint to say. None of what is refused has an effect: the last row is the proof of which
/// most of the others are made, and it is good.
pub async fn rows(prover: &Prover, request: &Proven) -> Vec<Row> {
    let mut rows = Vec::new();
    let changed = dates(request)
        .into_iter()
        .chain(claims(request))
        .map(|(what, changes, expected)| (what, json!({}), changes, expected));
    let headers = headers(prover).into_iter();
    let headers = headers.map(|(what, changes)| (what, changes, json!({}), Verdict::Invalid));
    for (what, header, claims, expected) in changed.chain(headers) {
        let header = with(&prover.header(), &header);
        let claims = with(&request.claims(), &claims);
        rows.push(Row {
            what: what.to_owned(),
            proofs: vec![prover.sign(&header, &claims).await],
            expected,
        });
    }
    whole(prover, request, &mut rows).await;
    forged(prover, request, &mut rows).await;
    rows
}

type Claims = (&'static str, Value, Verdict);

/// RFC 9449 §4.3 (10), (11), §8. With a nonce, a proof is as old as that. Each is as far from a limit as a busy machine needs.
fn dates(request: &Proven) -> Vec<Claims> {
    let nonce = &*request.nonce;
    let now = request.now.as_secs();
    let iat = |seconds: i64| json!({"iat": now + seconds});
    let with_nonce = |seconds: i64| json!({"iat": now + seconds, "nonce": nonce});
    let made_up = |nonce: &str| json!({ "nonce": nonce });
    let mut changed = nonce.as_bytes().to_vec();
    if let Some(byte) = changed.get_mut(20) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    let changed = String::from_utf8_lossy(&changed).into_owned();
    let cut = nonce.get(1..).unwrap_or_default();
    // A NumericDate may have a fraction (RFC 7519 §2).
    let fraction: Value = serde_json::from_str(&format!("{now}.25")).unwrap_or_default();
    vec![
        ("now", iat(0), Verdict::Good),
        ("now and a part", json!({"iat": fraction}), Verdict::Good),
        ("half a minute old", iat(-25), Verdict::Good),
        ("a little ahead", iat(5), Verdict::Good),
        ("older", iat(-100), Verdict::UseNonce),
        ("very old", iat(-100_000), Verdict::UseNonce),
        ("of the beginning", json!({"iat": 1}), Verdict::UseNonce),
        ("of before it", json!({"iat": -1e300}), Verdict::UseNonce),
        ("farther ahead", iat(55), Verdict::UseNonce),
        ("minutes ahead", iat(600), Verdict::Invalid),
        ("now, with a nonce", with_nonce(0), Verdict::Good),
        ("older, with a nonce", with_nonce(-100), Verdict::Good),
        (
            "very old, with a nonce",
            with_nonce(-100_000),
            Verdict::Good,
        ),
        ("farther ahead, with a nonce", with_nonce(30), Verdict::Good),
        (
            "minutes ahead, with a nonce",
            with_nonce(600),
            Verdict::Invalid,
        ),
        (
            "a nonce that is made up",
            made_up("AAAA"),
            Verdict::UseNonce,
        ),
        ("a nonce of nothing", made_up(""), Verdict::UseNonce),
        ("a nonce that is cut", made_up(cut), Verdict::UseNonce),
        (
            "a longer nonce",
            made_up(&format!("{nonce}A")),
            Verdict::UseNonce,
        ),
        ("a changed nonce", made_up(&changed), Verdict::UseNonce),
        (
            "a nonce of another alphabet",
            made_up("\u{e4}\u{f6} \""),
            Verdict::UseNonce,
        ),
        (
            "a nonce that is a number",
            json!({"nonce": 1}),
            Verdict::Invalid,
        ),
        (
            "a list of nonces",
            json!({"nonce": [nonce]}),
            Verdict::Invalid,
        ),
        ("no iat", json!({"iat": null}), Verdict::Invalid),
        (
            "iat a text",
            json!({"iat": now.to_string()}),
            Verdict::Invalid,
        ),
        ("iat beyond all", json!({"iat": 1e300}), Verdict::Invalid),
        (
            "exp in the place of iat",
            json!({"iat": null, "exp": now + 60}),
            Verdict::Invalid,
        ),
    ]
}

/// RFC 9449 §4.2, §4.3 (3), (8), (9), (12), each claim.
fn claims(request: &Proven) -> Vec<Claims> {
    let (method, url) = (&*request.method, &*request.url);
    let other = if method == "GET" { "POST" } else { "GET" };
    let mut rows = vec![
        ("no jti", json!({"jti": null}), Verdict::Invalid),
        ("jti of nothing", json!({"jti": ""}), Verdict::Invalid),
        ("jti a number", json!({"jti": 1}), Verdict::Invalid),
        ("jti a list", json!({"jti": [unique()]}), Verdict::Invalid),
        (
            "jti too long",
            json!({"jti": "j".repeat(257)}),
            Verdict::Invalid,
        ),
        ("no htm", json!({"htm": null}), Verdict::Invalid),
        (
            "htm of another method",
            json!({"htm": other}),
            Verdict::Invalid,
        ),
        (
            "htm in lower case",
            json!({"htm": method.to_lowercase()}),
            Verdict::Invalid,
        ),
        (
            "htm with a blank",
            json!({"htm": format!("{method} ")}),
            Verdict::Invalid,
        ),
        ("htm a list", json!({"htm": [method]}), Verdict::Invalid),
        ("what nobody knows", json!({"color": "red"}), Verdict::Good),
        (
            "jti as long as may be",
            json!({"jti": unique() + &"j".repeat(234)}),
            Verdict::Good,
        ),
        ("htu a list", json!({"htu": [url]}), Verdict::Invalid),
        ("no htu", json!({"htu": null}), Verdict::Invalid),
    ];
    let htu = |(what, htu, expected): (_, String, _)| (what, json!({ "htu": htu }), expected);
    rows.extend(urls(url).into_iter().map(htu));
    let elsewhere = ENDPOINTS.into_iter().filter(|path| !url.ends_with(path));
    let origin = origin(url);
    rows.extend(elsewhere.map(|path| {
        htu((
            "htu of another endpoint",
            format!("{origin}{path}"),
            Verdict::Invalid,
        ))
    }));
    let Some(token) = &request.token else {
        // RFC 9449 §4.3 (12): only with an access token.
        rows.push((
            "ath where there is no token",
            json!({"ath": "x"}),
            Verdict::Good,
        ));
        return rows;
    };
    let hash = ath(token);
    let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(&hash).unwrap_or_default());
    for (what, ath) in [
        ("no ath", json!(null)),
        ("ath of another token", json!(ath(&format!("{token}A")))),
        ("ath of nothing", json!(ath(""))),
        ("the token in the place of its hash", json!(token)),
        ("ath with padding", json!(padded)),
        ("half of ath", json!(hash.split_at(hash.len() / 2).0)),
        ("an empty ath", json!("")),
        ("ath a number", json!(1)),
        ("a list of ath", json!([hash])),
    ] {
        rows.push((what, json!({ "ath": ath }), Verdict::Invalid));
    }
    rows
}

fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let path = url.get(authority..).and_then(|rest| rest.find('/'));
    path.and_then(|at| url.get(..authority + at)).unwrap_or(url)
}

/// RFC 9449 §4.3 (9): the URL without query and fragment, after the normalizations of RFC 3986 §6.2.2 and §6.2.3, and no other.
fn urls(url: &str) -> Vec<(&'static str, String, Verdict)> {
    let origin = origin(url);
    let path = url.strip_prefix(origin).unwrap_or_default();
    let (scheme, authority) = origin.split_once("://").unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let downgraded = if scheme == "https" { "http" } else { "https" };
    let rest = path.strip_prefix('/').unwrap_or(path);
    let (letter, others) = rest.split_at(1.min(rest.len()));
    let code = letter.bytes().next().unwrap_or_default();
    let encoded = format!("/%{code:02x}{others}");
    let mut rows = vec![
        ("htu of nothing", String::new(), Verdict::Invalid),
        ("htu a path", path.to_owned(), Verdict::Invalid),
        (
            "htu of another scheme",
            format!("{downgraded}://{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu of another host",
            format!("{scheme}://evil.example{path}"),
            Verdict::Invalid,
        ),
        (
            "htu of a host below",
            format!("{scheme}://{host}.evil.example{path}"),
            Verdict::Invalid,
        ),
        (
            "htu of another port",
            format!("{scheme}://{host}:1{path}"),
            Verdict::Invalid,
        ),
        ("htu of the origin", origin.to_owned(), Verdict::Invalid),
        ("htu of its root", format!("{origin}/"), Verdict::Invalid),
        ("htu of a path below", format!("{url}/x"), Verdict::Invalid),
        ("htu of a longer path", format!("{url}s"), Verdict::Invalid),
        (
            "htu with a slash behind",
            format!("{url}/"),
            Verdict::Invalid,
        ),
        (
            "htu with two slashes",
            format!("{origin}/{path}"),
            Verdict::Invalid,
        ),
        (
            "htu with an encoded slash",
            format!("{origin}/{}", rest.replace('/', "%2f")),
            Verdict::Invalid,
        ),
        (
            "htu with backslashes",
            format!("{origin}{}", path.replace('/', "\\")),
            Verdict::Invalid,
        ),
        (
            "htu with a user",
            format!("{scheme}://user@{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu with a user of nothing",
            format!("{scheme}://@{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu with one slash",
            format!("{scheme}:/{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu with three slashes",
            format!("{scheme}:///{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu with a blank before",
            format!(" {url}"),
            Verdict::Invalid,
        ),
        (
            "htu with a tab",
            format!("{origin}/\t{rest}"),
            Verdict::Invalid,
        ),
        (
            "htu with its path in capitals",
            format!("{origin}{}", path.to_uppercase()),
            Verdict::Invalid,
        ),
        (
            "htu without a scheme",
            format!("//{authority}{path}"),
            Verdict::Invalid,
        ),
        (
            "htu too long",
            format!("{url}?{}", "q".repeat(4096)),
            Verdict::Invalid,
        ),
        ("htu with a query", format!("{url}?a=b"), Verdict::Good),
        ("htu with a fragment", format!("{url}#a"), Verdict::Good),
        (
            "htu with its scheme in capitals",
            url.replacen(scheme, &scheme.to_uppercase(), 1),
            Verdict::Good,
        ),
        (
            "htu with its host in capitals",
            url.replacen(host, &host.to_uppercase(), 1),
            Verdict::Good,
        ),
        (
            "htu encoded without need",
            format!("{origin}{encoded}"),
            Verdict::Good,
        ),
        (
            "htu with dots",
            format!("{origin}/x/..{path}"),
            Verdict::Good,
        ),
    ];
    if port.is_empty() {
        let explicit = if scheme == "https" { 443 } else { 80 };
        let explicit = format!("{scheme}://{host}:{explicit}{path}");
        rows.push((
            "htu with the port that it has anyway",
            explicit,
            Verdict::Good,
        ));
    } else {
        rows.push((
            "htu without its port",
            format!("{scheme}://{host}{path}"),
            Verdict::Invalid,
        ));
    }
    rows
}

/// RFC 9449 §4.2, §4.3 (4) to (7): what the key that signs says of itself. Other algorithms, types and critical members are among the
/// forgeries.
fn headers(prover: &Prover) -> Vec<(&'static str, Value)> {
    let public = prover.key.public().to_value();
    let other = Prover::new().key.public().to_value();
    let jwk = |changes: Value| json!({"jwk": with(&public, &changes)});
    vec![
        ("no typ", json!({"typ": null})),
        ("no alg", json!({"alg": null})),
        ("alg a number", json!({"alg": 1})),
        ("no jwk", json!({"jwk": null})),
        ("jwk a text", json!({"jwk": public.to_string()})),
        ("jwk a list", json!({"jwk": [public]})),
        ("jwk a set", json!({"jwk": {"keys": [public]}})),
        ("jwk of nothing", json!({"jwk": {}})),
        ("jwk with its private part", jwk(json!({"d": public["x"]}))),
        (
            "jwk of a secret",
            json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
        ),
        ("jwk with a secret", jwk(json!({"k": "AAAA", "kty": "oct"}))),
        ("jwk off the curve", jwk(json!({"x": public["y"]}))),
        ("jwk without y", jwk(json!({"y": null}))),
        ("jwk of another curve", jwk(json!({"crv": "P-384"}))),
        ("jwk of another kind", jwk(json!({"kty": "RSA"}))),
        ("jwk of another's key", json!({"jwk": other})),
        (
            "kid in its place",
            json!({"jwk": null, "kid": public["kid"]}),
        ),
        ("x5c in its place", json!({"jwk": null, "x5c": ["AAAA"]})),
        (
            "jku in its place",
            json!({"jwk": null, "jku": "https://evil.example/keys"}),
        ),
    ]
}

/// Not exactly one header with exactly one JWT (RFC 9449 §4.3 (1), (2)).
async fn whole(prover: &Prover, request: &Proven, rows: &mut Vec<Row>) {
    let proof = prover.prove(request, &json!({})).await;
    let another = prover.prove(request, &json!({})).await;
    let pad = json!({"pad": "p".repeat(6 * 1024)});
    let padded = prover.prove(request, &pad).await;
    let mut all = vec![
        ("two", vec![proof.clone(), another.clone()]),
        ("the same twice", vec![proof.clone(), proof.clone()]),
        ("a good one and none", vec![proof.clone(), "x".into()]),
        ("none and a good one", vec!["x".into(), proof.clone()]),
        (
            "a good one and an empty one",
            vec![proof.clone(), String::new()],
        ),
        ("a list of two", vec![format!("{proof}, {another}")]),
        ("an empty one", vec![String::new()]),
        ("no JWT", vec!["proof".into()]),
        ("under a scheme", vec![format!("DPoP {proof}")]),
        ("too long", vec![padded]),
        ("a MAC with the key that it brings", vec![mac(request)]),
        ("a MAC of an RSA key", vec![mac_of_rsa(request)]),
    ];
    if let Some(token) = &request.token {
        all.push(("the access token", vec![token.clone()]));
    }
    rows.extend(all.into_iter().map(|(what, proofs)| Row {
        what: what.to_owned(),
        proofs,
        expected: Verdict::Invalid,
    }));
}

/// Threat 15: a key that anybody may have made, symmetric as it is.
fn mac(request: &Proven) -> String {
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])});
    mac_under(&[7; 32], &jwk, request)
}

/// And the public part of an asymmetric one in its place.
fn mac_of_rsa(request: &Proven) -> String {
    // Nobody needs its private part.
    let n = URL_SAFE_NO_PAD.encode([0xc5; 256]);
    let jwk = json!({"kty": "RSA", "n": n, "e": "AQAB"});
    mac_under(n.as_bytes(), &jwk, request)
}

fn mac_under(secret: &[u8], jwk: &Value, request: &Proven) -> String {
    let header = json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": jwk});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let input = format!("{}.{}", encode(&header), encode(&request.claims()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// What attackers make of any JWT that holds, and that one.
async fn forged(prover: &Prover, request: &Proven, rows: &mut Vec<Row>) {
    let original = Original {
        header: prover.header(),
        claims: request.claims(),
        public_key: prover.key.public().to_value(),
        known: Vec::new(),
        types: vec!["dpop+jwt"],
    };
    let sign = async |input: &[u8]| prover.key.sign(input).await.unwrap_or_default();
    let (good, forged) = forgeries(&original, sign).await;
    let forged = forged.into_iter().filter(|forgery| is_sent(&forgery.token));
    rows.extend(forged.map(|forgery| Row {
        what: forgery.what,
        proofs: vec![forgery.token],
        expected: Verdict::Invalid,
    }));
    rows.push(Row {
        what: "the one that holds".to_owned(),
        proofs: vec![good],
        expected: Verdict::Good,
    });
}

/// Whether it arrives as it is: what is around a header's value is none of it (RFC 9110 §5.5).
fn is_sent(token: &str) -> bool {
    token.len() <= LONGEST
        && token.trim() == token
        && token.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
