//! Endpoints, and how clients prove who they are there.

use super::*;
use crate::{certificate_bound, dpop};

/// The endpoints at which clients show certificates.
const BY_CERTIFICATE: [&str; 6] = [
    "token_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
];

impl Walk<'_> {
    pub(super) async fn issuer(&self) {
        assert_eq!(self.url("issuer"), Some(self.server.issuer.as_str()));
        let well_known = "/.well-known/oauth-authorization-server";
        // It is signed anew when a change arrives, which may be one that was made before.
        let unsigned = |document: &Value| with(document, &json!({"signed_metadata": null}));
        let there = self.server.get(well_known).await.body;
        assert_eq!(unsigned(&there), unsigned(&self.metadata));
    }

    pub(super) async fn endpoints_of_the_code_flow(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let mut url = Url::parse(self.url("authorization_endpoint").unwrap()).unwrap();
        let asking = TestServer::asking(&app, &[]);
        url.query_pairs_mut().extend_pairs(asking);
        let answer = Delivered::of(&Browser::new(self.server).arrive(url).await);
        let code = answer.parameter("code").unwrap();
        let form = code_form(&code);
        let request = self.server.http.post(self.url("token_endpoint").unwrap());
        let request = request.form(&form).basic_auth(&app.id, Some(&app.secret));
        let tokens = self.server.send(request).await;
        let userinfo = self.server.http.get(self.url("userinfo_endpoint").unwrap());
        let userinfo = userinfo.bearer_auth(tokens.text("access_token"));
        let told = self.server.send(userinfo).await;
        let id_token = UnverifiedJwt::parse(tokens.text("id_token"), JwtKind::IdToken).unwrap();
        assert!(id_token.verify(&self.keys().await).is_ok());
        assert_eq!(told.text("sub"), decode(tokens.text("id_token")).1["sub"]);
    }

    pub(super) async fn endpoints_for_tokens(&self) {
        let client = self
            .server
            .client(AuthMethod::ClientSecretBasic, "read")
            .await;
        let token = self.server.token(&client, API).await;
        let at = async |field: &str| {
            let request = self.server.http.post(self.url(field).unwrap());
            let request = request.form(&[("token", token.as_str())]);
            let request = request.basic_auth(&client.id, Some(&client.secret));
            self.server.send(request).await
        };
        assert_eq!(at("introspection_endpoint").await.body["active"], true);
        assert_eq!(at("revocation_endpoint").await.status, 200);
        assert_eq!(at("introspection_endpoint").await.body["active"], false);
    }

    /// Whether a POST gets further than the router.
    pub(super) async fn is_there(&self, field: &str, path: &str) {
        let told = self.url(field);
        let url = format!("{}{path}", self.server.issuer);
        assert!(told.is_none_or(|told| told == url), "{field}");
        let answer = self.server.send(self.server.http.post(url)).await;
        assert_eq!(answer.status != 404, told.is_some(), "{field}");
    }

    pub(super) async fn registration_endpoint(&self) {
        self.is_there("registration_endpoint", "/oauth/register")
            .await;
        if let Some(url) = self.url("registration_endpoint") {
            let request = self.server.http.post(url);
            let request = request.json(&crate::registration::app());
            assert_eq!(self.server.send(request).await.status, 201);
        }
    }

    pub(super) async fn pushed_endpoint(&self) {
        self.is_there("pushed_authorization_request_endpoint", "/oauth/par")
            .await;
        let app = self.app(&json!({})).await.unwrap();
        let form = TestServer::asking(&app, &[]);
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let pushed = post(self.server, &app, "/oauth/par", &form).await;
        assert_eq!(pushed.status, 201, "{}", pushed.body);
        let named = pushed.text("request_uri");
        let url = format!(
            "{}?{}",
            self.url("authorization_endpoint").unwrap(),
            url::form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &app.id)
                .append_pair("request_uri", named)
                .finish()
        );
        assert!(Delivered::of(&Browser::new(self.server).arrive(url).await).has("code"));
    }

    pub(super) async fn device_endpoint(&self) {
        let path = crate::device::PATH;
        self.is_there("device_authorization_endpoint", path).await;
        assert!(self.lets_devices_in().await);
    }

    /// Whether a person who types its code brings a device tokens.
    pub(super) async fn lets_devices_in(&self) -> bool {
        let changes = json!({"grant_types": [crate::device::GRANT], "redirect_uris": [],
            "response_types": []});
        let Some(app) = self.app(&changes).await else {
            return false;
        };
        let form = [("scope", "openid read")];
        let url = Url::parse(self.url("device_authorization_endpoint").unwrap()).unwrap();
        let asked = post(self.server, &app, url.path(), &form).await;
        let browser = Browser::new(self.server);
        let link = asked.text("verification_uri_complete");
        let page = browser.open(link).await;
        let page = browser
            .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
            .await;
        let form = crate::device::typed(&page, &page.input("user_code"));
        let answer = browser.post(page.action("enter-code"), &form).await;
        let page = browser.follow(answer).await;
        let form = crate::device::decided(&page, "approve");
        browser.post(page.action("consent"), &form).await;
        let code = asked.text("device_code");
        let answer = crate::device::poll_at(self.server, &app, code, &[]).await;
        answer.status == 200
    }

    pub(super) async fn end_session_endpoint(&self) {
        let browser = Browser::new(self.server);
        let page = browser
            .open(self.url("end_session_endpoint").unwrap())
            .await;
        assert_eq!(page.status, 200, "{}", page.body);
    }

    pub(super) async fn mtls_endpoint_aliases(&self) {
        let aliases = &self.metadata["mtls_endpoint_aliases"];
        let Some(mtls) = &self.server.mtls else {
            assert!(aliases.is_null());
            return;
        };
        let http = self.pki.http().build().unwrap();
        let members = self.metadata.as_object().unwrap();
        for (name, url) in members {
            let Some(path) = url
                .as_str()
                .and_then(|url| url.strip_prefix(&self.server.issuer))
            else {
                continue;
            };
            if !name.ends_with("_endpoint") {
                continue;
            }
            let there = format!("{mtls}{path}");
            let alias = BY_CERTIFICATE
                .contains(&name.as_str())
                .then_some(there.as_str());
            assert_eq!(aliases[name].as_str(), alias, "{name}");
            let answer = self.server.send(http.post(there)).await;
            assert_eq!(answer.status != 404, aliases[name].is_string(), "{name}");
        }
    }

    pub(super) async fn proof_algorithms(&self) {
        let server = self.server;
        let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
        let form = [("grant_type", "client_credentials"), ("resource", API)];
        let ask =
            async |proof: &str| dpop::send(server, &client, (dpop::TOKEN, &form), &[proof]).await;
        let all = [
            "ES256", "EdDSA", "PS256", "RS256", "HS256", "none", "ES256K", BOGUS,
        ];
        self.lists("dpop_signing_alg_values_supported", &all, async |alg| {
            let known = Algorithm::ALL.into_iter().find(|own| own.name() == alg);
            let prover = dpop::Prover::of(known.unwrap_or(Algorithm::Es256));
            let nonce = json!({"nonce": ask("none").await.header("dpop-nonce")});
            let claims = with(&dpop::good(server, dpop::TOKEN), &nonce);
            let header = with(&prover.header(), &json!({"alg": alg}));
            let proof = prover.sign(&header, &claims).await;
            ask(&proof).await.body["token_type"] == "DPoP"
        })
        .await;
    }

    pub(super) async fn certificate_binding(&self) {
        let metadata = json!({"token_endpoint_auth_method": "client_secret_post", "scope": "read",
            "grant_types": ["client_credentials"], "tls_client_certificate_bound_access_tokens": true});
        let is_bound = if let Some(client) = self.register(&metadata).await {
            let pair = self.pki.authority.client("walker");
            let form = [("grant_type", "client_credentials"), ("resource", API)];
            let at = (self.server, self.pki);
            let answer = certificate_bound::ask(at, &client, (dpop::TOKEN, &form), Some(&pair));
            let claims = decode(answer.await.text("access_token")).1;
            claims["cnf"]["x5t#S256"].is_string()
        } else {
            false
        };
        self.agrees("tls_client_certificate_bound_access_tokens", is_bound);
    }

    pub(super) async fn authentication_methods(&self, field: &str) {
        let endpoint = self
            .url(field.strip_suffix("_auth_methods_supported").unwrap())
            .unwrap();
        let mut all: Vec<_> = AuthMethod::ALL
            .iter()
            .map(|method| method.as_str())
            .collect();
        all.push(BOGUS);
        self.lists(field, &all, async |method| {
            self.proves(method, None, endpoint).await
        })
        .await;
    }

    pub(super) async fn assertion_algorithms(&self, field: &str) {
        let suffix = "_auth_signing_alg_values_supported";
        let endpoint = self.url(field.strip_suffix(suffix).unwrap()).unwrap();
        let all = [
            "ES256", "EdDSA", "PS256", "RS256", "HS256", "HS384", "HS512", "none", "ES256K",
        ];
        self.lists(field, &all, async |alg| {
            let method = if alg.starts_with("HS") {
                "client_secret_jwt"
            } else {
                "private_key_jwt"
            };
            self.proves(method, Some(alg), endpoint).await
        })
        .await;
    }

    /// Whether a client of this method is taken, and known at the endpoint by what it proves itself with.
    async fn proves(&self, method: &str, alg: Option<&str>, endpoint: &str) -> bool {
        let signs = Algorithm::ALL
            .into_iter()
            .find(|own| Some(own.name()) == alg);
        let key = key(signs.unwrap_or(Algorithm::Es256));
        let pair = match method {
            "tls_client_auth" => Some(self.pki.authority.client("walker")),
            "self_signed_tls_client_auth" => {
                let params = crate::certificates::params("walker");
                Some(crate::certificates::Pair::self_signed(&params))
            }
            _ => None,
        };
        let mut metadata = json!({"token_endpoint_auth_method": method, "scope": "read"});
        metadata["grant_types"] = match method {
            "none" => json!([]),
            _ => json!(["client_credentials"]),
        };
        match (method, &pair) {
            ("private_key_jwt", _) => {
                metadata["jwks"] = JwkSet::new(vec![key.public().clone()]).to_value();
            }
            ("tls_client_auth", _) => metadata["tls_client_auth_subject_dn"] = json!("CN=walker"),
            (_, Some(pair)) => metadata["jwks"] = pair.jwks(),
            _ => {}
        }
        if let Some(alg) = alg {
            metadata["token_endpoint_auth_signing_alg"] = json!(alg);
        }
        let Some(client) = self.register(&metadata).await else {
            return false;
        };
        let now = self.server.clock.now().as_secs();
        let claims = json!({"iss": client.id, "sub": client.id, "aud": self.server.issuer, "exp": now + 60,
            "iat": now, "jti": crate::macs::unique()});
        let mut form = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("token", "none".to_owned()),
        ];
        let asserted = match method {
            "private_key_jwt" => Some(self.server.assertion(&key, &claims).await),
            "client_secret_jwt" => {
                let alg = alg.unwrap_or("HS256");
                Some(crate::macs::assertion(
                    alg,
                    client.secret.as_bytes(),
                    &claims,
                ))
            }
            _ => None,
        };
        if let Some(assertion) = asserted {
            form.push((
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
            ));
            form.push(("client_assertion", assertion));
        }
        if matches!(method, "none" | "client_secret_post") || pair.is_some() {
            form.push(("client_id", client.id.clone()));
        }
        if method == "client_secret_post" {
            form.push(("client_secret", client.secret.clone()));
        }
        let (http, endpoint) = match (&pair, &self.server.mtls) {
            (Some(pair), Some(mtls)) => (
                pair.http(self.pki),
                endpoint.replace(&self.server.issuer, mtls),
            ),
            (Some(_), None) => return false,
            (None, _) => (self.server.http.clone(), endpoint.to_owned()),
        };
        let endpoint_is_for_everyone = !endpoint.ends_with("/introspect");
        let mut request = http.post(endpoint).form(&form);
        if method == "client_secret_basic" {
            request = request.basic_auth(&client.id, Some(&client.secret));
        }
        let answer: Answer = self.server.send(request).await;
        // Who is public may not introspect, though it is known.
        let refusals = ["invalid_client", "unauthorized_client"];
        let refusals = if endpoint_is_for_everyone {
            &refusals[..1]
        } else {
            &refusals[..]
        };
        !refusals.contains(&answer.error().1)
    }
}

/// A private key of the client's.
pub(super) fn key(alg: Algorithm) -> SigningKey {
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}
