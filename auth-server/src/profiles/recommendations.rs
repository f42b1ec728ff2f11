//! What a configuration leaves open that the best current practice (RFC 9700), or the profile, would have closed: nothing that keeps a server
//! from starting, and each with the setting that mends it.

use serde::Serialize;
use shared_protocol::dpop::NoncePolicy;

use crate::authorize::request::ResponseType;
use crate::clients::AuthMethod;
use crate::config::{Config, PkcePolicy, RegistrationMode};

/// One thing to do better.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Recommendation {
    /// The setting.
    pub key: &'static str,
    /// What is wrong with how it stands.
    pub why: &'static str,
    /// Who says so.
    pub rule: &'static str,
    /// What to set.
    pub mend: &'static str,
}

impl std::fmt::Display for Recommendation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            key,
            why,
            rule,
            mend,
        } = self;
        write!(f, "{key}: {why} ({rule}); {mend}")
    }
}

/// What of this configuration falls short.
#[must_use]
pub fn recommendations(config: &Config) -> Vec<Recommendation> {
    let all = of_requests(config).chain(of_clients(config));
    all.chain(of_keys(config)).collect()
}

fn of_requests(config: &Config) -> impl Iterator<Item = Recommendation> {
    let demands = config.profiles().server();
    let authorization = &config.authorization;
    let mut types = authorization.response_types.iter();
    let pushed = demands.pushed_requests() || authorization.require_pushed_authorization_requests;
    let rows = [
        (
            authorization.pkce != PkcePolicy::Required,
            Recommendation {
                key: "authorization.pkce",
                why: "a stolen code of a confidential client can be injected where there is no challenge",
                rule: "RFC 9700 section 2.1.1",
                mend: "set it to \"required\"",
            },
        ),
        (
            types.any(|known| *known != ResponseType::Code),
            Recommendation {
                key: "authorization.response_types",
                why: "tokens that come in front pass through browsers, their histories and their scripts",
                rule: "RFC 9700 section 2.1.2",
                mend: "set it to [\"code\"]",
            },
        ),
        (
            authorization.password_grant,
            Recommendation {
                key: "authorization.password_grant",
                why: "clients are told people's passwords",
                rule: "RFC 9700 section 2.4",
                mend: "set it to false",
            },
        ),
        (
            authorization.unsigned_request_objects,
            Recommendation {
                key: "authorization.unsigned_request_objects",
                why: "a request object without a signature says nothing that a query would not",
                rule: "FAPI 2.0 Security Profile section 5.4.1",
                mend: "set it to false",
            },
        ),
        (
            // Where clients describe themselves, those whom nobody has let in yet cannot push.
            !pushed && !demands.client_documents(),
            Recommendation {
                key: "authorization.require_pushed_authorization_requests",
                why: "what is asked for can be changed in the person's browser",
                rule: "FAPI 2.0 Security Profile section 5.3.2.2",
                mend: "set it to true where all clients can push (RFC 9126)",
            },
        ),
        (
            // Agents listen on localhost, whatever is recommended.
            authorization.localhost_port_varies && !demands.named_resources(),
            Recommendation {
                key: "authorization.localhost_port_varies",
                why: "what the name localhost leads to is up to the device",
                rule: "RFC 8252 section 8.3",
                mend: "set it to false where native apps redirect to 127.0.0.1 or [::1]",
            },
        ),
        (
            config.issuer.is_plain_http(),
            Recommendation {
                key: "issuer",
                why: "whoever is on the way reads tokens and changes answers",
                rule: "RFC 9700 section 2.6",
                mend: "serve an https URL",
            },
        ),
    ];
    falling_short(rows)
}

fn of_clients(config: &Config) -> impl Iterator<Item = Recommendation> {
    let demands = config.profiles().server();
    // One profile at a time: the one that was chosen is not to be given up for another.
    let (by_profile, by_method) = if config.profile.is_none() {
        (
            "set it to \"fapi2\", or make clients with `auth-server client create --profile fapi2`",
            "set it to \"fapi2\", or have clients use private_key_jwt or certificates",
        )
    } else {
        (
            "hold those clients to it that can, by `auth-server client set-profile CLIENT_ID fapi2`",
            "have clients use private_key_jwt or certificates",
        )
    };
    let rows = [
        (
            !demands.sender_constraint(),
            Recommendation {
                key: "profile",
                why: "an access token that its client did not bind to a key works for whoever has it",
                rule: "RFC 9700 section 2.2.1",
                mend: by_profile,
            },
        ),
        (
            demands.permits_method(AuthMethod::ClientSecretBasic),
            Recommendation {
                key: "profile",
                why: "clients may authenticate by a secret that is sent, kept by both, and copied",
                rule: "RFC 9700 section 2.5",
                mend: by_method,
            },
        ),
        (
            config.dpop.nonce == NoncePolicy::Offered && !demands.dpop_nonces(),
            Recommendation {
                key: "dpop.nonce",
                why: "proofs that somebody had a client make ahead of time are good when their time comes",
                rule: "RFC 9449 section 11.2",
                mend: "set it to \"required\" where clients answer a challenge",
            },
        ),
        (
            config.registration_mode() == RegistrationMode::Open,
            Recommendation {
                key: "registration.mode",
                why: "anybody may register a client, and have people sent to it from here",
                rule: "RFC 9700 section 4.11.2",
                mend: "set it to \"token\" or \"closed\"",
            },
        ),
        (
            demands.named_resources()
                && config.registration_mode() != RegistrationMode::Closed
                && !config.registration.widen_scope,
            Recommendation {
                key: "registration.widen_scope",
                why: "an agent that registered for what a first challenge named cannot ask for what the next one names",
                rule: "MCP Authorization, Step-Up Authorization Flow (2)",
                mend: "set it to true",
            },
        ),
        (
            demands.client_documents() && !config.documents_are_on(),
            Recommendation {
                key: "client_documents.enabled",
                why: "agents that nobody registered cannot describe themselves",
                rule: "MCP Authorization, Overview (2)",
                mend: "set it to \"always\"",
            },
        ),
    ];
    falling_short(rows)
}

