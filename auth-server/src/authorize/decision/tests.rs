use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared_protocol::scope::ScopeSet;

use super::*;
use crate::authorize::acr::{Levels, RequestedAcr};
use crate::authorize::claims::RequestedClaims;
use crate::authorize::display::Display;
use crate::authorize::request::{Origin, ResponseMode, ResponseType};
use crate::authorize::response::ReturnPath;
use crate::clients::Client;
use crate::config::AcrLevel;
use crate::locales::Locales;
use crate::parameters::Parameters;
use crate::sessions::Amr;
use crate::subjects::{Expected, Subjects};

const WEB: &str = "https://app.example/cb";
const LOOPBACK: &str = "http://127.0.0.1/cb";
const PRIVATE_USE: &str = "com.example.app:/cb";
const NOON: Instant = Instant::from_secs(12 * 3600);

fn scope(raw: &str) -> ScopeSet {
    raw.parse().unwrap()
}

fn agreement(own: &str) -> Agreement {
    Agreement {
        own: scope(own),
        ..Agreement::default()
    }
}

/// A request for `openid`, from a public client whose one redirect URI this is.
fn request(redirect_uri: &str, changes: &Value) -> AuthorizationRequest {
    let mut metadata = json!({
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "scope": "openid offline_access",
    });
    let members = metadata.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    let metadata = serde_json::from_value(metadata).unwrap();
    let client = Client::new("app".parse().unwrap(), metadata, Vec::new()).unwrap();
    let client = Arc::new(client);
    AuthorizationRequest {
        back: ReturnPath {
            issuer: Arc::new("https://as.example".parse().unwrap()),
            client: Arc::clone(&client),
            redirect_uri: client.matching(redirect_uri, true).unwrap(),
            mode: ResponseMode::Query,
            state: None,
        },
        client,
        origin: Origin::default(),
        response_type: ResponseType::Code,
        scope: scope("openid"),
        asked: agreement("openid"),
        code_challenge: None,
        confirmation: None,
        nonce: None,
        prompt: [].into(),
        max_age: None,
        claims: RequestedClaims::default(),
        acr: RequestedAcr::default(),
        locales: Locales::default(),
        display: Display::Page,
        expected: None,
        login_hint: None,
    }
}

fn session(auth_time: Instant) -> Session {
    use shared_protocol::random::SystemRandom;
    Session {
        id: crate::sessions::SessionId::generate(&SystemRandom),
        account_id: crate::accounts::AccountId::generate(&SystemRandom),
        auth_time,
        amr: vec![Amr::Pwd],
    }
}

/// The step, or the code of the refusal.
fn told(decided: Result<Step, RedirectCause>) -> Result<Step, &'static str> {
    decided.map_err(|cause| cause.code().as_str())
}

#[test]
fn oidc_3_1_2_3_when_a_person_signs_in() {
    let ago = |minutes| Some(NOON - Duration::from_mins(minutes));
    let signed_in = Ok(Step::Issue(Consented::Shown));
    let (sign_in, login_required) = (Ok(Step::SignIn), Err("login_required"));
    let (none, login): (&[Prompt], &[Prompt]) = (&[Prompt::None], &[Prompt::Login]);
    // What, when they signed in, prompt, max_age in minutes, when the interaction began.
    for (what, auth_time, prompt, max_age, began_at, expected) in [
        ("nobody", None, &[][..], None, None, sign_in),
        ("nobody, silently", None, none, None, None, login_required),
        ("somebody", ago(60), &[], None, None, signed_in),
        ("somebody, silently", ago(60), none, None, None, signed_in),
        ("again, please", ago(60), login, None, None, sign_in),
        ("again, this moment", ago(0), login, None, None, sign_in),
        (
            "again, in the interaction",
            ago(60),
            login,
            None,
            ago(10),
            sign_in,
        ),
        ("again, done since", ago(5), login, None, ago(10), signed_in),
        (
            "again, done at once",
            ago(10),
            login,
            None,
            ago(10),
            signed_in,
        ),
        ("recently enough", ago(60), &[], Some(61), None, signed_in),
        ("not recently enough", ago(60), &[], Some(59), None, sign_in),
        (
            "not recently, silently",
            ago(60),
            none,
            Some(59),
            None,
            login_required,
        ),
        ("never enough", ago(0), &[], Some(0), None, sign_in),
        (
            "never, done since",
            ago(5),
            &[],
            Some(0),
            ago(10),
            signed_in,
        ),
        (
            "decided for long",
            ago(60),
            &[],
            Some(10),
            ago(61),
            signed_in,
        ),
    ] {
        let session = auth_time.map(session);
        let mut request = request(WEB, &json!({}));
        request.prompt = prompt.iter().copied().collect();
        request.max_age = max_age.map(Duration::from_mins);
        let remembered = agreement("openid");
        let circumstances = Circumstances {
            session: session.as_ref(),
            remembered: Some(&remembered),
            began_at,
            chosen: None,
            now: NOON,
        };
        assert_eq!(told(decide(&request, &circumstances)), expected, "{what}");
    }
}

