//! What people are called, to whom (OpenID Connect Core §8): by the id of their account, or by a name that a sector alone knows them by, so
//! that two sectors cannot find out that they speak of one person.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::accounts::AccountId;
use crate::clients::{Client, ClientMetadata};
use crate::keys::root_secret::{MacKey, RootSecret};
use crate::resource_servers::ResourceServer;
use crate::sessions::SessionId;

/// OpenID Connect Core §8.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// The same to everybody.
    #[default]
    Public,
    /// Another to each sector.
    Pairwise,
}

impl SubjectType {
    /// Every type.
    pub const ALL: [Self; 2] = [Self::Public, Self::Pairwise];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Pairwise => "pairwise",
        }
    }
}

/// Not a subject type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of public, pairwise")]
pub struct UnknownSubjectType;

impl std::str::FromStr for SubjectType {
    type Err = UnknownSubjectType;

    fn from_str(name: &str) -> Result<Self, UnknownSubjectType> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.as_str() == name)
            .ok_or(UnknownSubjectType)
    }
}

/// Names people. Whoever has the key finds out which account a name is of by trying them all; nobody else finds out anything.
#[derive(Clone)]
pub struct Subjects {
    key: Arc<MacKey>,
}

impl Subjects {
    /// Names under this secret, which is the same on every node and for as long as there is the database.
    #[must_use]
    pub fn new(root: &RootSecret) -> Self {
        Self {
            key: Arc::new(root.mac_key("pairwise subject")),
        }
    }

    /// What a person is called to a client.
    #[must_use]
    pub fn of(&self, metadata: &ClientMetadata, account_id: &AccountId) -> String {
        match metadata.names_of_people() {
            Some(sector) => self.pairwise(sector, account_id),
            None => account_id.as_str().to_owned(),
        }
    }

    /// What a session is called to a client, the `sid` of its ID tokens: where two sectors know one person by two names, one name of their
    /// session would tell that they are one.
    #[must_use]
    pub fn session<'a>(
        &self,
        metadata: &ClientMetadata,
        session_id: &'a SessionId,
    ) -> Cow<'a, str> {
        match metadata.names_of_people() {
            // No account's id is that of a session, so that these are no subjects.
            Some(sector) => self.name(sector, session_id.as_str()).into(),
            None => session_id.as_str().into(),
        }
    }

    /// What a person is called to a resource server: the sector of one is its host.
    #[must_use]
    pub fn at(&self, server: &ResourceServer, account_id: &AccountId) -> String {
        match server.subject_type {
            SubjectType::Pairwise => {
                let identifier = &server.identifier;
                let sector = identifier.url().host_str();
                self.pairwise(sector.unwrap_or(identifier.normal()), account_id)
            }
            SubjectType::Public => account_id.as_str().to_owned(),
        }
    }

    /// OpenID Connect Core §8.1: cannot be turned back, differs by sector, and is the same each time.
    fn pairwise(&self, sector: &str, account_id: &AccountId) -> String {
        self.name(sector, account_id.as_str())
    }

    fn name(&self, sector: &str, id: &str) -> String {
        let parts = [sector.as_bytes(), id.as_bytes()];
        URL_SAFE_NO_PAD.encode(self.key.tag(&parts))
    }
}

/// Whose answer alone a client wants (OpenID Connect Core §3.1.2.1 `id_token_hint`, §5.5.1 a value for `sub`), by what it calls them.
pub struct Expected {
    /// What people are called.
    pub subjects: Subjects,
    /// Who calls them so.
    pub client: Arc<Client>,
    /// The person is one of each of these lists.
    pub among: Vec<Vec<String>>,
}

impl Expected {
    /// Whether this person is meant. Found out by naming them, for nothing that a client says is taken for the id of an account.
    #[must_use]
    pub fn is(&self, account_id: &AccountId) -> bool {
        let subject = self.subjects.of(&self.client.metadata, account_id);
        self.among.iter().all(|names| names.contains(&subject))
    }
}

#[cfg(test)]
impl Subjects {
    /// Names under a key that everybody knows.
    pub(crate) fn of_test() -> Self {
        Self {
            key: Arc::new(MacKey::of_test()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared_protocol::random::SystemRandom;

    use super::*;

    fn metadata(changes: &serde_json::Value) -> ClientMetadata {
        let mut metadata = json!({"token_endpoint_auth_method": "none", "grant_types": ["authorization_code"],
            "redirect_uris": ["https://app.example/cb"], "subject_type": "pairwise"});
        let members = metadata.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn oidc_core_8_1_a_name_is_of_one_sector_and_one_person() {
        let subjects = Subjects::of_test();
        let (ada, bob) = (
            AccountId::generate(&SystemRandom),
            AccountId::generate(&SystemRandom),
        );
        let own = subjects.of(&metadata(&json!({})), &ada);
        assert_eq!(own.len(), 43);
        assert!(own.parse::<AccountId>().is_err());
        for (what, changes, same) in [
            ("again", json!({}), true),
            (
                "another path",
                json!({"redirect_uris": ["https://app.example/other"]}),
                true,
            ),
            (
                "another port",
                json!({"redirect_uris": ["https://app.example:8443/cb"]}),
                true,
            ),
            (
                "the host of a sector",
                json!({"redirect_uris": ["https://b.example/cb"], "sector_identifier_uri": "https://app.example/list"}),
                true,
            ),
            (
                "another host",
                json!({"redirect_uris": ["https://b.example/cb"]}),
                false,
            ),
            (
                "another sector",
                json!({"sector_identifier_uri": "https://b.example/list"}),
                false,
            ),
            ("public", json!({"subject_type": "public"}), false),
            ("nothing said", json!({"subject_type": null}), false),
        ] {
            let metadata = metadata(&changes);
            assert_eq!(subjects.of(&metadata, &ada) == own, same, "{what}");
            assert_ne!(subjects.of(&metadata, &bob), own, "{what}");
            let is_public = subjects.of(&metadata, &ada) == ada.as_str();
            assert_eq!(
                is_public,
                metadata.subject_type() == SubjectType::Public,
                "{what}"
            );
        }
    }

    #[test]
    fn oidc_core_8_1_sectors_are_hosts_that_are_somebodys() {
        for (redirects, sector) in [
            (&["https://app.example/cb"][..], Some("app.example")),
            (
                &["https://app.example/cb", "https://app.example/b"],
                Some("app.example"),
            ),
            (&["https://app.example/cb", "https://b.example/cb"], None),
            (&["http://127.0.0.1/cb"], None),
            (&["com.example.app:/cb"], None),
            (&["https://app.example/cb", "http://127.0.0.1/cb"], None),
            (&[], None),
        ] {
            let metadata = metadata(&json!({ "redirect_uris": redirects }));
            assert_eq!(metadata.sector(), sector, "{redirects:?}");
        }
    }
}
