//! The `openidconnect` crate, a client of strangers, runs the whole flow.

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreClientRegistrationRequest,
    CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, CsrfToken, HttpRequest, HttpResponse,
    IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, RequestTokenError,
    Scope, TokenResponse as _,
};
use serde_json::Value;

use crate::forms::Person;
use crate::process::{Place, http, send};

async fn exchange(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http().execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}

#[tokio::test]
async fn a_rust_client_signs_a_person_in_and_keeps_the_access() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let issuer = IssuerUrl::new(place.auth("")).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &exchange)
        .await
        .unwrap();
    let client_id = demo["app"]["client_id"].as_str().unwrap();
    // Nobody listens there: the redirect is as far as the browser goes.
    let redirect = "http://127.0.0.1:9/callback";
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(client_id.into()), None)
            .set_redirect_uri(RedirectUrl::new(redirect.into()).unwrap());

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
        .add_scopes(
            ["profile", "email", "offline_access", "profile:read"]
                .map(|scope| Scope::new(scope.into())),
        )
        .set_pkce_challenge(challenge)
        .url();
    let mut person = Person::until(redirect);
    let answer = person.sign_in(&place, url.as_str()).await;
    assert_eq!(answer.parameter("state").as_ref(), Some(state.secret()));
    assert_eq!(answer.parameter("iss"), Some(place.auth("")));

    let code = AuthorizationCode::new(answer.parameter("code").unwrap());
    let tokens = client
        .exchange_code(code.clone())
        .unwrap()
        .set_pkce_verifier(verifier)
        .request_async(&exchange)
        .await
        .unwrap();
    let id_token = tokens.id_token().unwrap();
    let id_token_verifier = client.id_token_verifier();
    let claims = id_token.claims(&id_token_verifier, &nonce).unwrap();
    let subject = claims.subject().clone();
    let expected = AccessTokenHash::from_token(
        tokens.access_token(),
        id_token.signing_alg().unwrap(),
        id_token.signing_key(&id_token_verifier).unwrap(),
    )
    .unwrap();
    assert_eq!(claims.access_token_hash(), Some(&expected));
    assert!(claims.auth_time().is_some());

    let userinfo: CoreUserInfoClaims = client
        .user_info(tokens.access_token().clone(), Some(subject.clone()))
        .unwrap()
        .request_async(&exchange)
        .await
        .unwrap();
    let email = userinfo.email().unwrap().as_str();
    assert_eq!(email, demo["person"]["email"].as_str().unwrap());
    let me: Value = place
        .me(Some(tokens.access_token().secret()))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(me["type"], "person", "{me}");

    let refresh_token = tokens.refresh_token().unwrap();
    let refreshed = client
        .exchange_refresh_token(refresh_token)
        .unwrap()
        .request_async(&exchange)
        .await
        .unwrap();
    let successor = refreshed.refresh_token().unwrap();
    assert_ne!(successor.secret(), refresh_token.secret());
    let me = place.me(Some(refreshed.access_token().secret())).await;
    assert_eq!(me.status(), 200);

    // By hand: the crate revokes over https alone.
    let form = [
        ("token", successor.secret().as_str()),
        ("client_id", client_id),
    ];
    let revoked = send(http().post(place.auth("/oauth/revoke")).form(&form)).await;
    assert_eq!(revoked.status(), 200);
    for dead in [refresh_token, successor] {
        let refused = client
            .exchange_refresh_token(dead)
            .unwrap()
            .request_async(&exchange)
            .await;
        let Err(RequestTokenError::ServerResponse(response)) = refused else {
            panic!("a revoked refresh token was taken");
        };
        assert_eq!(response.error().to_string(), "invalid_grant");
    }
    let twice = client
        .exchange_code(code)
        .unwrap()
        .request_async(&exchange)
        .await;
    assert!(matches!(twice, Err(RequestTokenError::ServerResponse(_))));
    assert_eq!(running.log(), "");
}

/// It knows two methods that prove anything.
#[tokio::test]
async fn rfc7591_a_rust_client_registers_itself_and_uses_every_method_that_it_knows() {
    let place = Place::new();
    let running = place.start(&[]);
    let issuer = IssuerUrl::new(place.auth("")).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &exchange)
        .await
        .unwrap();
    let redirect = "https://app.example/callback";
    let redirect_url = RedirectUrl::new(redirect.into()).unwrap();
    for (method, auth_type) in [
        (CoreClientAuthMethod::ClientSecretBasic, AuthType::BasicAuth),
        (
            CoreClientAuthMethod::ClientSecretPost,
            AuthType::RequestBody,
        ),
    ] {
        let registered = CoreClientRegistrationRequest::new(
            vec![redirect_url.clone()],
            EmptyAdditionalClientMetadata {},
        )
        .set_token_endpoint_auth_method(Some(method.clone()))
        .register_async(metadata.registration_endpoint().unwrap(), &exchange)
        .await
        .unwrap();
        assert_eq!(registered.token_endpoint_auth_method(), Some(&method));
        let client = CoreClient::from_provider_metadata(
            metadata.clone(),
            registered.client_id().clone(),
            registered.client_secret().cloned(),
        )
        .set_auth_type(auth_type)
        .set_redirect_uri(redirect_url.clone());
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, _, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge)
            .url();
        let answer = Person::until(redirect).sign_in(&place, url.as_str()).await;
        let code = AuthorizationCode::new(answer.parameter("code").unwrap());
        let tokens = client
            .exchange_code(code)
            .unwrap()
            .set_pkce_verifier(verifier)
            .request_async(&exchange)
            .await
            .unwrap();
        let id_token = tokens.id_token().unwrap();
        id_token
            .claims(&client.id_token_verifier(), &nonce)
            .unwrap();
    }
    assert_eq!(running.log(), "");
}
