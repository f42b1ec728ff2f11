//! Resource servers, clients and a person to try things with. What is kept in `demo.json` decides, and the database is made to fit it, so
//! that a start that was cut off is made good by the next one.

use std::time::Duration;

use auth_server::accounts::NewAccount;
use auth_server::accounts::profile::Profile;
use auth_server::authorization_details::{DetailsSchema, DetailsType, TypeName};
use auth_server::clients::secret::ClientSecret;
use auth_server::clients::{ApplicationType, AuthMethod, Client, ClientMetadata, GrantType};
use auth_server::records::Records;
use auth_server::resource_servers::ResourceServer;
use auth_server::server::World;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use shared_protocol::client_id::ClientId;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::app;
use crate::certificates;
use crate::demo::{self, App, Demo, Device, PERSON_NAME, Person, Service, Worker};
use crate::flags::Flags;
use crate::folder::Folder;
use crate::settings::{self, Settings};

const API_SCOPES: [(&str, &str); 2] = [
    ("profile:read", "Read your profile"),
    ("profile:write", "Change your profile"),
];
/// What the API understands in more words than a scope has (RFC 9396).
const DETAILS_TYPE: &str = "profile_fields";
const SECOND_SCOPES: [(&str, &str); 1] = [("reports:read", "Read your reports")];
const PEOPLE_SCOPES: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];
/// RFC 8252 §7.3: at any port.
const APP_REDIRECTS: [&str; 2] = ["http://127.0.0.1/callback", "http://localhost/callback"];
/// The same for who signed out.
const APP_SIGNED_OUT: [&str; 2] = ["http://127.0.0.1", "http://localhost"];
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

/// Where to seed, and with what.
pub(crate) struct Seed<'a> {
    pub(crate) records: &'a Records,
    pub(crate) settings: &'a Settings,
    pub(crate) folder: &'a Folder,
    pub(crate) world: &'a World,
}

