use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::jose::{Signer as _, SigningKey};
use crate::random::SystemRandom;

const NOW: Instant = Instant::from_secs(1_800_000_000);
const TOKEN: &str = "a.token";

struct World {
    dpop: Dpop,
    key: SigningKey,
}

fn nonces(key: u8) -> Nonces {
    Nonces::new(&[key; 32], Duration::from_mins(5))
}

impl World {
    fn remembering_since(since: Instant) -> Self {
        let origins = ["https://as.example", "https://mtls.as.example:8443"];
        let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
        Self {
            dpop: Dpop::new(DpopSettings {
                origins: origins.map(|origin| origin.parse().unwrap()).to_vec(),
                nonces: nonces(1),
                used: Arc::new(LocalProofs::new(1000, since)),
            }),
            key: SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap(),
        }
    }

    fn new() -> Self {
        Self::remembering_since(Instant::EPOCH)
    }

    fn header(&self) -> Value {
        let mut jwk = self.key.public().to_value();
        jwk.as_object_mut()
            .unwrap()
            .retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})
    }

    async fn proof(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(input.as_bytes()).await;
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.unwrap()))
    }

    async fn judge_all(
        &self,
        proofs: &[String],
        policy: NoncePolicy,
        now: Instant,
    ) -> Result<Option<Thumbprint>, DpopError> {
        let mut headers = HeaderMap::new();
        for proof in proofs {
            headers.append(PROOF, HeaderValue::from_str(proof).unwrap());
        }
        let request = ProofRequest {
            headers: &headers,
            method: &Method::POST,
            path: "/oauth/token",
        };
        let key = self.key.public().thumbprint();
        let proven = self.dpop.prove(request, Some((TOKEN, &key)), policy, now);
        proven.await
    }

    async fn judge(
        &self,
        header: &Value,
        claims: &Value,
        policy: NoncePolicy,
    ) -> Result<Option<Thumbprint>, DpopError> {
        let proof = self.proof(header, claims).await;
        self.judge_all(&[proof], policy, NOW).await
    }
}

fn claims() -> Value {
    json!({
        "jti": "one",
        "htm": "POST",
        "htu": "https://as.example/oauth/token",
        "iat": NOW.as_secs(),
        "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN)),
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.into(), value);
    }
    object
}

/// What came of it, in a word.
fn told(judged: &Result<Option<Thumbprint>, DpopError>) -> String {
    match judged {
        Ok(Some(_)) => "proven".into(),
        Ok(None) => "nothing".into(),
        Err(DpopError::Invalid(cause)) => format!("{cause:?}"),
        Err(DpopError::UseNonce(cause)) => format!("{cause:?}"),
        Err(DpopError::Memory(cause)) => format!("{cause:?}"),
    }
}

#[tokio::test]
async fn rfc9449_4_3_one_proof_of_one_form_for_one_request() {
    let world = World::new();
    let key = world.key.public().thumbprint();
    let judged = world
        .judge(&world.header(), &claims(), NoncePolicy::Offered)
        .await;
    assert_eq!(judged.unwrap(), Some(key));
    let none = world.judge_all(&[], NoncePolicy::Required, NOW).await;
    assert_eq!(told(&none), "nothing");
    let proof = world.proof(&world.header(), &claims()).await;
    let two = [proof.clone(), proof.clone()];
    let twice = world.judge_all(&two, NoncePolicy::Offered, NOW).await;
    assert_eq!(told(&twice), "Twice");
    let again = world.judge_all(&[proof], NoncePolicy::Offered, NOW).await;
    assert_eq!(told(&again), "Replayed");
    let long = ["x".repeat(LONGEST + 1)];
    let long = world.judge_all(&long, NoncePolicy::Offered, NOW).await;
    assert_eq!(told(&long), "TooLong");
}

