//! Types of authorization details (RFC 9396 §2): each belongs to a resource server, and says by a JSON Schema what its objects are.

mod schema;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use shared_protocol::authorization_details::{
    AuthorizationDetail, AuthorizationDetails, InvalidAuthorizationDetails,
};
use shared_protocol::resource::ResourceId;

pub use self::schema::{DetailsSchema, InvalidSchema};

/// The longest name of a type, in bytes.
const MAX_NAME: usize = 255;
/// Characters of a description that a person is to read.
const MAX_DESCRIPTION: usize = 500;

/// The name of a type, as it stands in `type`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TypeName(Box<str>);

/// Not the name of a type.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a type of authorization details is 1 to {MAX_NAME} printable ASCII characters without spaces, quotes and backslashes"
)]
pub struct InvalidTypeName;

impl TypeName {
    /// The name as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypeName {
    type Err = InvalidTypeName;

    fn from_str(raw: &str) -> Result<Self, InvalidTypeName> {
        let readable = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if raw.is_empty() || raw.len() > MAX_NAME || !raw.bytes().all(readable) {
            return Err(InvalidTypeName);
        }
        Ok(Self(raw.into()))
    }
}

impl Borrow<str> for TypeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

shared_protocol::serde_as_text!(TypeName, InvalidTypeName);

/// A type of authorization details.
#[derive(Debug, Serialize)]
pub struct DetailsType {
    /// What stands in `type`.
    pub name: TypeName,
    /// The resource server that understands it.
    pub resource: ResourceId,
    /// What people are told that it allows.
    pub description: Description,
    /// What its objects may be.
    pub schema: DetailsSchema,
    /// The members that are lists of which each value adds a right, so that fewer values are less (RFC 9396 §6.1). Of all others, only
    /// the API could judge.
    pub additive: Vec<String>,
}

impl DetailsType {
    /// RFC 9396 §5: the members that the type has, each as it has them, for no place but its own.
    fn check(&self, detail: &AuthorizationDetail, object: usize) -> Result<(), InvalidDetails> {
        let is_here = |location: &str| {
            location
                .parse()
                .is_ok_and(|id: ResourceId| id == self.resource)
        };
        if !detail.locations().all(is_here) {
            return Err(InvalidDetails::Location { object });
        }
        self.schema
            .check(detail)
            .map_err(|at| InvalidDetails::Schema { object, at })
    }

    /// Whether `asked` is as the type has it, and nothing that `granted` is not: the same members, each the same, but for fewer values of
    /// an additive list.
    pub(crate) fn is_less(
        &self,
        asked: &AuthorizationDetail,
        granted: &AuthorizationDetail,
    ) -> bool {
        let (asked_members, granted_members) = (asked.members(), granted.members());
        let is_covered = |(name, value): (&String, &Value)| {
            let Some(before) = granted_members.get(name) else {
                return false;
            };
            let lists = value.as_array().zip(before.as_array());
            match lists.filter(|_| self.additive.contains(name)) {
                Some((fewer, before)) => {
                    !fewer.is_empty() && fewer.iter().all(|value| before.contains(value))
                }
                None => value == before,
            }
        };
        asked_members.len() == granted_members.len()
            && asked_members.iter().all(is_covered)
            && self.check(asked, 1).is_ok()
    }
}

/// What people are told that a type allows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Description(Box<str>);

/// Nothing that could be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a description is 1 to {MAX_DESCRIPTION} characters on one line")]
pub struct InvalidDescription;

impl Description {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Description {
    type Err = InvalidDescription;

    fn from_str(raw: &str) -> Result<Self, InvalidDescription> {
        let is_long = raw.chars().nth(MAX_DESCRIPTION).is_some();
        if raw.trim().is_empty() || is_long || raw.chars().any(char::is_control) {
            return Err(InvalidDescription);
        }
        Ok(Self(raw.into()))
    }
}

/// Why details are refused, as `invalid_authorization_details` (RFC 9396 §5, §6). Objects are counted from one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDetails {
    /// No array of objects that have a type, within the bounds.
    #[error(transparent)]
    Form(#[from] InvalidAuthorizationDetails),
    /// RFC 9396 §5.
    #[error("object {object} of authorization_details is of no type that this server knows")]
    UnknownType {
        /// Which one.
        object: usize,
    },
    /// RFC 9396 §10: the client says which types it asks for.
    #[error(
        "object {object} of authorization_details is of a type that is not in the client's authorization_details_types"
    )]
    NotRegistered {
        /// Which one.
        object: usize,
    },
    /// RFC 9396 §2.2, `locations`.
    #[error(
        "object {object} of authorization_details names a location that is not the resource of its type"
    )]
    Location {
        /// Which one.
        object: usize,
    },
    /// RFC 9396 §5.
    #[error("object {object} of authorization_details is not as its type has it: look at {at}")]
    Schema {
        /// Which one.
        object: usize,
        /// Where in it.
        at: String,
    },
    /// RFC 9396 §6: what was granted can be narrowed, object by object, and no more.
    #[error("authorization_details holds an object that was not granted")]
    NotGranted,
    /// RFC 8707 §2.2: a token is for one resource.
    #[error("no object of authorization_details belongs to the resource")]
    OfOtherResources,
}

/// Objects by the normal form of the identifier of the resource server that they belong to.
pub type ByResource = BTreeMap<String, AuthorizationDetails>;

/// Sorts what a client asks for by resource, if it is what its types have it, and the client's to ask for.
///
/// # Errors
/// [`InvalidDetails`].
pub(crate) fn sorted<'a>(
    details: &AuthorizationDetails,
    registered: &[TypeName],
    known: impl Fn(&str) -> Option<&'a DetailsType>,
) -> Result<ByResource, InvalidDetails> {
    let mut sorted: BTreeMap<String, Vec<AuthorizationDetail>> = BTreeMap::new();
    for (index, detail) in details.iter().enumerate() {
        let object = index + 1;
        let name = detail.type_name();
        let details_type = known(name).ok_or(InvalidDetails::UnknownType { object })?;
        if !registered
            .iter()
            .any(|registered| registered.as_str() == name)
        {
            return Err(InvalidDetails::NotRegistered { object });
        }
        details_type.check(detail, object)?;
        let resource = details_type.resource.normal().to_owned();
        sorted.entry(resource).or_default().push(detail.clone());
    }
    let sorted = sorted.into_iter();
    Ok(sorted
        .map(|(resource, details)| (resource, details.into_iter().collect()))
        .collect())
}
