//! RFC 6749: both endpoints, the code flow, refresh tokens, and the `client_credentials` grant.

mod authorize;
mod client;
mod code;
mod errors;
mod refresh;
mod success;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::check;

const CLIENT_CREDENTIALS: &[Feature] = &[Feature::Grant("client_credentials")];
const CODE: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Member("authorization_endpoint"),
];
const REFRESH: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
];
const BASIC: &[Feature] = &[
    Feature::Grant("client_credentials"),
    Feature::ClientAuthentication("client_secret_basic"),
];
const POST: &[Feature] = &[
    Feature::Grant("client_credentials"),
    Feature::ClientAuthentication("client_secret_post"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 6749",
    title: "The OAuth 2.0 Authorization Framework",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc6749-2.3-one-method",
        "2.3",
        "No more than one authentication method is accepted in one request.",
        &[check!(errors::two_methods)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-2.3.1-basic",
        "2.3.1",
        "Clients with a password can authenticate by HTTP Basic.",
        &[check!(client::basic_is_accepted), check!(look client::basic_is_announced)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-2.3.1-basic-encoding",
        "2.3.1",
        "Client id and password in HTTP Basic are form-urlencoded, and decoded before they are compared.",
        &[check!(client::basic_is_decoded)],
    )
    .when(BASIC),
    must(
        "rfc6749-2.3.1-body",
        "2.3.1",
        "Where passwords in the request body are supported, client_id and client_secret carry them.",
        &[check!(client::secret_in_body)],
    )
    .when(POST),
    must("rfc6749-3.1-get", "3.1", "The authorization endpoint supports GET.", &[check!(authorize::authorize_takes_get)]).when(CODE),
    must(
        "rfc6749-3.1-fragment",
        "3.1",
        "The authorization endpoint's URI has no fragment.",
        &[check!(look authorize::authorization_endpoint_without_fragment)],
    )
    .when(&[Feature::Member("authorization_endpoint")]),
    must(
        "rfc6749-3.1-empty-is-absent",
        "3.1",
        "Parameters of an authorization request sent without a value are treated as if they were omitted.",
        &[check!(authorize::empty_parameters_are_omitted), check!(authorize::empty_response_type_is_missing)],
    )
    .when(CODE),
    must(
        "rfc6749-3.1-unknown-ignored",
        "3.1",
        "Unrecognized parameters of an authorization request are ignored.",
        &[check!(authorize::unknown_parameter_is_ignored)],
    )
    .when(CODE),
    must(
        "rfc6749-3.1-no-duplicates",
        "3.1",
        "Parameters of an authorization request are not included more than once.",
        &[check!(authorize::duplicate_state), check!(authorize::duplicate_redirect_uri)],
    )
    .when(CODE),
    must(
        "rfc6749-3.1.1-response-type",
        "3.1.1",
        "A response type that is missing or not understood is answered with an error at the redirection URI.",
        &[check!(authorize::unknown_response_type), check!(authorize::missing_response_type)],
    )
    .when(CODE),
    must(
        "rfc6749-3.1.2.4-unknown-client",
        "3.1.2.4",
        "An authorization request with an invalid client or redirection URI never redirects to that URI.",
        &[check!(authorize::unknown_client_is_not_redirected), check!(authorize::unregistered_uri_is_not_redirected)],
    )
    .when(CODE),
    must(
        "rfc6749-3.2-tls",
        "3.2",
        "The token endpoint requires TLS (this machine's own loopback excepted).",
        &[check!(look client::token_endpoint_is_protected)],
    )
    .when(&[Feature::Member("token_endpoint")]),
    must(
        "rfc6749-3.2-fragment",
        "3.2",
        "The token endpoint's URI has no fragment.",
        &[check!(look client::token_endpoint_without_fragment)],
    )
    .when(&[Feature::Member("token_endpoint")]),
    must("rfc6749-3.2-post-only", "3.2", "Token requests use POST.", &[check!(client::get_is_refused)]).when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.2-empty-is-absent",
        "3.2",
        "Parameters sent without a value are treated as if they were omitted.",
        &[check!(success::empty_scope_is_omitted), check!(errors::empty_grant_type_is_missing)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.2-unknown-ignored",
        "3.2",
        "Unrecognized request parameters are ignored.",
        &[check!(success::unknown_parameter_is_ignored)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.2-no-duplicates",
        "3.2",
        "Request parameters are not included more than once.",
        &[check!(errors::duplicate_grant_type), check!(errors::duplicate_scope)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.2.1-client-authentication",
        "3.2.1",
        "Confidential clients authenticate at the token endpoint.",
        &[check!(errors::no_authentication), check!(errors::client_id_alone)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.3-scope-reported",
        "3.3",
        "When the issued scope differs from the requested one, the response says which was issued.",
        &[check!(success::narrowed_scope_is_reported)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-3.3-default-scope",
        "3.3",
        "A request without scope gets a default scope or invalid_scope.",
        &[check!(success::omitted_scope)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-4.1.2-code-once",
        "4.1.2",
        "An authorization code cannot be used more than once.",
        &[check!(code::second_use_is_refused)],
    )
    .when(CODE),
    should(
        "rfc6749-4.1.2-replay-revokes",
        "4.1.2",
        "A second use of a code revokes the tokens that the first one gave.",
        &[check!(code::second_use_revokes)],
    )
    .when(CODE),
    must(
        "rfc6749-4.1.2-state",
        "4.1.2",
        "state comes back exactly as it was sent.",
        &[check!(authorize::state_is_kept)],
    )
    .when(CODE),
    must(
        "rfc6749-4.1.2.1-access-denied",
        "4.1.2.1",
        "A person's refusal is answered with access_denied and state.",
        &[check!(authorize::refusal_is_access_denied)],
    )
    .when(CODE),
    must(
        "rfc6749-4.1.2.1-invalid-scope",
        "4.1.2.1",
        "A malformed scope is answered with invalid_scope and state.",
        &[check!(authorize::malformed_scope)],
    )
    .when(CODE),
    must(
        "rfc6749-4.1.3-code-binding",
        "4.1.3",
        "A code is redeemed only by the client it was issued to, with the redirection URI it was asked with.",
        &[
            check!(code::another_client),
            check!(code::another_redirect_uri),
            check!(code::no_redirect_uri),
        ],
    )
    .when(CODE),
    must(
        "rfc6749-4.1.4-response",
        "4.1.4",
        "A valid code is answered 200 with a token and its type, as JSON that is not to be stored.",
        &[check!(code::response_is_complete)],
    )
    .when(CODE),
    must(
        "rfc6749-4.4-confidential-only",
        "4.4",
        "The client credentials grant is for confidential clients only.",
        &[check!(errors::public_client_credentials)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-4.4.2-parameters-in-body",
        "4.4.2",
        "The parameters of the client credentials grant are read from the request body, form-urlencoded.",
        &[check!(errors::parameters_in_query), check!(errors::parameters_in_json)],
    )
    .when(CLIENT_CREDENTIALS),
    should(
        "rfc6749-4.4.3-no-refresh-token",
        "4.4.3",
        "The client credentials grant yields no refresh token.",
        &[check!(success::no_refresh_token)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.1-fields",
        "5.1",
        "A token response is a 200 whose JSON has access_token and token_type.",
        &[check!(success::required_fields)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.1-json",
        "5.1",
        "A token response has the media type application/json.",
        &[check!(success::media_type)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.1-no-store",
        "5.1",
        "A token response carries Cache-Control: no-store.",
        &[check!(success::no_store)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.1-pragma",
        "5.1",
        "A token response carries Pragma: no-cache.",
        &[check!(success::pragma)],
    )
    .when(CLIENT_CREDENTIALS),
    should(
        "rfc6749-5.1-expires-in",
        "5.1",
        "A token response has expires_in, a number of seconds.",
        &[check!(success::expires_in)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-invalid-request",
        "5.2",
        "A request without a required parameter is answered 400 invalid_request.",
        &[check!(errors::missing_grant_type)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-invalid-client",
        "5.2",
        "Failed client authentication is answered invalid_client.",
        &[check!(errors::wrong_secret), check!(errors::unknown_client)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-challenge",
        "5.2",
        "A client that failed by the Authorization header gets 401 and a challenge of the scheme it used.",
        &[check!(errors::basic_challenge)],
    )
    .when(BASIC),
    must(
        "rfc6749-5.2-invalid-grant",
        "5.2",
        "An authorization code or refresh token that is not valid is refused as invalid_grant.",
        &[check!(errors::invented_grants)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-unsupported-grant-type",
        "5.2",
        "An unknown grant type is answered 400 unsupported_grant_type.",
        &[check!(errors::unknown_grant_type)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-invalid-scope",
        "5.2",
        "A malformed scope is answered 400 invalid_scope.",
        &[check!(errors::malformed_scope)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-5.2-form",
        "5.2",
        "Errors are application/json, and error and error_description keep to the allowed characters.",
        &[check!(errors::error_form)],
    )
    .when(CLIENT_CREDENTIALS),
    must(
        "rfc6749-6-refresh",
        "6",
        "A valid refresh token is exchanged for an access token.",
        &[check!(refresh::gives_a_token)],
    )
    .when(REFRESH),
    must(
        "rfc6749-6-refresh-binding",
        "6",
        "A refresh token works only for the client it was issued to.",
        &[check!(refresh::another_client)],
    )
    .when(REFRESH),
    must(
        "rfc6749-6-refresh-scope",
        "6",
        "A refreshed access token has no scope that was not granted.",
        &[check!(refresh::wider_scope), check!(refresh::narrower_scope)],
    )
    .when(REFRESH),
    must(
        "rfc6749-10.10-guessing",
        "10.10",
        "Access tokens differ from one another and are too long to be guessed.",
        &[check!(success::tokens_are_not_guessable)],
    )
    .when(CLIENT_CREDENTIALS),
];