#[tokio::test]
async fn rfc9449_4_3_what_a_proof_must_hold() {
    let world = World::new();
    let secs = |by: i64| json!(NOW.as_secs() + by);
    for (name, value, expected) in [
        ("jti", json!(null), "Jwt(Claims)"),
        ("jti", json!(""), "Identifier"),
        ("jti", json!("x".repeat(257)), "Identifier"),
        ("jti", json!("x".repeat(256)), "proven"),
        ("htm", json!(null), "Jwt(Claims)"),
        ("htm", json!("post"), "Method"),
        ("htm", json!("GET"), "Method"),
        ("htu", json!(null), "Jwt(Claims)"),
        ("htu", json!("https://as.example/oauth/tokens"), "Url"),
        ("htu", json!("https://as.example/oauth/token/"), "Url"),
        ("htu", json!("https://as.example:444/oauth/token"), "Url"),
        ("htu", json!("http://as.example/oauth/token"), "Url"),
        ("htu", json!("https://evil.example/oauth/token"), "Url"),
        ("htu", json!("https://a@as.example/oauth/token"), "Url"),
        ("htu", json!("https://@as.example/oauth/token"), "Url"),
        ("htu", json!("https:as.example/oauth/token"), "Url"),
        ("htu", json!("https:/as.example/oauth/token"), "Url"),
        ("htu", json!("https:///as.example/oauth/token"), "Url"),
        ("htu", json!("https://%61s.example/oauth/token"), "Url"),
        ("htu", json!("https://as.example.evil/oauth/token"), "Url"),
        ("htu", json!("https://as.example\\oauth/token"), "Url"),
        ("htu", json!("https://as.example/oauth/to\tken"), "Url"),
        ("htu", json!(" https://as.example/oauth/token"), "Url"),
        ("htu", json!("/oauth/token"), "Url"),
        ("htu", json!("https://mtls.as.example/oauth/token"), "Url"),
        (
            "htu",
            json!("https://mtls.as.example:8443/oauth/token"),
            "proven",
        ),
        (
            "htu",
            json!("HTTPS://AS.example:443/oauth/token?a=b#c"),
            "proven",
        ),
        ("htu", json!("https://as.example/oauth/%74oken"), "proven"),
        (
            "htu",
            json!("https://as.example/x/../oauth/token"),
            "proven",
        ),
        ("htu", json!("https://as.example/oauth%2ftoken"), "Url"),
        ("iat", json!(null), "Jwt(Claims)"),
        ("iat", json!("1800000000"), "Jwt(Claims)"),
        ("iat", secs(-60), "proven"),
        ("iat", secs(-61), "Date"),
        ("iat", secs(10), "proven"),
        ("iat", secs(11), "Date"),
        ("iat", secs(60), "Date"),
        ("iat", secs(61), "TooFarAhead"),
        ("iat", json!(1e300), "TooFarAhead"),
        ("iat", json!(-1e300), "Date"),
        ("ath", json!(null), "AccessToken"),
        ("ath", json!(TOKEN), "AccessToken"),
        ("nonce", json!(nonces(1).at(NOW)), "proven"),
        ("nonce", json!(nonces(2).at(NOW)), "NotGood"),
        (
            "nonce",
            json!(nonces(1).at(NOW - Duration::from_mins(5))),
            "NotGood",
        ),
        ("nonce", json!(""), "NotGood"),
    ] {
        let own = with(claims(), "jti", json!(format!("{name} {value}")));
        let own = if name == "jti" { claims() } else { own };
        let claims = with(own, name, value.clone());
        let judged = world
            .judge(&world.header(), &claims, NoncePolicy::Offered)
            .await;
        assert_eq!(told(&judged), expected, "{name} {value}");
    }
}

#[tokio::test]
async fn rfc9449_4_2_the_key_stands_in_the_header_and_is_public() {
    let world = World::new();
    let jwk = world.header()["jwk"].clone();
    let oct = json!({"kty": "oct", "k": "AAAA"});
    for (name, value, expected) in [
        ("typ", json!(null), "Jwt(Kind)"),
        ("typ", json!("JWT"), "Jwt(Kind)"),
        ("typ", json!("at+jwt"), "Jwt(Kind)"),
        ("alg", json!(null), "Jwt(Algorithm)"),
        ("alg", json!("none"), "Jwt(Algorithm)"),
        ("alg", json!("HS256"), "Jwt(Algorithm)"),
        ("alg", json!("RS256"), "Jwt(Signature)"),
        ("crit", json!(["jwk"]), "Jwt(Critical)"),
        ("jwk", json!(null), "Jwt(EmbeddedKey)"),
        ("jwk", jwk.to_string().into(), "Jwt(EmbeddedKey)"),
        ("jwk", oct, "Jwt(EmbeddedKey)"),
        (
            "jwk",
            with(jwk.clone(), "d", json!("AAAA")),
            "Jwt(EmbeddedKey)",
        ),
        (
            "jwk",
            with(jwk.clone(), "crv", json!("P-384")),
            "Jwt(EmbeddedKey)",
        ),
        (
            "jwk",
            with(jwk.clone(), "x", jwk["y"].clone()),
            "Jwt(EmbeddedKey)",
        ),
    ] {
        let header = with(world.header(), name, value.clone());
        let judged = world.judge(&header, &claims(), NoncePolicy::Offered).await;
        assert_eq!(told(&judged), expected, "{name} {value}");
    }
    let another = World::new();
    let proof = another.proof(&world.header(), &claims()).await;
    let judged = world.judge_all(&[proof], NoncePolicy::Offered, NOW).await;
    assert_eq!(told(&judged), "Jwt(Signature)");
}