fn of_keys(config: &Config) -> impl Iterator<Item = Recommendation> {
    let signs = config.signing_algorithms();
    falling_short([(
        signs.len() < config.keys.algorithms.len(),
        Recommendation {
            key: "keys.algorithms",
            why: "it names an algorithm that the profile does not permit, and that nothing is signed with",
            rule: "FAPI 2.0 Security Profile section 5.4.1",
            mend: "take \"RS256\" out",
        },
    )])
}

fn falling_short(
    rows: impl IntoIterator<Item = (bool, Recommendation)>,
) -> impl Iterator<Item = Recommendation> {
    let short = rows.into_iter().filter(|(falls_short, _)| *falls_short);
    short.map(|(_, recommendation)| recommendation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Enabled, Mode};
    use crate::profiles::Profile;

    /// A change to what is as good as it gets.
    type Change = fn(&mut Config);

    fn strict() -> Config {
        let mut config = Config {
            mode: Mode::Production,
            issuer: "https://auth.example".parse().unwrap(),
            profile: Some(Profile::Fapi2),
            ..Config::default()
        };
        config.authorization.localhost_port_varies = false;
        config.keys.algorithms = vec![shared_protocol::jose::Algorithm::Es256];
        config
    }

    fn keys(config: &Config) -> Vec<&'static str> {
        let all = recommendations(config);
        all.iter().map(|one| one.key).collect()
    }

    #[test]
    fn each_setting_that_falls_short_is_named_with_its_mend() {
        assert_eq!(keys(&strict()), Vec::<&str>::new());
        let changes: [(&str, Change); 12] = [
            ("authorization.pkce", |config| {
                config.authorization.pkce = PkcePolicy::PublicOnly;
            }),
            ("authorization.response_types", |config| {
                config.authorization.response_types = vec![ResponseType::Code, ResponseType::Token];
            }),
            ("authorization.password_grant", |config| {
                config.authorization.password_grant = true;
            }),
            ("authorization.unsigned_request_objects", |config| {
                config.authorization.unsigned_request_objects = true;
            }),
            ("authorization.localhost_port_varies", |config| {
                config.authorization.localhost_port_varies = true;
            }),
            ("issuer", |config| {
                config.issuer = "http://localhost:8000".parse().unwrap();
            }),
            ("registration.mode", |config| {
                config.registration.mode = Some(RegistrationMode::Open);
            }),
            ("keys.algorithms", |config| {
                let rs256 = shared_protocol::jose::Algorithm::Rs256;
                config.keys.algorithms.push(rs256);
            }),
            (
                "authorization.require_pushed_authorization_requests profile profile dpop.nonce",
                |config| config.profile = None,
            ),
            ("profile profile dpop.nonce", |config| {
                config.profile = Some(Profile::Mcp);
                config.registration.mode = Some(RegistrationMode::Closed);
            }),
            (
                "profile profile dpop.nonce registration.widen_scope",
                |config| config.profile = Some(Profile::Mcp),
            ),
            (
                "profile profile dpop.nonce client_documents.enabled",
                |config| {
                    config.profile = Some(Profile::Mcp);
                    config.registration.widen_scope = true;
                    config.client_documents.enabled = Enabled::Never;
                },
            ),
        ];
        for (expected, change) in changes {
            let mut config = strict();
            change(&mut config);
            assert_eq!(keys(&config).join(" "), expected);
        }
    }

    #[test]
    fn each_is_a_line_for_people() {
        for one in recommendations(&Config::default()) {
            let line = one.to_string();
            assert!(
                line.starts_with(one.key) && line.ends_with(one.mend),
                "{line}"
            );
        }
    }
}
