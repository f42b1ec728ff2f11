//! Threat 5: everything that the server hands out, or takes of others, shown at every place that takes something. Only what belongs there is
//! taken, and nothing is spent or ended by having been shown where it does not belong.

mod artefacts;
mod made;
mod minted;
mod places;

use std::collections::BTreeSet;

use auth_server::browser::Form;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use self::artefacts::Artefact;
use self::made::Made;
use self::places::{Place, World};
use crate::stage::Stage;

on_each_store!(auth_server::store::MIGRATIONS;
    threat_5_nothing_is_taken_for_something_else,
    threat_5_every_endpoint_is_a_place_or_takes_nothing,
);

/// What belongs where, in an order in which each still works after those before it: sign-outs and revocations come last.
const ALLOWED: &[(Artefact, Place)] = &[
    (Artefact::UserCode, Place::UserCode),
    (Artefact::UserCode, Place::UserCodeInLink),
    (Artefact::UserCode, Place::UserCodeInPicture),
    (Artefact::UserCodeForm, Place::UserCodeForm),
    (Artefact::DeviceForm, Place::DeviceForm),
    (Artefact::DeviceCode, Place::DeviceCode),
    (Artefact::ApiToken, Place::Introspected),
    (Artefact::OwnToken, Place::Introspected),
    (Artefact::OpaqueToken, Place::Introspected),
    (Artefact::BoundToken, Place::Introspected),
    (Artefact::BoundOpaqueToken, Place::Introspected),
    (Artefact::CertifiedToken, Place::Introspected),
    (Artefact::RefreshToken, Place::Introspected),
    (Artefact::ApiToken, Place::Userinfo),
    (Artefact::OwnToken, Place::Userinfo),
    (Artefact::OpaqueToken, Place::Userinfo),
    (Artefact::ApiToken, Place::UserinfoByPost),
    (Artefact::OwnToken, Place::UserinfoByPost),
    (Artefact::OpaqueToken, Place::UserinfoByPost),
    (Artefact::ApiToken, Place::UserinfoInForm),
    (Artefact::OwnToken, Place::UserinfoInForm),
    (Artefact::OpaqueToken, Place::UserinfoInForm),
    (Artefact::ApiToken, Place::UserinfoByCertificate),
    (Artefact::OwnToken, Place::UserinfoByCertificate),
    (Artefact::OpaqueToken, Place::UserinfoByCertificate),
    (Artefact::CertifiedToken, Place::UserinfoByCertificate),
    (Artefact::ApiToken, Place::UserinfoByAnotherCertificate),
    (Artefact::OwnToken, Place::UserinfoByAnotherCertificate),
    (Artefact::OpaqueToken, Place::UserinfoByAnotherCertificate),
    (Artefact::BoundToken, Place::UserinfoByKey),
    (Artefact::BoundOpaqueToken, Place::UserinfoByKey),
    (Artefact::UserinfoProof, Place::ProofAtUserinfo),
    (Artefact::DpopNonce, Place::NonceAtUserinfo),
    (Artefact::ApiToken, Place::SubjectAccessToken),
    (Artefact::OpaqueToken, Place::SubjectAccessToken),
    (Artefact::BoundToken, Place::SubjectAccessToken),
    (Artefact::BoundOpaqueToken, Place::SubjectAccessToken),
    (Artefact::CertifiedToken, Place::SubjectAccessToken),
    (Artefact::ApiToken, Place::SubjectJwt),
    (Artefact::BoundToken, Place::SubjectJwt),
    (Artefact::CertifiedToken, Place::SubjectJwt),
    (Artefact::ActorToken, Place::ActorAccessToken),
    (Artefact::ActorToken, Place::ActorJwt),
    (Artefact::ActorToken, Place::Introspected),
    (Artefact::ActorToken, Place::SubjectAccessToken),
    (Artefact::ActorToken, Place::SubjectJwt),
    (Artefact::IdToken, Place::SubjectIdToken),
    (Artefact::RefreshToken, Place::SubjectRefreshToken),
    (Artefact::BearerAssertion, Place::Assertion),
    (Artefact::IdentityAssertion, Place::Assertion),
    (Artefact::ClientAssertion, Place::ClientAssertionAtToken),
    (Artefact::ClientAssertion, Place::ClientAssertionAtPush),
    (
        Artefact::ClientAssertion,
        Place::ClientAssertionAtIntrospection,
    ),
    (
        Artefact::ClientAssertion,
        Place::ClientAssertionAtRevocation,
    ),
    (Artefact::ClientAssertion, Place::ClientAssertionOfDevice),
    (Artefact::ToolAssertion, Place::RevokingAll),
    (Artefact::ClientSecret, Place::BasicSecret),
    (Artefact::PostedSecret, Place::PostedSecret),
    (Artefact::TokenProof, Place::ProofAtToken),
    (Artefact::DpopNonce, Place::NonceAtToken),
    (Artefact::PushProof, Place::ProofAtPush),
    (Artefact::DpopNonce, Place::NonceAtPush),
    (Artefact::KeyThumbprint, Place::KeyOfCode),
    (Artefact::KeyThumbprint, Place::KeyOfPushedRequest),
    (Artefact::ClientId, Place::ClientId),
    (Artefact::RequestObject, Place::Request),
    (Artefact::RequestObject, Place::PushedRequest),
    (Artefact::RequestUri, Place::RequestUri),
    (Artefact::RequestReference, Place::RequestUri),
    (Artefact::IdToken, Place::IdTokenHint),
    (Artefact::SoftwareStatement, Place::SoftwareStatement),
    (Artefact::InitialAccessToken, Place::Registering),
    (Artefact::RegistrationAccessToken, Place::Managing),
    (Artefact::SessionCookie, Place::SessionCookie),
    (Artefact::BrowserCookie, Place::BrowserCookie),
    (Artefact::DeviceCookie, Place::DeviceCookie),
    (Artefact::Interaction, Place::Interaction),
    (Artefact::Interaction, Place::Resume),
    (Artefact::ClientId, Place::Logo),
    (Artefact::SignInForm, Place::SignInForm),
    (Artefact::SignUpForm, Place::SignUpForm),
    (Artefact::SelectAccountForm, Place::SelectAccountForm),
    (Artefact::ConsentForm, Place::ConsentForm),
    (Artefact::Code, Place::CodeByKey),
    (Artefact::Code, Place::CodeByAnotherKey),
    (Artefact::Code, Place::Code),
    (Artefact::BoundCode, Place::CodeByKey),
    (Artefact::CertifiedCode, Place::CodeByCertificate),
    (Artefact::RefreshToken, Place::RefreshToken),
    (Artefact::PublicRefreshToken, Place::RefreshTokenByKey),
    (
        Artefact::PublicRefreshToken,
        Place::RefreshTokenByAnotherKey,
    ),
    (Artefact::PublicRefreshToken, Place::RefreshTokenOfPublic),
    (Artefact::BoundRefreshToken, Place::RefreshTokenByKey),
    (
        Artefact::CertifiedRefreshToken,
        Place::RefreshTokenByCertificate,
    ),
    (Artefact::OpaqueToken, Place::Revoked),
    (Artefact::BoundOpaqueToken, Place::Revoked),
    (Artefact::BoundToken, Place::Revoked),
    (Artefact::ApiToken, Place::Revoked),
    (Artefact::OwnToken, Place::Revoked),
    (Artefact::ActorToken, Place::Revoked),
    (Artefact::RefreshToken, Place::Revoked),
    (Artefact::SignOutForm, Place::SignOutForm),
    (Artefact::IdToken, Place::LogoutHint),
    (Artefact::LogoutHandle, Place::LogoutResume),
];

