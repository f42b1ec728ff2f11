//! What dashboards and alerts ask for is what running servers tell, and what they tell is shown.

mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::promql::{Selected, series};
use crate::flow::Flow;
use crate::forms::Person;
use crate::process::{Place, http, send};

/// Series that begin with the first of what they tell, that no server without TLS tells, and one of Prometheus itself; with their labels.
const ELSEWHERE: [(&str, &[&str]); 6] = [
    ("rate_limited_total", &["limit"]),
    ("job_last_success_timestamp_seconds", &["task"]),
    ("tls_certificate_not_after_timestamp_seconds", &["listener"]),
    ("tls_certificate_reloads_total", &["listener", "outcome"]),
    ("tls_handshakes_total", &["listener", "outcome"]),
    ("up", &[]),
];

/// Labels that Prometheus adds, or that tell the parts of a histogram apart.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Series that no dashboard shows, and why: none so far.
const NOT_SHOWN: [&str; 0] = [];

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Every query of a dashboard.
fn queries(node: &Value) -> Vec<String> {
    match node {
        Value::Array(items) => items.iter().flat_map(queries).collect(),
        Value::Object(members) => {
            let own = ["expr", "query"]
                .iter()
                .filter_map(|key| members.get(*key)?.as_str());
            let own = own.filter(|text| *text != "prometheus").map(|text| {
                let variable = text.strip_prefix("label_values(");
                variable
                    .and_then(|text| text.rsplit_once(','))
                    .map_or(text, |(selector, _)| selector)
                    .to_owned()
            });
            own.chain(members.values().flat_map(queries)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn dashboard(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(deploy(&format!("grafana/{name}.json"))).unwrap();
    let queries = queries(&serde_json::from_str(&text).unwrap());
    assert!(queries.len() > 20, "{name}: {queries:?}");
    queries
}

/// The expression of each alert, which stands on one line between quotes; each alert has all that an operator reads.
fn alerts() -> Vec<String> {
    let text = std::fs::read_to_string(deploy("prometheus/alerts.yaml")).unwrap();
    let of = |key: &str| -> Vec<String> {
        let values = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(key));
        values
            .map(|value| {
                let value = value.trim();
                let bare = value
                    .strip_prefix('\'')
                    .and_then(|value| value.strip_suffix('\''));
                bare.unwrap_or(value).replace("''", "'")
            })
            .collect()
    };
    let names = of("- alert:");
    assert!(names.len() >= 12, "{names:?}");
    for key in [
        "expr:",
        "for:",
        "severity:",
        "summary:",
        "meaning:",
        "runbook:",
    ] {
        assert_eq!(of(key).len(), names.len(), "each alert has `{key}`");
        assert!(of(key).iter().all(|value| !value.is_empty()), "{key}");
    }
    of("expr:")
}

/// Names of series and of their labels, as a server tells them. The parts of a histogram count as the histogram.
fn told(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut told = BTreeMap::<String, BTreeSet<String>>::new();
    let mut histograms = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ") {
            if let Some(name) = name.strip_suffix(" histogram") {
                histograms.insert(name.to_owned());
            }
            continue;
        }
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (series, _) = line.rsplit_once(' ').unwrap();
        let selected = promql::series(series).remove(0);
        let name = whole(&selected.name, &histograms).to_owned();
        told.entry(name).or_default().extend(selected.labels);
    }
    told
}

/// The name of the histogram of which this is a part, or the name itself.
fn whole<'a>(name: &'a str, histograms: &BTreeSet<String>) -> &'a str {
    let parts = ["_bucket", "_sum", "_count"];
    let of = parts.iter().find_map(|part| name.strip_suffix(part));
    of.filter(|of| histograms.contains(*of)).unwrap_or(name)
}

struct Exposed(BTreeMap<String, BTreeSet<String>>);

impl Exposed {
    /// What is asked for and not there: names, and labels of names.
    fn lacks(&self, asked: &Selected) -> Option<String> {
        let histograms = self.0.keys().cloned().collect();
        let name = whole(&asked.name, &histograms);
        let Some(labels) = self.0.get(name) else {
            return Some(asked.name.clone());
        };
        let known = |label: &str| {
            // A series that has a label `job` of its own meets it under this name.
            let label = label.strip_prefix("exported_").unwrap_or(label);
            labels.contains(label) || ADDED.contains(&label)
        };
        let unknown = asked.labels.iter().find(|label| !known(label));
        unknown.map(|label| format!("{} has no label {label}", asked.name))
    }
}

