//! Threats 15 and 16: all that attackers make of a token, or of a proof, that holds, at the guard of the API.

use serde_json::{Value, json};
use shared_protocol::jose::{JwtKind, KeyId, Signer, SigningKey};
use shared_testing::forgeries::{Original, fits_header, forgeries};
use shared_testing::prover::{Prover, ath, good, with};

use crate::harness::{Api, on_both_stores};
use crate::sender::{ME, api, prove};

/// What verifies a JWT here.
#[derive(Clone, Copy, Debug)]
enum Verifier {
    /// A bearer token.
    Bearer,
    /// A token that is bound to a key, with a good proof of it by that key.
    Bound,
    /// A proof, beside a token that holds.
    Proof,
}

/// Where a kind of JWT is read: all that the test runs over. What this API signs itself, and what an issuer answers it, is no JWT that it reads.
const fn read_at(kind: JwtKind) -> &'static [Verifier] {
    match kind {
        JwtKind::AccessToken => &[Verifier::Bearer, Verifier::Bound],
        JwtKind::DpopProof => &[Verifier::Proof],
        JwtKind::ClientAssertion
        | JwtKind::IdToken
        | JwtKind::SoftwareStatement
        | JwtKind::LogoutToken
        | JwtKind::RequestObject
        | JwtKind::BearerAssertion
        | JwtKind::IdentityAssertion
        | JwtKind::AuthorizationResponse
        | JwtKind::Userinfo
        | JwtKind::ServerMetadata
        | JwtKind::TokenIntrospection => &[],
    }
}

/// Who has a key, and a token that is bound to it.
struct World {
    api: Api,
    prover: Prover,
    token: String,
}

impl Verifier {
    /// Something that it takes, and the key that signs such.
    fn original(self, world: &World) -> (Original, &SigningKey) {
        let World { api, prover, token } = world;
        let (key, header, claims, typ) = match self {
            Self::Bearer | Self::Bound => {
                let key = &api.issuer.key;
                let mut claims = api.service_claims();
                if matches!(self, Self::Bound) {
                    claims["cnf"] = prover.cnf();
                }
                let kid = key.public().kid().map(KeyId::as_str);
                let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid});
                (key, header, claims, "at+jwt")
            }
            Self::Proof => {
                let changes = json!({"htm": "GET", "ath": ath(token)});
                let claims: Value = with(&good(api, ME), &changes);
                (&prover.key, prover.header(), claims, "dpop+jwt")
            }
        };
        let original = Original {
            header,
            claims,
            public_key: key.public().to_value(),
            known: vec![api.issuer.identifier().into(), token.clone().into()],
            types: vec![typ],
        };
        (original, key)
    }

    /// Whether it takes this one; what it does not take is the fault of who sent it.
    async fn takes(self, world: &World, jwt: &str) -> bool {
        if !fits_header(jwt) {
            return false;
        }
        let World { api, prover, token } = world;
        let response = match self {
            Self::Bearer => api.show(&format!("Bearer {jwt}"), &[]).await,
            Self::Bound => {
                let proof = prove(api, prover, jwt, &json!({})).await;
                api.show(&format!("DPoP {jwt}"), &[&proof]).await
            }
            Self::Proof => api.show(&format!("DPoP {token}"), &[jwt]).await,
        };
        let status = response.status().as_u16();
        assert!(
            [200, 400, 401, 431].contains(&status),
            "{self:?}: {status} for {jwt}"
        );
        status == 200
    }
}

on_both_stores! {
    async fn threats_15_and_16_tokens_and_proofs(storage: Storage) {
        let api = api(storage, |config| {
            config.rate_limits.address.requests = 0;
            config.rate_limits.account.requests = 0;
            config.rate_limits.client.requests = 0;
        })
        .await;
        let prover = Prover::new();
        let token = api.bound(&prover.cnf()).await;
        let world = World { api, prover, token };
        let verifiers = JwtKind::ALL.iter().flat_map(|kind| read_at(*kind));
        let mut tried = 0;
        for verifier in verifiers {
            let (original, key) = verifier.original(&world);
            let sign = async |input: &[u8]| key.sign(input).await.unwrap();
            let (holds, forged) = forgeries(&original, sign).await;
            assert!(forged.len() > 120, "{verifier:?}: {}", forged.len());
            let mut believed = Vec::new();
            for forgery in forged {
                if verifier.takes(&world, &forgery.token).await {
                    believed.push(forgery.what);
                }
            }
            assert!(believed.is_empty(), "{verifier:?} takes {believed:#?}");
            assert!(verifier.takes(&world, &holds).await, "{verifier:?}");
            tried += 1;
        }
        assert_eq!(tried, 3);
        world.api.stop().await;
    }
}
