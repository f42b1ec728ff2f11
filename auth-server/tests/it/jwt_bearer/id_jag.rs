//! ID-JAGs (draft-ietf-oauth-identity-assertion-authz-grant-03), where this is the server of the resource.

use super::*;

on_each_store!(auth_server::store::MIGRATIONS;
    id_jag_4_4_brings_a_token_for_what_it_grants,
    id_jag_4_4_1_what_is_refused,
    id_jag_4_4_3_each_is_good_once_and_brings_no_refresh_token,
);

impl Scene {
    async fn of_id_jag(stores: &Stores) -> Self {
        let scene = Self::set(stores).await;
        scene
            .trust(&json!({"kind": "id-jag", "subject": "linked"}))
            .await;
        scene.link("U019488227").await;
        scene
    }

    async fn jag(&self, changes: &Value) -> String {
        let good = json!({"sub": "U019488227", "client_id": self.client.id, "resource": API, "scope": "read write"});
        let claims = with(&self.claims(&good), changes);
        sign(JwtKind::IdentityAssertion, &claims, &self.key).await
    }
}

async fn id_jag_4_4_brings_a_token_for_what_it_grants(stores: &Stores) {
    let scene = Scene::of_id_jag(stores).await;
    let now = scene.server.clock.now().as_secs();
    let acr = "https://refeds.org/profile/sfa";
    let said = json!({"auth_time": now - 60, "amr": ["mfa", "pwd", "hwk", "pwd"], "acr": acr});
    let answer = scene.show(&scene.jag(&said).await).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["scope"], "read write");
    let token = read(answer.text("access_token"));
    assert_eq!(token["sub"], json!(scene.account_id));
    assert_eq!(token["aud"], API);
    assert_eq!(token["auth_time"], now - 60);
    assert_eq!(token["amr"], json!(["pwd"]), "what we have a name for");
    assert_eq!(token["acr"], acr);
    for (what, claims, more, scope) in [
        (
            "less of its scope",
            json!({}),
            &[("scope", "read")][..],
            "read",
        ),
        (
            "what it does not grant",
            json!({"scope": "read"}),
            &[("scope", "read write")],
            "read",
        ),
        ("without a scope", json!({"scope": null}), &[], "read write"),
        (
            "without a resource",
            json!({"resource": null}),
            &[],
            "read write",
        ),
        (
            "of a list",
            json!({"resource": [API]}),
            &[("resource", API)],
            "read write",
        ),
        (
            "with what nobody knows",
            json!({"acr": "urn:x", "tenant": "t", "email": 1}),
            &[],
            "",
        ),
    ] {
        let answer = scene
            .ask(&scene.client, &scene.jag(&claims).await, more)
            .await;
        if scope.is_empty() {
            refused(&answer, "a claim of the wrong type");
            continue;
        }
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!(answer.body["scope"], scope, "{what}");
        assert_eq!(read(answer.text("access_token"))["aud"], API, "{what}");
    }
    let foreign = scene.show(&scene.jag(&json!({"acr": "urn:x"})).await).await;
    let token = read(foreign.text("access_token"));
    assert!(
        token.get("acr").is_none(),
        "a level that means nothing here: {token}"
    );
    scene.server.stop().await;
}

async fn id_jag_4_4_1_what_is_refused(stores: &Stores) {
    let scene = Scene::of_id_jag(stores).await;
    let other = scene
        .server
        .register(metadata(AuthMethod::ClientSecretBasic))
        .await;
    let endpoint = format!("{}/oauth/token", scene.server.issuer);
    let now = scene.server.clock.now().as_secs();
    for (what, changes) in [
        ("for another client", json!({"client_id": other.id})),
        ("for no client", json!({"client_id": null})),
        ("for a client that is a number", json!({"client_id": 1})),
        ("without iat", json!({"iat": null, "exp": now + 1})),
        ("for the token endpoint", json!({"aud": endpoint})),
        (
            "for several servers",
            json!({"aud": [scene.server.issuer, "https://other.example"]}),
        ),
        (
            "for this server, in an array",
            json!({"aud": [scene.server.issuer]}),
        ),
        ("of somebody who is not linked", json!({"sub": "U2"})),
        (
            "of somebody linked, in other letters",
            json!({"sub": "u019488227"}),
        ),
        ("of an account", json!({"sub": scene.account_id})),
        ("of nobody", json!({"sub": null})),
        (
            "of a name that is too long",
            json!({"sub": "U".repeat(256)}),
        ),
        ("expired", json!({"exp": now - 1})),
        ("without jti", json!({"jti": null})),
    ] {
        refused(&scene.show(&scene.jag(&changes).await).await, what);
    }
    // It is shown by its client alone.
    let jag = scene.jag(&json!({})).await;
    refused(&scene.ask(&other, &jag, &[]).await, "another's");
    assert_eq!(scene.show(&jag).await.status, 200, "and that spent nothing");
    let public = scene.server.register(metadata(AuthMethod::None)).await;
    let jag = scene.jag(&json!({"client_id": public.id})).await;
    refused(&scene.ask(&public, &jag, &[]).await, "a public client");
    // Neither kind passes for the other.
    let plain = scene.claims(&json!({"sub": "U019488227", "client_id": scene.client.id}));
    let plain = sign(JwtKind::BearerAssertion, &plain, &scene.key).await;
    refused(&scene.show(&plain).await, "a plain assertion");
    scene.trust(&json!({"subject": "linked"})).await;
    refused(
        &scene.show(&scene.jag(&json!({})).await).await,
        "an ID-JAG for a plain one",
    );
    scene.server.stop().await;
}

async fn id_jag_4_4_3_each_is_good_once_and_brings_no_refresh_token(stores: &Stores) {
    let scene = Scene::of_id_jag(stores).await;
    let jag = scene.jag(&json!({})).await;
    let answer = scene.show(&jag).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body["refresh_token"].is_null());
    refused(&scene.show(&jag).await, "again");
    assert!(
        scene.is_active(answer.text("access_token")).await,
        "what it brought lives on"
    );
    scene.server.stop().await;
}
