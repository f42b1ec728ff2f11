//! Devices (RFC 8628), with faults.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use url::form_urlencoded;

use super::authorize::{Parameters, page};
use super::clients::{Client, refusal};
use super::grants::Issued;
use super::{Asked, Rule, Server, Wire};

/// The client of the device that the tests are given.
pub(crate) const DEVICE: &str = "box";

const INTERVAL: Duration = Duration::from_secs(1);

/// A device that waits.
pub(crate) struct Waiting {
    device_code: String,
    user_code: String,
    client: String,
    scope: String,
    answer: Option<bool>,
    polled: Option<Instant>,
    spent: bool,
}

/// Eight letters for a number (RFC 8628 §6.1).
fn user_code(mut number: u64) -> String {
    let mut code = String::new();
    for place in 0..8 {
        if place == 4 {
            code.push('-');
        }
        let letter = usize::try_from(number % 20).unwrap();
        code.push(char::from(b"BCDFGHJKLMNPQRSTVWXZ"[letter]));
        number /= 20;
    }
    code
}

fn letters(code: &str) -> String {
    let plain = code.chars().filter(char::is_ascii_alphanumeric);
    plain.collect::<String>().to_ascii_uppercase()
}

impl Server {
    pub(crate) fn authorize_device(&self, asked: &Asked) -> Wire {
        let client = match self.authenticate(asked) {
            Ok(client) => client.id().to_owned(),
            Err(wire) => return wire,
        };
        let grants = self.registered(&client).unwrap_or_default();
        let registered = grants.get("grant_types").is_some_and(|list| {
            list.as_array().is_some_and(|list| {
                list.contains(&json!("urn:ietf:params:oauth:grant-type:device_code"))
            })
        });
        if client != DEVICE && !registered {
            return refusal(400, "unauthorized_client");
        }
        let mut seen = HashSet::new();
        let twice = asked.form.iter().any(|(name, _)| !seen.insert(name));
        let known = |name: &str| ["client_id", "scope"].contains(&name);
        let unknown = asked.form.iter().any(|(name, _)| !known(name));
        let empty = asked.form.iter().any(|(_, value)| value.is_empty());
        if (twice && !self.breaks(Rule::LastDuplicateWins))
            || (unknown && self.breaks(Rule::RefuseUnknownParameters))
            || (empty && self.breaks(Rule::EmptyIsPresent))
        {
            return refusal(400, "invalid_request");
        }
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        let number = if self.breaks(Rule::SameDeviceCode) {
            7
        } else {
            number
        };
        let waiting = Waiting {
            device_code: format!("dev1ce-{number}"),
            user_code: user_code(number),
            client,
            scope: asked.field("scope").unwrap_or_default().to_owned(),
            answer: None,
            polled: None,
            spent: false,
        };
        let place = format!("{}/device", self.issuer);
        let body = json!({
            "device_code": waiting.device_code,
            "user_code": waiting.user_code,
            "verification_uri": place,
            "verification_uri_complete": format!("{place}?user_code={}", waiting.user_code),
            "expires_in": 600,
            "interval": INTERVAL.as_secs(),
        });
        self.devices.lock().unwrap().push(waiting);
        Wire::json(200, &body).with("cache-control", "no-store")
    }

    /// `/device`, for people.
    pub(crate) fn device_page(&self, asked: &Asked) -> Wire {
        let pairs = if asked.method == "POST" {
            &asked.form
        } else {
            &asked.query
        };
        let sent = Parameters::new(pairs.clone());
        let typed = sent.get("user_code");
        if self.session(asked).is_none() {
            let code = typed.map(|code| format!("?user_code={code}"));
            let back = format!("device{}", code.unwrap_or_default());
            let back: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
            let login = format!("{}/login?request={back}", self.issuer);
            return Wire::new(303).with("location", login);
        }
        let Some(typed) = typed else {
            return page(
                200,
                r#"<form method="post" action="/device"><input name="user_code"><button>Continue</button></form>"#,
            );
        };
        let exact = self.breaks(Rule::CodeIsTypedExactly);
        let mut devices = self.devices.lock().unwrap();
        let mut devices = devices.iter_mut();
        let found = devices.find(|device| {
            let same = device.user_code == typed
                || (!exact && letters(&device.user_code) == letters(typed));
            same && device.answer.is_none()
        });
        let Some(device) = found else {
            return page(400, "this code is not known");
        };
        match sent.get("decision") {
            Some("approve") => {
                device.answer = (!self.breaks(Rule::ApprovalDoesNothing)).then_some(true);
                page(200, "you may go back to the device")
            }
            Some(_) => {
                device.answer = Some(false);
                page(200, "the device was not let in")
            }
            None => {
                let shown = if self.breaks(Rule::CodeIsNotShown) {
                    ""
                } else {
                    device.user_code.as_str()
                };
                if self.breaks(Rule::OpeningApproves) {
                    device.answer = Some(true);
                }
                page(
                    200,
                    &format!(
                        r#"<p>{shown}</p><form method="post" action="/device">
                        <input type="hidden" name="user_code" value="{shown}">
                        <button name="decision" value="deny">No</button>
                        <button name="decision" value="approve">Yes</button></form>"#,
                    ),
                )
            }
        }
    }

    /// RFC 8628 §3.4, §3.5.
    pub(crate) fn poll(&self, asked: &Asked, client: &Client) -> Result<Wire, Wire> {
        let code = asked.field("device_code");
        let code = code.ok_or_else(|| refusal(400, "invalid_request"))?;
        let mut devices = self.devices.lock().unwrap();
        let mut devices = devices.iter_mut();
        let device = devices.find(|device| device.device_code == code);
        let device = device.ok_or_else(|| refusal(400, "invalid_grant"))?;
        let ours = device.client == client.id() || self.breaks(Rule::DeviceCodeForAnyClient);
        if !ours || (device.spent && !self.breaks(Rule::DeviceCodeWorksTwice)) {
            return Err(refusal(400, "invalid_grant"));
        }
        let before = device.polled.replace(Instant::now());
        let hasty = before.is_some_and(|before| before.elapsed() < INTERVAL);
        match device.answer {
            None if before.is_some() && self.breaks(Rule::NobodyIsPatient) => {
                Err(refusal(400, "slow_down"))
            }
            None if hasty && !self.breaks(Rule::HasteIsFine) => Err(refusal(400, "slow_down")),
            None => Err(refusal(400, "authorization_pending")),
            Some(false) => Err(refusal(400, "access_denied")),
            Some(true) => {
                device.spent = true;
                let parameters = Parameters::new(vec![
                    ("client_id".into(), device.client.clone()),
                    ("scope".into(), device.scope.clone()),
                ]);
                let number = self.counter.fetch_add(1, Ordering::Relaxed);
                let issued = Issued::new(&parameters, super::clients::now(), number, None);
                Ok(self.granted(issued))
            }
        }
    }
}