/// The token of a form, and where the form is sent.
const fn of_form(form: Form) -> (Artefact, Place) {
    match form {
        Form::SignIn => (Artefact::SignInForm, Place::SignInForm),
        Form::SignUp => (Artefact::SignUpForm, Place::SignUpForm),
        Form::SelectAccount => (Artefact::SelectAccountForm, Place::SelectAccountForm),
        Form::Consent => (Artefact::ConsentForm, Place::ConsentForm),
        Form::UserCode => (Artefact::UserCodeForm, Place::UserCodeForm),
        Form::Device => (Artefact::DeviceForm, Place::DeviceForm),
        Form::SignOut => (Artefact::SignOutForm, Place::SignOutForm),
    }
}

async fn threat_5_nothing_is_taken_for_something_else(stores: &Stores) {
    let stage = Box::pin(Stage::set(stores)).await;
    let made = Box::pin(Made::all(&stage)).await;
    let world = World {
        stage: &stage,
        made: &made,
    };
    let mut taken = Vec::new();
    for artefact in Artefact::ALL {
        for place in Place::ALL {
            if ALLOWED.contains(&(*artefact, *place)) {
                continue;
            }
            let another = if artefact.is_code() && place.spends_codes() {
                Made::another(&stage, *artefact).await
            } else {
                None
            };
            let value = another.as_deref().unwrap_or(made.value(*artefact));
            if Box::pin(place.takes(&world, value)).await {
                taken.push((artefact, place));
            }
        }
    }
    assert!(taken.is_empty(), "what does not belong there: {taken:#?}");
    let mut lost = Vec::new();
    for (at, (artefact, place)) in ALLOWED.iter().enumerate() {
        // What was shown everywhere else is good at the last of its own places.
        let is_last = ALLOWED[at + 1..].iter().all(|(later, _)| later != artefact);
        let another = if is_last {
            None
        } else {
            Made::another(&stage, *artefact).await
        };
        let value = another.as_deref().unwrap_or(made.value(*artefact));
        if !Box::pin(place.takes(&world, value)).await {
            lost.push((artefact, place));
        }
    }
    assert!(
        lost.is_empty(),
        "what belongs there, and is gone: {lost:#?}"
    );
    stage.scene.server.stop().await;
}

