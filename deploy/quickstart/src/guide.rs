//! What is printed once both servers answer.

use std::io::{self, Write as _};
use std::path::Path;

use secrecy::ExposeSecret as _;
use shared_protocol::issuer::Issuer;

use crate::certificates;
use crate::demo::Demo;
use crate::settings::{self, Settings};

/// Prints credentials, addresses, three lines to paste, and `ready`.
///
/// # Errors
/// When standard output is closed.
pub(crate) fn print(demo: &Demo, settings: &Settings, folder: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let app = settings::origin(settings.app_port);
    let mtls = settings.auth.mtls.url.as_ref();
    let certified = mtls.map_or_else(String::new, |url| certified(demo, url, folder));
    out.write_all(text(demo, &app, folder, &certified).as_bytes())?;
    out.flush()
}

/// How to show a certificate (RFC 8705).
fn certified(demo: &Demo, url: &Issuer, folder: &Path) -> String {
    let file = |name| folder.join(name).display().to_string();
    let [crt, key] = certificates::CLIENT.map(file);
    format!(
        r"
As a worker that shows a certificate in place of a secret, at {url}:

curl -sS -w '\n' --cacert '{authority}' --cert '{crt}' --key '{key}' -d grant_type=client_credentials -d 'client_id={id}' '{token}'
",
        authority = file(certificates::AUTHORITY),
        id = demo.worker.client_id,
        token = url.endpoint(auth_server::routes::TOKEN),
    )
}

fn text(demo: &Demo, app_origin: &str, folder: &Path, certified: &str) -> String {
    let Demo {
        issuer,
        api,
        resources,
        service,
        worker,
        app,
        device,
        person,
        ..
    } = demo;
    let api_base = api.as_str().trim_end_matches('/');
    let second = resources.get(1).unwrap_or(api);
    let metadata = issuer.endpoint("/.well-known/openid-configuration");
    let credentials = format!(
        "{}:{}",
        service.client_id,
        service.client_secret.expose_secret()
    );
    let token = issuer.endpoint(auth_server::routes::TOKEN);
    let introspect = issuer.endpoint(auth_server::routes::INTROSPECT);
    format!(
        r#"
Development mode: plain http, for this machine alone, with the keys beside the database. Not for production.

Authorization server  {issuer}
  metadata            {metadata}
Resource API          {api}
  description         {api_base}/docs
  second resource     {second}
Demo app              {app_origin}

Service client        client_id {client_id}
                      client_secret {secret}
                      client_credentials on both resources, introspection for both
Worker client         client_id {worker}
                      client_credentials as the service client, by a certificate
App client            client_id {app}
                      public and native, redirects to 127.0.0.1 and localhost at /callback on any port
Device client         client_id {device}
                      public, device flow
Person                {email}
                      password {password}

All of it is kept in {folder}.

As a person: open {app_origin} in a browser, and sign in with the address and the password above.
As a service: in another terminal, get a token, call the API with it, introspect it:

TOKEN=$(curl -sS -u '{credentials}' -d grant_type=client_credentials --data-urlencode 'resource={api}' '{token}' | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')
curl -sS -w '\n' -H "Authorization: Bearer $TOKEN" '{api_base}/api/v1/users/me'
curl -sS -w '\n' -u '{credentials}' -d "token=$TOKEN" '{introspect}'
{certified}
ready
"#,
        client_id = service.client_id,
        secret = service.client_secret.expose_secret(),
        worker = worker.client_id,
        app = app.client_id,
        device = device.client_id,
        email = person.email,
        password = person.password.expose_secret(),
        folder = folder.join("demo.json").display(),
    )
}
