//! The client of the profile: it authenticates with its key, pushes its requests and proves another key.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::check::Stop;
use crate::dpop::{Draft, Prover};
use crate::jws::{self, Jws};
use crate::request::Request;
use crate::subject::{Arrival, Authorization, Code, Ending, Grant, Subject, merged};
use crate::target::AssertionKey;

/// The client, and the key that its tokens are bound to.
pub(super) struct Client<'s> {
    pub(super) subject: &'s Subject,
    pub(super) id: String,
    pub(super) redirect_uri: String,
    pub(super) prover: Prover,
    key: &'s AssertionKey,
}

/// What such a client registers, where it is not given; it does not say what it signs with.
fn metadata(signs: bool) -> Value {
    let plain = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "id_token_signed_response_alg": "ES256",
        "dpop_bound_access_tokens": true,
        "require_pushed_authorization_requests": true,
    });
    if !signs {
        return plain;
    }
    let signed = json!({
        "require_signed_request_object": true,
        "authorization_signed_response_alg": "ES256",
    });
    merged(plain, signed)
}

/// The same of one that signs with nothing but ES256.
fn metadata_for_es256(signs: bool) -> Value {
    let mut told = json!({"token_endpoint_auth_signing_alg": "ES256"});
    if signs {
        told = merged(told, json!({"request_object_signing_alg": "ES256"}));
    }
    merged(metadata(signs), told)
}

impl<'s> Client<'s> {
    /// The one that was given, else one that registers itself.
    pub(super) async fn of(subject: &'s Subject) -> Result<Self, Stop> {
        let prover = subject.prover("profile")?;
        if let Some(given) = &subject.target().profile_client {
            return Ok(Self {
                subject,
                id: given.client_id.clone(),
                redirect_uri: given.redirect_uri.clone(),
                prover,
                key: &given.key,
            });
        }
        if !subject.metadata().has("registration_endpoint") {
            return Err(Stop::unchecked("no client of the profile was given"));
        }
        let metadata = metadata_for_es256(subject.signs());
        let client = subject.signing_app(metadata).await?;
        Ok(Self {
            subject,
            id: client.client_id,
            redirect_uri: client.redirect_uri,
            prover,
            key: subject.client_key()?,
        })
    }

    /// The answer to one that would register itself with that redirection URI.
    pub(super) async fn registration(subject: &Subject, redirect: &str) -> Result<Answer, Stop> {
        let keys = jws::public_keys(subject.client_key()?);
        let more = json!({"redirect_uris": [redirect], "jwks": keys});
        let metadata = merged(metadata_for_es256(subject.signs()), more);
        subject.register(&subject.web_app_metadata(metadata)).await
    }

    /// One that registers itself with these keys of [`Subject::signers`], whatever is given: nobody else has one of each kind.
    pub(super) async fn with_keys(subject: &'s Subject, jwks: &Value) -> Result<Self, Stop> {
        if !subject.metadata().has("registration_endpoint") {
            let reason = "no client with a key for each algorithm can be registered";
            return Err(Stop::unchecked(reason));
        }
        let metadata = merged(metadata(subject.signs()), json!({ "jwks": jwks }));
        let client = subject.web_app(metadata).await?;
        let key = subject.signers()?.es256();
        Ok(Self {
            subject,
            id: client.client_id,
            redirect_uri: client.redirect_uri,
            prover: subject.prover("profile")?,
            key: key.ok_or_else(|| Stop::unchecked("no keys could be made"))?,
        })
    }

