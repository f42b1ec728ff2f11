//! Profiles: named lists of demands that a server holds to, or one of its clients. Whoever has to enforce a demand asks here for it, by what
//! it is and not by the name of a profile.

pub mod recommendations;
mod unmet;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use shared_protocol::dpop::NoncePolicy;
use shared_protocol::jose::Algorithm;

pub use self::unmet::Unmet;
use crate::assertions;
use crate::authorize::request::{ResponseMode, ResponseType};
use crate::clients::{AuthMethod, ClientMetadata, GrantType};

/// FAPI 2.0 has the time of an assertion be short, and leaves it to the server how short.
const SHORT_ASSERTION: Duration = Duration::from_mins(5);

/// Of whom the demands are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// FAPI 2.0 Security Profile, final of February 2025.
    Fapi2,
    /// The same, and FAPI 2.0 Message Signing, final of September 2025.
    Fapi2MessageSigning,
    /// What the authorization specification of the Model Context Protocol, revision 2026-07-28, asks of authorization servers, with what
    /// OAuth 2.1 (draft-ietf-oauth-v2-1-13) asks of all.
    Mcp,
}

/// No such profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such profile: it is \"fapi2\", \"fapi2-message-signing\" or \"mcp\"")]
pub struct UnknownProfile;

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Fapi2, Self::Fapi2MessageSigning, Self::Mcp];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fapi2 => "fapi2",
            Self::Fapi2MessageSigning => "fapi2-message-signing",
            Self::Mcp => "mcp",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        let mut all = Self::ALL.into_iter();
        all.find(|profile| profile.as_str() == name)
            .ok_or(UnknownProfile)
    }
}

shared_protocol::serde_as_text!(Profile, UnknownProfile);

/// What is demanded. A client's own profile adds to what its server demands, and takes nothing away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Demands {
    fapi2: bool,
    message_signing: bool,
    mcp: bool,
}

/// The algorithms that FAPI 2.0 Security Profile §5.4.1 (1) permits, the one that costs least first.
const PERMITTED: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];

