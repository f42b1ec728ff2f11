//! Sets of public keys (RFC 7517 §5).

use serde_json::Value;
use shared_protocol::jose::{Algorithm, JwkSet, PublicJwk};

/// Members that a public key has not (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

pub(crate) fn check(bytes: &[u8]) {
    let Ok(set) = JwkSet::from_slice(bytes) else {
        return;
    };
    assert!(set.keys().len() <= 100);
    let published = set.to_value();
    let printed = published.get("keys").and_then(Value::as_array);
    let printed = printed.into_iter().flatten();
    for (key, printed) in set.keys().iter().zip(printed) {
        let printed = printed
            .as_object()
            .unwrap_or_else(|| unreachable!("{printed}"));
        assert!(!PRIVATE.iter().any(|member| printed.contains_key(*member)));
        let again = PublicJwk::from_object(printed).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(
            again.is_same_key(key)
                && again.kid() == key.kid()
                && again.thumbprint() == key.thumbprint()
        );
        let fitting = Algorithm::ALL
            .into_iter()
            .filter(|alg| key.verifies(*alg))
            .count();
        let most = if printed.get("kty").is_some_and(|kty| kty == "RSA") {
            2
        } else {
            1
        };
        assert!(
            (1..=most).contains(&fitting),
            "a key has its algorithm (RFC 8725 §3.1)"
        );
        assert!(
            key.kid()
                .is_none_or(|kid| set.contains(kid) && (1..=256).contains(&kid.as_str().len()))
        );
    }
    for alg in Algorithm::ALL {
        let named = set.keys().iter().filter_map(PublicJwk::kid);
        for kid in named {
            assert!(
                set.candidates(Some(kid), alg)
                    .all(|key| key.verifies(alg) && key.kid() == Some(kid))
            );
        }
        let all = set.keys().iter().filter(|key| key.verifies(alg)).count();
        assert_eq!(set.candidates(None, alg).count(), all);
    }
    let again = JwkSet::from_object(published.as_object().unwrap_or_else(|| unreachable!()));
    assert!(again.is_ok_and(|again| again.to_value() == published));
}
