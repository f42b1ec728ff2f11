//! `auth-server trusted-issuer …` and `auth-server user link`, as a program, and what makes no sense of an issuer.

use super::*;
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    an_issuer_is_trusted_and_a_person_linked_by_commands,
    what_makes_no_sense_of_an_issuer_is_said,
);

async fn an_issuer_is_trusted_and_a_person_linked_by_commands(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, set(&[&scene.key]).to_string()).unwrap();
    let file = file.to_str().unwrap();
    let second = "https://second.example";
    let client = [
        "client",
        "create",
        "--grant",
        "jwt_bearer",
        "--scope",
        "read",
    ];
    let made = ran_json(stores, &client, "");
    let client = TestClient {
        id: made["client_id"].as_str().unwrap().to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    let add = [
        "trusted-issuer",
        "add",
        second,
        "--jwks",
        file,
        "--subject",
        "linked",
        "--scope",
        "read",
        "--client",
        &client.id,
        "--max-lifetime",
        "5m",
    ];
    let added = ran_json(stores, &add, "");
    assert_eq!(added["policy"]["max_lifetime_seconds"], 300);
    let link = ["user", "link", EMAIL, "--issuer", second, "--subject", "U7"];
    let linked = ran_json(stores, &link, "");
    assert_eq!(
        linked["links"],
        json!([{"issuer": second, "subject": "U7"}])
    );
    let again = run(stores, &link, "");
    assert!(!again.status.success(), "one name is one person's");
    let show = async || {
        let claims = scene.claims(&json!({"iss": second, "sub": "U7"}));
        let assertion = sign(JwtKind::BearerAssertion, &claims, &scene.key).await;
        scene.ask(&client, &assertion, &[]).await
    };
    // The server that runs follows. Its clock is ahead of the command's, so that it has to look at everything.
    scene.server.clock.advance(Duration::from_secs(31));
    let is_served = async || show().await.status == 200;
    assert!(crate::introspection::eventually(is_served).await);
    let listed = ran(stores, &["trusted-issuer", "list"], "");
    assert!(
        listed.contains(&format!("{second}  jwt  linked  read")),
        "{listed}"
    );
    let shown = ran_json(stores, &["trusted-issuer", "show", second], "");
    assert_eq!(shown, added);
    let unlink = ["user", "unlink", "--issuer", second, "--subject", "U7"];
    ran(stores, &unlink, "");
    assert!(!run(stores, &unlink, "").status.success());
    refused(&show().await, "unlinked");
    ran(stores, &["trusted-issuer", "remove", second], "");
    assert!(
        !run(stores, &["trusted-issuer", "show", second], "")
            .status
            .success()
    );
    scene.server.stop().await;
}

async fn what_makes_no_sense_of_an_issuer_is_said(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let jwks = set(&[&scene.key]);
    let both = json!({"jwks_uri": "https://idp.example/jwks"});
    for (changes, expected) in [
        (json!({"jwks": null}), "one place"),
        (both, "one place"),
        (
            json!({"jwks": null, "jwks_uri": "https://idp.example/jwks#a"}),
            "fragment",
        ),
        (json!({"jwks": {"keys": []}}), "no public key"),
        (json!({"jwks": []}), "not an object"),
        (json!({"algorithms": ["RS256"]}), "no public key"),
        (json!({"algorithms": []}), "one algorithm"),
        (json!({"scope": ""}), "one scope"),
        (json!({"scope": "read offline_access"}), "offline_access"),
        (json!({"subject": "verified_email"}), "--email-domain"),
        (json!({"email_domains": ["example.com"]}), "--email-domain"),
        (
            json!({"subject": "verified_email", "email_domains": ["Example.com"]}),
            "lower case",
        ),
        (
            json!({"subject": "verified_email", "email_domains": ["@example.com"]}),
            "lower case",
        ),
        (json!({"subject": "client", "kind": "id-jag"}), "ID-JAG"),
        (
            json!({"subject": "client", "public_clients": true}),
            "confidential",
        ),
        (json!({"max_lifetime_seconds": 0}), "--max-lifetime"),
        (json!({"max_lifetime_seconds": 3601}), "--max-lifetime"),
        (
            json!({"clients": (0..1001).map(|n| format!("c{n}")).collect::<Vec<_>>()}),
            "too many",
        ),
    ] {
        let refused = scene.try_to_trust(&changes).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{changes}: {refused}");
    }
    let policy = json!({"kind": "id-jag", "jwks": jwks, "algorithms": ["ES256"], "subject": "linked", "scope": "read",
        "max_lifetime_seconds": 60});
    let own = TrustedIssuer::new(
        scene.server.issuer.parse().unwrap(),
        serde_json::from_value(policy).unwrap(),
    );
    let issuers = &scene.server.records.trusted_issuers;
    let now = scene.server.clock.now();
    let refused = issuers.put(&own.unwrap(), now).await.unwrap_err();
    assert!(refused.to_string().contains("beside itself"), "{refused}");
    scene.server.stop().await;
}
