//! Clients that nobody registered: their identifier is the URL of a document in which they describe themselves
//! (draft-ietf-oauth-client-id-metadata-document).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, object};
use shared_protocol::outbound::{Fetched, Fetcher};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::url::ClientUrl;
use super::{AuthMethod, Client, ClientMetadata, submitted};
use crate::authorization_details::TypeName;
use crate::authorize::request::OwnScope;
use crate::config::ClientDocumentsConfig;
use crate::documents::{DocumentError, Documents, FETCHES, Kind, require_json};
use crate::profiles::Profiles;
use crate::resource_servers::ResourceServers;

/// Bytes of all documents that are remembered.
const KEPT: u64 = 32 * 1024 * 1024;

/// What such a client cannot have said for it: who vouches for it, and a list that would have to be fetched with each look at it.
const IGNORED: [&str; 3] = [
    "response_types",
    "sector_identifier_uri",
    "software_statement",
];
/// The grants that take a person, who sees who asks.
const GRANTS: [&str; 2] = ["authorization_code", "refresh_token"];

/// The URL that an identifier is, if a document may stand there: https, with a path, and written in the one way in which it is fetched,
/// so that no two identifiers name one document and no dot segment leads elsewhere.
#[must_use]
pub fn document_url(id: &ClientId) -> Option<ClientUrl> {
    if !is_document(id) {
        return None;
    }
    let url: ClientUrl = id.as_str().parse().ok()?;
    (url.url().as_str() == id.as_str() && !url.has_fragment()).then_some(url)
}

/// Whether an identifier is that of a client which describes itself: those that we give out are of letters and digits.
#[must_use]
pub fn is_document(id: &ClientId) -> bool {
    id.as_str().starts_with("https://")
}

/// The descriptions of clients by themselves.
#[derive(Clone)]
pub struct ClientDocuments {
    documents: Documents<Client>,
    reader: Arc<Reader>,
    /// The scopes that there were when they were read.
    there_was: Arc<Mutex<ScopeSet>>,
}

impl ClientDocuments {
    /// Documents by this fetcher, for clients that may ask for the scopes of `config` and get ID tokens by one of `algorithms`.
    #[must_use]
    pub fn new(
        fetcher: &Fetcher,
        config: &ClientDocumentsConfig,
        resource_servers: ResourceServers,
        (algorithms, profiles): (Vec<Algorithm>, Profiles),
    ) -> Self {
        let reader = Arc::new(Reader {
            scope: config.scope.clone(),
            details_types: config.authorization_details_types.clone(),
            resource_servers,
            algorithms,
            profiles,
        });
        let reads = Arc::clone(&reader);
        let documents = Documents::new(
            fetcher,
            Kind {
                name: "client_id",
                accept: "application/json",
                longest: Duration::from_hours(1),
                most: config.body,
                kept: KEPT,
                at_once: FETCHES,
                read: Arc::new(move |url, fetched| {
                    let client = reads.read(url, fetched)?;
                    Ok((client, 1024 + 8 * fetched.body.len()))
                }),
            },
        );
        Self {
            documents,
            there_was: Arc::new(Mutex::new(reader.there_is())),
            reader,
        }
    }

    /// The client, if what it says of itself is remembered and fresh.
    #[must_use]
    pub fn fresh(&self, url: &ClientUrl, now: Instant) -> Option<Arc<Client>> {
        self.documents.fresh(url, now)
    }

    /// Forgets them if there are other scopes now: clients that name none may ask for all there are.
    pub fn follow_scopes(&self) {
        let there_is = self.reader.there_is();
        let mut there_was = self
            .there_was
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *there_was != there_is {
            *there_was = there_is;
            self.documents.forget_all();
        }
    }

    /// The client, as it describes itself now.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub async fn current(
        &self,
        url: &ClientUrl,
        now: Instant,
    ) -> Result<Arc<Client>, DocumentError> {
        // What is read now is read with the scopes of now: word of those, when it comes, must not have it forgotten.
        self.follow_scopes();
        self.documents.current(url, now).await
    }
}

/// Makes clients of what they say of themselves.
struct Reader {
    /// Those that an operator allows; none for all there are.
    scope: ScopeSet,
    /// The same of authorization details: no others.
    details_types: Vec<TypeName>,
    resource_servers: ResourceServers,
    algorithms: Vec<Algorithm>,
    profiles: Profiles,
}

