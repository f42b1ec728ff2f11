//! Client metadata as strangers send it: what they may set is kept, what they may not, or what nobody knows, is ignored (RFC 7591 §2),
//! and what this server would have to enforce and cannot is refused.

use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::redirect_uri::RedirectUri;
use super::url::ClientUrl;
use super::{ClientMetadata, GrantType, InvalidClientMetadata, REGISTRABLE};
use crate::locales::is_language_tag;

/// What may be said in several languages (RFC 7591 §2.2), and whether it is a URL.
const LOCALIZABLE: [(&str, bool); 5] = [
    ("client_name", false),
    ("client_uri", true),
    ("logo_uri", true),
    ("tos_uri", true),
    ("policy_uri", true),
];

/// The longest name of a localized member: a language tag of more than that is none of a language.
const LONGEST_NAME: usize = 64;

/// What asks for nothing, of metadata that this server does not offer.
#[derive(Clone, Copy)]
enum Harmless {
    Nothing,
    False,
}

/// Metadata that the registries know and this server would have to enforce.
const NOT_OFFERED: [(&str, Harmless); 7] = [
    ("request_object_encryption_alg", Harmless::Nothing),
    ("request_object_encryption_enc", Harmless::Nothing),
    ("authorization_encrypted_response_alg", Harmless::Nothing),
    ("authorization_encrypted_response_enc", Harmless::Nothing),
    ("frontchannel_logout_uri", Harmless::Nothing),
    ("frontchannel_logout_session_required", Harmless::False),
    ("backchannel_token_delivery_mode", Harmless::Nothing),
];

impl Harmless {
    fn is(self, value: &Value) -> bool {
        match self {
            Self::Nothing => value.as_array().is_some_and(Vec::is_empty),
            Self::False => *value == Value::Bool(false),
        }
    }
}

/// The metadata that these members make, with the defaults of RFC 7591 §2 for those that are absent. A member that is `null` is absent
/// (RFC 7592 §2.2).
///
/// # Errors
/// [`InvalidClientMetadata`], for what can be told of the members alone; the rest is for [`Client::new`](super::Client::new).
pub fn metadata(members: &Map<String, Value>) -> Result<ClientMetadata, InvalidClientMetadata> {
    let present = |name: &str| members.get(name).filter(|value| !value.is_null());
    for (name, harmless) in NOT_OFFERED {
        if present(name).is_some_and(|value| !harmless.is(value)) {
            return Err(InvalidClientMetadata::NotOffered(name));
        }
    }
    let mut kept = Map::new();
    for name in REGISTRABLE {
        if let Some(value) = present(name) {
            kept.insert((*name).to_owned(), value.clone());
        }
    }
    let redirects = kept.get("redirect_uris").map(redirect_uris).transpose()?;
    let is_on_device = redirects
        .unwrap_or_default()
        .iter()
        .any(RedirectUri::is_on_device);
    kept.entry("token_endpoint_auth_method")
        .or_insert_with(|| json!("client_secret_basic"));
    kept.entry("grant_types")
        .or_insert_with(|| json!(["authorization_code"]));
    // Who knows only RFC 7591 cannot say that it runs on a device; its redirects do.
    kept.entry("application_type")
        .or_insert_with(|| json!(if is_on_device { "native" } else { "web" }));
    kept.insert("localized".to_owned(), localized(members)?);
    let metadata = read(kept)?;
    // Nobody speaks for people to a client whom the operator does not know.
    if metadata.grant_types.contains(&GrantType::JwtBearer) {
        return Err(InvalidClientMetadata::JwtBearer);
    }
    Ok(metadata)
}

/// The members of the document that a client is told (RFC 7591 §3.2.1): what it may set, and what stands where it set nothing.
#[must_use]
pub fn members(metadata: &ClientMetadata) -> Map<String, Value> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(metadata) else {
        return Map::new();
    };
    let localized = all.remove("localized");
    let own = |name: &String| {
        REGISTRABLE.contains(&name.as_str()) || name.as_str() == "software_statement"
    };
    let mut members: Map<String, Value> = all.into_iter().filter(|(name, _)| own(name)).collect();
    if let Some(Value::Object(localized)) = localized {
        members.extend(localized);
    }
    let responses = metadata.effective_response_types();
    members.insert("response_types".to_owned(), json!(responses));
    members
}

fn redirect_uris(value: &Value) -> Result<Vec<RedirectUri>, InvalidClientMetadata> {
    let Some(uris) = value.as_array() else {
        // Told as what it is, by whoever reads the whole.
        return Ok(Vec::new());
    };
    let uris = uris.iter().filter_map(Value::as_str).map(|uri| {
        uri.parse()
            .map_err(|source| InvalidClientMetadata::RedirectUri {
                uri: uri.to_owned(),
                source,
            })
    });
    uris.collect()
}

/// Each under its name on the wire. Tags are compared without regard to case (RFC 5646 §2.1.1).
fn localized(members: &Map<String, Value>) -> Result<Value, InvalidClientMetadata> {
    let mut found: Map<String, Value> = Map::new();
    for (name, value) in members {
        let Some((base, tag)) = name.split_once('#') else {
            continue;
        };
        let known = LOCALIZABLE.iter().find(|(known, _)| *known == base);
        let Some((_, is_url)) = known.filter(|_| !value.is_null()) else {
            continue;
        };
        let twice = found.keys().any(|other| other.eq_ignore_ascii_case(name));
        if twice || name.len() > LONGEST_NAME || !is_language_tag(tag) {
            return Err(InvalidClientMetadata::LanguageTag(name.clone()));
        }
        let text = value.as_str();
        let malformed = |what: &str| InvalidClientMetadata::Malformed(format!("{name}: {what}"));
        let text = text.ok_or_else(|| malformed("not a text"))?;
        if *is_url {
            let url: Result<ClientUrl, _> = text.parse();
            url.map_err(|error| malformed(&error.to_string()))?;
        }
        found.insert(name.clone(), value.clone());
    }
    Ok(Value::Object(found))
}

