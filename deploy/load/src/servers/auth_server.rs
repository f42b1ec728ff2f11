//! The authorization server, with clients, a resource server and a person registered in it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use conformance_tests::browser::{Browser, Person};
use serde::Deserialize;
use shared_protocol::random::{SystemRandom, alphanumeric};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep_until};

use super::keyed_client::KeyedClient;
use super::{Installation, Programs, Prover, Server, Setting, Stores, free_port, output};
use crate::client::{Call, Client, member};
use crate::drive::{CodeFlow, TOKEN};

/// A verifier and its challenge (RFC 7636 appendix B): what is measured does not depend on which.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Of the app. Nobody ever goes there.
const REDIRECT_URI: &str = "https://app.example/callback";
/// A store that begins empty has forgotten what was used before: assertions and proofs must have been made so long after it began, for the
/// clocks of those who make them and of nodes may each be ten seconds off.
const MEMORY: Duration = Duration::from_secs(21);
const EMAIL: &str = "person@example.com";

/// The authorization server, on a database of its own.
pub(crate) struct AuthServer {
    /// Its nodes, one or more. Before the installation: they end before the folder goes.
    pub(crate) nodes: Vec<Server>,
    /// Its configuration and commands.
    pub(crate) installation: Installation,
    /// The client that gets tokens.
    pub(crate) client: Credentials,
    /// The client that introspects them.
    pub(crate) introspector: Credentials,
    /// The port on which the resource server of all tokens is to listen.
    pub(crate) api_port: u16,
    /// The client that proves itself with a key.
    keyed: KeyedClient,
    /// Since when assertions are believed.
    assertions_from: Instant,
    /// The public client that a person has agreed to.
    pub(super) app: App,
    /// The cookies of that person's browser, as a header.
    cookie: String,
    person: Person,
    /// The client that is known by its certificate, once it was asked for.
    pub(super) certified_client: OnceCell<App>,
    /// The app whose tokens are bound to its certificate, once it was asked for, and the cookies of a browser whose person has agreed to it.
    pub(super) certified_app: OnceCell<(App, String)>,
    /// The client that exchanges tokens, once it was asked for.
    pub(super) exchanger: OnceCell<Credentials>,
    /// The client that gets opaque tokens, once it was asked for.
    pub(super) opaque_client: OnceCell<Credentials>,
}

/// How an authorization server is to be set up.
pub(crate) struct Setup<'a> {
    /// What to start.
    pub(crate) programs: &'a Programs,
    /// Where it keeps things.
    pub(crate) stores: &'a Stores,
    /// How many nodes; more than one needs PostgreSQL and Redis.
    pub(crate) nodes: usize,
    /// Settings that differ from the default.
    pub(crate) settings: Vec<Setting>,
    /// How long access tokens live.
    pub(crate) lifetime: &'static str,
}

impl<'a> Setup<'a> {
    /// One node with the default settings.
    pub(crate) fn new(programs: &'a Programs, stores: &'a Stores) -> Self {
        Self {
            programs,
            stores,
            nodes: 1,
            settings: Vec::new(),
            lifetime: "5m",
        }
    }
}

/// A client of which it is enough to know the id.
#[derive(Deserialize)]
pub(crate) struct App {
    pub(crate) client_id: String,
}

impl App {
    /// One code flow of somebody whose browser has these cookies.
    pub(super) fn code_flow(&self, cookie: &str) -> CodeFlow {
        let client_id = &self.client_id;
        CodeFlow {
            authorize: format!(
                "/oauth/authorize?response_type=code&client_id={client_id}&redirect_uri={REDIRECT_URI}&scope=openid%20profile:read\
                 &state=af0ifjsldkj&nonce=n-0S6_WzA2Mj&code_challenge={CHALLENGE}&code_challenge_method=S256"
            ),
            cookie: cookie.to_owned(),
            form: format!(
                "grant_type=authorization_code&client_id={client_id}&redirect_uri={REDIRECT_URI}\
                 &code_verifier={VERIFIER}&code="
            ),
        }
    }
}

/// What a confidential client authenticates with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    pub(super) client_id: String,
    client_secret: String,
}

impl Credentials {
    /// The header of somebody who does not know the secret.
    pub(crate) fn wrong(&self) -> String {
        let pair = format!("{}:not-the-secret", self.client_id);
        format!("Basic {}", STANDARD.encode(pair))
    }

