//! Threats 15 and 16 at the demo app: all that attackers make of a logout token that holds (OpenID Connect Back-Channel Logout 1.0 §2.6).

use serde_json::json;
use shared_protocol::jose::{Algorithm, KeyId};
use shared_protocol::time::{Clock as _, SystemClock};
use shared_testing::forgeries::{Original, forgeries};

use crate::operator::Operator;
use crate::process::{Place, http, send};

#[tokio::test]
async fn threats_15_and_16_logout_tokens() {
    let place = Place::new();
    let running = place.start(&[]);
    let operator = Operator::at(&place).await;
    let key = operator.signer(Algorithm::Rs256);
    let kid = key.public().kid().map(KeyId::as_str);
    let now = SystemClock.now().as_secs();
    let original = Original {
        header: json!({"alg": "RS256", "typ": "logout+jwt", "kid": kid}),
        claims: json!({
            "iss": place.auth(""),
            "aud": place.demo()["app"]["client_id"],
            "sub": "usr_0000000000000000000000",
            "iat": now,
            "exp": now + 600,
            "jti": "jti",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }),
        public_key: key.public().to_value(),
        known: vec![place.auth("").into()],
        types: vec!["logout+jwt"],
    };
    let sign = async |input: &[u8]| key.sign(input).await.unwrap();
    let (holds, forged) = forgeries(&original, sign).await;
    let http = http();
    let hear = async |token: &str| {
        let request = http.post(place.app("/back-channel-logout"));
        let answer = send(request.form(&[("logout_token", token)])).await;
        answer.status().as_u16()
    };
    assert!(forged.len() > 120, "{}", forged.len());
    let mut taken = Vec::new();
    for forgery in forged {
        let status = hear(&forgery.token).await;
        assert!([200, 400].contains(&status), "{}: {status}", forgery.what);
        if status == 200 {
            taken.push(forgery.what);
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert_eq!(hear(&holds).await, 200, "nothing spent it");
    assert_eq!(running.log(), "");
}