impl Reader {
    fn read(&self, url: &ClientUrl, fetched: &Fetched) -> Result<Client, DocumentError> {
        require_json(fetched)?;
        let content = |message: &str| DocumentError::Content(message.to_owned());
        let mut members = object(&fetched.body)
            .map_err(|_| content("it is not a JSON object with unique names"))?;
        members.retain(|_, value| !value.is_null());
        // Character by character (RFC 3986 §6.2.1).
        if members.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
            return Err(content("its client_id is not the URL that it stands at"));
        }
        if ["client_secret", "client_secret_expires_at"]
            .iter()
            .any(|name| members.contains_key(*name))
        {
            return Err(content("it holds a secret, which everybody can read there"));
        }
        self.metadata(members)
            .and_then(|metadata| {
                let id = url.as_str().parse().map_err(|_| String::new())?;
                // Of all hosts that it could name, this one alone is proven to be its own.
                let names = metadata.names_of_people();
                if names.is_some_and(|sector| url.url().host_str() != Some(sector)) {
                    return Err("subject_type pairwise is for a document whose host is that of all its redirect_uris, or of its sector_identifier_uri".into());
                }
                let client = Client::new(id, metadata, Vec::new());
                let client = client.and_then(|client| client.meeting(self.profiles));
                client.map_err(|error| error.to_string())
            })
            .map_err(DocumentError::Content)
    }

    /// What is said, with what is meant where nothing is.
    fn metadata(&self, mut members: Map<String, Value>) -> Result<ClientMetadata, String> {
        let names = |value: &Value| {
            let values = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let names = values.iter().filter_map(Value::as_str).map(str::to_owned);
            names.collect::<Vec<_>>()
        };
        if let Some(types) = members.get("response_types")
            && !names(types).iter().any(|name| name == "code")
        {
            return Err("its response_types lack code, the one that is served".into());
        }
        if self.profiles.server().client_documents() && !members.contains_key("client_name") {
            return Err("it lacks client_name (MCP, Client ID Metadata Documents)".into());
        }
        members.retain(|name, _| !IGNORED.contains(&name.as_str()));
        let asked = members.remove("scope");
        // The default of RFC 7591 §2 is a secret, which such a client cannot have.
        let method = members
            .entry("token_endpoint_auth_method")
            .or_insert_with(|| AuthMethod::None.as_str().into());
        let methods = [AuthMethod::None, AuthMethod::PrivateKeyJwt].map(AuthMethod::as_str);
        if !method.as_str().is_some_and(|name| methods.contains(&name)) {
            return Err("its token_endpoint_auth_method is neither none nor private_key_jwt, and no secret can be shared with it".into());
        }
        let grants = members.get("grant_types").map(names);
        let grants = grants.unwrap_or_else(|| vec![GRANTS[0].into()]);
        let grants = grants.iter().filter(|name| GRANTS.contains(&name.as_str()));
        members.insert("grant_types".into(), json!(grants.collect::<Vec<_>>()));
        let mut metadata = submitted::metadata(&members).map_err(|error| error.to_string())?;
        if metadata.redirect_uris.is_empty() {
            return Err("it lists no redirect_uris".into());
        }
        metadata.scope = self.scope(asked.as_ref())?;
        self.profiles.complete(&mut metadata);
        let types = &mut metadata.authorization_details_types;
        types.retain(|name| self.details_types.contains(name));
        match metadata.id_token_signed_response_alg {
            Some(alg) if !self.algorithms.contains(&alg) => {
                return Err(format!(
                    "its id_token_signed_response_alg is {alg}, with which this server does not sign"
                ));
            }
            None if !self.algorithms.contains(&Algorithm::Rs256) => {
                metadata.id_token_signed_response_alg = self.algorithms.first().copied();
            }
            Some(_) | None => {}
        }
        let unsigned = |alg: &Algorithm| !self.algorithms.contains(alg);
        for (what, alg) in [
            ("userinfo", metadata.userinfo_signed_response_alg),
            ("introspection", metadata.introspection_signed_response_alg),
        ] {
            if let Some(alg) = alg.filter(unsigned) {
                return Err(format!(
                    "its {what}_signed_response_alg is {alg}, with which this server does not sign"
                ));
            }
        }
        Ok(metadata)
    }

    /// What any client may ask for.
    fn there_is(&self) -> ScopeSet {
        if self.scope.is_empty() {
            let own = OwnScope::ALL
                .into_iter()
                .filter_map(|scope| scope.as_str().parse().ok());
            let servers = self.resource_servers.snapshot();
            own.chain(servers.scopes().cloned()).collect()
        } else {
            self.scope.clone()
        }
    }

    /// What the client may ask for: of what there is, what it names if it names any.
    fn scope(&self, asked: Option<&Value>) -> Result<ScopeSet, String> {
        let there_is = self.there_is();
        let Some(asked) = asked else {
            return Ok(there_is);
        };
        let asked = asked
            .as_str()
            .and_then(|asked| asked.parse::<ScopeSet>().ok());
        let asked = asked.ok_or("its scope is not a list of scopes, parted by spaces")?;
        Ok(asked.intersection(&there_is))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_urls_written_in_one_way() {
        for (id, good) in [
            ("https://client.example/app.json", true),
            ("https://client.example/", true),
            ("https://client.example/a/b?v=1", true),
            ("https://client.example:8443/app.json", true),
            ("https://client.example/%61pp.json", true),
            ("https://client.example", false),
            ("https://client.example:443/app.json", false),
            ("https://CLIENT.example/app.json", false),
            ("https://client.example/a/../app.json", false),
            ("https://client.example/./app.json", false),
            ("https://client.example/%2e%2e/app.json", false),
            ("https://client.example/a/%2E/app.json", false),
            ("https://client.example/app.json#it", false),
            ("https://client.example/app.json#", false),
            ("https://user@client.example/app.json", false),
            ("https://user:secret@client.example/app.json", false),
            ("https://client.example/a b", false),
            ("https:///client.example/app.json", false),
            ("https://2130706433/app.json", false),
            ("http://client.example/app.json", false),
            ("HTTPS://client.example/app.json", false),
            ("http://localhost/app.json", false),
            ("ftp://client.example/app.json", false),
            ("client.example/app.json", false),
            ("0123456789abcdefghijkl", false),
        ] {
            let url = document_url(&id.parse().unwrap());
            assert_eq!(url.is_some(), good, "{id}");
        }
    }
}
