//! What is told of people: the standard claims of OpenID Connect Core §5.1, the scope that each belongs to (§5.4), and the one place
//! that writes them.

use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use shared_protocol::scope::ScopeSet;

use crate::authorize::request::OwnScope;
use crate::store::accounts::PersonRow;

/// Makes the claims of a table: name on the wire, scope, and what people are told when one is asked for alone.
macro_rules! claims {
    ($($claim:ident $name:literal $scope:ident $told:literal)*) => {
        /// A standard claim (OpenID Connect Core §5.1) other than `sub`, which is told to whoever may ask at all.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Claim {
            $(
                #[doc = concat!("`", $name, "`.")]
                $claim,
            )*
        }

        impl Claim {
            /// Every claim.
            pub const ALL: &[Self] = &[$(Self::$claim),*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$claim => $name,)* }
            }

            /// The scope that brings it with others.
            #[must_use]
            pub const fn scope(self) -> OwnScope {
                match self { $(Self::$claim => OwnScope::$scope,)* }
            }

            /// What people are told where it is asked for alone.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$claim => $told,)* }
            }
        }
    };
}

claims! {
    Name "name" Profile "See your name"
    GivenName "given_name" Profile "See your given name"
    FamilyName "family_name" Profile "See your family name"
    MiddleName "middle_name" Profile "See your middle name"
    Nickname "nickname" Profile "See your nickname"
    PreferredUsername "preferred_username" Profile "See the user name that you prefer"
    Profile "profile" Profile "See where your profile page is"
    Picture "picture" Profile "See your picture"
    Website "website" Profile "See where your website is"
    Gender "gender" Profile "See your gender"
    Birthdate "birthdate" Profile "See your birth date"
    Zoneinfo "zoneinfo" Profile "See your time zone"
    Locale "locale" Profile "See your language"
    UpdatedAt "updated_at" Profile "See when your profile last changed"
    Email "email" Email "See your email address"
    EmailVerified "email_verified" Email "See whether your email address was verified"
    Address "address" Address "See your postal address"
    PhoneNumber "phone_number" Phone "See your phone number"
    PhoneNumberVerified "phone_number_verified" Phone "See whether your phone number was verified"
}

impl Claim {
    /// The claim of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|claim| claim.as_str() == name)
    }

    const fn bit(self) -> u32 {
        1 << (self as u32)
    }
}

/// Some of the claims.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClaimSet(u32);

