//! Introspection as a JWT (RFC 9701), and the end of everything that somebody was given (Global Token Revocation), with faults.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::clients::{Client, now, refusal};
use super::{Asked, Rule, Server, Wire, jwt, members};

const MEDIA_TYPE: &str = "application/token-introspection+jwt";

impl Server {
    /// The answer in the form that was asked for.
    pub(crate) fn introspected(&self, asked: &Asked, client: &str, mut told: Value) -> Wire {
        if asked.accept != MEDIA_TYPE {
            return Wire::json(200, &told);
        }
        let metadata = self.registered(client).unwrap_or_default();
        let registered = |name: &str| metadata.get(name).and_then(Value::as_str);
        let algorithm = match registered("introspection_signed_response_alg") {
            _ if self.breaks(Rule::IntrospectionIsRs256) => "RS256",
            _ if self.breaks(Rule::IntrospectionIsEs256) => "ES256",
            other => other.unwrap_or("RS256"),
        };
        let kid = if algorithm == "RS256" { "rsa1" } else { "k1" };
        let mut header =
            members(json!({"alg": algorithm, "kid": kid, "typ": "token-introspection+jwt"}));
        if self.breaks(Rule::IntrospectionIsUntyped) {
            header.insert("typ".into(), "JWT".into());
        }
        if self.breaks(Rule::IntrospectionForgets) {
            told = json!({"active": false});
        }
        if self.breaks(Rule::IntrospectionTellsInactive) {
            told["client_id"] = client.into();
        }
        let mut claims = members(json!({
            "iss": self.issuer,
            "aud": client,
            "iat": now(),
            "token_introspection": told,
        }));
        if self.breaks(Rule::IntrospectionHasNoIssuer) {
            claims.remove("iss");
        }
        if self.breaks(Rule::IntrospectionIsForNobody) {
            claims.insert("aud".into(), "somebody-else".into());
        }
        if self.breaks(Rule::IntrospectionLooksLikeAccess) {
            claims.insert("exp".into(), (now() + 300).into());
        }
        let mut wire = Wire::new(200).with("content-type", MEDIA_TYPE);
        wire.body = jwt::sign(&header, &Value::Object(claims).to_string());
        if let Some(key) = registered("introspection_encrypted_response_alg")
            && !self.breaks(Rule::IntrospectionIsPlain)
        {
            // Nobody here reads what is inside: the form is enough.
            let content = registered("introspection_encrypted_response_enc");
            let header = json!({"alg": key, "enc": content, "cty": "JWT"}).to_string();
            wire.body = format!(
                "{}..aXY.Y2lwaGVy.dGFn",
                BASE64_URL_SAFE_NO_PAD.encode(header)
            );
        }
        wire
    }

    pub(crate) fn revoke_globally(&self, asked: &Asked) -> Wire {
        let anyone = self.breaks(Rule::AnyoneRevokesGlobally);
        match self.authenticate(asked) {
            _ if anyone => {}
            Ok(Client::Confidential(client)) if self.registered(&client).is_none() => {}
            Ok(_) => return refusal(403, "access_denied"),
            Err(wire) => return wire,
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let subject = &body["sub_id"];
        let named = match subject["format"].as_str() {
            Some("email") => subject["email"].as_str(),
            _ => None,
        };
        let status = match named {
            None => 400,
            Some(_) if anyone => 204,
            Some(_) => 404,
        };
        Wire::new(status)
    }
}