impl Demands {
    /// What a profile demands; without one, nothing.
    #[must_use]
    pub const fn of(profile: Option<Profile>) -> Self {
        Self {
            fapi2: matches!(profile, Some(Profile::Fapi2 | Profile::Fapi2MessageSigning)),
            message_signing: matches!(profile, Some(Profile::Fapi2MessageSigning)),
            mcp: matches!(profile, Some(Profile::Mcp)),
        }
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            fapi2: self.fapi2 || other.fapi2,
            message_signing: self.message_signing || other.message_signing,
            mcp: self.mcp || other.mcp,
        }
    }

    /// Whether a client may prove who it is so. FAPI 2.0 Security Profile §5.3.2.1 (3), (6): it must be able to, by a key of its own.
    #[must_use]
    pub const fn permits_method(self, method: AuthMethod) -> bool {
        !self.fapi2 || matches!(method, AuthMethod::PrivateKeyJwt) || method.uses_certificate()
    }

    /// Whether a client may be registered for it. FAPI 2.0 Security Profile §5.3.2.1 (2), §5.3.2.2 (1); OAuth 2.1 §10 has neither the
    /// password grant nor the implicit one.
    #[must_use]
    pub const fn permits_grant(self, grant: GrantType) -> bool {
        !(self.fapi2 || self.mcp) || !matches!(grant, GrantType::Password | GrantType::Implicit)
    }

    /// Whether the authorization endpoint may be asked for it. FAPI 2.0 Security Profile §5.3.2.2 (1); OAuth 2.1 §4.1.1.
    #[must_use]
    pub const fn permits_response_type(self, response_type: ResponseType) -> bool {
        !(self.fapi2 || self.mcp) || matches!(response_type, ResponseType::Code)
    }

    /// Whether a JWT may be signed so, whoever makes it. FAPI 2.0 Security Profile §5.4.1 (1).
    #[must_use]
    pub fn permits(self, alg: Algorithm) -> bool {
        self.algorithms().contains(&alg)
    }

    /// What JWTs may be signed with.
    #[must_use]
    pub const fn algorithms(self) -> &'static [Algorithm] {
        if self.fapi2 {
            &PERMITTED
        } else {
            &Algorithm::ALL
        }
    }

    /// Whether request objects may lack a signature, where the server's policy allows that. FAPI 2.0 Security Profile §5.4.1 (1).
    #[must_use]
    pub const fn permits_unsigned_objects(self) -> bool {
        !self.fapi2
    }

    /// Whether a redirect may go to a scheme of an app's own. MCP Security Considerations, «Communication Security» (2): only to
    /// `localhost` or by https.
    #[must_use]
    pub const fn permits_private_schemes(self) -> bool {
        !self.mcp
    }

    /// Whether authorization requests are pushed. FAPI 2.0 Security Profile §5.3.2.2 (2), (3).
    #[must_use]
    pub const fn pushed_requests(self) -> bool {
        self.fapi2
    }

    /// Whether each of them carries a challenge. FAPI 2.0 Security Profile §5.3.2.2 (5); MCP Security Considerations, «Authorization Code
    /// Protection».
    #[must_use]
    pub const fn challenges(self) -> bool {
        self.fapi2 || self.mcp
    }

    /// Whether each of them names its redirect URI. FAPI 2.0 Security Profile §5.3.2.2 (6).
    #[must_use]
    pub const fn named_redirects(self) -> bool {
        self.fapi2
    }

    /// Whether clients name the resource that a token is for, in both requests. MCP, «Resource Parameter Implementation» (1), which has
    /// clients do so; a request that does not is refused as one whose resource is missing (RFC 8707 §2).
    #[must_use]
    pub const fn named_resources(self) -> bool {
        self.mcp
    }

    /// Whether access tokens are bound to a key of who may use them. FAPI 2.0 Security Profile §5.3.2.1 (4), (5).
    #[must_use]
    pub const fn sender_constraint(self) -> bool {
        self.fapi2
    }

    /// Whether a DPoP proof carries a nonce of this server. FAPI 2.0 Security Profile §5.3.2.1 (10) allows it, §5.3.3.1 (8) has clients be
    /// ready for it.
    #[must_use]
    pub const fn dpop_nonces(self) -> bool {
        self.fapi2
    }

    /// The same where a server asks for it too.
    #[must_use]
    pub const fn nonce_policy(self, of_server: NoncePolicy) -> NoncePolicy {
        if self.dpop_nonces() {
            NoncePolicy::Required
        } else {
            of_server
        }
    }

    /// Whether an assertion is for the issuer, and nobody else. FAPI 2.0 Security Profile §5.3.2.1 (8).
    #[must_use]
    pub const fn issuer_as_audience(self) -> bool {
        self.fapi2
    }

    /// How far ahead an assertion may expire.
    #[must_use]
    pub const fn assertion_lifetime(self) -> Duration {
        if self.fapi2 {
            SHORT_ASSERTION
        } else {
            assertions::MAX_LIFETIME
        }
    }

    /// Whether authorization requests are signed, and say from when to when they are good. FAPI 2.0 Message Signing §5.3.1.
    #[must_use]
    pub const fn signed_requests(self) -> bool {
        self.message_signing
    }

    /// Whether they are answered by JWTs. FAPI 2.0 Message Signing §5.4.1.
    #[must_use]
    pub const fn signed_responses(self) -> bool {
        self.message_signing
    }

    /// Whether an answer may travel so. FAPI 2.0 Message Signing §5.4.1.
    #[must_use]
    pub const fn permits_response_mode(self, mode: ResponseMode) -> bool {
        !self.message_signing || mode.is_signed()
    }

    /// Whether introspection answers by a JWT who does not ask for JSON by name. FAPI 2.0 Message Signing §5.5.
    #[must_use]
    pub const fn signed_introspection(self) -> bool {
        self.message_signing
    }

    /// Whether clients may describe themselves in production too. MCP, «Overview» (2).
    #[must_use]
    pub const fn client_documents(self) -> bool {
        self.mcp
    }
}

