//! What may be asked for at the authorization endpoint, in what form, and how the answer comes.

use super::endpoints::key;
use super::*;

impl Walk<'_> {
    pub(super) async fn scopes(&self) {
        let all = [
            "openid",
            "profile",
            "email",
            "address",
            "phone",
            "offline_access",
            "read",
            "write",
            "reports",
            BOGUS,
        ];
        self.lists("scopes_supported", &all, async |scope| {
            let asked = format!("openid {scope}");
            let app = self.app(&json!({"scope": asked})).await.unwrap();
            // Beside `openid`, so that something is left of the request where the scope is nothing.
            let tokens = self.tokens(&app, &[("scope", &asked)]).await;
            let granted = tokens.map(|tokens| tokens["scope"].as_str().unwrap().to_owned());
            granted.is_some_and(|granted| granted.split(' ').any(|token| token == scope))
        })
        .await;
    }

    pub(super) async fn response_types(&self) {
        let all = [
            "code",
            "code id_token",
            "code token",
            "code id_token token",
            "id_token",
            "id_token token",
            "token",
            "none",
            BOGUS,
        ];
        self.lists("response_types_supported", &all, async |asked| {
            self.delivers(asked).await
        })
        .await;
    }

    /// Whether a response type brings what it names, and nothing else.
    async fn delivers(&self, response_type: &str) -> bool {
        let words: BTreeSet<&str> = response_type.split(' ').collect();
        // Of `none` alone there is no client: it goes with what brings something.
        let types = match response_type {
            "none" => vec!["code", "none"],
            other => vec![other],
        };
        let mut grants = Vec::new();
        if words.contains("code") || words.contains("none") {
            grants.push("authorization_code");
        }
        if words.contains("id_token") || words.contains("token") {
            grants.push("implicit");
        }
        let changes = json!({"response_types": types, "grant_types": grants});
        let Some(app) = self.app(&changes).await else {
            return false;
        };
        let changes = [("response_type", response_type), ("nonce", "n-0S6_WzA2Mj")];
        let answer = self.answer(&app, &changes).await;
        let artefacts = [
            ("code", "code"),
            ("id_token", "id_token"),
            ("token", "access_token"),
        ];
        let exact = artefacts
            .iter()
            .all(|(word, name)| answer.has(name) == words.contains(word));
        exact && !answer.has("error") && answer.mode != "page"
    }

    pub(super) async fn response_modes(&self) {
        let all = [
            "query",
            "fragment",
            "form_post",
            "jwt",
            "query.jwt",
            "fragment.jwt",
            "form_post.jwt",
            "web_message",
        ];
        let app = self
            .app(&json!({"authorization_signed_response_alg": "ES256"}))
            .await;
        let app = app.unwrap();
        self.lists("response_modes_supported", &all, async |mode| {
            let answer = self.answer(&app, &[("response_mode", mode)]).await;
            // Of a code, in the query.
            let expected = if mode == "jwt" { "query.jwt" } else { mode };
            answer.mode == expected && answer.has("code")
        })
        .await;
    }

    pub(super) async fn iss_of_responses(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let answer = self.answer(&app, &[]).await;
        let field = "authorization_response_iss_parameter_supported";
        let iss = answer.parameter("iss");
        self.agrees(field, iss.as_deref() == Some(self.server.issuer.as_str()));
    }

    pub(super) async fn grant_types(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let service = self
            .server
            .client(AuthMethod::ClientSecretBasic, "read")
            .await;
        let all = [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "implicit",
            "password",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            BOGUS,
        ];
        self.lists("grant_types_supported", &all, async |grant| match grant {
            "authorization_code" => self.tokens(&app, &[]).await.is_some(),
            "refresh_token" => {
                let tokens = self.tokens(&app, &[]).await.unwrap();
                let token = tokens["refresh_token"].as_str().unwrap();
                let answer = post(self.server, &app, "/oauth/token", &refresh_form(token)).await;
                answer.status == 200
            }
            "client_credentials" => {
                let form = [("grant_type", grant), ("resource", API)];
                let answer = self.server.post_as(&service, "/oauth/token", &form).await;
                answer.status == 200
            }
            "implicit" => self.delivers("token").await || self.delivers("id_token").await,
            "password" => self.takes_passwords().await,
            crate::device::GRANT => self.lets_devices_in().await,
            EXCHANGE => self.exchanges(ACCESS).await,
            jwt_bearer::GRANT => self.takes_id_jags().await,
            other => {
                let form = [("grant_type", other)];
                let answer = self.server.post_as(&service, "/oauth/token", &form).await;
                answer.error().1 != "unsupported_grant_type"
            }
        })
        .await;
    }

    pub(super) async fn grant_profiles(&self) {
        let id_jag = "urn:ietf:params:oauth:grant-profile:id-jag";
        let all = [id_jag, BOGUS];
        let field = "authorization_grant_profiles_supported";
        self.lists(field, &all, async |profile| {
            profile == id_jag && self.takes_id_jags().await
        })
        .await;
    }

    /// draft-ietf-oauth-identity-assertion-authz-grant-03.
    pub(super) async fn identity_chaining(&self) {
        let field = "identity_chaining_requested_token_types_supported";
        let all = [ASSERTION, JWT, BOGUS];
        self.lists(field, &all, async |requested| {
            requested != JWT && self.exchanges(requested).await
        })
        .await;
    }

    async fn takes_id_jags(&self) -> bool {
        let metadata = jwt_bearer::metadata(AuthMethod::ClientSecretBasic);
        let client = self.server.register(metadata).await;
        let claims = jwt_bearer::good_claims(self.server, &self.person);
        let claims = with(&claims, &json!({"client_id": client.id}));
        let jag = jwt_bearer::sign(JwtKind::IdentityAssertion, &claims, &self.issuer_key);
        let jag = jag.await;
        let form = [
            ("grant_type", jwt_bearer::GRANT),
            ("assertion", jag.as_str()),
        ];
        let answer = post(self.server, &client, "/oauth/token", &form).await;
        answer.status == 200
    }

    /// Whether an app may have this for its ID token.
    async fn exchanges(&self, requested: &str) -> bool {
        let mut policy = json!({"audiences": [API], "requested_token_types": [requested]});
        if requested == ASSERTION {
            policy["identity_assertions"] =
                json!([{"audience": "https://other.example", "client_id": "app"}]);
        }
        let grants = ["authorization_code", EXCHANGE];
        let changes = json!({"grant_types": grants, "token_exchange": policy});
        let Some(app) = self.app(&changes).await else {
            return false;
        };
        let tokens = self
            .tokens(&app, &[("scope", "openid read")])
            .await
            .unwrap();
        let audience = if requested == ASSERTION {
            "https://other.example"
        } else {
            API
        };
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", tokens["id_token"].as_str().unwrap()),
            ("subject_token_type", ID),
            ("requested_token_type", requested),
            ("audience", audience),
        ];
        let answer = self.server.post_as(&app, "/oauth/token", &form).await;
        answer.status == 200
    }

    async fn takes_passwords(&self) -> bool {
        let changes = json!({"skip_consent": true, "grant_types": ["password"], "redirect_uris": [],
            "response_types": []});
        let Some(app) = self.app(&changes).await else {
            return false;
        };
        let form = [
            ("grant_type", "password"),
            ("username", EMAIL),
            ("password", crate::browser::PASSWORD),
            ("scope", "openid read"),
        ];
        self.server
            .post_as(&app, "/oauth/token", &form)
            .await
            .status
            == 200
    }

    pub(super) async fn code_challenge_methods(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let all = ["S256", "plain", BOGUS];
        self.lists("code_challenge_methods_supported", &all, async |method| {
            let challenge = match method {
                "S256" => person::CHALLENGE,
                _ => person::VERIFIER,
            };
            let changes = [
                ("code_challenge_method", method),
                ("code_challenge", challenge),
            ];
            self.tokens(&app, &changes).await.is_some()
        })
        .await;
    }

    /// A request object of the client's, of a good request.
    async fn object(&self, app: &TestClient, key: &SigningKey) -> String {
        self.object_by(app, key, key.algorithm().name()).await
    }

    /// The same, signed by the name `alg`.
    async fn object_by(&self, app: &TestClient, key: &SigningKey, alg: &str) -> String {
        let mut claims = json!({"iss": app.id, "aud": self.server.issuer});
        for (name, value) in TestServer::asking(app, &[("state", "of the object")]) {
            claims[name] = json!(value);
        }
        request_object::sign(key, &json!({"alg": alg}), &claims).await
    }

    async fn request_by(&self, app: &TestClient, changes: &[(&str, &str)]) -> bool {
        let mut all = changes.to_vec();
        // Nothing outside that would do without the object.
        all.extend(
            [
                "redirect_uri",
                "scope",
                "code_challenge",
                "code_challenge_method",
                "state",
            ]
            .map(|name| (name, "")),
        );
        let answer = self.answer(app, &all).await;
        answer.has("code") && answer.parameter("state").as_deref() == Some("of the object")
    }

    pub(super) async fn request_parameter(&self) {
        let key = key(Algorithm::Es256);
        let jwks = JwkSet::new(vec![key.public().clone()]).to_value();
        let app = self.app(&json!({"jwks": jwks})).await.unwrap();
        let object = self.object(&app, &key).await;
        let works = self.request_by(&app, &[("request", &object)]).await;
        self.agrees("request_parameter_supported", works);
    }

    pub(super) async fn request_object_algorithms(&self) {
        let all = [
            "ES256", "EdDSA", "Ed25519", "PS256", "RS256", "HS256", "none",
        ];
        let field = "request_object_signing_alg_values_supported";
        self.lists(field, &all, async |alg| {
            let key = key(alg.parse().unwrap_or(Algorithm::Es256));
            let jwks = JwkSet::new(vec![key.public().clone()]).to_value();
            let changes = json!({"jwks": jwks, "request_object_signing_alg": alg});
            let Some(app) = self.app(&changes).await else {
                return false;
            };
            let mut object = self.object_by(&app, &key, alg).await;
            if alg == "none" {
                let claims = object.split('.').nth(1).unwrap();
                object = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
            }
            self.request_by(&app, &[("request", &object)]).await
        })
        .await;
    }

    pub(super) async fn request_uri_parameter(&self, field: &str) {
        let key = key(Algorithm::Es256);
        let jwks = JwkSet::new(vec![key.public().clone()]).to_value();
        let path = |name: &str| format!("/{field}-{name}.jwt");
        let at = |name: &str| self.site.at(&path(name));
        let changes = json!({"jwks": jwks, "request_uris": [at("known")]});
        let app = self.app(&changes).await.unwrap();
        let object = self.object(&app, &key).await;
        for name in ["known", "unknown"] {
            let kind = [("content-type", "application/oauth-authz-req+jwt")];
            self.site.put_with(&path(name), 200, &kind, object.clone());
        }
        let known = self
            .request_by(&app, &[("request_uri", &at("known"))])
            .await;
        self.agrees("request_uri_parameter_supported", known);
        let unknown = self
            .request_by(&app, &[("request_uri", &at("unknown"))])
            .await;
        self.agrees("require_request_uri_registration", known && !unknown);
    }

    /// Whether a request that is neither signed nor pushed is refused, as the field says.
    pub(super) async fn plain_requests(&self, field: &str) {
        let app = self.app(&json!({})).await.unwrap();
        let refused = !self.answer(&app, &[]).await.has("code");
        self.agrees(field, refused);
    }

    pub(super) async fn response_algorithms(&self) {
        let all = ["ES256", "EdDSA", "PS256", "RS256", "HS256", "none"];
        let field = "authorization_signing_alg_values_supported";
        self.lists(field, &all, async |alg| {
            let changes = json!({"authorization_signed_response_alg": alg});
            let Some(app) = self.app(&changes).await else {
                return false;
            };
            let url = self.server.authorize_url(&app, &[("response_mode", "jwt")]);
            let answer = Browser::new(self.server).arrive(url).await.location();
            let response = parameter(&answer, "response").unwrap();
            decode(&response).0["alg"] == alg
        })
        .await;
    }

    pub(super) async fn client_documents(&self) {
        let app = TestClient {
            id: self.site.at("/walker.json"),
            secret: String::new(),
        };
        let document = crate::client_documents::describing(&app.id);
        self.site.put("/walker.json", &document);
        let works = self.answer(&app, &[]).await.has("code");
        self.agrees("client_id_metadata_document_supported", works);
    }
}
