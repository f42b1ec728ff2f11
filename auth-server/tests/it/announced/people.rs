//! What is said of people, in what envelope, and how sure the server is of them.

use super::endpoints::key;
use super::*;

/// What a JWT that was encrypted says in its header.
pub(super) fn header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
}

impl Walk<'_> {
    pub(super) async fn id_token_algorithms(&self) {
        let all = ["ES256", "EdDSA", "PS256", "RS256", "HS256", "none"];
        self.lists("id_token_signing_alg_values_supported", &all, async |alg| {
            let changes = json!({"id_token_signed_response_alg": alg});
            let Some(app) = self.app(&changes).await else {
                return false;
            };
            let tokens = self.tokens(&app, &[]).await.unwrap();
            header(tokens["id_token"].as_str().unwrap())["alg"] == alg
        })
        .await;
    }

    /// Userinfo of a client, as it came.
    async fn told(&self, app: &TestClient) -> (String, String) {
        let tokens = self.tokens(app, &[]).await.unwrap();
        let url = self.url("userinfo_endpoint").unwrap();
        let token = tokens["access_token"].as_str().unwrap();
        let response = self
            .server
            .http
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (kind, response.text().await.unwrap())
    }

    pub(super) async fn userinfo_algorithms(&self) {
        let all = ["ES256", "EdDSA", "PS256", "RS256", "HS256", "none"];
        self.lists("userinfo_signing_alg_values_supported", &all, async |alg| {
            let changes = json!({"userinfo_signed_response_alg": alg});
            let Some(app) = self.app(&changes).await else {
                return false;
            };
            let (kind, told) = self.told(&app).await;
            kind == "application/jwt" && header(&told)["alg"] == alg
        })
        .await;
    }

    /// The header of what comes encrypted to a client that asked for it by this member.
    async fn encrypted(&self, alg_member: &str, alg: &str, enc: &str) -> Option<Value> {
        let enc_member = alg_member.replace("_alg", "_enc");
        let own = if alg.starts_with("RSA") {
            Algorithm::Rs256
        } else {
            Algorithm::Es256
        };
        let mut jwk = JwkSet::new(vec![key(own).public().clone()]).to_value()["keys"][0].clone();
        let members = jwk.as_object_mut().unwrap();
        members.remove("alg");
        members.insert("use".into(), json!("enc"));
        let changes = json!({alg_member: alg, enc_member: enc, "jwks": {"keys": [jwk]}});
        let token = if alg_member.starts_with("introspection") {
            let client = self.introspecting(&changes).await?;
            self.introspected(&client).await
        } else if alg_member.starts_with("id_token") {
            let app = self.app(&changes).await?;
            let tokens = self.tokens(&app, &[]).await.unwrap();
            tokens["id_token"].as_str().unwrap().to_owned()
        } else {
            let app = self.app(&changes).await?;
            self.told(&app).await.1
        };
        assert_eq!(token.split('.').count(), 5, "{token}");
        Some(header(&token))
    }

    pub(super) async fn encryption(&self, field: &str, member: &str, enc: &str) {
        let all = [
            "ECDH-ES",
            "RSA-OAEP-256",
            "RSA-OAEP",
            "RSA1_5",
            "ECDH-ES+A256KW",
            "dir",
        ];
        self.lists(field, &all, async |alg| {
            let header = self.encrypted(member, alg, enc).await;
            header.is_some_and(|header| header["alg"] == alg && header["enc"] == enc)
        })
        .await;
    }

    pub(super) async fn content_encryption(&self, field: &str, member: &str) {
        let all = ["A256GCM", "A128GCM", "A128CBC-HS256", "A256CBC-HS512"];
        let member = format!("{member}_alg");
        self.lists(field, &all, async |enc| {
            let header = self.encrypted(&member, "ECDH-ES", enc).await;
            header.is_some_and(|header| header["enc"] == enc)
        })
        .await;
    }

    pub(super) async fn subject_types(&self) {
        let all = ["public", "pairwise", BOGUS];
        self.lists("subject_types_supported", &all, async |kind| {
            let mut seen = BTreeSet::new();
            for host in ["one", "two"] {
                let changes = json!({"subject_type": kind, "redirect_uris": [person::REDIRECT],
                    "sector_identifier_uri": self.site.at(&format!("/{host}.json"))});
                let path = format!("/{host}.json");
                self.site.put(&path, &json!([person::REDIRECT]));
                let Some(app) = self.app(&changes).await else {
                    return false;
                };
                // At no resource whose tokens would tell.
                let tokens = self.tokens(&app, &[("scope", "openid")]).await.unwrap();
                let sub = decode(tokens["id_token"].as_str().unwrap()).1["sub"].to_string();
                seen.insert(sub);
            }
            // Both sectors are the site's host.
            let own = seen.iter().next().unwrap().contains("usr_");
            seen.len() == 1 && own == (kind == "public")
        })
        .await;
    }

    /// The claims of ID token and userinfo of a person of whom everything is known, in a flow that has all that brings any.
    pub(super) async fn claims(&self) {
        let scope = "openid profile email address phone";
        let app = self.app(&json!({"scope": scope})).await.unwrap();
        let acr = self.listed("acr_values_supported").into_iter().next();
        let changes = [
            ("scope", scope),
            ("nonce", "n-0S6_WzA2Mj"),
            ("acr_values", acr.as_deref().unwrap_or_default()),
        ];
        let tokens = self.tokens(&app, &changes).await.unwrap();
        let told = userinfo(self.server, tokens["access_token"].as_str().unwrap()).await;
        let id_token = decode(tokens["id_token"].as_str().unwrap()).1;
        let names = |claims: &Value| {
            let members = claims.as_object().unwrap();
            members.keys().cloned().collect::<BTreeSet<_>>()
        };
        let mut seen = &names(&told.body) | &names(&id_token);
        if self
            .listed("response_types_supported")
            .contains("code id_token")
        {
            seen.insert("c_hash".to_owned());
        }
        assert_eq!(self.listed("claims_supported"), seen);
    }

    pub(super) async fn claims_parameter(&self) {
        let app = self.app(&json!({"scope": "openid email"})).await.unwrap();
        let changes = [
            ("scope", "openid"),
            ("claims", r#"{"userinfo": {"email": null}}"#),
        ];
        let tokens = self.tokens(&app, &changes).await.unwrap();
        let told = userinfo(self.server, tokens["access_token"].as_str().unwrap()).await;
        self.agrees("claims_parameter_supported", told.body["email"] == EMAIL);
    }

    pub(super) async fn signed_metadata(&self) {
        let Some(signed) = self.url("signed_metadata") else {
            return;
        };
        let claims = decode(signed).1;
        assert_eq!(claims["iss"], self.server.issuer.as_str());
        for (name, value) in self.metadata.as_object().unwrap() {
            if name != "signed_metadata" {
                assert_eq!(claims[name], *value, "{name}");
            }
        }
        let keys = self.keys().await;
        let signed = UnverifiedJwt::parse(signed, JwtKind::IdToken).unwrap();
        assert!(signed.verify(&keys).is_ok());
    }

    pub(super) async fn backchannel_logout(&self) {
        let path = "/logout";
        self.site.put_with(path, 200, &[], "");
        let before = self.site.asked(path);
        let changes = json!({"backchannel_logout_uri": self.site.at(path), "backchannel_logout_session_required": true});
        let heard = match self.app(&changes).await {
            None => false,
            Some(app) => {
                let browser = Browser::new(self.server);
                let page = browser.arrive(self.server.authorize_url(&app, &[])).await;
                // Who never came for what a code brings has nobody signed in.
                let code = Delivered::of(&page).parameter("code").unwrap();
                post(self.server, &app, "/oauth/token", &code_form(&code)).await;
                // Somebody signs out by hand.
                let page = browser
                    .open(format!("{}/oauth/logout", self.server.issuer))
                    .await;
                let form = [("sign_out_form".to_owned(), page.input("sign_out_form"))];
                browser.post(page.action("sign-out"), &form).await;
                self.site.asked(path) > before
            }
        };
        self.agrees("backchannel_logout_supported", heard);
        self.agrees("backchannel_logout_session_supported", heard);
    }
}