/// Reads the whole; where that fails, each member alone, to say which it was.
fn read(kept: Map<String, Value>) -> Result<ClientMetadata, InvalidClientMetadata> {
    let whole = Value::Object(kept);
    let error = match ClientMetadata::deserialize(&whole) {
        Ok(metadata) => return Ok(metadata),
        Err(error) => error,
    };
    let nothing = serde_json::to_value(ClientMetadata::default()).unwrap_or_default();
    for (name, value) in whole.as_object().into_iter().flatten() {
        let mut alone = nothing.clone();
        if let Some(members) = alone.as_object_mut() {
            members.insert(name.clone(), value.clone());
        }
        if let Err(error) = ClientMetadata::deserialize(&alone) {
            let what = format!("{name}: {error}");
            return Err(InvalidClientMetadata::Malformed(what));
        }
    }
    Err(InvalidClientMetadata::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(members: &Value) -> Result<ClientMetadata, InvalidClientMetadata> {
        metadata(members.as_object().unwrap())
    }

    #[test]
    fn rfc7591_2_what_is_absent_or_null_has_its_default() {
        for members in [
            json!({"redirect_uris": ["https://app.example/cb"]}),
            json!({"redirect_uris": ["https://app.example/cb"], "grant_types": null, "scope": null,
                "token_endpoint_auth_method": null, "application_type": null, "client_name#de": null}),
        ] {
            let told = super::members(&of(&members).unwrap());
            assert_eq!(
                Value::Object(told),
                json!({"redirect_uris": ["https://app.example/cb"], "grant_types": ["authorization_code"],
                    "response_types": ["code"], "token_endpoint_auth_method": "client_secret_basic",
                    "application_type": "web", "scope": ""})
            );
        }
    }

    #[test]
    fn what_strangers_may_not_set_is_ignored() {
        let metadata = of(&json!({"skip_consent": true, "require_pkce": false, "default_resource": "https://api.example",
            "localized": {"client_name#de": "x"}, "client_id": "mine", "client_secret": "mine", "color": "red",
            "color#de": "rot", "#de": 1}))
        .unwrap();
        assert!(!metadata.skip_consent && metadata.default_resource.is_none());
        assert!(metadata.localized.is_empty());
    }

    #[test]
    fn rfc8252_a_redirect_on_the_device_makes_a_native_client() {
        use super::super::ApplicationType;
        for (uri, application) in [
            ("http://127.0.0.1/cb", ApplicationType::Native),
            ("http://localhost:33418/", ApplicationType::Native),
            ("com.example.app:/cb", ApplicationType::Native),
            ("https://app.example/cb", ApplicationType::Web),
            ("https://localhost/cb", ApplicationType::Native),
        ] {
            let metadata =
                of(&json!({"redirect_uris": ["https://app.example/other", uri]})).unwrap();
            assert_eq!(metadata.application_type, application, "{uri}");
        }
        let said =
            of(&json!({"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"}));
        assert_eq!(said.unwrap().application_type, ApplicationType::Web);
    }

    #[test]
    fn rfc7591_2_2_language_tags() {
        for (name, accepted) in [
            ("client_name#de", true),
            ("client_name#zh-Hant-TW", true),
            ("client_name#x-pirate", true),
            ("client_name#de-1996", true),
            ("client_name#", false),
            ("client_name#de_AT", false),
            ("client_name#de-", false),
            ("client_name#1de", false),
            ("client_name#abcdefghi", false),
            ("client_name#de#at", false),
        ] {
            let refused = of(&json!({name: "Anwendung"})).err();
            let expected = InvalidClientMetadata::LanguageTag(name.into());
            assert_eq!(refused, (!accepted).then_some(expected), "{name}");
        }
        let twice = of(&json!({"client_name#de": "a", "client_name#DE": "b"}));
        assert!(matches!(twice, Err(InvalidClientMetadata::LanguageTag(_))));
        let script = of(&json!({"tos_uri#de": "javascript:alert(1)"}));
        assert!(matches!(script, Err(InvalidClientMetadata::Malformed(_))));
    }

    #[test]
    fn the_member_at_fault_is_named() {
        for (name, value) in [
            ("client_name", json!(5)),
            ("grant_types", json!(["passwordless"])),
            ("redirect_uris", json!("https://app.example/cb")),
            ("redirect_uris", json!([5])),
            ("contacts", json!([[]])),
            ("client_uri", json!("javascript:alert(1)")),
            ("response_types", json!(["saml"])),
            ("default_max_age", json!(-1)),
            ("scope", json!(["openid"])),
        ] {
            let error = of(&json!({name: value})).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: ")), "{name}: {error}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_and_its_default_is_not() {
        for (name, harmless) in NOT_OFFERED {
            for value in [json!(true), json!("x"), json!(["x"]), json!({})] {
                let error = of(&json!({name: value})).unwrap_err();
                assert_eq!(error, InvalidClientMetadata::NotOffered(name));
            }
            let value = match harmless {
                Harmless::Nothing => json!([]),
                Harmless::False => json!(false),
            };
            assert!(of(&json!({name: value})).is_ok(), "{name}");
            assert!(of(&json!({name: null})).is_ok(), "{name}");
        }
    }
}
