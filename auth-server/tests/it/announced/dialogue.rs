//! What people are asked, how, and how sure the server is of them then.

use super::*;
use crate::authorization_details::{PARAMETER, PAY, READ};

impl Walk<'_> {
    pub(super) async fn prompts(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let browser = Browser::new(self.server);
        browser.arrive(self.server.authorize_url(&app, &[])).await;
        let all = [
            "none",
            "login",
            "consent",
            "select_account",
            "create",
            BOGUS,
        ];
        self.lists("prompt_values_supported", &all, async |prompt| {
            let url = self.server.authorize_url(&app, &[("prompt", prompt)]);
            let page = browser.open(url).await;
            match prompt {
                "login" => page.has("sign-in"),
                "consent" => page.has("consent"),
                "select_account" => page.has("select-account"),
                "create" => page.has("sign-up"),
                _ => Delivered::of(&page).has("code"),
            }
        })
        .await;
    }

    pub(super) async fn displays(&self) {
        let app = self.app(&json!({})).await.unwrap();
        for display in self.listed("display_values_supported") {
            let answer = self.answer(&app, &[("display", &display)]).await;
            assert!(answer.has("code"), "{display}");
        }
    }

    pub(super) async fn locales(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let all = ["en", "de", "es", "fr", "ja", "zh", "xx"];
        self.lists("ui_locales_supported", &all, async |locale| {
            let url = self.server.authorize_url(&app, &[("ui_locales", locale)]);
            let page = Browser::new(self.server).open(url).await;
            page.body.contains(&format!("<html lang=\"{locale}\">"))
        })
        .await;
    }

    pub(super) async fn acr_values(&self) {
        let app = self.app(&json!({})).await.unwrap();
        let listed = self.listed("acr_values_supported");
        let mut all: Vec<_> = listed.iter().map(String::as_str).collect();
        all.push("urn:example:bogus");
        self.lists("acr_values_supported", &all, async |acr| {
            let tokens = self.tokens(&app, &[("acr_values", acr)]).await.unwrap();
            decode(tokens["id_token"].as_str().unwrap()).1["acr"] == acr
        })
        .await;
    }

    pub(super) async fn authorization_details_types(&self) {
        let field = "authorization_details_types_supported";
        let bogus = json!({"type": BOGUS}).to_string();
        let objects = [("album", READ), ("payment", PAY), (BOGUS, &bogus)];
        let all = objects.map(|(name, _)| name);
        self.lists(field, &all, async |kind| {
            let changes = json!({"authorization_details_types": [kind]});
            let Some(app) = self.app(&changes).await else {
                return false;
            };
            let object = objects.iter().find(|(name, _)| *name == kind).unwrap().1;
            let asked = format!("[{object}]");
            let tokens = self.tokens(&app, &[(PARAMETER, &asked)]).await;
            tokens.is_some_and(|tokens| tokens[PARAMETER][0]["type"] == kind)
        })
        .await;
    }
}
