//! What the access tokens of a resource server say beside the claims that every token has: a list of mappings that an operator wrote,
//! of what is known of the person and of the client.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared_protocol::jose::is_within;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::ResourceServer;
use crate::accounts::attributes::{AttributeName, STANDARD, is_multi_valued};
use crate::claims::{Claim, Told};
use crate::clients::ClientMetadata;
use crate::store::accounts::DescribedPersonRow;

/// Mappings of a resource server.
const MOST: usize = 20;
/// Bytes of the name of a claim; those that are URLs are longer than words.
const LONGEST_NAME: usize = 128;
/// Bytes of a constant as JSON, and its depth.
const LONGEST_CONSTANT: usize = 1024;
const DEEPEST_CONSTANT: usize = 4;
/// Bytes of all mapped claims of one token as JSON: it is sent with each request.
pub const LONGEST: usize = 6 * 1024;

/// Whether a claim of this name means something already, in access tokens (RFC 7519 §4.1, RFC 8693 §4, RFC 8705 §3.1, RFC 9068 §2.2,
/// RFC 9396 §9.1 and our own), in answers about them (RFC 7662 §2.2, RFC 9701 §5), in ID tokens (OpenID Connect Core §2, §3.1.3.6,
/// §3.3.2.11, §5.6.2) or in security events (RFC 8417 §2.2), so that none of them can be taken for another.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "iss"
            | "sub"
            | "aud"
            | "exp"
            | "nbf"
            | "iat"
            | "jti"
            | "client_id"
            | "scope"
            | "auth_time"
            | "acr"
            | "amr"
            | "act"
            | "may_act"
            | "cnf"
            | "authorization_details"
            | "grant_id"
            | "subject_tokens"
            | "active"
            | "username"
            | "token_type"
            | "token_introspection"
            | "nonce"
            | "azp"
            | "sid"
            | "at_hash"
            | "c_hash"
            | "s_hash"
            | "sub_jwk"
            | "_claim_names"
            | "_claim_sources"
            | "events"
            | "toe"
            | "txn"
            | "sub_id"
    )
}

/// The name of a mapped claim: printable ASCII without blanks, quotes and backslashes, and none that means something already.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimName(Box<str>);

impl ClaimName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClaimName {
    type Err = InvalidMapping;

    fn from_str(raw: &str) -> Result<Self, InvalidMapping> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if raw.is_empty() || raw.len() > LONGEST_NAME || !raw.bytes().all(is_plain) {
            return Err(InvalidMapping::Name);
        }
        if is_reserved(raw) {
            return Err(InvalidMapping::Reserved(raw.to_owned()));
        }
        Ok(Self(raw.into()))
    }
}

shared_protocol::serde_as_text!(ClaimName, InvalidMapping);

/// What is known of a client, of what it registered (RFC 7591 §2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientField {
    /// `client_name`.
    Name,
    /// `software_id`.
    SoftwareId,
    /// `software_version`.
    SoftwareVersion,
}

impl ClientField {
    const ALL: [Self; 3] = [Self::Name, Self::SoftwareId, Self::SoftwareVersion];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "client_name",
            Self::SoftwareId => "software_id",
            Self::SoftwareVersion => "software_version",
        }
    }

    fn of(self, metadata: &ClientMetadata) -> Option<&str> {
        match self {
            Self::Name => metadata.client_name.as_deref(),
            Self::SoftwareId => metadata.software_id.as_deref(),
            Self::SoftwareVersion => metadata.software_version.as_deref(),
        }
    }
}

/// Where a claim comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// What operators say of the person.
    Attribute(AttributeName),
    /// What the person is told of by OpenID Connect too.
    Profile(Claim),
    /// What the client registered.
    Client(ClientField),
    /// The same for everybody.
    Constant(Value),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "attribute:{name}"),
            Self::Profile(claim) => write!(f, "profile:{}", claim.as_str()),
            Self::Client(field) => write!(f, "client:{}", field.as_str()),
            Self::Constant(_) => f.write_str("constant"),
        }
    }
}

/// All but constants, which are JSON.
impl FromStr for Source {
    type Err = InvalidMapping;

