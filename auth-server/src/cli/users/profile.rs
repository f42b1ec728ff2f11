//! `auth-server user set-profile …`

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::assignment::Assignment;
use crate::accounts::Account;
use crate::accounts::profile::Profile;

/// What stands before the name of a part of an address.
const ADDRESS: &str = "address.";
/// What is no text.
const VERIFIED: &str = "phone_number_verified";

/// What an account's name and profile become by these, in their order. A number that changes is not verified any more, unless that is said
/// too.
pub(crate) fn changed(
    account: &Account,
    assignments: &[Assignment<String>],
) -> anyhow::Result<(Option<String>, Profile)> {
    let mut name = account.name.clone();
    let mut known = match serde_json::to_value(&account.profile)? {
        Value::Object(known) => known,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    for assignment in assignments {
        let (claim, value) = (assignment.name.as_str(), assignment.value.as_str());
        if claim == "name" {
            name = (!value.is_empty()).then(|| value.to_owned());
            continue;
        }
        assign(&mut known, claim, value)?;
        let so_far: Result<Profile, _> = serde_json::from_value(Value::Object(known.clone()));
        so_far.with_context(|| format!("{claim}={value}"))?;
    }
    if known.get(VERIFIED) == Some(&Value::Bool(true)) && !known.contains_key("phone_number") {
        bail!("{VERIFIED}: there is no phone_number");
    }
    Ok((name, serde_json::from_value(Value::Object(known))?))
}

fn assign(known: &mut Map<String, Value>, claim: &str, value: &str) -> anyhow::Result<()> {
    if claim == "phone_number" {
        known.remove(VERIFIED);
    }
    if let Some(part) = claim.strip_prefix(ADDRESS) {
        let address = known.entry("address").or_insert_with(|| json!({}));
        let address = address.as_object_mut().context("not an address")?;
        put(address, part, value.into(), value);
        if address.is_empty() {
            known.remove("address");
        }
        return Ok(());
    }
    let told = if claim == VERIFIED && !value.is_empty() {
        let verified: bool = value
            .parse()
            .context("phone_number_verified: true or false")?;
        Value::Bool(verified)
    } else {
        value.into()
    };
    put(known, claim, told, value);
    Ok(())
}

/// Nothing takes away what was there.
fn put(members: &mut Map<String, Value>, name: &str, told: Value, raw: &str) {
    if raw.is_empty() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), told);
    }
}