/// Both servers, told to show themselves to operators, after people and services used them.
async fn metrics() -> [String; 2] {
    let place = Place::new();
    let operations = |file: &str, port: u16| {
        let path = place.file(file);
        let text = format!("[server]\noperations_listen = [\"127.0.0.1:{port}\"]\n");
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let ports = [place.spare_port, Place::new().spare_port];
    let (auth, api) = (
        operations("auth.toml", ports[0]),
        operations("api.toml", ports[1]),
    );
    let running = place.start(&["--auth-config", &auth, "--api-config", &api]);
    let service = place.service();
    let token = place.token(&service, &place.api("")).await;
    assert_eq!(place.me(Some(&token)).await.status(), 200);
    assert_eq!(place.me(None).await.status(), 401);
    let flow = Flow::of_app(&place, "http://127.0.0.1:9/callback");
    let mut person = Person::until(&flow.redirect_uri);
    let answer = person.sign_in(&place, &flow.url(&[])).await;
    let code = answer.parameter("code").unwrap();
    flow.tokens(&code).await;
    assert_eq!(flow.redeem(&code).await.status(), 400);
    for url in [place.auth("/metrics"), place.api("/metrics")] {
        assert_eq!(
            send(http().get(url)).await.status(),
            404,
            "for operators alone"
        );
    }
    let mut shown = Vec::new();
    for port in ports {
        let url = format!("http://127.0.0.1:{port}/metrics");
        let response = send(http().get(url)).await;
        assert_eq!(response.status(), 200);
        shown.push(response.text().await.unwrap());
    }
    assert!(running.stop("-TERM").success());
    shown.try_into().unwrap()
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_what_the_servers_tell_and_show_all_of_it() {
    let [auth, api] = metrics().await;
    let elsewhere = ELSEWHERE.map(|(name, labels)| {
        let labels = labels.iter().map(ToString::to_string).collect();
        (name.to_owned(), labels)
    });
    let mut both = BTreeMap::from(elsewhere.clone());
    let mut wrong = Vec::new();
    for (server, text) in [("auth-server", &auth), ("resource-api", &api)] {
        for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
            assert!(line.ends_with('.'), "said in a sentence: {line}");
        }
        let told = told(text);
        for (name, labels) in &told {
            both.entry(name.clone())
                .or_insert_with(BTreeSet::new)
                .extend(labels.clone());
        }
        let asked: Vec<_> = dashboard(server)
            .iter()
            .flat_map(|query| series(query))
            .collect();
        let mut exposed = told.clone();
        exposed.extend(elsewhere.clone());
        let exposed = Exposed(exposed);
        wrong.extend(
            asked
                .iter()
                .filter_map(|asked| Some(format!("{server}: {}", exposed.lacks(asked)?))),
        );
        let histograms = told.keys().cloned().collect();
        let shown: BTreeSet<_> = asked
            .iter()
            .map(|asked| whole(&asked.name, &histograms))
            .collect();
        let hidden = told
            .keys()
            .filter(|name| !shown.contains(name.as_str()) && !NOT_SHOWN.contains(&name.as_str()));
        wrong.extend(hidden.map(|name| format!("{server}: {name} is told and not shown")));
    }
    let both = Exposed(both);
    let asked: Vec<_> = alerts().iter().flat_map(|rule| series(rule)).collect();
    wrong.extend(
        asked
            .iter()
            .filter_map(|asked| Some(format!("alerts: {}", both.lacks(asked)?))),
    );
    assert!(wrong.is_empty(), "{wrong:#?}");

    // A name of a unit that is not a base unit, or none where there must be one (https://prometheus.io/docs/practices/naming/).
    for text in [&auth, &api] {
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{line}");
            assert!(
                !name.ends_with("_ms") && !name.ends_with("_millis"),
                "{line}"
            );
        }
    }
}
