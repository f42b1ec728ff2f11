//! Threat 5: everything that the server hands out, or takes of others, shown at every place that takes something. Only what belongs there is
//! taken, and nothing is spent or ended by having been shown where it does not belong.

mod artefacts;
mod places;

use std::collections::BTreeSet;

use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use self::artefacts::{Artefact, Made};
use self::places::{Place, World};
use crate::stage::Stage;

on_each_store!(auth_server::store::MIGRATIONS;
    threat_5_nothing_is_taken_for_something_else,
    threat_5_every_endpoint_is_a_place_or_takes_nothing,
);

/// What belongs where, in an order in which each still works after those before it: sign-outs and revocations come last.
const ALLOWED: &[(Artefact, Place)] = &[
    (Artefact::UserCode, Place::UserCode),
    (Artefact::DeviceForm, Place::DeviceForm),
    (Artefact::DeviceCode, Place::DeviceCode),
    (Artefact::ApiToken, Place::Introspected),
    (Artefact::OwnToken, Place::Introspected),
    (Artefact::OpaqueToken, Place::Introspected),
    (Artefact::RefreshToken, Place::Introspected),
    (Artefact::ApiToken, Place::Userinfo),
    (Artefact::OwnToken, Place::Userinfo),
    (Artefact::OpaqueToken, Place::Userinfo),
    (Artefact::ApiToken, Place::SubjectAccessToken),
    (Artefact::OpaqueToken, Place::SubjectAccessToken),
    (Artefact::ApiToken, Place::SubjectJwt),
    (Artefact::ActorToken, Place::ActorAccessToken),
    (Artefact::ActorToken, Place::ActorJwt),
    (Artefact::ActorToken, Place::Introspected),
    (Artefact::ActorToken, Place::SubjectAccessToken),
    (Artefact::ActorToken, Place::SubjectJwt),
    (Artefact::IdToken, Place::SubjectIdToken),
    (Artefact::RefreshToken, Place::SubjectRefreshToken),
    (Artefact::BearerAssertion, Place::Assertion),
    (Artefact::IdentityAssertion, Place::Assertion),
    (Artefact::ClientAssertion, Place::ClientAssertion),
    (Artefact::ToolAssertion, Place::RevokingAll),
    (Artefact::ClientSecret, Place::ClientSecret),
    (Artefact::RequestObject, Place::Request),
    (Artefact::RequestObject, Place::PushedRequest),
    (Artefact::RequestUri, Place::RequestUri),
    (Artefact::IdToken, Place::IdTokenHint),
    (Artefact::SoftwareStatement, Place::SoftwareStatement),
    (Artefact::InitialAccessToken, Place::Registering),
    (Artefact::RegistrationAccessToken, Place::Managing),
    (Artefact::SessionCookie, Place::SessionCookie),
    (Artefact::BrowserCookie, Place::BrowserCookie),
    (Artefact::Interaction, Place::Interaction),
    (Artefact::Interaction, Place::Resume),
    (Artefact::DpopNonce, Place::DpopNonce),
    (Artefact::DpopProof, Place::Dpop),
    (Artefact::ClientId, Place::Logo),
    (Artefact::FormToken, Place::FormToken),
    (Artefact::Code, Place::Code),
    (Artefact::RefreshToken, Place::RefreshToken),
    (Artefact::OpaqueToken, Place::Revoked),
    (Artefact::ApiToken, Place::Revoked),
    (Artefact::OwnToken, Place::Revoked),
    (Artefact::ActorToken, Place::Revoked),
    (Artefact::RefreshToken, Place::Revoked),
    (Artefact::SignOutForm, Place::SignOutForm),
    (Artefact::IdToken, Place::LogoutHint),
    (Artefact::LogoutHandle, Place::LogoutResume),
];

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
            let pair = (*artefact, *place);
            if !ALLOWED.contains(&pair)
                && Box::pin(place.takes(&world, made.value(*artefact))).await
            {
                taken.push(pair);
            }
        }
    }
    assert!(taken.is_empty(), "what does not belong there: {taken:#?}");
    let mut lost = Vec::new();
    for (artefact, place) in ALLOWED {
        if !Box::pin(place.takes(&world, made.value(*artefact))).await {
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
