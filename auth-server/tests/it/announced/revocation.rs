//! Who may have all end that somebody had, and how introspection is signed.

use super::endpoints::key;
use super::people::header;
use super::*;

impl Walk<'_> {
    /// What introspection answers a client that asks for a JWT of its own token.
    pub(super) async fn introspected(&self, client: &TestClient) -> String {
        let token = self.server.token(client, API).await;
        let url = self.url("introspection_endpoint").unwrap();
        let request = self
            .server
            .http
            .post(url)
            .form(&[("token", token)])
            .basic_auth(&client.id, Some(&client.secret))
            .header("accept", "application/token-introspection+jwt");
        request.send().await.unwrap().text().await.unwrap()
    }

    /// A client that introspects, if the server takes it.
    pub(super) async fn introspecting(&self, changes: &Value) -> Option<TestClient> {
        let service = json!({"token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"], "scope": "read"});
        self.register(&with(&service, changes)).await
    }

    pub(super) async fn introspection_algorithms(&self) {
        let field = "introspection_signing_alg_values_supported";
        let all = ["ES256", "EdDSA", "PS256", "RS256", "HS256", "none"];
        self.lists(field, &all, async |alg| {
            let changes = json!({"introspection_signed_response_alg": alg});
            let Some(client) = self.introspecting(&changes).await else {
                return false;
            };
            header(&self.introspected(&client).await)["alg"] == alg
        })
        .await;
    }

    pub(super) async fn global_revocation_endpoint(&self) {
        let path = "/oauth/global-token-revocation";
        self.is_there("global_token_revocation_endpoint", path)
            .await;
        self.server.person("basic@example.com").await;
        assert!(
            self.revokes("client_secret_basic", "basic@example.com")
                .await
        );
    }

    pub(super) async fn global_revocation_methods(&self) {
        let all = AuthMethod::ALL.map(AuthMethod::as_str);
        let field = "global_token_revocation_endpoint_auth_methods_supported";
        let all = [&all[..], &[BOGUS]].concat();
        self.lists(field, &all, async |method| {
            let email = format!("{method}@example.com");
            self.server.person(&email).await;
            self.revokes(method, &email).await
        })
        .await;
    }

    /// Whether a client of this method can end all of a person.
    async fn revokes(&self, method: &str, email: &str) -> bool {
        let key = key(Algorithm::Es256);
        let mut metadata = json!({"token_endpoint_auth_method": method, "grant_types": [],
            "global_token_revocation": true});
        if method == "private_key_jwt" {
            metadata["jwks"] = JwkSet::new(vec![key.public().clone()]).to_value();
        }
        let Some(client) = self.register(&metadata).await else {
            return false;
        };
        let endpoint = self.url("global_token_revocation_endpoint").unwrap();
        let subject = json!({"format": "email", "email": email});
        let request = self.server.http.post(endpoint);
        let request = request.json(&json!({ "sub_id": subject }));
        let request = if method == "private_key_jwt" {
            let now = self.server.clock.now().as_secs();
            let claims = json!({"iss": client.id, "sub": client.id, "aud": endpoint, "iat": now,
                "exp": now + 60, "jti": crate::macs::unique()});
            request.bearer_auth(self.server.assertion(&key, &claims).await)
        } else {
            request.basic_auth(&client.id, Some(&client.secret))
        };
        self.server.send(request).await.status == 204
    }
}