/// What this server demands of everyone, and what it signs with for those to whom RS256, the default of the standards, is not permitted.
#[derive(Clone, Copy, Debug)]
pub struct Profiles {
    server: Demands,
    signs: Algorithm,
}

impl Profiles {
    /// Of a server of this profile that signs with `algorithms`.
    #[must_use]
    pub fn new(profile: Option<Profile>, algorithms: &[Algorithm]) -> Self {
        let mut signs = algorithms.iter().filter(|alg| PERMITTED.contains(alg));
        Self {
            server: Demands::of(profile),
            signs: signs.next().copied().unwrap_or(Algorithm::Es256),
        }
    }

    /// What is demanded of everyone.
    #[must_use]
    pub const fn server(self) -> Demands {
        self.server
    }

    /// What this server signs with for whom RS256 is not permitted.
    #[must_use]
    pub const fn signs(self) -> Algorithm {
        self.signs
    }

    /// What is demanded of the client that registered this.
    #[must_use]
    pub const fn demands_on(self, metadata: &ClientMetadata) -> Demands {
        self.server.and(Demands::of(metadata.profile))
    }

    /// Says what the client left out, where its default is not permitted: the algorithm of what is signed for it (OpenID Connect Registration
    /// §2, JARM §3 and RFC 9701 §6 mean RS256).
    pub fn complete(self, metadata: &mut ClientMetadata) {
        if self.demands_on(metadata).permits(Algorithm::Rs256) {
            return;
        }
        for alg in [
            &mut metadata.id_token_signed_response_alg,
            &mut metadata.authorization_signed_response_alg,
            &mut metadata.introspection_signed_response_alg,
        ] {
            alg.get_or_insert(self.signs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_as_they_are_written() {
        for profile in Profile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        for name in [
            "",
            "fapi",
            "FAPI2",
            "fapi2 ",
            "fapi2_message_signing",
            "none",
        ] {
            assert_eq!(name.parse::<Profile>(), Err(UnknownProfile), "{name}");
        }
    }

    #[test]
    fn what_a_client_demands_adds_to_what_its_server_does() {
        let of = |profile| Demands::of(Some(profile));
        let both = of(Profile::Mcp).and(of(Profile::Fapi2));
        assert!(both.named_resources() && both.pushed_requests());
        assert!(!both.signed_requests());
        for profile in Profile::ALL {
            assert_eq!(of(profile).and(Demands::default()), of(profile));
            assert_eq!(Demands::default().and(of(profile)), of(profile));
        }
        assert_eq!(Demands::of(None), Demands::default());
    }

    #[test]
    fn fapi2_5_4_1_no_default_is_rs256() {
        for (algorithms, expected) in [
            (&[Algorithm::Rs256, Algorithm::Es256][..], Algorithm::Es256),
            (&[Algorithm::Ps256], Algorithm::Ps256),
            (&[Algorithm::EdDsa, Algorithm::Ps256], Algorithm::EdDsa),
        ] {
            for (server, own) in [(Some(Profile::Fapi2), None), (None, Some(Profile::Fapi2))] {
                let profiles = Profiles::new(server, algorithms);
                let mut metadata = ClientMetadata {
                    profile: own,
                    ..ClientMetadata::default()
                };
                profiles.complete(&mut metadata);
                assert_eq!(metadata.id_token_algorithm(), expected);
                assert_eq!(metadata.authorization_response_algorithm(), expected);
                assert_eq!(metadata.introspection_signed_response_alg, Some(expected));
            }
            let mut metadata = ClientMetadata::default();
            Profiles::new(Some(Profile::Mcp), algorithms).complete(&mut metadata);
            assert_eq!(metadata.id_token_algorithm(), Algorithm::Rs256);
        }
    }
}
