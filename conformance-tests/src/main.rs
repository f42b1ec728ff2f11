//! Checks an authorization server by its URL against the catalogue of requirements.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use conformance_tests::browser::Person;
use conformance_tests::{
    App, AssertionKey, Authentication, Clock, Credentials, Evidence, Limits, Listen, Outcome, Plan,
    Profile, ProfileClient, Report, Requirement, RequirementResult, Standard, Subject, Target,
    TrustedIssuer, catalogue, plan, profile, run, run_plans, run_profiles,
};
use secrecy::SecretString;
use url::Url;

/// Checks an authorization server against the requirements of the OAuth and OpenID Connect standards.
///
/// What the checks need and the arguments do not name is registered, where the server lets strangers register clients (RFC 7591).
/// Where it does not, what needs a client is reported as unchecked.
///
/// Exit status: 0 when nothing failed, 1 when something failed, 2 when the arguments are wrong or the server cannot be
/// reached.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  conformance-tests --issuer https://as.example --client-id tester \\\n    \
                                 --client-secret-file secret.txt --resource https://api.example --rfc 6749 --rfc 7009\n  \
                                 conformance-tests --issuer https://as.example --person-login me@as.example \\\n    \
                                 --person-password-file password.txt --plan basic --plan dynamic"
)]
struct Arguments {
    /// Issuer identifier of the server, exactly as it states it.
    #[arg(long, required_unless_present_any = ["demo", "list"])]
    issuer: Option<String>,

    /// Only this standard (`RFC 6749`, `rfc6749` and `6749` all work); may be repeated.
    #[arg(long = "rfc", value_name = "STANDARD", value_parser = standard)]
    standards: Vec<&'static Standard>,

    /// Only this certification plan of the OpenID Foundation's conformance suite, as the checks here know it: `basic`, `config`,
    /// `dynamic`, `form-post`, `rp-initiated-logout` or `back-channel-logout`; may be repeated.
    #[arg(long = "plan", value_name = "PLAN", value_parser = plan, conflicts_with = "standards")]
    plans: Vec<&'static Plan>,

    /// Only this profile: `fapi2`, `fapi2-message-signing`, `mcp` or `oauth2.1`; may be repeated.
    #[arg(long = "profile", value_name = "PROFILE", value_parser = profile, conflicts_with_all = ["standards", "plans"])]
    profiles: Vec<&'static Profile>,

    /// Print what the catalogue, or the chosen part of it, holds, and what shows it; no server is asked.
    #[arg(long)]
    list: bool,

    /// Form of the report on standard output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Demo file of a server in development mode: issuer, clients, resources and API; other arguments win over it.
    #[arg(long, value_name = "PATH")]
    demo: Option<PathBuf>,

    /// Confidential client with the client credentials grant.
    #[arg(long)]
    client_id: Option<String>,

    /// File with the client's secret, white space around it dropped; or set `CONFORMANCE_CLIENT_SECRET`.
    #[arg(long, value_name = "PATH", requires = "client_id")]
    client_secret_file: Option<PathBuf>,

