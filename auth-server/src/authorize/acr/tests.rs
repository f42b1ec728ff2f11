use serde_json::json;
use shared_server::config::Period;

use super::*;

const WEAK: &str = "urn:example:weak";
const RECENT: &str = "urn:example:recent";

fn levels() -> Levels {
    let level = |value: &str, within| AcrLevel {
        value: value.into(),
        amr: vec![Amr::Pwd],
        within,
    };
    let five_minutes = Some(Period::from_secs(300));
    Levels::new(&[level(WEAK, None), level(RECENT, five_minutes)])
}

fn client(default_acr_values: &[&str]) -> Client {
    let metadata = json!({
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
        "redirect_uris": ["https://app.example/cb"], "default_acr_values": default_acr_values,
    });
    let metadata = serde_json::from_value(metadata).unwrap();
    Client::new("app".parse().unwrap(), metadata, Vec::new()).unwrap()
}

fn parameters(acr_values: &str, claims: &str) -> Parameters {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("acr_values", acr_values), ("claims", claims)] {
        if !value.is_empty() {
            form.append_pair(name, value);
        }
    }
    Parameters::parse(form.finish().as_bytes()).unwrap()
}

fn proof(minutes: u64) -> Proof<'static> {
    Proof {
        amr: &[Amr::Pwd],
        age: Duration::from_mins(minutes),
    }
}

fn essential(values: &[&str]) -> String {
    json!({"id_token": {"acr": {"essential": true, "values": values}}}).to_string()
}

#[test]
fn oidc_2_the_highest_level_that_a_proof_reaches() {
    let nothing = Proof {
        amr: &[],
        age: Duration::ZERO,
    };
    for (what, levels, proof, expected) in [
        ("now", levels(), proof(0), Some(RECENT)),
        ("just in time", levels(), proof(4), Some(RECENT)),
        ("too late", levels(), proof(5), Some(WEAK)),
        ("nothing proven", levels(), nothing, None),
        ("no levels", Levels::default(), proof(0), None),
    ] {
        assert_eq!(levels.highest(proof), expected, "{what}");
    }
}

/// What, registered, `acr_values`, `claims`, minutes since the sign-in, whether that will do, and what the client is told.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn oidc_3_1_2_1_5_5_1_1_and_rfc9470_5_what_is_wanted_and_what_is_told() {
    let voluntary = json!({"id_token": {"acr": {"value": RECENT}}}).to_string();
    let any = json!({"id_token": {"acr": {"essential": true}}}).to_string();
    let null = json!({"id_token": {"acr": null}, "userinfo": {"acr": {"essential": true}}});
    let (null, recent) = (null.to_string(), essential(&[RECENT]));
    for (what, registered, asked, claims, age, met, told) in [
        ("nothing", &[][..], "", "", 60, true, Some(WEAK)),
        ("the weak", &[], WEAK, "", 60, true, Some(WEAK)),
        ("just that", &[], WEAK, "", 0, true, Some(WEAK)),
        ("the recent", &[], RECENT, "", 60, false, Some(WEAK)),
        ("the recent, now", &[], RECENT, "", 0, true, Some(RECENT)),
        (
            "either",
            &[],
            "urn:example:recent urn:example:weak",
            "",
            60,
            true,
            Some(WEAK),
        ),
        (
            "either, now",
            &[],
            "urn:example:recent urn:example:weak",
            "",
            0,
            true,
            Some(RECENT),
        ),
        (
            "the best first",
            &[],
            "urn:example:weak urn:example:recent",
            "",
            0,
            true,
            Some(WEAK),
        ),
        (
            "unknown",
            &[],
            "urn:example:other",
            "",
            60,
            true,
            Some(WEAK),
        ),
        (
            "unknown and known",
            &[],
            "urn:example:other urn:example:recent",
            "",
            60,
            false,
            Some(WEAK),
        ),
        ("registered", &[RECENT], "", "", 60, false, Some(WEAK)),
        (
            "registered, another asked for",
            &[RECENT],
            WEAK,
            "",
            60,
            true,
            Some(WEAK),
        ),
        (
            "registered, unknown",
            &["urn:example:other"],
            "",
            "",
            60,
            true,
            Some(WEAK),
        ),
        (
            "a claim",
            &[],
            "",
            voluntary.as_str(),
            60,
            false,
            Some(WEAK),
        ),
        (
            "a claim before acr_values",
            &[],
            WEAK,
            voluntary.as_str(),
            0,
            true,
            Some(RECENT),
        ),
        (
            "an essential claim",
            &[],
            "",
            recent.as_str(),
            60,
            false,
            Some(WEAK),
        ),
        (
            "an essential claim, now",
            &[],
            "",
            recent.as_str(),
            0,
            true,
            Some(RECENT),
        ),
        ("any level", &[], "", any.as_str(), 60, true, Some(WEAK)),
        (
            "a claim of null",
            &[],
            RECENT,
            null.as_str(),
            60,
            false,
            Some(WEAK),
        ),
    ] {
        let parameters = parameters(asked, claims);
        let acr = RequestedAcr::parse(&client(registered), &parameters, true, &levels()).unwrap();
        assert_eq!(acr.is_met(proof(age)), met, "{what}");
        assert_eq!(acr.reached(proof(age)), told, "{what}");
    }
}

#[test]
fn unmet_authentication_requirements_what_no_sign_in_could_reach() {
    let (other, known) = (essential(&["urn:example:other"]), essential(&["x", RECENT]));
    let any = json!({"id_token": {"acr": {"essential": true}}}).to_string();
    for (what, levels, is_openid, asked, claims, refused) in [
        ("essential, unknown", levels(), true, "", &*other, true),
        (
            "essential, one of them known",
            levels(),
            true,
            "",
            &*known,
            false,
        ),
        (
            "essential, without levels",
            Levels::default(),
            true,
            "",
            &*any,
            true,
        ),
        (
            "essential, acr_values unknown",
            levels(),
            true,
            "x",
            &*any,
            true,
        ),
        ("voluntary, unknown", levels(), true, "x", "", false),
        (
            "not of OpenID Connect, unknown",
            levels(),
            false,
            "x",
            "",
            true,
        ),
        (
            "not of OpenID Connect, known",
            levels(),
            false,
            WEAK,
            "",
            false,
        ),
        (
            "not of OpenID Connect, nothing",
            Levels::default(),
            false,
            "",
            "",
            false,
        ),
    ] {
        let parameters = parameters(asked, claims);
        let parsed = RequestedAcr::parse(&client(&["y"]), &parameters, is_openid, &levels);
        let code = parsed.err().map(|cause| cause.code().as_str());
        let expected = refused.then_some("unmet_authentication_requirements");
        assert_eq!(code, expected, "{what}");
    }
}

#[test]
fn oidc_5_5_claims_that_are_malformed_are_refused() {
    for claims in [
        "{",
        "5",
        r#"{"id_token": 5}"#,
        r#"{"id_token": {"acr": {"essential": "yes"}}}"#,
        r#"{"id_token": {"acr": {"values": "x"}}}"#,
        r#"{"id_token": {"acr": {"value": 5}}}"#,
        r#"{"id_token": {"acr": {"essential": true}, "acr": null}}"#,
    ] {
        let parsed = RequestedAcr::parse(&client(&[]), &parameters("", claims), true, &levels());
        let code = parsed.err().map(|cause| cause.code().as_str());
        assert_eq!(code, Some("invalid_request"), "{claims}");
    }
}