    fn from_str(raw: &str) -> Result<Self, InvalidMapping> {
        let unknown = || InvalidMapping::Source(raw.chars().take(LONGEST_NAME).collect());
        let (kind, name) = raw.split_once(':').ok_or_else(unknown)?;
        match kind {
            "attribute" => name.parse().map(Self::Attribute).map_err(|_| unknown()),
            "profile" => Claim::of(name).map(Self::Profile).ok_or_else(unknown),
            "client" => {
                let mut fields = ClientField::ALL.into_iter();
                let field = fields.find(|field| field.as_str() == name);
                field.map(Self::Client).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }
}

/// Why a mapping will not do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidMapping {
    /// No name of a claim.
    #[error(
        "the name of a claim is 1 to {LONGEST_NAME} printable ASCII characters without blanks, quotes and backslashes"
    )]
    Name,
    /// A name that means something already.
    #[error("the claim {0} has a meaning of its own in tokens; choose another name")]
    Reserved(String),
    /// A standard claim of something else.
    #[error(
        "the claim {0} is what OpenID Connect calls so; map it from profile:{0}, or choose another name"
    )]
    NotItsOwn(String),
    /// A source that is none.
    #[error(
        "{0:?} is no source: attribute:NAME, profile:CLAIM (OpenID Connect Core section 5.1), client:client_name, client:software_id, \
         client:software_version, or a constant"
    )]
    Source(String),
    /// Not one of the two.
    #[error("a mapping has `from` or `constant`, and not both")]
    OneSource,
    /// Too long a constant.
    #[error(
        "a constant has at most {LONGEST_CONSTANT} bytes as JSON, and lists and objects at most {DEEPEST_CONSTANT} deep in it"
    )]
    Constant,
    /// RFC 9068 §2.2.3.1.
    #[error(
        "{0} is a list (RFC 9068 section 2.2.3.1): map it from an attribute, or from a constant that is one"
    )]
    NoList(String),
    /// A condition that never holds.
    #[error("the claim {0} is bound to the scope {1}, which the resource server does not have")]
    Scope(String, String),
    /// One claim twice.
    #[error("the claim {0} is mapped twice")]
    Twice(String),
    /// Too many.
    #[error("a resource server has at most {MOST} mapped claims")]
    TooMany,
}

/// One claim of the access tokens of a resource server.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ClaimMapping {
    /// What it is called.
    pub claim: ClaimName,
    /// Where it comes from.
    pub source: Source,
    /// The scope without which it is left out.
    pub scope: Option<ScopeToken>,
}

/// The same as operators write it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    claim: ClaimName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    constant: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<ScopeToken>,
}

impl From<ClaimMapping> for Written {
    fn from(mapping: ClaimMapping) -> Self {
        let from = mapping.source.to_string();
        let (from, constant) = match mapping.source {
            Source::Constant(value) => (None, Some(value)),
            Source::Attribute(_) | Source::Profile(_) | Source::Client(_) => (Some(from), None),
        };
        Self {
            claim: mapping.claim,
            from,
            constant,
            scope: mapping.scope,
        }
    }
}

impl TryFrom<Written> for ClaimMapping {
    type Error = InvalidMapping;

    fn try_from(written: Written) -> Result<Self, InvalidMapping> {
        let source = match (written.from, written.constant) {
            (Some(from), None) => from.parse()?,
            (None, Some(constant)) => Source::Constant(constant),
            (Some(_), Some(_)) | (None, None) => return Err(InvalidMapping::OneSource),
        };
        Self::new(written.claim, source, written.scope)
    }
}

impl ClaimMapping {
    /// Checks that name and source go together.
    ///
    /// # Errors
    /// [`InvalidMapping`].
    pub fn new(
        claim: ClaimName,
        source: Source,
        scope: Option<ScopeToken>,
    ) -> Result<Self, InvalidMapping> {
        let name = claim.as_str();
        if let Source::Constant(value) = &source
            && (!is_within(value, DEEPEST_CONSTANT) || value.to_string().len() > LONGEST_CONSTANT)
        {
            return Err(InvalidMapping::Constant);
        }
        if let Some(standard) = Claim::of(name)
            && source != Source::Profile(standard)
        {
            return Err(InvalidMapping::NotItsOwn(name.to_owned()));
        }
        let is_list = match &source {
            Source::Attribute(_) => true,
            Source::Constant(value) => is_multi_valued(value),
            Source::Profile(_) | Source::Client(_) => false,
        };
        if STANDARD.contains(&name) && !is_list {
            return Err(InvalidMapping::NoList(name.to_owned()));
        }
        Ok(Self {
            claim,
            source,
            scope,
        })
    }

