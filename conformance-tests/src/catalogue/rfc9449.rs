//! RFC 9449: tokens that only the holder of a key can use.

mod code;
mod nonce;
mod proof;
mod resource;
mod token;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, check};
use crate::dpop::Draft;
use crate::subject::Subject;
use proof::refused_everything;

/// Announced, and tried with the client's own tokens.
const DPOP: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Grant("client_credentials"),
];
const OF_PEOPLE: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
];
const REFRESHED: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
];
const PUSHED: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Member("authorization_endpoint"),
    Feature::Member("pushed_authorization_request_endpoint"),
];
const REGISTERED: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
];
const INTROSPECTED: &[Feature] = &[
    Feature::Member("dpop_signing_alg_values_supported"),
    Feature::Member("introspection_endpoint"),
    Feature::Grant("client_credentials"),
];
const ANNOUNCED: &[Feature] = &[Feature::Member("dpop_signing_alg_values_supported")];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9449",
    title: "OAuth 2.0 Demonstrating Proof of Possession (DPoP)",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9449-4.3-one-header",
        "4.3",
        "There is one DPoP header field, or the request is refused.",
        &[check!(proof::two_proofs)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-well-formed",
        "4.3",
        "A proof is one well-formed JWT.",
        &[check!(proof::no_jwt)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-claims",
        "4.3",
        "A proof has jti, htm, htu and iat.",
        &[check!(proof::claims_are_missing)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-typ",
        "4.3",
        "The typ of a proof is dpop+jwt.",
        &[check!(proof::another_typ)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-alg",
        "4.3",
        "A proof is signed with an asymmetric algorithm.",
        &[check!(proof::no_signature), check!(proof::shared_key)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-signature",
        "4.3",
        "The signature of a proof verifies with the key in it.",
        &[check!(proof::another_signature), check!(proof::tampered)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-no-private-key",
        "4.3",
        "The key in a proof is not a private one.",
        &[check!(proof::private_key)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-htm",
        "4.3",
        "The htm of a proof is the method of the request.",
        &[check!(proof::another_method)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-htu",
        "4.3",
        "The htu of a proof is the URL of the request.",
        &[check!(proof::another_url)],
    )
    .when(DPOP),
    should(
        "rfc9449-4.3-htu-normalized",
        "4.3",
        "Before htu is compared it is normalized as URLs are.",
        &[check!(proof::url_of_another_form)],
    )
    .when(DPOP),
    must(
        "rfc9449-4.3-window",
        "4.3",
        "A proof without a nonce is refused a long time after it was made, and before.",
        &[check!(proof::another_time)],
    )
    .when(DPOP),
    must(
        "rfc9449-5-invalid-proof",
        "5",
        "A proof that is not valid is answered invalid_dpop_proof, in the form of RFC 6749 §5.2.",
        &[check!(proof::refusal_has_form)],
    )
    .when(DPOP),
    must(
        "rfc9449-5-token-type",
        "5",
        "The answer to a request with a proof says DPoP where the token is bound, and only there.",
        &[check!(token::type_is_told)],
    )
    .when(DPOP),
    must(
        "rfc9449-5-grants",
        "5",
        "Codes and refresh tokens are exchanged for bound tokens too.",
        &[check!(token::code_and_refresh)],
    )
    .when(REFRESHED),
    must(
        "rfc9449-5-refresh-binding",
        "5",
        "A refresh token of a public client works with the key that it was issued to alone.",
        &[
            check!(token::refresh_with_another_key),
            check!(token::refresh_without_a_proof),
        ],
    )
    .when(REFRESHED),
    must(
        "rfc9449-5-refresh-of-confidential",
        "5",
        "A refresh token of a confidential client is not bound to the key of a proof.",
        &[check!(token::confidential_client_changes_its_key)],
    )
    .when(&[
        Feature::Member("dpop_signing_alg_values_supported"),
        Feature::Member("registration_endpoint"),
        Feature::Grant("refresh_token"),
    ]),
    must(
        "rfc9449-5.1-metadata",
        "5.1",
        "dpop_signing_alg_values_supported is a list of asymmetric algorithms.",
        &[check!(look token::algorithms_are_listed)],
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-5.1-announced",
        "5.1",
        "Proofs by the algorithms that are announced are taken, and by no others.",
        &[check!(proof::by_every_algorithm)],
    )
    .when(DPOP),
    must(
        "rfc9449-5.2-always",
        "5.2",
        "A client that registered dpop_bound_access_tokens gets no token without a proof.",
        &[check!(token::client_that_always_proves)],
    )
    .when(REGISTERED),
    must(
        "rfc9449-6.1-jkt",
        "6.1",
        "A bound JWT names the thumbprint of the key in cnf.",
        &[check!(token::jwt_names_the_key)],
    )
    .when(DPOP),
    must(
        "rfc9449-6.2-introspection",
        "6.2",
        "Introspection of a bound token tells the thumbprint, and no other token_type than DPoP.",
        &[check!(token::introspection_tells_the_key)],
    )
    .when(INTROSPECTED),
    must(
        "rfc9449-7.1-scheme",
        "7.1",
        "A bound token with a proof for it is taken under the scheme DPoP.",
        resource::each!(resource::good_proof),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-7.1-proof",
        "7.1",
        "A bound token without a proof is refused.",
        resource::each!(resource::no_proof),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-7-ath",
        "7",
        "A proof names the hash of the token that it comes with.",
        resource::each!(resource::another_token),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-7.1-key",
        "7.1",
        "A proof of another key than the token's is refused.",
        resource::each!(resource::another_key),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-7.1-checked",
        "7.1",
        "A protected resource checks proofs as the token endpoint does.",
        resource::each!(resource::bad_proofs),
    )
    .when(ANNOUNCED),
    should(
        "rfc9449-7.1-error",
        "7.1",
        "The challenge to a token that failed has the scheme DPoP and an error.",
        resource::each!(resource::challenge_has_error),
    )
    .when(ANNOUNCED),
    should(
        "rfc9449-7.1-algs",
        "7.1",
        "The challenge tells the algorithms of proofs.",
        resource::each!(resource::challenge_has_algorithms),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-7.2-no-downgrade",
        "7.2",
        "A bound token is refused under the scheme Bearer.",
        resource::each!(resource::as_bearer),
    )
    .when(ANNOUNCED),
    should(
        "rfc9449-7.2-no-error-without-token",
        "7.2",
        "A request without any authentication gets no error code in any challenge.",
        resource::each!(resource::nothing_to_complain_of),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-8-nonce-checked",
        "8",
        "Where nonces are given, a proof with another one is refused.",
        &[check!(nonce::invented)],
    )
    .when(DPOP),
    must(
        "rfc9449-8-challenge",
        "8",
        "A wrong nonce is answered 400 use_dpop_nonce with one DPoP-Nonce, and that one works.",
        &[check!(nonce::challenge_has_one)],
    )
    .when(DPOP),
    must(
        "rfc9449-8-code-survives",
        "8",
        "A code is still good after its first redemption met the wish for a nonce.",
        &[check!(nonce::code_survives)],
    )
    .when(OF_PEOPLE),
    must(
        "rfc9449-8-unpredictable",
        "8",
        "A nonce cannot be predicted.",
        &[],
    )
    .unchecked("how a nonce is made does not show from outside")
    .when(DPOP),
    must(
        "rfc9449-8.1-syntax",
        "8.1",
        "A nonce has the characters of a scope token.",
        &[check!(nonce::syntax)],
    )
    .when(DPOP),
    should(
        "rfc9449-8.2-not-cached",
        "8.2",
        "Answers with a nonce are not to be stored.",
        &[check!(nonce::not_stored)],
    )
    .when(DPOP),
    must(
        "rfc9449-9-resource-nonce",
        "9",
        "A protected resource that gives nonces asks for one by 401, use_dpop_nonce and DPoP-Nonce.",
        resource::each!(resource::wants_its_nonce),
    )
    .when(ANNOUNCED),
    must(
        "rfc9449-10-dpop-jkt",
        "10",
        "A code that was asked for with dpop_jkt is redeemed with that key, and with no other.",
        &[check!(code::asked_for_with_a_key)],
    )
    .when(OF_PEOPLE),
    must(
        "rfc9449-10.1-pushed",
        "10.1",
        "The key of a proof with a pushed request binds the code, as a pushed dpop_jkt does.",
        &[check!(code::pushed_proof_binds), check!(code::pushed_key_binds)],
    )
    .when(PUSHED),
    must(
        "rfc9449-10.1-checked",
        "10.1",
        "The proof with a pushed request is checked.",
        &[check!(code::pushed_proof_is_checked)],
    )
    .when(PUSHED),
    must(
        "rfc9449-10.1-both",
        "10.1",
        "A pushed request with a proof and another key's dpop_jkt is refused.",
        &[check!(code::two_keys_are_pushed)],
    )
    .when(PUSHED),
    should(
        "rfc9449-11.1-once",
        "11.1",
        "A proof is good once.",
        &[check!(proof::replayed)],
    )
    .when(DPOP),
    should(
        "rfc9449-11.1-once-at-resources",
        "11.1",
        "A proof is good once at a protected resource.",
        resource::each!(resource::replayed),
    )
    .when(ANNOUNCED),
];

/// The answer to a token request of the confidential client with that proof.
async fn asked(subject: &Subject, draft: &Draft<'_>) -> Result<Answer, Stop> {
    subject.credentials()?;
    let request = || subject.token_request();
    subject.send_proved(request, draft).await
}

/// The answer to one with a good proof, which binds the token.
async fn bound(subject: &Subject, draft: &Draft<'_>) -> Result<(String, Answer), Stop> {
    let answer = asked(subject, draft).await?;
    let token = is_bound(subject, &answer)?;
    Ok((token, answer))
}

/// The token of an answer that says that it is bound.
fn is_bound(subject: &Subject, answer: &Answer) -> Result<String, Stop> {
    answer.status(&[200])?;
    let token = answer.text("access_token")?;
    subject.redactor().learn(&token);
    let kind = answer.text("token_type")?;
    if kind.eq_ignore_ascii_case("bearer") {
        return Err(Stop::not_applicable("the server does not bind this token"));
    }
    answer.require(
        kind.eq_ignore_ascii_case("dpop"),
        format!("token_type is {kind}"),
    )?;
    Ok(token)
}
