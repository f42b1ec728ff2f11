//! Request objects: authorization requests that their client signed (RFC 9101, OpenID Connect Core §6). Whatever stands beside one is
//! not looked at, but for the `client_id`, which says whose keys to try.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Number, Value};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{
    Algorithm, Audience, Claims, JwtError, JwtKind, UnverifiedJwt, unsecured_claims,
};
use shared_protocol::time::Instant;
use shared_server::ephemeral::EphemeralError;
use shared_server::rate_limits::Network;

use super::checks::Checks;
use super::error::{AuthorizeError, PageCause, RedirectCause};
use super::request::Origin;
use crate::assertions::{MAX_AHEAD, numeric_date};
use crate::clients::directory::DirectoryError;
use crate::clients::jwks_uri::{ClientKeys, ClientKeysError};
use crate::clients::request_uris::{ObjectReference, PublishedObjects};
use crate::clients::{Client, ObjectAlgorithm};
use crate::documents::DocumentError;
use crate::parameters::{InvalidParameters, Parameters};

/// The longest `request_uri` (OpenID Connect Core §6.2).
const LONGEST_URI: usize = 512;
/// Claims of an object about itself (RFC 7519 §4.1), which are no parameters.
const OF_ITSELF: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Why a request object says nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RequestObjectError {
    /// Its form, kind, algorithm or signature.
    #[error("the request object: {0}")]
    Jwt(#[from] JwtError),
    /// The keys that the client publishes could not be had.
    #[error("the keys at the client's jwks_uri: {}", .0.told())]
    Keys(DocumentError),
    /// Another algorithm than the client registered.
    #[error("alg of the request object is not the registered request_object_signing_alg")]
    Algorithm,
    /// RFC 9101 §5: the client inside is not the one beside it.
    #[error("client_id in the request object is not the client_id of the request")]
    Client,
    /// RFC 9101 §4.
    #[error("iss of the request object is not the client_id")]
    Issuer,
    /// RFC 9101 §4.
    #[error("aud of the request object does not name this issuer")]
    Audience,
    /// RFC 9101 §10.8: it is an assertion of the client, made to authenticate it.
    #[error("sub of the request object is the client_id, as in a client's assertion of itself")]
    Assertion,
    /// One that the profile forbids.
    #[error(
        "alg of the request object is {0}, which the profile forbids (FAPI 2.0 Security Profile section 5.4.1)"
    )]
    Forbidden(Algorithm),
    /// FAPI 2.0 Message Signing §5.3.1.
    #[error(
        "the request object has no {0}, which the profile demands (FAPI 2.0 Message Signing section 5.3.1)"
    )]
    Lacks(&'static str),
    /// FAPI 2.0 Message Signing §5.3.1 (3).
    #[error("nbf of the request object lies more than 60 minutes back")]
    TooOld,
    /// FAPI 2.0 Message Signing §5.3.1 (4).
    #[error("exp of the request object lies more than 60 minutes after nbf")]
    TooLong,
    /// Past its `exp`.
    #[error("the request object has expired")]
    Expired,
    /// Before its `nbf`.
    #[error("the request object is not valid yet")]
    NotYetValid,
    /// RFC 9101 §4: an object leads to no other.
    #[error("the request object holds request or request_uri")]
    Nested,
    /// What it holds are no parameters.
    #[error("the request object: {0}")]
    Parameters(#[from] InvalidParameters),
}

/// Why a `request_uri` leads to no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestUriError {
    /// Made up, expired, answered, or of another client or browser.
    #[error("the request_uri is unknown, expired, used, or was opened elsewhere")]
    Unknown,
    /// OpenID Connect Core §6.2.
    #[error("the request_uri is longer than 512 characters")]
    TooLong,
    /// OpenID Connect Registration §2, `request_uris`.
    #[error("the request_uri is not one that the client registered")]
    Unregistered,
    /// OpenID Connect Core §6.2.
    #[error("the fragment of the request_uri is not the digest of what stands there")]
    Digest,
    /// Nothing could be fetched from there.
    #[error("the request_uri: {}", .0.told())]
    Document(DocumentError),
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

impl From<ClientKeysError> for RequestObjectError {
    fn from(error: ClientKeysError) -> Self {
        match error {
            ClientKeysError::Jwt(error) => Self::Jwt(error),
            ClientKeysError::Document(error) => Self::Keys(error),
        }
    }
}

/// Reads request objects.
#[derive(Clone)]
pub struct RequestObjects {
    /// What they are verified with.
    pub keys: ClientKeys,
    /// Those that clients publish.
    pub published: PublishedObjects,
}

/// What an object says of itself.
#[derive(Deserialize)]
struct AboutItself {
    client_id: ClientId,
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
}

impl Checks {
    /// What is asked for, and how it came: by the request itself, or in the object that it brings or names.
    ///
    /// # Errors
    /// [`AuthorizeError`], told at the redirect URI that stands beside the object, if that is one of the client's.
    pub async fn read(
        &self,
        request: Parameters,
        address: IpAddr,
        now: Instant,
    ) -> Result<(Parameters, Origin), AuthorizeError> {
        let repeated = request.once("request").and(request.once("request_uri"));
        let (object, uri) = (request.optional("request"), request.optional("request_uri"));
        if object.is_none() && uri.is_none() && repeated.is_ok() {
            return Ok((request, Origin::default()));
        }
        let client = self.client(&request, address, now).await?;
        let found = uri.map(|uri| reference(&client, uri));
        let published = &self.objects.published;
        let is_fetched = match &found {
            Some(Ok(reference)) => !published.is_fresh(reference, now),
            Some(Err(_)) | None => false,
        };
        if is_fetched || !self.objects.keys.are_fresh(&client, now) {
            // A stranger may name it, and have the keys of its client looked at, without end.
            let network = Network::from(address);
            let fetches = &self.clients.fetches;
            let admitted = fetches.admit(network.as_ref(), now).await;
            admitted.map_err(|limited| PageCause::from(DirectoryError::from(limited)))?;
        }
        if let Err(error) = repeated {
            return Err(self.unread(&client, &request, error.into(), now));
        }
        let read = match (object, found) {
            (Some(object), None) => self.object(&client, object, now).await.map_err(Into::into),
            (None, Some(Ok(reference))) => self.published(&client, &reference, now).await,
            (None, Some(Err(error))) => Err(error.into()),
            _ => Err(RedirectCause::TwoRequests),
        };
        read.map_err(|cause| self.unread(&client, &request, cause, now))
    }

    /// What an object says that stands elsewhere. One that does not hold may have made room for another since.
    async fn published(
        &self,
        client: &Arc<Client>,
        reference: &ObjectReference,
        now: Instant,
    ) -> Result<(Parameters, Origin), RedirectCause> {
        let published = &self.objects.published;
        let found = published.find(reference, now).await;
        let found = found.map_err(RequestUriError::Document)?;
        let found = found.ok_or(RequestUriError::Digest)?;
        let error = match self.object(client, found.as_str(), now).await {
            Ok(read) => return Ok(read),
            Err(error) => error,
        };
        match published.after(reference, found, now).await {
            Some(newer) => Ok(self.object(client, newer.as_str(), now).await?),
            None => Err(error.into()),
        }
    }

    /// What an object says, if it is the client's, for this server and for now.
    async fn object(
        &self,
        client: &Arc<Client>,
        object: &str,
        now: Instant,
    ) -> Result<(Parameters, Origin), RequestObjectError> {
        let (claims, is_signed) = self.vouched_for(client, object, now).await?;
        let members: Map<String, Value> = claims.parse()?;
        check_itself(&members, (client, &self.issuer), now)?;
        let origin = Origin {
            is_signed,
            ..Origin::default()
        };
        Ok((parameters(members)?, origin))
    }

    /// The claims, if the client signed them, with the one algorithm that it registered, if it did; or if it registered that it signs none
    /// and the operator allows that.
    async fn vouched_for(
        &self,
        client: &Client,
        object: &str,
        now: Instant,
    ) -> Result<(Claims, bool), RequestObjectError> {
        let registered = client.metadata.request_object_signing_alg;
        if registered == Some(ObjectAlgorithm::None) {
            let permits = client.demands().permits_unsigned_objects();
            if !(self.policy.unsigned_objects && permits) {
                return Err(JwtError::Algorithm.into());
            }
            return Ok((unsecured_claims(object, JwtKind::RequestObject)?, false));
        }
        let jwt = UnverifiedJwt::parse(object, JwtKind::RequestObject)?;
        if registered.is_some_and(|one| one != ObjectAlgorithm::Signature(jwt.algorithm())) {
            return Err(RequestObjectError::Algorithm);
        }
        if !client.demands().permits(jwt.algorithm()) {
            return Err(RequestObjectError::Forbidden(jwt.algorithm()));
        }
        let (claims, _) = self.objects.keys.verify(client, jwt, now).await?;
        Ok((claims, true))
    }
}

/// The object that a client refers to.
fn reference(client: &Client, uri: &str) -> Result<ObjectReference, RequestUriError> {
    if uri.len() > LONGEST_URI {
        return Err(RequestUriError::TooLong);
    }
    ObjectReference::of(uri, &client.metadata).ok_or(RequestUriError::Unregistered)
}

/// How far ahead of ours the clock may be of who made one.
const MADE_AHEAD: Duration = Duration::from_mins(1);
/// FAPI 2.0 Message Signing §5.3.1 (3), (4): how old a request object may be, and for how long good.
const SIGNED_FOR: Duration = Duration::from_hours(1);

/// RFC 9101 §4, §6.3, §10.8.
fn check_itself(
    members: &Map<String, Value>,
    (client, issuer): (&Client, &Issuer),
    now: Instant,
) -> Result<(), RequestObjectError> {
    let client_id = &client.id;
    let about = AboutItself::deserialize(members).map_err(|_| JwtError::Claims)?;
    if client.demands().signed_requests() {
        about.check_all_there(now)?;
    }
    if about.client_id != *client_id {
        return Err(RequestObjectError::Client);
    }
    if about.iss.is_some_and(|iss| iss != client_id.as_str()) {
        return Err(RequestObjectError::Issuer);
    }
    if about.sub.is_some_and(|sub| sub == client_id.as_str()) {
        return Err(RequestObjectError::Assertion);
    }
    let is_ours = |aud: Audience| aud.iter().any(|aud| aud == issuer.as_str());
    if !about.aud.is_none_or(is_ours) {
        return Err(RequestObjectError::Audience);
    }
    let at = |date: &Option<Number>| date.as_ref().map(numeric_date).transpose();
    if at(&about.exp)?.is_some_and(|exp| exp <= now) {
        return Err(RequestObjectError::Expired);
    }
    // FAPI 2.0 Security Profile §5.3.2.1 (13) allows no more than a minute of either; RFC 7519 §4.1.6 nobody to mind `iat` any sooner.
    for (date, ahead) in [(&about.nbf, MAX_AHEAD), (&about.iat, MADE_AHEAD)] {
        if at(date)?.is_some_and(|date| date > now + ahead) {
            return Err(RequestObjectError::NotYetValid);
        }
    }
    let is_there = |name: &str| members.get(name).is_some_and(|value| !value.is_null());
    if is_there("request") || is_there("request_uri") {
        return Err(RequestObjectError::Nested);
    }
    Ok(())
}

impl AboutItself {
    /// FAPI 2.0 Message Signing §5.3.1 (2) to (4), and `iss` (RFC 9101 §4), without which nobody says that it is theirs.
    fn check_all_there(&self, now: Instant) -> Result<(), RequestObjectError> {
        let lacks = RequestObjectError::Lacks;
        self.iss.as_ref().ok_or(lacks("iss"))?;
        self.aud.as_ref().ok_or(lacks("aud"))?;
        let exp = numeric_date(self.exp.as_ref().ok_or(lacks("exp"))?)?;
        let nbf = numeric_date(self.nbf.as_ref().ok_or(lacks("nbf"))?)?;
        if nbf + SIGNED_FOR < now {
            return Err(RequestObjectError::TooOld);
        }
        if exp > nbf + SIGNED_FOR {
            return Err(RequestObjectError::TooLong);
        }
        Ok(())
    }
}

/// The parameters that the members of an object are (RFC 9101 §4): text as it is, a number in decimals, and what has a JSON form of its own
/// in that. `resource` may be a list, of one parameter each (RFC 8707 §2).
fn parameters(members: Map<String, Value>) -> Result<Parameters, InvalidParameters> {
    let mut pairs = Vec::with_capacity(members.len());
    for (name, value) in members {
        if OF_ITSELF.contains(&name.as_str()) {
            continue;
        }
        match value {
            Value::Null => {}
            Value::String(text) => pairs.push((name, text)),
            Value::Array(values) if name == "resource" => {
                for value in values {
                    let Value::String(text) = value else {
                        return Err(InvalidParameters::Malformed("resource"));
                    };
                    pairs.push((name.clone(), text));
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                pairs.push((name, value.to_string()));
            }
        }
    }
    Parameters::of(pairs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(members: &Value) -> Result<Parameters, InvalidParameters> {
        parameters(members.as_object().unwrap().clone())
    }

    #[test]
    fn rfc9101_4_members_are_parameters() {
        let read = read(&json!({
            "client_id": "app", "state": "s p\u{e4}ce&=", "max_age": 300, "prompt": "", "nonce": null,
            "claims": {"id_token": {"auth_time": {"essential": true}}},
            "authorization_details": [{"type": "a", "n": [1, 2.5]}],
            "resource": ["https://a.example", "https://b.example"],
            "iss": "app", "aud": ["x"], "exp": 1, "nbf": 1, "iat": 1, "jti": "j", "sub": "s",
        }))
        .unwrap();
        for (name, expected) in [
            ("client_id", Some("app")),
            ("state", Some("s p\u{e4}ce&=")),
            ("max_age", Some("300")),
            ("prompt", None),
            ("nonce", None),
            (
                "claims",
                Some(r#"{"id_token":{"auth_time":{"essential":true}}}"#),
            ),
            (
                "authorization_details",
                Some(r#"[{"type":"a","n":[1,2.5]}]"#),
            ),
            ("iss", None),
            ("aud", None),
            ("exp", None),
            ("sub", None),
        ] {
            let found = read.optional(name);
            // The order of members is whatever the map keeps.
            let same = |text: &str| serde_json::from_str::<Value>(text).ok();
            assert!(
                found == expected
                    || (same(found.unwrap_or("x")).is_some()
                        && found.and_then(same) == expected.and_then(same)),
                "{name}: {found:?}"
            );
        }
        let resources: Vec<_> = read.all("resource").collect();
        assert_eq!(resources, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn what_cannot_be_parameters_is_refused() {
        for members in [
            json!({"resource": ["https://a.example", 1]}),
            json!({"resource": [["https://a.example"]]}),
            json!({"resource": vec!["https://a.example"; 101]}),
            Value::Object((0..101).map(|n| (format!("p{n}"), json!("x"))).collect()),
        ] {
            assert!(read(&members).is_err());
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn members_mean_what_their_parameters_say(members in prop::collection::btree_map("[a-z_]{1,12}", any_json(), 0..20)) {
            let members: Map<String, Value> = members.into_iter().collect();
            let Ok(read) = parameters(members.clone()) else {
                prop_assert!(members.get("resource").is_some_and(Value::is_array));
                return Ok(());
            };
            // As they are kept while a person signs in, and read again.
            let names: Vec<&str> = members.keys().map(String::as_str).collect();
            let kept = Parameters::parse(read.encode(&names).as_bytes()).unwrap();
            for (name, value) in &members {
                if name == "resource" {
                    continue;
                }
                let found = kept.optional(name);
                prop_assert_eq!(found, read.optional(name));
                match value {
                    Value::Null => prop_assert_eq!(found, None),
                    _ if OF_ITSELF.contains(&name.as_str()) => prop_assert_eq!(found, None),
                    Value::String(text) => prop_assert_eq!(found.unwrap_or_default(), text),
                    Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        prop_assert_eq!(found.unwrap_or_default(), value.to_string());
                    }
                }
            }
        }
    }
}