#[tokio::test]
async fn rfc9449_8_a_nonce_stands_for_the_date() {
    let world = World::new();
    let old = with(claims(), "iat", json!(0));
    let required = NoncePolicy::Required;
    let judged = world.judge(&world.header(), &claims(), required).await;
    assert_eq!(told(&judged), "Missing");
    let nonce = world.dpop.nonce(NOW);
    let nonced = with(old, "nonce", json!(nonce.to_str().unwrap()));
    let judged = world.judge(&world.header(), &nonced, required).await;
    assert_eq!(told(&judged), "proven");
    // It is remembered for as long as it would be good, which is a minute, however long a nonce is.
    let proof = [world.proof(&world.header(), &nonced).await];
    for (minutes, expected) in [(1, "Replayed"), (2, "Date"), (5, "NotGood")] {
        let later = NOW + Duration::from_mins(minutes);
        let judged = world.judge_all(&proof, required, later).await;
        assert_eq!(told(&judged), expected, "{minutes}");
    }
    // Whose clock is right goes on with a nonce for as long as that is good.
    let later = NOW + Duration::from_mins(4);
    let fresh = with(nonced, "iat", json!(later.as_secs()));
    let fresh = [world
        .proof(&world.header(), &with(fresh, "jti", json!("3")))
        .await];
    for (seconds, expected) in [(0, "proven"), (59, "Replayed"), (61, "NotGood")] {
        let later = later + Duration::from_secs(seconds);
        let judged = world.judge_all(&fresh, required, later).await;
        assert_eq!(told(&judged), expected, "{seconds}");
    }
}

/// Whoever has the token and not its key.
#[tokio::test]
async fn what_another_key_proves_is_not_remembered() {
    let (world, thief) = (World::new(), World::new());
    let proof = [thief.proof(&thief.header(), &claims()).await];
    for _ in 0..2 {
        let judged = world.judge_all(&proof, NoncePolicy::Offered, NOW).await;
        assert_eq!(judged.unwrap(), Some(thief.key.public().thumbprint()));
    }
    let judged = thief.judge_all(&proof, NoncePolicy::Offered, NOW).await;
    assert_eq!(told(&judged), "proven");
}

/// An emptied memory is not a blank cheque, and costs an honest client one more round.
#[tokio::test]
async fn rfc9449_11_1_what_may_have_been_used_before_is_made_anew() {
    let world = World::remembering_since(NOW - Duration::from_secs(5));
    let offered = NoncePolicy::Offered;
    let judged = world.judge(&world.header(), &claims(), offered).await;
    assert_eq!(told(&judged), "BeforeMemory");
    for (age, expected) in [(6, "BeforeMemory"), (5, "proven")] {
        let nonce = nonces(1).at(NOW - Duration::from_secs(age));
        let claims = with(claims(), "jti", json!(nonce));
        let claims = with(claims, "nonce", json!(nonce));
        let judged = world.judge(&world.header(), &claims, offered).await;
        assert_eq!(told(&judged), expected, "{age}");
    }
    let later = with(claims(), "iat", json!(NOW.as_secs() + 5));
    let later = with(later, "jti", json!("two"));
    let judged = world.judge(&world.header(), &later, offered).await;
    assert_eq!(told(&judged), "proven");
}

proptest::proptest! {
    #[test]
    fn rfc3986_6_2_2_what_is_normal_stays_so_and_no_separator_comes_of_it(
        path in "(/|%[0-9a-fA-F]{2}|[a-z~]){0,12}",
    ) {
        let once = normal(&path).into_owned();
        proptest::prop_assert_eq!(&normal(&once), &once);
        let slashes = |path: &str| path.matches('/').count();
        proptest::prop_assert_eq!(slashes(&once), slashes(&path));
    }

    #[test]
    fn any_path_has_a_normal_form(path in "\\PC{0,40}") {
        let _ = normal(&path);
    }
}
