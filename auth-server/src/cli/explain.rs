//! `auth-server explain REQUEST_ID`

use std::fmt::Write as _;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::config::ExplainConfig;
use crate::records::Records;
use crate::refusals::{self, Explained};

/// Why a request was refused.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The id of the request: the `X-Request-Id` of its answer, which pages show too, and every line of the log
    request_id: String,
}

impl Explain {
    pub(crate) async fn run(
        self,
        records: &Records,
        config: &ExplainConfig,
        output: &Output,
    ) -> anyhow::Result<()> {
        let found = refusals::explain(&records.store, &self.request_id).await?;
        if found.is_empty() {
            bail!(self.unknown(config));
        }
        let mut told = Vec::new();
        for refusal in &found {
            let name = name(refusal, records).await?;
            told.push(describe(refusal, name.as_deref()));
        }
        output.done(&told.join("\n\n"), &json!({ "refusals": found }))
    }

    fn unknown(&self, config: &ExplainConfig) -> String {
        if !config.is_on() {
            return "nothing is kept of refusals: explain.keep is 0s in the configuration"
                .to_owned();
        }
        let reasons = [
            "it was answered, and not refused, or asked for what was never there (404, 405)",
            "it is older than explain.keep, or more than explain.most came after it",
            "it came to a server with another database",
            "so many like it came in that second that not all are kept (refusals_explained_total in the metrics)",
        ];
        let id = &self.request_id;
        let reasons = reasons.join(";\n  - ");
        format!("no request {id:?} is known to have been refused. It may be that\n  - {reasons}")
    }
}

/// What its client is called.
async fn name(refusal: &Explained, records: &Records) -> anyhow::Result<Option<String>> {
    let id = refusal.client_id.as_deref().and_then(|id| id.parse().ok());
    let Some(id) = id else { return Ok(None) };
    let client = records.clients.find(&id).await?;
    Ok(client.and_then(|client| client.metadata.client_name.clone()))
}

/// For people.
fn describe(refusal: &Explained, name: Option<&str>) -> String {
    let mut text = format!("{}  {} {}", refusal.at, refusal.method, refusal.route);
    let mut line = |label: &str, value: &str| {
        // Writing to a text never fails.
        let _ = write!(text, "\n  {label:<8} {value}");
    };
    if let Some(client_id) = &refusal.client_id {
        let name = name.map_or(String::new(), |name| format!("  {name:?}"));
        line("client", &format!("{client_id}{name}"));
    }
    if let Some(grant_type) = &refusal.grant_type {
        line("grant", grant_type);
    }
    let error = refusal.error.as_deref().unwrap_or_default();
    line("told", format!("{} {error}", refusal.status).trim_end());
    let mut label = "because";
    for cause in &refusal.causes {
        line(label, cause);
        label = "";
    }
    if refusal.causes.is_empty() {
        line(label, "nothing more is known; the log may tell, by this id");
    }
    if let Some(mend) = &refusal.mend {
        line("mend", mend);
    }
    if let Some(trace_id) = &refusal.trace_id {
        line("trace", trace_id);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_fits_a_terminal() {
        let refusal = Explained {
            request_id: "abcd1234".into(),
            at: "2026-11-21T20:00:00Z".into(),
            method: "POST".into(),
            route: "/oauth/token".into(),
            client_id: Some("worker".into()),
            grant_type: Some("client_credentials".into()),
            status: 400,
            error: Some("invalid_scope".into()),
            causes: vec!["the scope".into(), "write was not registered".into()],
            mend: Some("register it".into()),
            trace_id: None,
        };
        assert_eq!(
            describe(&refusal, Some("A service")),
            "2026-11-21T20:00:00Z  POST /oauth/token\n  \
             client   worker  \"A service\"\n  \
             grant    client_credentials\n  \
             told     400 invalid_scope\n  \
             because  the scope\n           write was not registered\n  \
             mend     register it"
        );
    }
}