    /// The client's secret; prefer the file or the environment, arguments are seen by every process.
    #[arg(
        long,
        env = "CONFORMANCE_CLIENT_SECRET",
        hide_env_values = true,
        hide = true
    )]
    client_secret: Option<String>,

    /// How a client with a secret authenticates.
    #[arg(long, value_enum, default_value_t = SecretMethod::ClientSecretBasic)]
    client_auth_method: SecretMethod,

    /// File with the client's private key in PEM; the client then authenticates by `private_key_jwt`.
    #[arg(
        long,
        value_name = "PATH",
        requires = "client_id",
        conflicts_with = "client_secret_file"
    )]
    client_key_file: Option<PathBuf>,

    /// Algorithm of the client's key.
    #[arg(long, value_name = "ALG", default_value = "ES256")]
    client_key_alg: String,

    /// `kid` of the client's key.
    #[arg(long, value_name = "KID")]
    client_key_id: Option<String>,

    /// A public client, for what another client must not be able to do.
    #[arg(long, value_name = "CLIENT_ID")]
    public_client_id: Option<String>,

    /// A resource that the client may ask for (RFC 8707); may be repeated.
    #[arg(long = "resource", value_name = "URL")]
    resources: Vec<String>,

    /// A protected resource that takes GET and a bearer token.
    #[arg(long, value_name = "URL")]
    api: Option<Url>,

    /// What a person with an account types into the sign-in form, mostly an email address.
    #[arg(long, value_name = "LOGIN", requires = "person_password_file")]
    person_login: Option<String>,

    /// File with that person's password, white space around it dropped.
    #[arg(long, value_name = "PATH", requires = "person_login")]
    person_password_file: Option<PathBuf>,

    /// Public client with the authorization code grant, for the person to use.
    #[arg(long, value_name = "CLIENT_ID", requires = "app_redirect_uri")]
    app_client_id: Option<String>,

    /// A redirection URI of that client; nothing needs to listen there.
    #[arg(long, value_name = "URI", requires = "app_client_id")]
    app_redirect_uri: Option<String>,

    /// File with an initial access token, where the server registers clients for those who have one (RFC 7591 §1.2).
    #[arg(long, value_name = "PATH")]
    registration_token_file: Option<PathBuf>,

    /// Where to listen for what the server fetches from its clients and sends to them: logout tokens, keys, request objects.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// The URL at which the server reaches that address, where it is another one.
    #[arg(long, value_name = "URL", requires = "listen")]
    listen_url: Option<Url>,

    /// File with one JSON object that the app may ask for in `authorization_details` (RFC 9396).
    #[arg(long, value_name = "PATH")]
    authorization_details_file: Option<PathBuf>,

    /// Public client with the device authorization grant (RFC 8628).
    #[arg(long, value_name = "CLIENT_ID")]
    device_client_id: Option<String>,

    /// The resource that the person's token is for before the confidential client exchanges it (RFC 8693).
    #[arg(long, value_name = "URL")]
    exchange_from: Option<String>,

    /// The scope that the person's token has before it is exchanged.
    #[arg(long, value_name = "SCOPE")]
    exchange_scope: Option<String>,

    /// The resource that it is exchanged for.
    #[arg(long, value_name = "URL")]
    exchange_for: Option<String>,

    /// File with certificates in PEM of authorities that vouch for the server, beside those that the system knows.
    #[arg(long, value_name = "PATH")]
    ca_file: Option<PathBuf>,

    /// URL of the metadata document of a public client (Client ID Metadata Documents).
    #[arg(long, value_name = "URL", requires = "document_redirect_uri")]
    document_client_id: Option<String>,

    /// A redirection URI that the document has; nothing needs to listen there.
    #[arg(long, value_name = "URI", requires = "document_client_id")]
    document_redirect_uri: Option<String>,

    /// Confidential client of the profile, which authenticates with `private_key_jwt` and has the grants of the app.
    #[arg(long, value_name = "CLIENT_ID", requires_all = ["profile_redirect_uri", "profile_key_file"])]
    profile_client_id: Option<String>,

    /// A redirection URI of that client; nothing needs to listen there.
    #[arg(long, value_name = "URI", requires = "profile_client_id")]
    profile_redirect_uri: Option<String>,

    /// File with that client's private key in PEM; it signs assertions, and requests where the profile wants them signed.
    #[arg(long, value_name = "PATH", requires = "profile_client_id")]
    profile_key_file: Option<PathBuf>,

    /// Algorithm of that key.
    #[arg(long, value_name = "ALG", default_value = "ES256")]
    profile_key_alg: String,

    /// `kid` of that key.
    #[arg(long, value_name = "KID")]
    profile_key_id: Option<String>,

    /// File about an issuer whose assertions the server takes as grants from the confidential client (RFC 7523 §2.1): a JSON object
    /// with `issuer`, `subject` and `key` (a private key in PEM), and where wanted `alg` (ES256), `kid`, `scope` and `resource`.
    #[arg(long, value_name = "PATH")]
    trusted_issuer_file: Option<PathBuf>,

    /// The same about an issuer whose Identity Assertion JWT Authorization Grants it takes.
    #[arg(long, value_name = "PATH")]
    identity_issuer_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
    Html,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum SecretMethod {
    ClientSecretBasic,
    ClientSecretPost,
}

fn standard(name: &str) -> Result<&'static Standard, String> {
    catalogue::find(name).ok_or_else(|| {
        let known: Vec<_> = catalogue::STANDARDS
            .iter()
            .map(|standard| standard.id)
            .collect();
        format!("not in the catalogue, which holds {}", known.join(", "))
    })
}

fn plan(name: &str) -> Result<&'static Plan, String> {
    plan::find(name).ok_or_else(|| {
        let known: Vec<_> = plan::PLANS.iter().map(|plan| plan.id).collect();
        format!("no such plan; there are {}", known.join(", "))
    })
}

fn profile(name: &str) -> Result<&'static Profile, String> {
    profile::find(name).ok_or_else(|| {
        let known: Vec<_> = profile::PROFILES.iter().map(|known| known.id).collect();
        format!("no such profile; there are {}", known.join(", "))
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        let _ = write!(std::io::stdout(), "{}", listing(&arguments));
        return ExitCode::SUCCESS;
    }
    match check(arguments).await {
        Ok(report) if report.summary.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(cause) => {
            eprintln!("conformance-tests: {cause:#}");
            ExitCode::from(2)
        }
    }
}

