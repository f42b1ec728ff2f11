//! Threats 15 and 16: every verifier of JWTs that the server has, and all that attackers make of what holds there.

mod originals;
mod showing;
mod verifiers;

use std::collections::BTreeMap;

use shared_protocol::jose::JwtKind;
use shared_testing::forgeries::forgeries;
use shared_testing::stores::Stores;

use self::showing::World;
use self::verifiers::{OF_ACCESS_TOKENS, READERS, read_at};
use crate::source::said;
use crate::stage::Stage;

/// A test for each kind, of all that reads it.
macro_rules! tried {
    ($($test:ident: $kind:ident),* $(,)?) => {
        shared_testing::on_each_store!(auth_server::store::MIGRATIONS; $($test),*);

        $(async fn $test(stores: &Stores) {
            Box::pin(try_all(stores, JwtKind::$kind)).await;
        })*

        const TRIED: &[JwtKind] = &[$(JwtKind::$kind),*];
    };
}

tried!(
    threats_15_and_16_access_tokens: AccessToken,
    threats_15_and_16_assertions_of_clients: ClientAssertion,
    threats_15_and_16_bearer_assertions: BearerAssertion,
    threats_15_and_16_identity_assertions: IdentityAssertion,
    threats_15_and_16_request_objects: RequestObject,
    threats_15_and_16_software_statements: SoftwareStatement,
    threats_15_and_16_id_tokens: IdToken,
    threats_15_and_16_proofs: DpopProof,
);

async fn try_all(stores: &Stores, kind: JwtKind) {
    let stage = Box::pin(Stage::set(stores)).await;
    let mut world = World::on(&stage).await;
    for verifier in read_at(kind) {
        let mut case = verifier.case(&stage).await;
        world.beside = case.beside.take().unwrap_or_default();
        let others = [&stage.app.secret, &stage.server().issuer];
        let others = others.map(|text| text.clone().into_bytes());
        case.original.known.extend(others);
        let sign = async |input: &[u8]| case.maker.sign(input).await;
        let (good, forged) = forgeries(&case.original, sign).await;
        world.good = good;
        assert!(forged.len() > 120, "{verifier:?}: {}", forged.len());
        let mut taken = Vec::new();
        for forgery in forged {
            if Box::pin(verifier.takes(&world, &forgery.token)).await {
                taken.push(forgery.what);
            }
        }
        assert!(taken.is_empty(), "{verifier:?} takes {taken:#?}");
        let is_taken = Box::pin(verifier.takes(&world, &world.good)).await;
        assert!(
            is_taken,
            "{verifier:?} takes what holds, and nothing spent it"
        );
    }
    stage.scene.server.stop().await;
}

#[test]
fn rfc8725_3_11_each_kind_that_is_read_is_tried_where_it_is_read() {
    for package in ["auth-server", "shared/protocol"] {
        let known = READERS.iter().filter(|(of, ..)| *of == package);
        let known: BTreeMap<String, usize> = known
            .map(|(_, says, times, _)| ((*says).to_owned(), *times))
            .collect();
        let mut found = BTreeMap::new();
        for reads in ["Jwt::parse(", "(unsecured_claims("] {
            for (says, times) in said(package, reads, ")") {
                let says = says.rsplit(", ").next().unwrap_or_default();
                *found.entry(says.to_owned()).or_default() += times;
            }
        }
        assert_eq!(found, known, "{package}: say what a new reader reads");
    }
    let of_access_tokens = said("auth-server", "tokens.read(", ")");
    let readers: usize = of_access_tokens.values().sum();
    assert_eq!(readers, OF_ACCESS_TOKENS, "try a new one");
    for kind in JwtKind::ALL {
        let is_read = READERS.iter().any(|(.., kinds)| kinds.contains(kind));
        let is_tried = TRIED.contains(kind);
        assert_eq!(is_read, is_tried, "{kind:?}: read, or tried, and not both");
        assert_eq!(is_tried, !read_at(*kind).is_empty(), "{kind:?}");
    }
}