#[test]
fn oidc_3_1_2_1_who_is_not_expected_is_not_signed_in() {
    let ago = |minutes| Some(NOON - Duration::from_mins(minutes));
    let signed_in = Ok(Step::Issue(Consented::Shown));
    let (sign_in, login_required) = (Ok(Step::SignIn), Err("login_required"));
    let (none, login): (&[Prompt], &[Prompt]) = (&[Prompt::None], &[Prompt::Login]);
    // What, when somebody signed in, whether it is whom the client expects, prompt, when the interaction began.
    for (what, auth_time, is_expected, prompt, began_at, expected) in [
        ("nobody", None, false, &[][..], None, sign_in),
        ("nobody, silently", None, false, none, None, login_required),
        ("the same", ago(60), true, &[], None, signed_in),
        ("the same, silently", ago(60), true, none, None, signed_in),
        ("the same, again", ago(60), true, login, None, sign_in),
        ("the same, since", ago(5), true, login, ago(10), signed_in),
        ("another", ago(60), false, &[], None, sign_in),
        (
            "another, silently",
            ago(60),
            false,
            none,
            None,
            login_required,
        ),
        ("another, before", ago(60), false, &[], ago(10), sign_in),
        (
            "another, since",
            ago(5),
            false,
            &[],
            ago(10),
            login_required,
        ),
        (
            "another, at once",
            ago(10),
            false,
            login,
            ago(10),
            login_required,
        ),
    ] {
        let session = auth_time.map(session);
        let mut request = request(WEB, &json!({}));
        request.prompt = prompt.iter().copied().collect();
        let same = session.as_ref().filter(|_| is_expected);
        let other = self::session(NOON).account_id;
        let named = same.map_or(other, |session| session.account_id.clone());
        request.expected = Some(Expected {
            subjects: Subjects::of_test(),
            client: Arc::clone(&request.client),
            among: vec![vec![named.to_string()]],
        });
        let remembered = agreement("openid");
        let circumstances = Circumstances {
            session: session.as_ref(),
            remembered: Some(&remembered),
            began_at,
            chosen: None,
            now: NOON,
        };
        assert_eq!(told(decide(&request, &circumstances)), expected, "{what}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn oidc_3_1_2_4_and_rfc8252_8_6_when_a_person_is_asked() {
    let (shown, skipped) = (
        Ok(Step::Issue(Consented::Shown)),
        Ok(Step::Issue(Consented::Skipped)),
    );
    let (consent, required) = (Ok(Step::Consent), Err("consent_required"));
    let nothing = json!({});
    let first_party = json!({"skip_consent": true});
    let web = json!({"application_type": "web"});
    let confidential = json!({"token_endpoint_auth_method": "client_secret_basic"});
    // What, client, redirect, prompt, what was agreed to before.
    for (what, client, redirect, prompt, remembered, expected) in [
        ("the first time", &web, WEB, None, None, consent),
        (
            "the first time, silently",
            &web,
            WEB,
            Some(Prompt::None),
            None,
            required,
        ),
        ("remembered", &web, WEB, None, Some("openid"), shown),
        (
            "remembered, silently",
            &web,
            WEB,
            Some(Prompt::None),
            Some("openid"),
            shown,
        ),
        (
            "remembered for more",
            &web,
            WEB,
            None,
            Some("openid email"),
            shown,
        ),
        ("remembered for less", &web, WEB, None, Some(""), consent),
        (
            "again, please",
            &web,
            WEB,
            Some(Prompt::Consent),
            Some("openid"),
            consent,
        ),
        ("first party", &first_party, WEB, None, None, skipped),
        (
            "first party, asked before",
            &first_party,
            WEB,
            None,
            Some("openid"),
            shown,
        ),
        (
            "first party, silently",
            &first_party,
            WEB,
            Some(Prompt::None),
            None,
            skipped,
        ),
        (
            "first party, please ask",
            &first_party,
            WEB,
            Some(Prompt::Consent),
            None,
            consent,
        ),
        ("claimed https", &nothing, WEB, None, Some("openid"), shown),
        (
            "loopback",
            &nothing,
            LOOPBACK,
            None,
            Some("openid"),
            consent,
        ),
        (
            "loopback, silently",
            &nothing,
            LOOPBACK,
            Some(Prompt::None),
            Some("openid"),
            required,
        ),
        (
            "loopback, first party",
            &first_party,
            LOOPBACK,
            None,
            Some("openid"),
            consent,
        ),
        (
            "private use",
            &nothing,
            PRIVATE_USE,
            None,
            Some("openid"),
            consent,
        ),
        (
            "private use, first party",
            &first_party,
            PRIVATE_USE,
            None,
            None,
            consent,
        ),
        (
            "loopback, confidential",
            &confidential,
            LOOPBACK,
            None,
            Some("openid"),
            shown,
        ),
    ] {
        let mut request = request(redirect, client);
        request.prompt = prompt.into_iter().collect();
        let remembered = remembered.map(agreement);
        let session = session(NOON);
        let circumstances = Circumstances {
            session: Some(&session),
            remembered: remembered.as_ref(),
            began_at: None,
            chosen: None,
            now: NOON + Duration::from_mins(1),
        };
        assert_eq!(told(decide(&request, &circumstances)), expected, "{what}");
    }
}

#[test]
fn oidc_11_offline_access_takes_consent_that_was_shown() {
    for (asked, consented, expected) in [
        ("openid offline_access", Consented::Shown, true),
        ("openid offline_access", Consented::Skipped, false),
        ("openid", Consented::Shown, false),
    ] {
        let mut request = request(WEB, &json!({}));
        request.scope = scope(asked);
        assert_eq!(
            is_offline(&request, consented),
            expected,
            "{asked} {consented:?}"
        );
    }
}

/// Every set of prompts that a request may hold, in each state of the browser: nobody, somebody from before, somebody who chose their
/// account, somebody who signed in for this very request.
#[test]
fn oidc_3_1_2_1_every_set_of_prompts() {
    use Prompt::{Consent, Create, Login, SelectAccount};
    let (sign_in, sign_up) = (Step::SignIn, Step::SignUp);
    let (select, consent) = (Step::SelectAccount, Step::Consent);
    let issue = Step::Issue(Consented::Shown);
    for (prompt, nobody, before, chosen, since) in [
        (&[][..], sign_in, issue, issue, issue),
        (&[Login], sign_in, sign_in, sign_in, issue),
        (&[Consent], sign_in, consent, consent, consent),
        (&[SelectAccount], sign_in, select, issue, issue),
        (&[Create], sign_up, sign_up, sign_up, issue),
        (&[Login, Consent], sign_in, sign_in, sign_in, consent),
        (&[Login, SelectAccount], sign_in, sign_in, sign_in, issue),
        (&[Login, Create], sign_up, sign_up, sign_up, issue),
        (&[Consent, SelectAccount], sign_in, select, consent, consent),
        (&[Consent, Create], sign_up, sign_up, sign_up, consent),
        (&[SelectAccount, Create], sign_up, sign_up, sign_up, issue),
        (
            &[Login, Consent, SelectAccount],
            sign_in,
            sign_in,
            sign_in,
            consent,
        ),
        (
            &[Login, Consent, Create],
            sign_up,
            sign_up,
            sign_up,
            consent,
        ),
        (
            &[Login, SelectAccount, Create],
            sign_up,
            sign_up,
            sign_up,
            issue,
        ),
        (
            &[Consent, SelectAccount, Create],
            sign_up,
            sign_up,
            sign_up,
            consent,
        ),
        (
            &[Login, Consent, SelectAccount, Create],
            sign_up,
            sign_up,
            sign_up,
            consent,
        ),
    ] {
        let mut request = request(WEB, &json!({}));
        request.prompt = prompt.iter().copied().collect();
        let remembered = agreement("openid");
        let (old, new) = (
            session(NOON - Duration::from_hours(1)),
            session(NOON - Duration::from_mins(5)),
        );
        for (what, session, chosen, expected) in [
            ("nobody", None, None, nobody),
            ("from before", Some(&old), None, before),
            ("another chosen", Some(&old), Some(&new.id), before),
            ("chosen", Some(&old), Some(&old.id), chosen),
            ("since", Some(&new), None, since),
        ] {
            let circumstances = Circumstances {
                session,
                remembered: Some(&remembered),
                began_at: Some(NOON - Duration::from_mins(10)),
                chosen,
                now: NOON,
            };
            let decided = told(decide(&request, &circumstances));
            assert_eq!(decided, Ok(expected), "{prompt:?}, {what}");
            // Whoever is asked to sign in is not taken for signed in at any other step.
            let is_asked = matches!(expected, Step::SignIn | Step::SignUp);
            assert_eq!(is_signed_in(&request, &circumstances), !is_asked, "{what}");
        }
    }
}

#[test]
fn rfc9470_5_who_is_not_sure_enough_signs_in_again() {
    let level = |value: &str, within: Option<&str>| AcrLevel {
        value: value.into(),
        amr: vec![Amr::Pwd],
        within: within.map(|within| within.parse().unwrap()),
    };
    let levels = Levels::new(&[level("weak", None), level("recent", Some("5m"))]);
    let ago = |minutes| NOON - Duration::from_mins(minutes);
    let signed_in = Ok(Step::Issue(Consented::Shown));
    let (none, sign_in): (&[Prompt], _) = (&[Prompt::None], Ok(Step::SignIn));
    let unmet = Err("unmet_authentication_requirements");
    // What, wanted, prompt, when they signed in, how, when the interaction began.
    for (what, wanted, prompt, auth_time, amr, began_at, expected) in [
        (
            "weak",
            "weak",
            &[][..],
            ago(60),
            &[Amr::Pwd][..],
            None,
            signed_in,
        ),
        (
            "recent",
            "recent",
            &[],
            ago(4),
            &[Amr::Pwd],
            None,
            signed_in,
        ),
        (
            "too late",
            "recent",
            &[],
            ago(5),
            &[Amr::Pwd],
            None,
            sign_in,
        ),
        (
            "silently",
            "recent",
            none,
            ago(5),
            &[Amr::Pwd],
            None,
            Err("login_required"),
        ),
        (
            "before",
            "recent",
            &[],
            ago(20),
            &[Amr::Pwd],
            Some(ago(10)),
            sign_in,
        ),
        (
            "since",
            "recent",
            &[],
            ago(9),
            &[Amr::Pwd],
            Some(ago(10)),
            signed_in,
        ),
        ("in vain", "recent", &[], ago(9), &[], Some(ago(10)), unmet),
        ("nothing proven", "weak", &[], ago(60), &[], None, sign_in),
    ] {
        let mut request = request(WEB, &json!({}));
        let asked = Parameters::parse(format!("acr_values={wanted}").as_bytes()).unwrap();
        let acr = RequestedAcr::parse(&request.client, &asked, true, &levels);
        request.acr = acr.unwrap();
        request.prompt = prompt.iter().copied().collect();
        let mut session = session(auth_time);
        session.amr = amr.to_vec();
        let circumstances = Circumstances {
            session: Some(&session),
            remembered: Some(&agreement("openid")),
            began_at,
            chosen: None,
            now: NOON,
        };
        assert_eq!(told(decide(&request, &circumstances)), expected, "{what}");
    }
}