async fn check(arguments: Arguments) -> anyhow::Result<Report> {
    let format = arguments.format;
    let (standards, plans) = (arguments.standards.clone(), arguments.plans.clone());
    let profiles = arguments.profiles.clone();
    let subject = Subject::connect(target(arguments)?, Clock::system(), Limits::default()).await?;
    let report = if !plans.is_empty() {
        run_plans(&subject, &plans, progress).await
    } else if !profiles.is_empty() {
        run_profiles(&subject, &profiles, progress).await
    } else if standards.is_empty() {
        run(&subject, catalogue::STANDARDS, progress).await
    } else {
        run(&subject, &standards, progress).await
    };
    let text = match format {
        Format::Text => report.text(),
        Format::Json => report.json(),
        Format::Junit => report.junit(),
        Format::Html => report.html(),
    };
    // Whoever reads may have closed the pipe; the exit status still says how it went.
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    Ok(report)
}

/// A line for each requirement or module: its name, what it asks, and what shows it.
fn listing(arguments: &Arguments) -> String {
    let mut out = String::new();
    let mut line = |standard: &str, requirement: &Requirement| {
        let Requirement {
            id,
            section,
            level,
            statement,
            evidence,
            ..
        } = requirement;
        let shown = match evidence {
            Evidence::Checks(checks) => format!("{} checks", checks.len()),
            Evidence::Requirements(ids) => ids.join(", "),
            Evidence::Nothing(reason) => format!("unchecked: {reason}"),
        };
        let _ = writeln!(
            out,
            "{id}\n    {standard} §{section} {level}: {statement}\n    {shown}"
        );
    };
    for plan in &arguments.plans {
        for module in plan.modules {
            line(module.standard, &module.requirement);
        }
    }
    for part in arguments.profiles.iter().flat_map(|profile| profile.parts) {
        for requirement in part.requirements {
            line(part.id, requirement);
        }
    }
    let all = arguments.plans.is_empty() && arguments.profiles.is_empty();
    let standards = match arguments.standards.as_slice() {
        [] if all => catalogue::STANDARDS,
        chosen => chosen,
    };
    for standard in standards {
        for requirement in standard.requirements {
            line(standard.id, requirement);
        }
    }
    out
}

fn progress(result: &RequirementResult) {
    let mark = match &result.result {
        Outcome::Passed => "passed",
        Outcome::Failed { .. } => "FAILED",
        Outcome::NotApplicable { .. } => "n/a",
        Outcome::Unchecked { .. } => "unchecked",
    };
    eprintln!("{mark:<9} {}", result.id);
}

fn target(arguments: Arguments) -> anyhow::Result<Target> {
    let demo = arguments
        .demo
        .as_deref()
        .map(|path| -> anyhow::Result<Target> {
            Target::from_demo(&read(path)?).with_context(|| path.display().to_string())
        });
    let demo = demo.transpose()?;
    let credentials = credentials(&arguments)?;
    let person = person(&arguments)?;
    let mut target = demo.unwrap_or_else(|| Target::of(""));
    if let (Some(client_id), Some(redirect_uri)) =
        (arguments.app_client_id, arguments.app_redirect_uri)
    {
        target.app = Some(App {
            client_id,
            redirect_uri,
        });
    }
    if let Some(path) = &arguments.registration_token_file {
        target.registration_token = Some(secret(path)?);
    }
    if let Some(path) = &arguments.ca_file {
        target.authorities = Some(read(path)?);
    }
    if let Some(path) = &arguments.authorization_details_file {
        let details = serde_json::from_slice(&read(path)?);
        target.authorization_details = Some(details.with_context(|| path.display().to_string())?);
    }
    if let (Some(client_id), Some(redirect_uri)) = (
        arguments.document_client_id,
        arguments.document_redirect_uri,
    ) {
        target.document_client = Some(App {
            client_id,
            redirect_uri,
        });
    }
    if let (Some(client_id), Some(redirect_uri), Some(path)) = (
        arguments.profile_client_id,
        arguments.profile_redirect_uri,
        &arguments.profile_key_file,
    ) {
        let (algorithm, kid) = (&arguments.profile_key_alg, arguments.profile_key_id);
        let key = AssertionKey::from_pem(algorithm, kid, &read(path)?);
        target.profile_client = Some(ProfileClient {
            client_id,
            redirect_uri,
            key: key.with_context(|| path.display().to_string())?,
        });
    }
    if let Some(address) = arguments.listen {
        target.listen = Some(Listen {
            address,
            url: arguments.listen_url,
        });
    }
    if let Some(path) = &arguments.trusted_issuer_file {
        target.trusted_issuer = Some(issuer(path)?);
    }
    if let Some(path) = &arguments.identity_issuer_file {
        target.identity_issuer = Some(issuer(path)?);
    }
    let exchange = &mut target.exchange;
    exchange.resource = arguments.exchange_from.or(exchange.resource.take());
    exchange.scope = arguments.exchange_scope.or(exchange.scope.take());
    exchange.target = arguments.exchange_for.or(exchange.target.take());
    target.device = arguments.device_client_id.or(target.device);
    target.person = person.or(target.person);
    if let Some(issuer) = arguments.issuer {
        target.issuer = issuer;
    }
    if !arguments.resources.is_empty() {
        target.resources = arguments.resources;
    }
    target.credentials = credentials.or(target.credentials);
    target.public_client = arguments.public_client_id.or(target.public_client);
    target.api = arguments.api.or(target.api);
    Ok(target)
}

