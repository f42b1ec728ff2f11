//! A device and its person (RFC 8628): the request, the page where the person answers, and the polls.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{Grant, Subject};
use crate::answer::Answer;
use crate::browser::{BrowserError, Decision};
use crate::check::Stop;
use crate::request::Request;

/// The grant that a device asks for tokens with (RFC 8628 §3.4).
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// As long as a check waits between two polls, in seconds.
const WAITS: u64 = 12;

/// As many polls as a check waits for an answer that is due.
const POLLS: usize = 3;

/// A device that waits for its person (RFC 8628 §3.2).
#[derive(Clone, Debug)]
pub(crate) struct Pairing {
    pub(crate) user_code: String,
    pub(crate) answer: Answer,
    device_code: String,
    client_id: String,
}

impl Subject {
    /// The client of the device: the given one, else one that registers itself.
    pub(crate) async fn device(&self) -> Result<String, Stop> {
        match &self.target.device {
            Some(client_id) => Ok(client_id.clone()),
            None => self.registered_device("Conformance tests").await,
        }
    }

    /// Another one, which registers itself.
    pub(crate) async fn other_device(&self) -> Result<String, Stop> {
        self.registered_device("Conformance tests, another device")
            .await
    }

    async fn registered_device(&self, name: &str) -> Result<String, Stop> {
        let mut grants = vec![DEVICE_CODE, "refresh_token"];
        grants.retain(|grant| self.metadata.grants().contains(grant));
        let device = json!({
            "client_name": name,
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "grant_types": grants,
            "response_types": [],
        });
        let client = self.client(&device).await.map_err(|_| {
            Stop::unchecked("no client for a device was given, and none could be registered")
        });
        Ok(client?.client_id)
    }

    /// A device authorization request (RFC 8628 §3.1).
    pub(crate) async fn device_request(&self) -> Result<Request<'_>, Stop> {
        let request = self.post("device_authorization_endpoint")?;
        let request = request.form(&[("client_id", self.device().await?)]);
        Ok(if self.knows_scope("openid") {
            request.form(&[("scope", "openid")])
        } else {
            request
        })
    }

    /// The same, answered.
    pub(crate) async fn pairing(&self) -> Result<Pairing, Stop> {
        let answer = self.device_request().await?.send().await?;
        answer.status(&[200])?;
        let pairing = Pairing {
            device_code: answer.text("device_code")?,
            user_code: answer.text("user_code")?,
            client_id: self.device().await?,
            answer,
        };
        self.redactor.learn(&pairing.device_code);
        Ok(pairing)
    }
}

impl Pairing {
    /// The page where the person types the code.
    pub(crate) fn page(&self) -> Result<Url, Stop> {
        self.url("verification_uri")?
            .ok_or_else(|| self.answer.fail("there is no verification_uri"))
    }

    /// The page that knows it, where there is one.
    pub(crate) fn complete_page(&self) -> Result<Url, Stop> {
        self.url("verification_uri_complete")?
            .ok_or_else(|| Stop::not_applicable("there is no verification_uri_complete"))
    }

    fn url(&self, member: &str) -> Result<Option<Url>, Stop> {
        let json = self.answer.json()?;
        let Some(value) = json.get(member) else {
            return Ok(None);
        };
        let url = value.as_str().and_then(|text| Url::parse(text).ok());
        let url = url.ok_or_else(|| self.answer.fail(format!("{member} is no URL")))?;
        Ok(Some(url))
    }

    /// How long a device waits between two polls (RFC 8628 §3.2, §3.5).
    fn interval(&self) -> Result<Duration, Stop> {
        let interval = self.answer.json()?.get("interval").and_then(Value::as_u64);
        match interval.unwrap_or(5) {
            long if long > WAITS => Err(Stop::unchecked(format!(
                "the device would have to wait {long} s between two polls"
            ))),
            short => Ok(Duration::from_secs(short)),
        }
    }

    /// Waits as long as a device does.
    pub(crate) async fn wait(&self, subject: &Subject) -> Result<(), Stop> {
        subject.clock.wait(self.interval()?).await;
        Ok(())
    }

    /// A device access token request (RFC 8628 §3.4).
    pub(crate) fn poll<'s>(&self, subject: &'s Subject) -> Result<Request<'s>, Stop> {
        Ok(subject.post("token_endpoint")?.form(&[
            ("grant_type", DEVICE_CODE),
            ("device_code", &self.device_code),
            ("client_id", &self.client_id),
        ]))
    }

    /// The person opens `page`, types `code` where it is asked for, and answers. What asked comes back, and the last page.
    pub(crate) async fn answered(
        &self,
        subject: &Subject,
        (page, code): (&Url, &str),
        decision: Decision,
    ) -> Result<(Answer, Answer), Stop> {
        let person = subject.person()?;
        let browser = subject.signed_in_browser().await?;
        match browser.pair(page, code, person, decision).await {
            Ok(paired) => Ok((subject.seen(&paired.question), subject.seen(&paired.page))),
            Err(BrowserError::DeadEnd(page)) => {
                let page = subject.seen(&page);
                Err(page.fail("the person was not asked whether the device may come in"))
            }
            Err(cause) => Err(subject.lost(&cause)),
        }
    }

    /// The person types the code and answers.
    pub(crate) async fn decided(&self, subject: &Subject, decision: Decision) -> Result<(), Stop> {
        let way = (&self.page()?, self.user_code.as_str());
        self.answered(subject, way, decision).await.map(drop)
    }

    /// The answer to a poll when the person has answered: a device that is told to wait does so.
    pub(crate) async fn polled(&self, subject: &Subject) -> Result<Answer, Stop> {
        let mut answer = self.poll(subject)?.send().await?;
        for _ in 0..POLLS {
            let json = answer.json()?;
            if json.get("error").and_then(Value::as_str) != Some("slow_down") {
                break;
            }
            self.wait(subject).await?;
            subject.clock.wait(Duration::from_secs(5)).await;
            answer = self.poll(subject)?.send().await?;
        }
        Ok(answer)
    }

    /// The tokens of a device whose person has said yes.
    pub(crate) async fn tokens(&self, subject: &Subject) -> Result<Grant, Stop> {
        let answer = self.polled(subject).await?;
        Grant::read(subject, answer, &self.client_id)
    }
}