/// What is documented takes something here, or takes nothing at all.
async fn threat_5_every_endpoint_is_a_place_or_takes_nothing(stores: &Stores) {
    let stage = Box::pin(Stage::set(stores)).await;
    let described = stage.server().get("/openapi.json").await.body;
    let paths = described["paths"].as_object().unwrap().keys();
    let mut unknown: BTreeSet<&str> = paths.map(String::as_str).collect();
    for place in Place::ALL {
        for path in place.paths() {
            unknown.remove(path);
        }
    }
    for path in places::TAKING_NOTHING {
        assert!(unknown.remove(path), "{path} is not documented");
    }
    assert!(unknown.is_empty(), "nothing is tried at {unknown:?}");
    stage.scene.server.stop().await;
}

#[test]
fn threat_5_each_artefact_and_each_place_has_its_match() {
    let artefacts: BTreeSet<_> = ALLOWED.iter().map(|(artefact, _)| *artefact).collect();
    let nowhere: Vec<_> = Artefact::ALL
        .iter()
        .filter(|artefact| !artefacts.contains(artefact))
        .collect();
    assert_eq!(nowhere, Artefact::FOR_OTHERS.iter().collect::<Vec<_>>());
    let places: BTreeSet<_> = ALLOWED.iter().map(|(_, place)| *place).collect();
    let never: Vec<_> = Place::ALL
        .iter()
        .filter(|place| !places.contains(place))
        .collect();
    assert_eq!(never, Place::OF_NOTHING.iter().collect::<Vec<_>>());
}

#[test]
fn threat_22_the_token_of_each_form_is_shown_everywhere() {
    for form in Form::ALL {
        assert!(ALLOWED.contains(&of_form(*form)), "{form:?}");
    }
}
