//! Assertions of trusted issuers as grants (RFC 7523 §2.1), presented by the confidential client.

use serde_json::{Map, Value, json};

use super::{Subject, Token};
use crate::check::Stop;
use crate::jws;
use crate::request::Request;
use crate::target::TrustedIssuer;

/// The grant of an assertion (RFC 7523 §2.1).
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The `typ` of an Identity Assertion JWT Authorization Grant (§3.1 there).
pub(crate) const ID_JAG: &str = "oauth-id-jag+jwt";

/// Why a check of assertions ends when the client may present none.
pub(crate) const NOT_ALLOWED: &str = "the given client may present no assertions as grants";

/// How long the tests' assertions are valid, in seconds.
pub(crate) const LIFETIME: i64 = 300;

impl Subject {
    pub(crate) fn trusted_issuer(&self) -> Result<&TrustedIssuer, Stop> {
        let given = self.target.trusted_issuer.as_ref();
        given.ok_or_else(|| Stop::unchecked("no trusted issuer was given"))
    }

    pub(crate) fn identity_issuer(&self) -> Result<&TrustedIssuer, Stop> {
        let given = self.target.identity_issuer.as_ref();
        given.ok_or_else(|| Stop::unchecked("no issuer of identity assertions was given"))
    }

    /// The claims of a valid assertion (RFC 7523 §3).
    pub(crate) fn bearer_claims(&self, issuer: &TrustedIssuer) -> Map<String, Value> {
        let mut claims = self.assertion_claims(&issuer.issuer);
        claims.insert("sub".into(), issuer.subject.as_str().into());
        claims.insert("exp".into(), self.now().saturating_add(LIFETIME).into());
        claims
    }

    /// The claims of a valid identity assertion for the confidential client (ID-JAG §3.1).
    pub(crate) fn identity_claims(
        &self,
        issuer: &TrustedIssuer,
    ) -> Result<Map<String, Value>, Stop> {
        let mut claims = self.bearer_claims(issuer);
        let client_id = self.credentials()?.client_id.as_str();
        claims.insert("client_id".into(), client_id.into());
        for (name, value) in [("scope", &issuer.scope), ("resource", &issuer.resource)] {
            if let Some(value) = value {
                claims.insert(name.into(), json!(value));
            }
        }
        Ok(claims)
    }

    /// A token request with the assertion.
    pub(crate) fn bearer(
        &self,
        issuer: &TrustedIssuer,
        assertion: &str,
    ) -> Result<Request<'_>, Stop> {
        let mut request = self
            .post("token_endpoint")?
            .form(&[("grant_type", JWT_BEARER), ("assertion", assertion)]);
        for (name, value) in [("scope", &issuer.scope), ("resource", &issuer.resource)] {
            if let Some(value) = value {
                request = request.form(&[(name, value)]);
            }
        }
        request.authenticated()
    }

    /// The token that a valid assertion is worth.
    pub(crate) async fn borne(
        &self,
        issuer: &TrustedIssuer,
        typ: Option<&str>,
        claims: &Map<String, Value>,
    ) -> Result<Token, Stop> {
        let answer = self
            .bearer(issuer, &signed(issuer, typ, claims)?)?
            .send()
            .await?;
        answer.is_for_the_client(NOT_ALLOWED)?;
        answer.status(&[200])?;
        let value = answer.text("access_token")?;
        self.redactor.learn(&value);
        Ok(Token { value, answer })
    }
}

/// The claims, signed by the issuer.
pub(crate) fn signed(
    issuer: &TrustedIssuer,
    typ: Option<&str>,
    claims: &Map<String, Value>,
) -> Result<String, Stop> {
    let typ = typ.map(|typ| ("typ".to_owned(), Value::from(typ)));
    jws::sign_with_header(&issuer.key, typ.into_iter().collect(), claims)
        .ok_or_else(|| Stop::unchecked("the issuer's key cannot sign"))
}
