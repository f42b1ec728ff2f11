//! Authorization details as a stranger sends them (RFC 9396 §2).

use serde_json::Value;
use shared_protocol::authorization_details::AuthorizationDetails;

pub(crate) fn check(bytes: &[u8]) {
    let Some(raw) = crate::text(bytes) else {
        return;
    };
    let Ok(details) = raw.parse::<AuthorizationDetails>() else {
        return;
    };
    assert!(raw.len() <= 4096);
    let sent: Vec<Value> =
        serde_json::from_str(raw).unwrap_or_else(|error| unreachable!("{error}"));
    assert!((1..=20).contains(&sent.len()));
    // Each once, in the order of the first of each.
    let mut each: Vec<&Value> = Vec::new();
    for one in &sent {
        if !each.contains(&one) {
            each.push(one);
        }
        assert!(
            one["type"]
                .as_str()
                .is_some_and(|name| (1..=255).contains(&name.len()))
        );
        for list in ["locations", "actions", "datatypes", "privileges"] {
            let is_list = |value: &Value| {
                value
                    .as_array()
                    .is_some_and(|all| all.iter().all(Value::is_string))
            };
            assert!(one.get(list).is_none_or(is_list), "{list}");
        }
        assert!(one.get("identifier").is_none_or(Value::is_string));
    }
    assert_eq!(details.iter().count(), each.len());
    for (detail, sent) in details.iter().zip(&each) {
        assert_eq!(sent.as_object(), Some(detail.members()));
        assert_eq!(sent["type"], detail.type_name());
        assert!(
            details.contains(detail)
                && details.of_type(detail.type_name()).any(|one| one == detail)
        );
    }
    assert!(details.is_subset(&details));
    if !sent.iter().any(crate::json::has_fraction) {
        let printed = details.to_string();
        // Escapes may make it longer than what may be sent.
        if printed.len() <= 4096 {
            assert_eq!(
                printed.parse().as_ref(),
                Ok(&details),
                "printed it is another"
            );
        }
    }
}