fn credentials(arguments: &Arguments) -> anyhow::Result<Option<Credentials>> {
    let Some(client_id) = arguments.client_id.clone() else {
        return Ok(None);
    };
    let authentication = if let Some(path) = &arguments.client_key_file {
        let key = AssertionKey::from_pem(
            &arguments.client_key_alg,
            arguments.client_key_id.clone(),
            &read(path)?,
        );
        Authentication::PrivateKeyJwt(key.with_context(|| path.display().to_string())?)
    } else {
        let secret = match (&arguments.client_secret_file, &arguments.client_secret) {
            (Some(path), _) => secret(path)?,
            (None, Some(secret)) => secret.as_str().into(),
            (None, None) => bail!(
                "--client-id needs --client-secret-file, --client-key-file or CONFORMANCE_CLIENT_SECRET"
            ),
        };
        match arguments.client_auth_method {
            SecretMethod::ClientSecretBasic => Authentication::ClientSecretBasic(secret),
            SecretMethod::ClientSecretPost => Authentication::ClientSecretPost(secret),
        }
    };
    Ok(Some(Credentials {
        client_id,
        authentication,
    }))
}

fn issuer(path: &Path) -> anyhow::Result<TrustedIssuer> {
    TrustedIssuer::from_json(&read(path)?).with_context(|| path.display().to_string())
}

fn person(arguments: &Arguments) -> anyhow::Result<Option<Person>> {
    let (Some(login), Some(path)) = (&arguments.person_login, &arguments.person_password_file)
    else {
        return Ok(None);
    };
    Ok(Some(Person {
        login: login.clone(),
        password: secret(path)?,
    }))
}

fn secret(path: &Path) -> anyhow::Result<SecretString> {
    let text = String::from_utf8(read(path)?);
    let text = text.with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.trim().into())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_refused() {
        for arguments in [
            &[][..],
            &["--issuer", "http://localhost", "--rfc", "1"],
            &["--issuer", "http://localhost", "--plan", "hybrid"],
            &[
                "--issuer",
                "http://localhost",
                "--plan",
                "basic",
                "--rfc",
                "6749",
            ],
            &["--issuer", "http://localhost", "--format", "pdf"],
            &["--issuer", "http://localhost", "--client-secret-file", "f"],
            &["--issuer", "http://localhost", "--api", "no url"],
            &[
                "--issuer",
                "http://localhost",
                "--person-login",
                "a@b.example",
            ],
            &["--issuer", "http://localhost", "--app-client-id", "app"],
        ] {
            let given = std::iter::once("conformance-tests").chain(arguments.iter().copied());
            assert!(Arguments::try_parse_from(given).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn arguments_win_over_the_demo_file() {
        let path =
            std::env::temp_dir().join(format!("conformance-demo-{}.json", std::process::id()));
        std::fs::write(
            &path,
            r#"{"issuer":"http://localhost:1","resources":["http://localhost:2"],"app":{"client_id":"app"}}"#,
        )
        .unwrap();
        let arguments = Arguments::try_parse_from([
            "conformance-tests",
            "--demo",
            path.to_str().unwrap(),
            "--issuer",
            "http://localhost:3",
            "--app-client-id",
            "other",
            "--app-redirect-uri",
            "com.example.app:/callback",
        ])
        .unwrap();
        let target = target(arguments).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(target.issuer, "http://localhost:3");
        assert_eq!(target.resources, ["http://localhost:2"]);
        assert_eq!(target.public_client.as_deref(), Some("app"));
        let app = target.app.unwrap();
        assert_eq!(app.client_id, "other");
        assert_eq!(app.redirect_uri, "com.example.app:/callback");
    }

    #[test]
    fn a_client_needs_something_to_authenticate_with() {
        let mut arguments = Arguments::try_parse_from([
            "conformance-tests",
            "--issuer",
            "http://localhost",
            "--client-id",
            "a",
        ])
        .unwrap();
        arguments.client_secret = None;
        assert!(target(arguments).is_err());
    }
}