impl Seed<'_> {
    /// Makes what is missing, keeps what is there, and moves what the ports changed.
    ///
    /// # Errors
    /// A file or a database that cannot be used.
    pub(crate) async fn sow(&self, flags: &Flags) -> anyhow::Result<Demo> {
        let before = Demo::read(self.folder)?;
        let mut demo = self.demo(flags, before.as_ref())?;
        if let Some(before) = &before {
            self.leave(before, &demo).await?;
        }
        // Before the rows, or a start that is cut off would leave clients that nobody can name.
        demo.write(self.folder)?;
        self.fit_service(&mut demo, before.is_some()).await?;
        for (id, metadata) in [
            (&demo.worker.client_id, worker_metadata(&demo.resources)?),
            (
                &demo.app.client_id,
                app_metadata(&demo.api, self.settings.app_port)?,
            ),
            (&demo.device.client_id, device_metadata(&demo.api)?),
        ] {
            if self.fit(id, metadata, None).await? == Fitted::Made && before.is_some() {
                warn_missing(id);
            }
        }
        self.fit_resource_servers(&demo).await?;
        self.fit_details_type(&demo.api).await?;
        self.fit_person(&demo.person, before.as_ref().map(|before| &before.person))
            .await?;
        Ok(demo)
    }

    fn demo(&self, flags: &Flags, before: Option<&Demo>) -> anyhow::Result<Demo> {
        let random = &*self.world.random;
        let api = self.settings.api.resource.identifier.clone();
        let second = format!("{}/second", api.as_str().trim_end_matches('/')).parse()?;
        let (service, worker, app, device) = match before {
            Some(before) => (
                before.service.clone(),
                before.worker.clone(),
                before.app.clone(),
                before.device.clone(),
            ),
            None => (
                Service {
                    client_id: new_client_id(random)?,
                    client_secret: ClientSecret::generate(random).expose().into(),
                },
                Worker {
                    client_id: new_client_id(random)?,
                },
                App {
                    client_id: new_client_id(random)?,
                },
                Device {
                    client_id: new_client_id(random)?,
                },
            ),
        };
        Ok(Demo {
            issuer: self.settings.auth.issuer.clone(),
            resources: vec![api.clone(), second],
            api,
            service,
            worker,
            app,
            device,
            person: Person::new(flags, before.map(|before| &before.person), random)?,
            authorization_details: demo::authorization_details(),
        })
    }

    /// Forgets the resource servers of an earlier start whose identifiers are others now.
    async fn leave(&self, before: &Demo, now: &Demo) -> anyhow::Result<()> {
        let servers = &self.records.resource_servers;
        let left = before
            .resources
            .iter()
            .filter(|old| !now.resources.contains(old))
            .filter_map(|old| servers.find(old))
            // One that somebody made theirs meanwhile is theirs.
            .filter(|server| {
                server.introspection_client_id.as_ref() == Some(&before.service.client_id)
            });
        for server in left {
            servers
                .delete(&server.identifier, self.world.clock.now())
                .await?;
        }
        Ok(())
    }

    async fn fit_service(&self, demo: &mut Demo, known: bool) -> anyhow::Result<()> {
        let Service {
            client_id,
            client_secret,
        } = demo.service.clone();
        let metadata = service_metadata(&demo.resources)?;
        match self.fit(&client_id, metadata, Some(&client_secret)).await? {
            Fitted::Made if known => warn_missing(&client_id),
            Fitted::Made | Fitted::Found => {}
            Fitted::OtherSecret => {
                // The old one may have been ended on purpose, so it is not put in force again.
                let secret = ClientSecret::generate(&*self.world.random);
                let now = self.world.clock.now();
                self.records
                    .clients
                    .rotate_secret(&client_id, &secret, Duration::ZERO, now)
                    .await?;
                demo.service.client_secret = secret.expose().into();
                demo.write(self.folder)?;
                tracing::warn!(
                    client_id = client_id.as_str(),
                    "the secret in demo.json was not the client's; it has a new one"
                );
            }
        }
        Ok(())
    }

    /// Makes the database have this person, with this password. A person of an earlier address stays: the database may hold what is
    /// theirs.
    async fn fit_person(&self, person: &Person, before: Option<&Person>) -> anyhow::Result<()> {
        let (accounts, now) = (&self.records.accounts, self.world.clock.now());
        let random = &*self.world.random;
        let email = person.address()?;
        match accounts.find_by_email(&email).await? {
            None => {
                let new = NewAccount {
                    email,
                    name: Some(PERSON_NAME.into()),
                    email_verified: true,
                    password: Some(person.password.clone()),
                };
                let id = accounts.create(new, now, random).await?;
                let known = (Some(PERSON_NAME), &profile()?);
                accounts.set_profile(&id, known, now).await?;
                if before.is_some_and(|before| before.email == person.email) {
                    tracing::warn!(
                        "the database did not have the person of demo.json; they have an account again"
                    );
                }
            }
            Some(account) => {
                // Set again only if it is another one: a new password ends sessions and grants.
                if !accounts.is_password(&account.id, &person.password).await? {
                    accounts
                        .set_password(&account.id, &person.password, now, random)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// Makes the database have this client.
    async fn fit(
        &self,
        id: &ClientId,
        metadata: ClientMetadata,
        secret: Option<&SecretString>,
    ) -> anyhow::Result<Fitted> {
        let (clients, now) = (&self.records.clients, self.world.clock.now());
        let secret =
            secret.map(|secret| ClientSecret::presented(secret.expose_secret().to_owned()));
        let found = clients.find(id).await?;
        let same = found
            .as_ref()
            .is_some_and(|found| is_same(&found.metadata, &metadata));
        if !same {
            let new = secret.as_ref().filter(|_| found.is_none());
            let client = Client::new(id.clone(), metadata, Vec::new())?;
            clients.put(&client, new, now).await?;
        }
        Ok(match (found, secret.map(|secret| secret.digest())) {
            (None, _) => Fitted::Made,
            (Some(found), Some(digest))
                if !found
                    .live_secrets(now)
                    .any(|live| live.matches(&digest).into()) =>
            {
                Fitted::OtherSecret
            }
            (Some(_), _) => Fitted::Found,
        })
    }

    async fn fit_resource_servers(&self, demo: &Demo) -> anyhow::Result<()> {
        let [api, second] = demo.resources.as_slice() else {
            anyhow::bail!("there are two resource servers");
        };
        for server in [
            self.resource_server(api, "Resource API", &API_SCOPES, demo)?,
            self.resource_server(second, "Second resource", &SECOND_SCOPES, demo)?,
        ] {
            let servers = &self.records.resource_servers;
            let found = servers.find(&server.identifier);
            // What somebody chose for it by `resource update` stays.
            let server = match &found {
                None => server,
                Some(found) => ResourceServer {
                    lifetime: found.lifetime,
                    subject_type: found.subject_type,
                    token_format: found.token_format,
                    claims: found.claims.clone(),
                    ..server
                },
            };
            if !found.is_some_and(|found| is_same(&*found, &server)) {
                servers.put(&server, self.world.clock.now()).await?;
            }
        }
        Ok(())
    }

    async fn fit_details_type(&self, api: &ResourceId) -> anyhow::Result<()> {
        let details_type = DetailsType {
            name: DETAILS_TYPE.parse()?,
            resource: api.clone(),
            description: "Read single fields of your profile".parse()?,
            schema: DetailsSchema::parse(include_bytes!("profile_fields.json"))?,
            additive: vec!["datatypes".into()],
        };
        let servers = &self.records.resource_servers;
        let found = servers.details_type(DETAILS_TYPE);
        let is_same = found.is_some_and(|found| {
            found.resource == details_type.resource
                && found.description == details_type.description
                && found.schema.source() == details_type.schema.source()
                && found.additive == details_type.additive
        });
        if !is_same {
            let now = self.world.clock.now();
            servers.put_details_type(&details_type, now).await?;
        }
        Ok(())
    }

    fn resource_server(
        &self,
        identifier: &ResourceId,
        name: &str,
        scopes: &[(&str, &str)],
        demo: &Demo,
    ) -> anyhow::Result<ResourceServer> {
        let scope = |(name, told): &(&str, &str)| Ok((name.parse()?, (*told).to_owned()));
        let alg = self.settings.auth.keys.algorithms.first();
        let alg = alg.ok_or_else(|| anyhow::anyhow!("keys.algorithms is empty"))?;
        Ok(ResourceServer {
            lifetime: TOKEN_LIFETIME,
            introspection_client_id: Some(demo.service.client_id.clone()),
            scopes: scopes
                .iter()
                .map(scope)
                .collect::<anyhow::Result<Vec<(ScopeToken, String)>>>()?,
            ..ResourceServer::new(identifier.clone(), name.to_owned(), *alg)
        })
    }
}

/// What the database said of a client.
#[derive(Debug, Eq, PartialEq)]
enum Fitted {
    /// It did not have it.
    Made,
    /// It had it.
    Found,
    /// It had it, and the secret is another one.
    OtherSecret,
}

fn warn_missing(id: &ClientId) {
    tracing::warn!(
        client_id = id.as_str(),
        "the database did not have this client of demo.json; it is registered again"
    );
}

fn new_client_id(random: &dyn Random) -> anyhow::Result<ClientId> {
    Ok(alphanumeric(22, random).parse()?)
}

fn is_same<T: Serialize>(one: &T, other: &T) -> bool {
    matches!(
        (serde_json::to_value(one), serde_json::to_value(other)),
        (Ok(one), Ok(other)) if one == other
    )
}

/// What is known of the person: something for every claim.
fn profile() -> anyhow::Result<Profile> {
    Ok(serde_json::from_value(serde_json::json!({
        "given_name": "Demo", "family_name": "Person", "middle_name": "Q.", "nickname": "Dee", "preferred_username": "demo",
        "profile": "https://people.example/demo", "picture": "https://people.example/demo.png",
        "website": "https://demo.example", "gender": "other", "birthdate": "0000-10-31", "zoneinfo": "Europe/Vienna",
        "locale": "en-AT", "phone_number": "+43123456789", "phone_number_verified": false,
        "address": {"formatted": "Demo Person\nExample Street 1\n1010 Vienna\nAustria", "street_address": "Example Street 1",
            "locality": "Vienna", "region": "Vienna", "postal_code": "1010", "country": "Austria"},
    }))?)
}

/// The types of authorization details of the demo's resource servers.
pub(crate) fn details_types() -> anyhow::Result<Vec<TypeName>> {
    Ok(vec![DETAILS_TYPE.parse()?])
}

/// The scopes of the demo's resource servers.
pub(crate) fn resource_scopes() -> impl Iterator<Item = &'static str> {
    API_SCOPES
        .iter()
        .chain(&SECOND_SCOPES)
        .map(|(name, _)| *name)
}

/// The same, and those that are about people.
fn scopes_for_people() -> anyhow::Result<ScopeSet> {
    let names = resource_scopes().chain(PEOPLE_SCOPES);
    Ok(names
        .map(str::parse::<ScopeToken>)
        .collect::<Result<_, _>>()?)
}

/// It may act for people at the second resource, as the API would.
fn service_metadata(resources: &[ResourceId]) -> anyhow::Result<ClientMetadata> {
    let [api, second] = resources else {
        anyhow::bail!("there are two resource servers");
    };
    let policy = serde_json::json!({"audiences": resources, "downstream":
        [{"from": api, "scope": "profile:read", "to": second, "scopes": "reports:read"}]});
    Ok(ClientMetadata {
        client_name: Some("Demo service".into()),
        token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
        grant_types: [GrantType::ClientCredentials, GrantType::TokenExchange].into(),
        scope: resource_scopes()
            .map(str::parse::<ScopeToken>)
            .collect::<Result<_, _>>()?,
        authorization_details_types: details_types()?,
        default_resource: Some(api.clone()),
        token_exchange: Some(serde_json::from_value(policy)?),
        ..ClientMetadata::default()
    })
}

fn worker_metadata(resources: &[ResourceId]) -> anyhow::Result<ClientMetadata> {
    Ok(ClientMetadata {
        client_name: Some("Demo worker".into()),
        token_endpoint_auth_method: AuthMethod::TlsClientAuth,
        tls_client_auth_subject_dn: Some(format!("CN={}", certificates::CLIENT_NAME)),
        grant_types: [GrantType::ClientCredentials].into(),
        token_exchange: None,
        ..service_metadata(resources)?
    })
}

fn device_metadata(default: &ResourceId) -> anyhow::Result<ClientMetadata> {
    Ok(ClientMetadata {
        client_name: Some("Demo device".into()),
        token_endpoint_auth_method: AuthMethod::None,
        grant_types: [GrantType::DeviceCode, GrantType::RefreshToken].into(),
        scope: scopes_for_people()?,
        authorization_details_types: details_types()?,
        default_resource: Some(default.clone()),
        ..ClientMetadata::default()
    })
}

fn app_metadata(default: &ResourceId, port: u16) -> anyhow::Result<ClientMetadata> {
    Ok(ClientMetadata {
        client_name: Some("Demo app".into()),
        token_endpoint_auth_method: AuthMethod::None,
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        application_type: ApplicationType::Native,
        redirect_uris: APP_REDIRECTS
            .iter()
            .map(|uri| uri.parse())
            .collect::<Result<_, _>>()?,
        post_logout_redirect_uris: APP_SIGNED_OUT
            .iter()
            .map(|host| format!("{host}{}", app::SIGNED_OUT).parse())
            .collect::<Result<_, _>>()?,
        backchannel_logout_uri: Some(
            format!("{}{}", settings::origin(port), app::BACK_CHANNEL).parse()?,
        ),
        scope: scopes_for_people()?,
        authorization_details_types: details_types()?,
        default_resource: Some(default.clone()),
        ..ClientMetadata::default()
    })
}