    /// The `Authorization` header (RFC 7617 §2). Ids and secrets made here are letters and digits alone.
    pub(crate) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.client_id, self.client_secret);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl AuthServer {
    /// Makes a configuration and a database, registers clients, a resource server and a person, starts the nodes, and lets the
    /// person sign in and agree to the app.
    ///
    /// # Errors
    /// If any of that fails.
    pub(crate) async fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let program = setup.programs.auth_server()?;
        let installation =
            Installation::new(&program, setup.stores, setup.nodes, setup.settings).await?;
        let command = |args: &[&str]| installation.command(args);
        let service = ["--grant", "client_credentials"];
        let introspector = [
            &["client", "create", "--name", "introspector"],
            &service[..],
        ]
        .concat();
        let introspector: Credentials = output(command(&introspector)).await?;
        let api_port = free_port()?;
        let resource: &[&str] = &[
            "resource",
            "create",
            &format!("http://127.0.0.1:{api_port}"),
            "--name",
            "API",
            "--scope",
            "profile:read=Read",
            "--lifetime",
            setup.lifetime,
            "--introspection-client",
            &introspector.client_id,
        ];
        output::<serde_json::Value>(command(resource)).await?;
        let client = ["client", "create", "--name", "client"];
        let client = [&client[..], &["--scope", "profile:read"], &service[..]].concat();
        let client: Credentials = output(command(&client)).await?;
        let keyed = KeyedClient::register(&installation).await?;
        let app: App = output(command(APP)).await?;
        let person = person(&installation)?;
        let password_file = person.password_file.to_string_lossy();
        let create: &[&str] = &["user", "create", EMAIL, "--password-file", &password_file];
        output::<serde_json::Value>(command(create)).await?;
        let mut nodes = Vec::new();
        for node in 0..installation.nodes() {
            nodes.push(installation.start(node).await?);
        }
        let mut server = Self {
            nodes,
            installation,
            client,
            introspector,
            api_port,
            keyed,
            assertions_from: Instant::now() + MEMORY,
            app,
            cookie: String::new(),
            person: person.person,
            certified_client: OnceCell::new(),
            certified_app: OnceCell::new(),
            exchanger: OnceCell::new(),
            opaque_client: OnceCell::new(),
        };
        server.cookie = server.sign_in().await.context("signing in")?;
        Ok(server)
    }

    /// The first node.
    pub(crate) fn first(&self) -> &Server {
        self.nodes.first().expect("a setup has one node or more")
    }

    /// Token requests of the client that proves itself with a key, each with an assertion of its own.
    ///
    /// # Errors
    /// If one cannot be signed.
    pub(crate) async fn assertions(&self, count: usize) -> anyhow::Result<Vec<Bytes>> {
        sleep_until(self.assertions_from).await;
        let issuer = self.installation.issuer()?;
        let mut forms = Vec::with_capacity(count);
        for _ in 0..count {
            forms.push(self.keyed.form(&issuer).await?);
        }
        Ok(forms)
    }

    /// The issuer identifier.
    ///
    /// # Errors
    /// If there is no node.
    pub(crate) fn issuer(&self) -> anyhow::Result<String> {
        self.installation.issuer()
    }

    /// Ends when proofs that are made from now on are believed at once: none is older than the memory of those that were used.
    pub(crate) async fn remembers_proofs(&self) {
        sleep_until(self.assertions_from).await;
    }

    /// An access token of the person that is bound to that key, for the resource server of all tokens.
    ///
    /// # Errors
    /// If the person gets none.
    pub(crate) async fn bound_token(&self, prover: &Prover) -> anyhow::Result<String> {
        self.remembers_proofs().await;
        let mut client = Client::connect(self.first().port).await?;
        let form = self.code_flow().authorized(&mut client).await?;
        let url = format!("{}{TOKEN}", self.issuer()?);
        let proof = prover.proof("POST", &url, None).await?;
        let call = Call::post(TOKEN, form).proved(&proof);
        member(&client.ok(call).await?, "access_token")
    }

    /// The form that revokes a token of the app, up to the token (RFC 7009 §2.1).
    pub(crate) fn revoke_form(&self) -> String {
        format!("client_id={}&token=", self.app.client_id)
    }

    /// One code flow of the app, for the person who has agreed to it.
    pub(crate) fn code_flow(&self) -> CodeFlow {
        self.app.code_flow(&self.cookie)
    }

    /// The form that refreshes tokens of the app, up to the refresh token.
    pub(crate) fn refresh_form(&self) -> String {
        let client_id = &self.app.client_id;
        format!("grant_type=refresh_token&client_id={client_id}&refresh_token=")
    }

    /// Goes through the pages once with a browser of its own; the cookies that it then has.
    ///
    /// # Errors
    /// If the way ends elsewhere than at the app.
    pub(crate) async fn sign_in(&self) -> anyhow::Result<String> {
        self.agree_to(&self.app).await
    }

    /// The same on the way to any app.
    pub(super) async fn agree_to(&self, app: &App) -> anyhow::Result<String> {
        let (port, flow) = (self.first().port, app.code_flow(""));
        let url = format!("http://127.0.0.1:{port}{}", flow.authorize).parse()?;
        let browser = Browser::new()?;
        browser.authorize(&url, &self.person).await?;
        Ok(browser.cookies(&url))
    }
}

/// A person, and the file that their account's password is read from.
struct Registered {
    person: Person,
    password_file: PathBuf,
}

fn person(installation: &Installation) -> anyhow::Result<Registered> {
    let password = alphanumeric(20, &SystemRandom);
    let password_file = installation.folder().join("password");
    std::fs::write(&password_file, &password)?;
    Ok(Registered {
        person: Person {
            login: EMAIL.into(),
            password: password.into(),
        },
        password_file,
    })
}

/// Public, so that its refresh tokens rotate; on the web, so that the person is asked once.
pub(super) const APP: &[&str] = &[
    "client",
    "create",
    "--name",
    "App",
    "--auth-method",
    "none",
    "--grant",
    "authorization_code",
    "--grant",
    "refresh_token",
    "--redirect-uri",
    REDIRECT_URI,
    "--scope",
    "openid",
    "--scope",
    "profile:read",
    "--id-token-alg",
    "ES256",
];
