//! The published keys.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::ThumbprintHash;
use serde_json::Value;

use crate::check::{Stop, Verdict};
use crate::jws;
use crate::subject::Subject;

pub(super) async fn keys_is_an_array(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    answer.require(
        keys.iter().all(Value::is_object),
        "a key is not a JSON object",
    )
}

pub(super) async fn kty_is_present(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    let present = keys
        .iter()
        .all(|key| key.get("kty").is_some_and(Value::is_string));
    answer.require(present, "a key has no kty")
}

pub(super) async fn use_or_key_ops(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    let both = keys
        .iter()
        .any(|key| key.get("use").is_some() && key.get("key_ops").is_some());
    answer.require(!both, "a key has both use and key_ops")
}

pub(super) async fn kid_distinct(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    let mut seen = HashSet::new();
    for kid in keys.iter().filter_map(|key| key.get("kid")) {
        let kid = kid
            .as_str()
            .ok_or_else(|| answer.fail("a kid is not a string"))?;
        answer.require(seen.insert(kid), format!("kid {kid} stands twice"))?;
    }
    let named = seen.len() == keys.len() || keys.len() == 1;
    answer.require(named, "there are several keys, and not all have a kid")
}

pub(super) async fn nothing_private(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    // Evidence must not publish the key a second time.
    let leak = |name: &str| {
        Err(Stop::failed(
            format!("a key of {} has {name}", answer.exchange.request),
            None,
        ))
    };
    for key in &keys {
        if key.get("kty").and_then(Value::as_str) == Some("oct") {
            return leak("kty oct");
        }
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            if key.get(member).is_some() {
                return leak(member);
            }
        }
    }
    Ok(())
}

pub(super) async fn alg_fits_key(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    for key in keys
        .iter()
        .filter(|key| key.get("use").and_then(Value::as_str) != Some("enc"))
    {
        if let Some(algorithm) = key.get("alg") {
            let fits = algorithm
                .as_str()
                .is_some_and(|algorithm| jws::fits(key, algorithm));
            answer.require(fits, format!("alg {algorithm} does not fit its key"))?;
        }
    }
    Ok(())
}

/// The keys of one type; a set without any has nothing to show.
fn of_type<'k>(keys: &'k [Value], kty: &str) -> Result<Vec<&'k Value>, Stop> {
    let found: Vec<_> = keys
        .iter()
        .filter(|key| key.get("kty").and_then(Value::as_str) == Some(kty))
        .collect();
    if found.is_empty() {
        Err(Stop::not_applicable(format!(
            "jwks_uri publishes no {kty} key"
        )))
    } else {
        Ok(found)
    }
}

fn octets(key: &Value, member: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD
        .decode(key.get(member)?.as_str()?)
        .ok()
}

pub(super) async fn rsa_size(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    for key in of_type(&keys, "RSA")? {
        let modulus = octets(key, "n").unwrap_or_default();
        let value: Vec<_> = modulus.iter().skip_while(|octet| **octet == 0).collect();
        let unused = value
            .first()
            .map_or(0, |first| first.leading_zeros() as usize);
        let bits = value.len().saturating_mul(8).saturating_sub(unused);
        answer.require(bits >= 2048, format!("an RSA key has {bits} bits"))?;
    }
    Ok(())
}

pub(super) async fn rsa_members(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    for key in of_type(&keys, "RSA")? {
        for member in ["n", "e"] {
            let value = octets(key, member).unwrap_or_default();
            // RFC 7518 §2, Base64urlUInt.
            let minimal = value.first().is_some_and(|first| *first != 0);
            answer.require(
                minimal,
                format!("{member} is missing, not base64url, or begins with a zero octet"),
            )?;
        }
    }
    Ok(())
}

pub(super) async fn ec_coordinates(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    for key in of_type(&keys, "EC")? {
        let size = match key.get("crv").and_then(Value::as_str) {
            Some("P-256" | "secp256k1") => 32,
            Some("P-384") => 48,
            Some("P-521") => 66,
            _ => return Err(answer.fail("an EC key has no known crv")),
        };
        for member in ["x", "y"] {
            let full = octets(key, member).is_some_and(|value| value.len() == size);
            answer.require(full, format!("{member} is not {size} octets in base64url"))?;
        }
    }
    Ok(())
}

/// `None` for a key of a type that no thumbprint is known for here.
fn thumbprint(key: &Value) -> Option<String> {
    jws::jwk(key)?.thumbprint(ThumbprintHash::SHA256).ok()
}

pub(super) async fn thumbprints_exist(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    let known = |key: &&Value| {
        matches!(
            key.get("kty").and_then(Value::as_str),
            Some("RSA" | "EC" | "OKP")
        )
    };
    let exist = keys
        .iter()
        .filter(known)
        .all(|key| thumbprint(key).is_some());
    answer.require(
        exist,
        "a key lacks a member that its thumbprint is computed over",
    )
}