impl ClaimSet {
    /// Those that these scopes bring.
    #[must_use]
    pub fn of_scope(scope: &ScopeSet) -> Self {
        let brings = |own: OwnScope| own.is_in(scope);
        let (profile, email) = (brings(OwnScope::Profile), brings(OwnScope::Email));
        let (address, phone) = (brings(OwnScope::Address), brings(OwnScope::Phone));
        let of = |claim: &Claim| match claim.scope() {
            OwnScope::Profile => profile,
            OwnScope::Email => email,
            OwnScope::Address => address,
            OwnScope::Phone => phone,
            OwnScope::OpenId | OwnScope::OfflineAccess => false,
        };
        Claim::ALL.iter().copied().filter(of).collect()
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether it holds this one.
    #[must_use]
    pub const fn contains(self, claim: Claim) -> bool {
        self.0 & claim.bit() != 0
    }

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Its claims, in the order of [`Claim::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Claim> {
        let all = Claim::ALL.iter().copied();
        all.filter(move |claim| self.contains(*claim))
    }
}

impl FromIterator<Claim> for ClaimSet {
    fn from_iter<I: IntoIterator<Item = Claim>>(claims: I) -> Self {
        let bits = claims.into_iter().map(Claim::bit);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// A list of names.
impl Serialize for ClaimSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Claim::as_str))
    }
}

impl<'de> Deserialize<'de> for ClaimSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names: Vec<String> = Deserialize::deserialize(deserializer)?;
        let claim = |name: &String| Claim::of(name).ok_or_else(|| D::Error::custom("no claim"));
        names.iter().map(claim).collect()
    }
}

/// The claims that a client was allowed one by one (OpenID Connect Core §5.5), by where they are told.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct GrantedClaims {
    /// At userinfo.
    #[serde(default, skip_serializing_if = "ClaimSet::is_empty")]
    pub userinfo: ClaimSet,
    /// In ID tokens.
    #[serde(default, skip_serializing_if = "ClaimSet::is_empty")]
    pub id_token: ClaimSet,
}

impl GrantedClaims {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.userinfo.is_empty() && self.id_token.is_empty()
    }

    /// All of them, wherever they are told.
    #[must_use]
    pub const fn all(self) -> ClaimSet {
        self.userinfo.union(self.id_token)
    }

    /// As a row keeps them.
    #[must_use]
    pub fn to_row(self) -> Option<Value> {
        (!self.is_empty()).then(|| serde_json::json!(self))
    }

    /// Of a row; `None` if it makes no sense.
    #[must_use]
    pub fn from_row(row: Option<&Value>) -> Option<Self> {
        match row {
            None | Some(Value::Null) => Some(Self::default()),
            Some(row) => Self::deserialize(row).ok(),
        }
    }
}

/// What is told of a person: of these claims, those that something is known for.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// The person.
    pub person: &'a PersonRow,
    /// What may be told.
    pub claims: ClaimSet,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let person = self.person;
        let mut map = serializer.serialize_map(None)?;
        for claim in self.claims.iter() {
            let name = claim.as_str();
            match claim {
                Claim::Name => {
                    if let Some(value) = &person.name {
                        map.serialize_entry(name, value)?;
                    }
                }
                Claim::UpdatedAt => map.serialize_entry(name, &person.updated_at.as_secs())?,
                Claim::Email => map.serialize_entry(name, &person.email)?,
                Claim::EmailVerified => map.serialize_entry(name, &person.email_verified)?,
                Claim::GivenName
                | Claim::FamilyName
                | Claim::MiddleName
                | Claim::Nickname
                | Claim::PreferredUsername
                | Claim::Profile
                | Claim::Picture
                | Claim::Website
                | Claim::Gender
                | Claim::Birthdate
                | Claim::Zoneinfo
                | Claim::Locale
                | Claim::Address
                | Claim::PhoneNumber
                | Claim::PhoneNumberVerified => {
                    // Members of a profile have the names of their claims.
                    let kept = person.profile.as_ref().and_then(|known| known.get(name));
                    if let Some(value) = kept {
                        map.serialize_entry(name, value)?;
                    }
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared_protocol::time::Instant;

    use super::*;

    #[test]
    fn oidc_core_5_4_each_claim_has_its_scope() {
        for (scope, first, count) in [
            ("openid offline_access read", None, 0),
            ("profile", Some("name"), 14),
            ("email", Some("email"), 2),
            ("address", Some("address"), 1),
            ("phone", Some("phone_number"), 2),
            ("address email phone profile", Some("name"), 19),
        ] {
            let claims = ClaimSet::of_scope(&scope.parse().unwrap());
            assert_eq!(claims.iter().next().map(Claim::as_str), first, "{scope}");
            assert_eq!(claims.iter().count(), count, "{scope}");
        }
    }

    #[test]
    fn sets_are_kept_as_lists_of_names() {
        let claims: ClaimSet = [Claim::Email, Claim::Name].into_iter().collect();
        let granted = GrantedClaims {
            userinfo: claims,
            id_token: ClaimSet::default(),
        };
        let row = granted.to_row();
        assert_eq!(row, Some(json!({"userinfo": ["name", "email"]})));
        assert_eq!(GrantedClaims::from_row(row.as_ref()), Some(granted));
        assert_eq!(GrantedClaims::default().to_row(), None);
        assert_eq!(
            GrantedClaims::from_row(None),
            Some(GrantedClaims::default())
        );
        for nonsense in [
            json!(1),
            json!({"userinfo": ["color"]}),
            json!({"id_token": "name"}),
        ] {
            assert_eq!(GrantedClaims::from_row(Some(&nonsense)), None);
        }
    }

    #[test]
    fn oidc_core_5_3_2_what_nothing_is_known_of_is_left_out() {
        let mut person = PersonRow {
            email: "ada@example.com".into(),
            email_verified: false,
            name: None,
            profile: None,
            updated_at: Instant::from_secs(7),
        };
        let claims: ClaimSet = Claim::ALL.iter().copied().collect();
        let told = |person: &PersonRow| serde_json::to_value(Told { person, claims }).unwrap();
        assert_eq!(
            told(&person),
            json!({"updated_at": 7, "email": "ada@example.com", "email_verified": false})
        );
        let address = json!({"locality": "London"});
        person.profile = Some(json!({"nickname": "Ada", "address": address, "unknown": 1}));
        let all = told(&person);
        assert_eq!(
            (&all["nickname"], &all["address"]),
            (&json!("Ada"), &address)
        );
        assert!(all.get("unknown").is_none());
    }
}