    fn applies(&self, scope: &ScopeSet) -> bool {
        self.scope
            .as_ref()
            .is_none_or(|bound| scope.contains(bound))
    }
}

/// `NAME=SOURCE`, with `@SCOPE` behind it where it is bound to one; `NAME=constant:TEXT`.
impl FromStr for ClaimMapping {
    type Err = InvalidMapping;

    fn from_str(raw: &str) -> Result<Self, InvalidMapping> {
        let unknown = || InvalidMapping::Source(raw.chars().take(LONGEST_NAME).collect());
        let (name, source) = raw.split_once('=').ok_or_else(unknown)?;
        if let Some(text) = source.strip_prefix("constant:") {
            return Self::new(name.parse()?, Source::Constant(text.into()), None);
        }
        let (source, scope) = match source.split_once('@') {
            Some((source, scope)) => (source, Some(scope.parse().map_err(|_| unknown())?)),
            None => (source, None),
        };
        Self::new(name.parse()?, source.parse()?, scope)
    }
}

/// What a token would have to say is longer than what it may say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLong;

impl ResourceServer {
    /// Whether its mappings make sense together, and with its scopes.
    ///
    /// # Errors
    /// [`InvalidMapping`].
    pub fn check_claims(&self) -> Result<(), InvalidMapping> {
        if self.claims.len() > MOST {
            return Err(InvalidMapping::TooMany);
        }
        for (index, mapping) in self.claims.iter().enumerate() {
            let name = mapping.claim.as_str();
            let mut before = self.claims.iter().take(index);
            if before.any(|other| other.claim == mapping.claim) {
                return Err(InvalidMapping::Twice(name.to_owned()));
            }
            if let Some(bound) = &mapping.scope
                && !self.scopes.iter().any(|(scope, _)| scope == bound)
            {
                return Err(InvalidMapping::Scope(name.to_owned(), bound.to_string()));
            }
        }
        Ok(())
    }

    /// Whether a token of this scope has any of these claims at all, and whether a person would have to be looked up for them.
    #[must_use]
    pub fn asks(&self, scope: &ScopeSet) -> Asks {
        let mut asks = Asks::Nothing;
        for mapping in self.claims.iter().filter(|mapping| mapping.applies(scope)) {
            match mapping.source {
                Source::Attribute(_) | Source::Profile(_) => return Asks::ForThePerson,
                Source::Client(_) | Source::Constant(_) => asks = Asks::Something,
            }
        }
        if self.standard(scope).next().is_some() {
            return Asks::ForThePerson;
        }
        asks
    }

    /// The claims of RFC 9068 §2.2.3.1 that a scope of the same name asks for, where the operator did not say where they come from.
    fn standard<'a>(&'a self, scope: &'a ScopeSet) -> impl Iterator<Item = &'static str> + 'a {
        STANDARD.into_iter().filter(|name| {
            scope.iter().any(|token| token.as_str() == *name)
                && !self
                    .claims
                    .iter()
                    .any(|mapping| mapping.claim.as_str() == *name)
        })
    }

    /// The claims of a token of this scope, each with where it comes from. What nothing is known of is left out.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn mapped(
        &self,
        scope: &ScopeSet,
        client: &ClientMetadata,
        person: Option<&DescribedPersonRow>,
    ) -> Result<Map<String, Value>, TooLong> {
        let attribute = |name: &str| {
            let attributes = person.and_then(|person| person.attributes.as_ref());
            attributes.and_then(|known| known.get(name)).cloned()
        };
        let mut mapped = Map::new();
        for mapping in self.claims.iter().filter(|mapping| mapping.applies(scope)) {
            let name = mapping.claim.as_str();
            let value = match &mapping.source {
                Source::Attribute(from) => attribute(from.as_str()),
                Source::Profile(claim) => person.and_then(|person| told(*claim, person)),
                Source::Client(field) => field.of(client).map(Into::into),
                Source::Constant(value) => Some(value.clone()),
            };
            // One attribute of any name may stand for a list of one.
            let value = value.map(|value| match value {
                value if STANDARD.contains(&name) && !value.is_array() => Value::Array(vec![value]),
                value => value,
            });
            mapped.extend(value.map(|value| (name.to_owned(), value)));
        }
        for name in self.standard(scope) {
            mapped.extend(attribute(name).map(|value| (name.to_owned(), value)));
        }
        let length = serde_json::to_string(&mapped).map_or(usize::MAX, |text| text.len());
        if length > LONGEST {
            return Err(TooLong);
        }
        Ok(mapped)
    }
}

