use proptest::prelude::*;
use serde_json::json;
use shared_testing::jwe::{DecryptionKey, Refused};

use super::*;
use crate::jose::JwkSet;
use crate::random::SystemRandom;

const ENC: ContentEncryption = ContentEncryption::A256Gcm;

fn alg_of(key: &DecryptionKey) -> KeyManagement {
    key.alg().parse().unwrap()
}

fn parse(jwk: &Value) -> Result<EncryptionKey, InvalidJwk> {
    EncryptionKey::from_object(jwk.as_object().unwrap())
}

fn sealed(plaintext: &[u8], key: &DecryptionKey) -> String {
    let public = parse(&key.public("its")).unwrap();
    let with = (&public, alg_of(key), ENC);
    encrypt(plaintext, Content::Jwt, with, &SystemRandom).unwrap()
}

/// The keys, the secret and the result of the appendix, for A128GCM.
#[test]
fn rfc7518_appendix_c_the_key_that_alice_and_bob_agree_on() {
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let alice = number("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo");
    let alice = PrivateKey::from_private_key(&ECDH_P256, &alice).unwrap();
    let bob = parse(
        &json!({"kty": "EC", "crv": "P-256", "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
        "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}),
    );
    let Public::Ec(bob) = bob.unwrap().public else {
        panic!("an EC key")
    };
    let bob = UnparsedPublicKey::new(&ECDH_P256, bob);
    let derived = agreement::agree(&alice, bob, (), |secret| {
        assert_eq!(secret[..4], [158, 86, 217, 29]);
        Ok(concat_kdf(secret, "A128GCM", (b"Alice", b"Bob"), 128))
    });
    let derived = derived.unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(&derived[..16]),
        "VqqN6vgjbSBcIijNcacQGg"
    );
}

#[test]
fn rfc7516_5_what_is_encrypted_is_what_is_decrypted_and_its_header_says_how() {
    for key in [DecryptionKey::ec(), DecryptionKey::rsa()] {
        let public = parse(&key.public("its")).unwrap();
        for (content, cty) in [(Content::Jwt, json!("JWT")), (Content::Claims, Value::Null)] {
            let with = (&public, alg_of(&key), ENC);
            let token = encrypt(b"a.b.c", content, with, &SystemRandom).unwrap();
            let (header, opened) = key.open(&token).unwrap();
            assert_eq!(opened, b"a.b.c");
            assert_eq!(header["alg"], key.alg());
            assert_eq!(header["enc"], "A256GCM");
            assert_eq!(header["kid"], "its");
            assert_eq!(header["cty"], cty);
            assert_eq!(header.get("epk").is_some(), key.alg() == "ECDH-ES");
            let again = encrypt(b"a.b.c", content, with, &SystemRandom).unwrap();
            let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
            let (one, other) = (parts(&token), parts(&again));
            assert!(
                (2..5).all(|part| one[part] != other[part]),
                "nothing is used twice"
            );
        }
    }
}

#[test]
fn rfc7516_5_2_whatever_is_changed_is_refused() {
    for key in [DecryptionKey::ec(), DecryptionKey::rsa()] {
        let token = sealed(b"a.b.c", &key);
        let other = match key {
            DecryptionKey::Ec(_) => DecryptionKey::ec(),
            DecryptionKey::Rsa(_) => DecryptionKey::rsa(),
        };
        assert_eq!(other.open(&token).err(), Some(Refused::Decryption));
        let parts: Vec<&str> = token.split('.').collect();
        for (at, part) in parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
        {
            let mut bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            let last = bytes.len() - 1;
            bytes[last / 2] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            let mut parts = parts.clone();
            parts[at] = &changed;
            assert!(key.open(&parts.join(".")).is_err(), "part {at}");
        }
    }
}

#[test]
fn rfc8725_3_2_headers_that_ask_for_something_else_are_refused() {
    let key = DecryptionKey::ec();
    let token = sealed(b"a.b.c", &key);
    let (header, rest) = token.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    for (what, name, value, expected) in [
        ("compressed", "zip", json!("DEF"), Refused::Extension),
        ("critical", "crit", json!(["exp"]), Refused::Extension),
        ("RSA1_5", "alg", json!("RSA1_5"), Refused::Algorithm),
        ("dir", "alg", json!("dir"), Refused::Algorithm),
        (
            "another key's",
            "alg",
            json!("RSA-OAEP-256"),
            Refused::Algorithm,
        ),
        ("CBC", "enc", json!("A128CBC-HS256"), Refused::Algorithm),
        (
            "off the curve",
            "epk",
            json!({"kty": "EC", "crv": "P-256", "x": header["epk"]["y"], "y": header["epk"]["x"]}),
            Refused::EphemeralKey,
        ),
        (
            "no point",
            "epk",
            json!({"kty": "EC", "crv": "P-256"}),
            Refused::EphemeralKey,
        ),
        ("changed", "kid", json!("another"), Refused::Decryption),
    ] {
        let mut changed = header.clone();
        changed[name] = value;
        let encoded = URL_SAFE_NO_PAD.encode(changed.to_string());
        let refused = key.open(&format!("{encoded}.{rest}")).err();
        assert_eq!(refused, Some(expected), "{what}");
    }
    let long = format!("{token}{}", "A".repeat(64 * 1024));
    assert_eq!(key.open(&long).err(), Some(Refused::Malformed), "oversize");
    for refused in ["", "a.b.c", "....", "a.b.c.d.e.f"] {
        assert_eq!(
            key.open(refused).err(),
            Some(Refused::Malformed),
            "{refused}"
        );
    }
}

#[test]
fn rfc7517_4_2_which_keys_are_encrypted_to() {
    let (ec, rsa) = (
        DecryptionKey::ec().public("ec"),
        DecryptionKey::rsa().public("rsa"),
    );
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let short = json!({"kty": "RSA", "n": "_w", "e": "AQAB"});
    let okp =
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let (ecdh, oaep) = (Some(KeyManagement::EcdhEs), Some(KeyManagement::RsaOaep256));
    for (what, key, expected) in [
        ("EC", ec.clone(), ecdh),
        ("RSA", rsa.clone(), oaep),
        ("EC for encryption", with(&ec, "use", json!("enc")), ecdh),
        ("RSA for encryption", with(&rsa, "use", json!("enc")), oaep),
        ("EC for signatures", with(&ec, "use", json!("sig")), None),
        ("RSA for signatures", with(&rsa, "use", json!("sig")), None),
        ("EC of its alg", with(&ec, "alg", json!("ECDH-ES")), ecdh),
        (
            "RSA of its alg",
            with(&rsa, "alg", json!("RSA-OAEP-256")),
            oaep,
        ),
        ("ES256", with(&ec, "alg", json!("ES256")), None),
        ("RS256", with(&rsa, "alg", json!("RS256")), None),
        ("RSA1_5", with(&rsa, "alg", json!("RSA1_5")), None),
        (
            "another type's alg",
            with(&ec, "alg", json!("RSA-OAEP-256")),
            None,
        ),
        ("operations of none", with(&ec, "key_ops", json!([])), ecdh),
        (
            "operations",
            with(&ec, "key_ops", json!(["deriveBits"])),
            ecdh,
        ),
        (
            "RSA operations",
            with(&rsa, "key_ops", json!(["wrapKey"])),
            oaep,
        ),
        ("verifying", with(&ec, "key_ops", json!(["verify"])), None),
        (
            "RSA, verifying",
            with(&rsa, "key_ops", json!(["verify"])),
            None,
        ),
        (
            "operations of no list",
            with(&ec, "key_ops", json!("wrapKey")),
            None,
        ),
        ("private", with(&ec, "d", json!("AQ")), None),
        ("another curve", with(&ec, "crv", json!("P-384")), None),
        ("off the curve", with(&ec, "y", ec["x"].clone()), None),
        ("short", short, None),
        ("Ed25519", okp, None),
    ] {
        let read = parse(&key).ok();
        let takes = |key: &EncryptionKey| {
            let mut algs = KeyManagement::ALL.into_iter();
            algs.find(|alg| key.takes(*alg))
        };
        assert_eq!(read.as_ref().and_then(takes), expected, "{what}");
    }
}

#[test]
fn rfc7517_5_of_a_set_the_key_that_is_meant_for_it_comes_first_and_those_for_signatures_never() {
    let key = |kid: &str, purpose: Option<&str>| {
        let mut key = DecryptionKey::ec().public(kid);
        if let Some(purpose) = purpose {
            key["use"] = purpose.into();
        }
        key
    };
    let set = |keys: &[Value]| {
        let set = json!({ "keys": keys });
        JwkSet::from_object(set.as_object().unwrap()).unwrap()
    };
    let chosen = |set: &JwkSet| {
        let key = set.encryption_key(KeyManagement::EcdhEs)?;
        Some(key.kid.as_ref()?.as_str().to_owned())
    };
    let (sig, any, enc) = (key("s", Some("sig")), key("a", None), key("e", Some("enc")));
    let all = set(&[sig.clone(), any.clone(), enc]);
    assert_eq!(chosen(&all).as_deref(), Some("e"));
    assert_eq!(all.keys().len(), 2, "one for signatures, one for anything");
    assert_eq!(chosen(&set(&[sig.clone(), any])).as_deref(), Some("a"));
    assert_eq!(chosen(&set(&[sig])), None);
    assert!(all.encryption_key(KeyManagement::RsaOaep256).is_none());
}

#[test]
fn rfc7518_names_are_exact() {
    for alg in KeyManagement::ALL {
        assert_eq!(alg.to_string().parse(), Ok(alg));
    }
    assert_eq!("A256GCM".parse(), Ok(ENC));
    for name in [
        "ecdh-es",
        "ECDH-ES+A256KW",
        "RSA-OAEP",
        "RSA1_5",
        "dir",
        "none",
        "",
    ] {
        assert_eq!(
            name.parse::<KeyManagement>(),
            Err(UnknownKeyManagement),
            "{name}"
        );
    }
    for name in ["A128CBC-HS256", "A128GCM", "a256gcm", ""] {
        let unknown = Err(UnknownContentEncryption);
        assert_eq!(name.parse::<ContentEncryption>(), unknown, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_encrypted_comes_back(content in prop::collection::vec(any::<u8>(), 0..4096)) {
        let key = DecryptionKey::ec();
        prop_assert_eq!(key.open(&sealed(&content, &key)).unwrap().1, content);
    }
}
