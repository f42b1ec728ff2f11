//! Where clients prove who they are, register, and manage themselves.

use reqwest::RequestBuilder;

use super::{Came as _, World};
use crate::registration::{REGISTER, service};
use crate::server::{Answer, TestClient};
use crate::stage::{REVOKE_ALL, nobody};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Enough for each endpoint to know who asks, whatever it says of the rest.
const ANYTHING: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("token", "none")];

/// Whether the client is: what is wrong with the rest of its request is told to nobody else.
fn is_known(answer: &Answer) -> bool {
    !answer.is(401)
}

/// At all of these, or at none.
fn everywhere(known: &[bool]) -> bool {
    assert!(known.iter().all(|at| at == &known[0]), "{known:?}");
    known[0]
}

fn authorized(request: RequestBuilder, scheme: &str, value: &str) -> RequestBuilder {
    request.header("authorization", format!("{scheme} {value}"))
}

impl World<'_> {
    pub(super) async fn client_assertion(&self, path: &str, value: &str) -> bool {
        let proof = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", value),
        ];
        let form = [&ANYTHING[..], &proof].concat();
        let server = self.stage.server();
        let answer = server.send(server.form(path, &form)).await;
        is_known(&answer)
    }

    pub(super) async fn basic_secret(&self, paths: &[&str], value: &str) -> bool {
        let client = TestClient {
            id: self.stage.app.id.clone(),
            secret: value.to_owned(),
        };
        let server = self.stage.server();
        let mut known = Vec::new();
        for path in paths {
            known.push(is_known(&server.post_as(&client, path, &ANYTHING).await));
        }
        everywhere(&known)
    }

    pub(super) async fn posted_secret(&self, paths: &[&str], value: &str) -> bool {
        let proof = [
            ("client_id", self.stage.posting.id.as_str()),
            ("client_secret", value),
        ];
        let form = [&ANYTHING[..], &proof].concat();
        let server = self.stage.server();
        let mut known = Vec::new();
        for path in paths {
            known.push(is_known(&server.send(server.form(path, &form)).await));
        }
        everywhere(&known)
    }

    pub(super) async fn registers(&self, scheme: &str, value: &str) -> bool {
        let server = self.stage.server();
        let request = server.http.post(self.url(REGISTER, &[])).json(&service());
        let request = authorized(request, scheme, value);
        server.send(request).await.is(201)
    }

    pub(super) async fn software_statement(&self, value: &str) -> bool {
        let mut document = service();
        document["software_statement"] = value.into();
        let server = self.stage.server();
        server.post_json(REGISTER, &document, None).await.is(201)
    }

    pub(super) async fn manages(&self, scheme: &str, value: &str) -> bool {
        let server = self.stage.server();
        let request = server.http.get(&self.made.managed);
        let request = authorized(request, scheme, value);
        server.send(request).await.is(200)
    }

    /// Of a person who is not there: 404 to whoever may ask.
    pub(super) async fn revokes_all(&self, scheme: &str, value: &str) -> bool {
        let server = self.stage.server();
        let request = server.http.post(self.url(REVOKE_ALL, &[]));
        let request = authorized(request.json(&nobody()), scheme, value);
        server.send(request).await.is(404)
    }
}