    /// A complete request.
    pub(super) fn request(&self) -> Result<Authorization<'s>, Stop> {
        let request = self.subject.flow(&self.id, &self.redirect_uri)?;
        Ok(if self.subject.signs() {
            request.with("response_mode", "jwt")
        } else {
            request
        })
    }

    /// The claims of a good assertion.
    pub(super) fn claims(&self) -> Map<String, Value> {
        self.subject.assertion_claims(&self.id)
    }

    /// A request with an assertion of these claims.
    pub(super) fn asserting<'r>(
        &self,
        request: Request<'r>,
        claims: &Map<String, Value>,
    ) -> Result<Request<'r>, Stop> {
        asserting_by(self.key, request, claims)
    }

    pub(super) fn authenticated<'r>(&self, request: Request<'r>) -> Result<Request<'r>, Stop> {
        self.asserting(request, &self.claims())
    }

    /// A good assertion, read, and what the server knows of the key that signed it.
    pub(super) fn assertion(&self) -> Result<(Jws, Value), Stop> {
        let genuine = jws::sign(self.key, &self.claims());
        let genuine = genuine.as_deref().and_then(Jws::parse);
        let set = jws::public_keys(self.key);
        let key = set
            .as_ref()
            .and_then(|set| set.get("keys")?.get(0).cloned());
        let both = genuine.zip(key);
        both.ok_or_else(|| Stop::unchecked("no assertion could be made"))
    }

    /// The claims of a request object (Message Signing §5.3.2).
    pub(super) fn object_claims(&self, request: &Authorization<'_>) -> Map<String, Value> {
        let now = self.subject.now();
        let mut claims = Map::new();
        for (name, value) in request.parameters() {
            claims.insert(name.clone(), value.as_str().into());
        }
        claims.insert("iss".into(), self.id.as_str().into());
        claims.insert("aud".into(), self.subject.issuer().into());
        claims.insert("nbf".into(), now.into());
        claims.insert("exp".into(), now.saturating_add(300).into());
        claims.insert("jti".into(), self.subject.unique().into());
        claims
    }

    pub(super) fn object(&self, claims: &Map<String, Value>) -> Result<String, Stop> {
        object_by(self.key, claims)
    }

    /// A push that is complete but for authentication, signed where the profile wants it.
    pub(super) fn unauthenticated_push(
        &self,
        request: &Authorization<'_>,
    ) -> Result<Request<'s>, Stop> {
        self.unauthenticated_push_by(self.key, request)
    }

    /// The same, signed with that key.
    pub(super) fn unauthenticated_push_by(
        &self,
        key: &AssertionKey,
        request: &Authorization<'_>,
    ) -> Result<Request<'s>, Stop> {
        let endpoint = self.subject.post("pushed_authorization_request_endpoint")?;
        if !self.subject.signs() {
            let plain = endpoint.form(request.parameters());
            return Ok(plain.without("client_id"));
        }
        let object = object_by(key, &self.object_claims(request))?;
        Ok(endpoint.form(&[("request", object)]))
    }

    pub(super) async fn push(&self, request: &Authorization<'_>) -> Result<Answer, Stop> {
        let push = self.unauthenticated_push(request)?;
        self.authenticated(push)?.send().await
    }

    /// The same with that request object.
    pub(super) async fn push_object(&self, object: &str) -> Result<Answer, Stop> {
        let endpoint = self.subject.post("pushed_authorization_request_endpoint")?;
        let endpoint = endpoint.form(&[("request", object)]);
        self.authenticated(endpoint)?.send().await
    }

    /// What is left for the browser of a request that was pushed and accepted.
    pub(super) fn travelling(
        &self,
        request: Authorization<'s>,
        pushed: &Answer,
    ) -> Result<Authorization<'s>, Stop> {
        let uri = crate::catalogue::request_uri(self.subject, pushed)?;
        let front = [("client_id", self.id.as_str()), ("request_uri", &uri)];
        Ok(request.travelling_as(&front))
    }

    /// Pushes the request and goes all the way.
    pub(super) async fn arrive(&self, request: Authorization<'s>) -> Result<Arrival, Stop> {
        let pushed = self.push(&request).await?;
        let request = self.travelling(request, &pushed)?;
        match request.end().await? {
            Ending::App(arrival) => Ok(*arrival),
            Ending::Page(answer) => Err(answer.fail("the browser was not sent to the app")),
        }
    }

    /// A code for the request.
    pub(super) async fn code_for(&self, request: Authorization<'s>) -> Result<Code, Stop> {
        let arrival = self.arrive(request).await?;
        match response(&arrival) {
            Some(response) => {
                let code = response.claims.get("code").and_then(Value::as_str);
                let code = code.ok_or_else(|| arrival.answer.fail("there is no code"))?;
                self.subject.redactor().learn(code);
                Ok(arrival.code_of(code))
            }
            None => arrival.code(),
        }
    }

    pub(super) async fn code(&self) -> Result<Code, Stop> {
        self.code_for(self.request()?).await
    }

    /// A code that brings a refresh token.
    pub(super) async fn offline_code(&self) -> Result<Code, Stop> {
        let request = self.request()?;
        self.code_for(if self.subject.knows_scope("offline_access") {
            let request = request.with("scope", "openid offline_access");
            request.with("prompt", "consent")
        } else {
            request
        })
        .await
    }

    /// The token request of a code, without a proof.
    pub(super) fn redemption(&self, code: &Code) -> Result<Request<'s>, Stop> {
        let request = code.redemption(self.subject)?.without("client_id");
        self.authenticated(request)
    }

    /// The answer to it with a good proof.
    pub(super) async fn redeem(&self, code: &Code) -> Result<Answer, Stop> {
        let draft = Draft::of(&self.prover);
        let redemption = || self.redemption(code);
        let answer = self.subject.send_proved(redemption, &draft).await?;
        if let Ok(token) = answer.text("access_token") {
            self.subject.redactor().learn(&token);
        }
        Ok(answer)
    }

    pub(super) async fn grant(&self) -> Result<Grant, Stop> {
        let answer = self.redeem(&self.code().await?).await?;
        Grant::read(self.subject, answer, &self.id)
    }
}

/// A request with an assertion of these claims by that key.
pub(super) fn asserting_by<'r>(
    key: &AssertionKey,
    request: Request<'r>,
    claims: &Map<String, Value>,
) -> Result<Request<'r>, Stop> {
    let assertion = jws::sign(key, claims);
    let assertion = assertion.ok_or_else(|| Stop::unchecked("no assertion could be made"))?;
    Ok(request.assertion(&assertion))
}

/// A request object of these claims by that key.
pub(super) fn object_by(key: &AssertionKey, claims: &Map<String, Value>) -> Result<String, Stop> {
    let header = Map::from_iter([("typ".to_owned(), "oauth-authz-req+jwt".into())]);
    let object = jws::sign_with_header(key, header, claims);
    object.ok_or_else(|| Stop::unchecked("no request object could be made"))
}

/// The JWT that a signed response is (JARM §2.3).
pub(super) fn response(arrival: &Arrival) -> Option<Jws> {
    arrival.parameter("response").and_then(Jws::parse)
}
