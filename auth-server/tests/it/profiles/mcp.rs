//! What MCP asks of authorization servers (revision 2026-07-28).

use std::sync::Arc;

use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::{Enabled, Mode, PkcePolicy};
use auth_server::profiles::Profile;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Of, announced, config_of};
use crate::browser::{Browser, EMAIL, parameter};
use crate::device;
use crate::person::{app, ask, code_form, post, refresh_form};
use crate::server::{API, OTHER_API, TestClient, TestServer};
use crate::token::decode;

on_each_store!(auth_server::store::MIGRATIONS;
    mcp_resource_parameter_implementation_at_a_server,
    mcp_resource_parameter_implementation_by_a_client,
    mcp_security_considerations_every_request_has_a_challenge,
    mcp_overview_2_clients_describe_themselves_in_production_too,
);

async fn started(stores: &Stores, of: Of, method: AuthMethod) -> (TestServer, TestClient) {
    let (servers, own) = match of {
        Of::Server => (Some(Profile::Mcp), None),
        Of::Client => (None, Some(Profile::Mcp)),
    };
    let mut config = config_of(stores, servers);
    if own.is_some() {
        config.authorization.pkce = PkcePolicy::PublicOnly;
    }
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let mut metadata = ClientMetadata {
        profile: own,
        ..app(method)
    };
    metadata.grant_types.insert(GrantType::DeviceCode);
    let app = server.register(metadata).await;
    (server, app)
}

async fn mcp_resource_parameter_implementation_at_a_server(stores: &Stores) {
    let (server, app) = started(stores, Of::Server, AuthMethod::None).await;
    resources(&server, &app).await;
}

async fn mcp_resource_parameter_implementation_by_a_client(stores: &Stores) {
    let (server, app) = started(stores, Of::Client, AuthMethod::None).await;
    resources(&server, &app).await;
}

/// What comes of a request at the authorization endpoint: the error that the client is told, or nothing where somebody may sign in.
async fn error(server: &TestServer, app: &TestClient, changes: &[(&str, &str)]) -> Option<String> {
    let page = Browser::new(server)
        .open(server.authorize_url(app, changes))
        .await;
    if page.has("sign-in") {
        return None;
    }
    let error = parameter(&page.location(), "error");
    assert!(error.is_some(), "{}", page.location());
    error
}

async fn resources(server: &TestServer, app: &TestClient) {
    let missing = error(server, app, &[]).await;
    assert_eq!(missing.as_deref(), Some("invalid_target"));
    let unknown = error(server, app, &[("resource", "https://unknown.example")]).await;
    assert_eq!(unknown.as_deref(), Some("invalid_target"));
    assert_eq!(error(server, app, &[("resource", API)]).await, None);
    // Nobody is asked for what could not be given afterwards.
    let device = async |form: &[(&str, &str)]| post(server, app, device::PATH, form).await;
    let missing = device(&[("scope", "read")]).await;
    assert_eq!(missing.error(), (400, "invalid_target"), "{}", missing.body);
    let named = device(&[("scope", "read"), ("resource", API)]).await;
    assert_eq!(named.status, 200, "{}", named.body);

    let scope = ("scope", "openid read offline_access");
    let url = server.authorize_url(app, &[("resource", API), scope, ("prompt", "consent")]);
    let answer = Browser::new(server).sign_in_and_consent(url).await;
    let code = parameter(&answer, "code").unwrap();
    let form = code_form(&code);
    let missing = ask(server, app, &form).await;
    assert_eq!(missing.error(), (400, "invalid_target"), "{}", missing.body);
    // Nothing was spent for it, nor is there a token for another audience.
    let with = |form: &[(&'static str, &str)], resource: &'static str| {
        let form = form
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let form: Vec<_> = form.chain([("resource", resource.to_owned())]).collect();
        form
    };
    let send = async |form: &[(&'static str, String)]| {
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        ask(server, app, &form).await
    };
    let tokens = send(&with(&form, API)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(decode(tokens.text("access_token")).1["aud"], API);
    let lifetime = tokens.body["expires_in"].as_u64().unwrap();
    assert!(lifetime <= 300, "short-lived: {lifetime}");
    let first = tokens.text("refresh_token").to_owned();
    let refresh = refresh_form(&first);
    let missing = ask(server, app, &refresh).await;
    assert_eq!(missing.error(), (400, "invalid_target"));
    let elsewhere = send(&with(&refresh, OTHER_API)).await;
    assert_eq!(elsewhere.error(), (400, "invalid_target"));
    // Security Considerations, «Token Theft»: rotated for public clients.
    let next = send(&with(&refresh, API)).await;
    assert_eq!(next.status, 200, "{}", next.body);
    assert_ne!(next.text("refresh_token"), first);
}

async fn mcp_security_considerations_every_request_has_a_challenge(stores: &Stores) {
    let (server, app) = started(stores, Of::Client, AuthMethod::ClientSecretBasic).await;
    let none = [
        ("resource", API),
        ("code_challenge", ""),
        ("code_challenge_method", ""),
    ];
    let refused = error(&server, &app, &none).await;
    assert_eq!(refused.as_deref(), Some("invalid_request"));
    // Which the server does not want of others.
    let other = server
        .register(self::app(AuthMethod::ClientSecretBasic))
        .await;
    assert_eq!(error(&server, &other, &none).await, None);
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    metadata.profile = Some(Profile::Mcp);
    let service = server.register(metadata).await;
    let missing = ask(&server, &service, &form).await;
    assert_eq!(missing.error(), (400, "invalid_target"));
}

async fn mcp_overview_2_clients_describe_themselves_in_production_too(stores: &Stores) {
    let mut config = config_of(stores, Some(Profile::Mcp));
    config.mode = Mode::Production;
    assert!(config.documents_are_on());
    config.client_documents.enabled = Enabled::Never;
    assert!(!config.documents_are_on(), "somebody said so");
    config.client_documents.enabled = Enabled::default();
    config.profile = None;
    assert!(!config.documents_are_on());
    let server =
        TestServer::start_with(config_of(stores, Some(Profile::Mcp)), Arc::default()).await;
    let document = announced(&server).await;
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert_eq!(
        document["authorization_response_iss_parameter_supported"],
        true
    );
    server.stop().await;
}
