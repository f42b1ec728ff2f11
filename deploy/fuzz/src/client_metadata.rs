//! Client metadata as strangers send it (RFC 7591 §2), and the one check that it makes sense.

use auth_server::clients::submitted::{members, metadata};
use auth_server::clients::{ApplicationType, AuthMethod, Client, ClientMetadata, GrantType};
use shared_protocol::jose::object;

pub(crate) fn check(bytes: &[u8]) {
    let Ok(sent) = object(bytes) else { return };
    let Ok(read) = metadata(&sent) else { return };
    // What is the operator's alone to set.
    assert!(!read.skip_consent && read.default_resource.is_none() && read.token_exchange.is_none());
    assert!(read.profile.is_none() && !read.require_pkce && read.may_act.is_none());
    assert!(!read.global_token_revocation && !read.grant_types.contains(&GrantType::JwtBearer));
    let told = members(&read);
    let again = metadata(&told)
        .unwrap_or_else(|error| unreachable!("what a client is told is no metadata: {error}"));
    assert_eq!(members(&again), told, "told anew it is another");
    let kept = serde_json::to_value(&read).unwrap_or_else(|error| unreachable!("{error}"));
    let loaded: Result<ClientMetadata, _> = serde_json::from_value(kept.clone());
    let loaded = loaded.unwrap_or_else(|error| unreachable!("kept and not read: {error}"));
    assert_eq!(serde_json::to_value(&loaded).ok(), Some(kept));
    let id = "client"
        .parse()
        .unwrap_or_else(|_| unreachable!("an identifier"));
    let Ok(client) = Client::new(id, read, Vec::new()) else {
        return;
    };
    let metadata = &client.metadata;
    let is_public = metadata.token_endpoint_auth_method == AuthMethod::None;
    assert!(!(is_public && metadata.grant_types.contains(&GrantType::ClientCredentials)));
    assert!(!metadata.grant_types.contains(&GrantType::Password));
    let by_name = metadata.token_endpoint_auth_method == AuthMethod::TlsClientAuth;
    assert_eq!(client.certificate_name().is_some(), by_name);
    assert!(metadata.jwks.is_none() || metadata.jwks_uri.is_none());
    for uri in metadata
        .redirect_uris
        .iter()
        .chain(&metadata.post_logout_redirect_uris)
    {
        let is_native = metadata.application_type == ApplicationType::Native;
        assert!(
            !uri.is_plain_http() || (is_native && uri.is_loopback()),
            "{uri}"
        );
    }
}