impl ResourceServer {
    /// Where a mapped claim comes from, in words for operators.
    #[must_use]
    pub fn source_of(&self, claim: &str) -> Option<String> {
        let mut mappings = self.claims.iter();
        if let Some(mapping) = mappings.find(|mapping| mapping.claim.as_str() == claim) {
            let scope = mapping.scope.as_ref();
            let bound = scope.map_or_else(String::new, |scope| format!(", by the scope {scope}"));
            return Some(format!("{}{bound}", mapping.source));
        }
        let is_standard = STANDARD.contains(&claim);
        is_standard.then(|| format!("attribute:{claim}, by the scope {claim}"))
    }
}

/// What the claims of a token take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asks {
    /// There are none.
    Nothing,
    /// What is at hand.
    Something,
    /// What is known of the person.
    ForThePerson,
}

fn told(claim: Claim, person: &DescribedPersonRow) -> Option<Value> {
    let told = Told {
        person: &person.person,
        claims: [claim].into_iter().collect(),
    };
    let Ok(Value::Object(mut told)) = serde_json::to_value(told) else {
        return None;
    };
    told.remove(claim.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use shared_protocol::jose::Algorithm;

    use super::*;

    #[test]
    fn a_mapping_is_written_as_it_is_read() {
        for (text, written) in [
            (
                "department=attribute:department",
                json!({"claim": "department", "from": "attribute:department"}),
            ),
            (
                "mail=profile:email@read",
                json!({"claim": "mail", "from": "profile:email", "scope": "read"}),
            ),
            (
                "app=client:software_id",
                json!({"claim": "app", "from": "client:software_id"}),
            ),
            (
                "https://api.example/x=constant:a=b@c",
                json!({"claim": "https://api.example/x", "constant": "a=b@c"}),
            ),
        ] {
            let mapping: ClaimMapping = text.parse().unwrap();
            assert_eq!(json!(mapping), written, "{text}");
            let read: ClaimMapping = serde_json::from_value(written).unwrap();
            assert_eq!(read, mapping, "{text}");
        }
        for bad in [
            "",
            "a",
            "a=",
            "=attribute:x",
            "a=attribute:x@",
            "a=attribute:x@b c",
            "a=constant",
            "sub=attribute:x",
            "email=attribute:email",
        ] {
            assert!(bad.parse::<ClaimMapping>().is_err(), "{bad}");
        }
    }

    /// Nobody is looked up for a token that says nothing of them.
    #[test]
    fn what_is_asked_for_depends_on_the_scope() {
        let api = "https://api.example".parse().unwrap();
        let mut server = ResourceServer::new(api, "An API".into(), Algorithm::Es256);
        let asks = |server: &ResourceServer, scope: &str| server.asks(&scope.parse().unwrap());
        assert_eq!(asks(&server, "read write"), Asks::Nothing);
        assert_eq!(asks(&server, "read groups"), Asks::ForThePerson);
        for (mapping, plain, wider) in [
            ("a=constant:x", Asks::Something, Asks::Something),
            ("a=client:client_name", Asks::Something, Asks::Something),
            ("a=attribute:x", Asks::ForThePerson, Asks::ForThePerson),
            ("a=attribute:x@write", Asks::Nothing, Asks::ForThePerson),
            ("a=client:client_name@write", Asks::Nothing, Asks::Something),
        ] {
            server.claims = vec![mapping.parse().unwrap()];
            assert_eq!(asks(&server, "read"), plain, "{mapping}");
            assert_eq!(asks(&server, "read write"), wider, "{mapping}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(raw in "[ -~é]{0,12}[=:@]{0,2}[ -~]{0,12}") {
            let _ = (raw.parse::<ClaimMapping>(), raw.parse::<Source>());
        }

        #[test]
        fn no_name_that_has_a_meaning_is_mapped(raw in "[!-~]{1,6}") {
            let plain = !raw.contains(['"', '\\']);
            prop_assert_eq!(raw.parse::<ClaimName>().is_ok(), plain && !is_reserved(&raw));
        }
    }
}
