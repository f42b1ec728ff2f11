//! A small authorization server with a protected resource that obeys the catalogue, and breaks one rule when told to.

mod api;
mod authorize;
mod clients;
mod device;
mod dpop;
mod exchange;
mod grants;
mod introspection;
mod jwt;
mod logout;
mod outside;
mod registration;
mod requests;
mod tls;
mod token;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conformance_tests::browser::Person;
use conformance_tests::{
    App, AssertionKey, Authentication, Credentials, Exchangeable, Listen, Target, TrustedIssuer,
};
use rustls::pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

pub(crate) type Members = Map<String, Value>;

/// What the server does wrong.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It breaks a rule of its own logic.
    Rule(Rule),
    /// Its metadata, in both places, is not what it should be.
    Metadata(fn(&mut Members)),
    /// The same for the OpenID configuration alone.
    OpenId(fn(&mut Members)),
    /// The same for the metadata of the protected resource.
    Resource(fn(&mut Members)),
    /// Its published keys are not what they should be.
    Keys(fn(&mut Vec<Value>)),
    /// Its access tokens are not what they should be: header and claims.
    Token(fn(&mut Members, &mut Members)),
    /// The same for its ID tokens.
    IdToken(fn(&mut Members, &mut Members)),
    /// What it sends from a path is not what it should be.
    Wire(&'static str, fn(&mut Wire)),
    /// It is the target that is not what it should be.
    Target(fn(&mut Target)),
}

/// Rules of the server's logic that can be broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    AbsentMethodIsS256,
    AccessOutlivesRefresh,
    AcrIsLost,
    ActorIsAnother,
    ActorIsIgnored,
    ActorSaysTooMuch,
    AlwaysSignsIn,
    AnyAssertionAudience,
    AnyAssertionExpiry,
    AnyAssertionIssuer,
    AnyAssertionNotBefore,
    AnyAssertionSubject,
    AnyAssertionTime,
    AnyAssertionType,
    AnyAth,
    AnyCertificate,
    AnyCertificateSubjects,
    AnyClientAtLogout,
    AnyClientCertificate,
    AnyClientInObject,
    AnyDetails,
    AnyDocument,
    AnyHint,
    AnyIdentityIsExchanged,
    AnyJagClient,
    AnyJagType,
    AnyKindAtUserinfo,
    AnyLogoutAddress,
    AnyLogoutRedirect,
    AnyMethod,
    AnyNonce,
    AnyObjectExpiry,
    AnyObjectNotBefore,
    AnyObjectSignature,
    AnyProofKey,
    AnyProofMethod,
    AnyProofSignature,
    AnyProofTime,
    AnyProofType,
    AnyProofUrl,
    AnyRedirect,
    AnyRedirectAtToken,
    AnyRedirectIsRegistered,
    AnyReference,
    AnyRegistrationToken,
    AnyResource,
    AnyResponseType,
    AnySignature,
    AnyTokenType,
    AnyVerifier,
    AnyoneAsserts,
    AnyoneExchanges,
    AnyoneIntrospects,
    AnyoneRevokesGlobally,
    AnythingIsAProof,
    ApiAnyAudience,
    ApiAnyType,
    ApiCaseMatters,
    ApiConfusesKeys,
    ApiIsLax,
    ApiNeedsNoProof,
    ApiTakesNone,
    ApiTakesQuery,
    ApiTrustsEmbeddedKeys,
    ApprovalDoesNothing,
    AssertionIsAnObject,
    AuthenticationIsOptional,
    BothAtOnce,
    BothKeysAreTaken,
    BoundIsBearer,
    CertificateIsForgotten,
    ClaimsAreIgnored,
    ClientCertIsBelieved,
    ClientMayAskOtherwise,
    CodeForAnyClient,
    CodeIsNotShown,
    CodeIsTypedExactly,
    CodeKeyIsIgnored,
    CodeWorksTwice,
    ConsentIsRemembered,
    DefaultMaxAgeIsIgnored,
    DeletedLivesOn,
    DetailsAreLost,
    DetailsGrow,
    DeviceCodeForAnyClient,
    DeviceCodeWorksTwice,
    DocumentsAreRefused,
    EmptyIsPresent,
    EverythingIsTold,
    FixedPort,
    GetIsFine,
    GetRevokes,
    HasteIsFine,
    HintIsLaw,
    HintIsRefused,
    IgnoreCrit,
    IntrospectionForgets,
    IntrospectionHasNoIssuer,
    IntrospectionIsEs256,
    IntrospectionIsForNobody,
    IntrospectionIsPlain,
    IntrospectionIsRs256,
    IntrospectionIsUntyped,
    IntrospectionLooksLikeAccess,
    IntrospectionTellsInactive,
    JagClaimsAreOptional,
    JarmErrorsArePlain,
    JarmInFragment,
    JarmInQuery,
    JarmIsForNobody,
    JarmIsUnsigned,
    KeysAreKept,
    KeysAreNotFetched,
    LastDuplicateWins,
    LoadSpends,
    LogoutDoesNothing,
    LogoutIsGetOnly,
    LogoutIsNotTold,
    LogoutLosesState,
    LogoutTokenAsJson,
    LogoutTokenHasNonce,
    MaxAgeIsIgnored,
    NameIsEnough,
    NestedObjects,
    NestedStatement,
    NoAssertions,
    NoClockSkew,
    NoFormPost,
    NoIss,
    NoResources,
    NoRotation,
    NoRsa,
    NoSecretInBody,
    NoTokenInBody,
    NobodyIsPatient,
    NonceSpendsCode,
    NoneIsRefused,
    ObjectAudienceIsText,
    ObjectForAnyone,
    ObjectsAreRefused,
    OneAlgorithm,
    OneKeyForAName,
    OneSubject,
    OpeningApproves,
    OutsideCounts,
    PaddedToken,
    PasswordGrant,
    PkceIsOptional,
    PlainChallenge,
    PlainResponses,
    PostIsRefused,
    PostedSecretIsRefused,
    PreferencesAreErrors,
    PrivateKeysInProofs,
    PromptIsIgnored,
    ProofClaimsAreOptional,
    ProofIsOptional,
    ProofUrlIsExact,
    ProofWorksTwice,
    PublicClientCredentials,
    PublicIntrospects,
    PublicIsNotBound,
    PushForAnyClient,
    PushIsForgotten,
    PushIsNotValidated,
    PushIsRequired,
    PushWorksTwice,
    PushedKeysDiffer,
    PushedObjectIsIgnored,
    PushedProofIsAnything,
    PushedProofIsIgnored,
    PushedReference,
    QueryIsRead,
    RawBasic,
    RedirectIsOptional,
    RedirectWithoutHint,
    RedirectsAreOptional,
    ReferencesAreNotFetched,
    RefreshForAnyCertificate,
    RefreshForAnyClient,
    RefreshForAnyKey,
    RefreshIsAnotherPerson,
    RefreshIsBoundForAll,
    RefreshIsRefused,
    RefreshOutlivesSession,
    RefuseUnknownParameters,
    RegisteredKeysAreIgnored,
    RepeatedClaim,
    ReplayIsForgotten,
    ResourcesAreExact,
    RevocationDoesNothing,
    RevocationIsForAll,
    RevokedIsExchanged,
    RevokedTwiceFails,
    RotatesForAll,
    Rs256Assertions,
    Rs256Objects,
    Rs256Proofs,
    SameDeviceCode,
    SamePush,
    SameTokenAgain,
    ScopeGrows,
    ScopeIsRequired,
    SectorsAreNotChecked,
    ShortVerifiers,
    SilentScope,
    SpentIsForgotten,
    StateIsLost,
    SubjectByClient,
    TokensAreNotBound,
    TwoMethods,
    TwoProofs,
    TypesNeedNotFit,
    UnknownHintFails,
    UnknownMetadataIsKept,
    UnknownPushIsAny,
    UnknownTokenFails,
    UnsignedProofs,
    UnsignedPush,
    UpdateChangesId,
    UpdateMerges,
    UserinfoIsPlain,
    UserinfoIsPublic,
    UserinfoTakesQuery,
    VerifierIsOptional,
}

/// A response before it is sent.
pub(crate) struct Wire {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Wire {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: body.to_string(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.retain(|(given, _)| *given != name);
        self.headers.push((name, value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(given, _)| *given != name);
    }

    pub(crate) fn replace(&mut self, from: &str, to: &str) {
        self.body = self.body.replace(from, to);
        for (_, value) in &mut self.headers {
            *value = value.replace(from, to);
        }
    }

    /// Changes members of a JSON body of that status.
    pub(crate) fn edit(&mut self, status: u16, edit: fn(&mut Members)) {
        if self.status == status {
            let mut members: Members = serde_json::from_str(&self.body).unwrap();
            edit(&mut members);
            self.body = Value::Object(members).to_string();
        }
    }

    pub(crate) fn restatus(&mut self, from: u16, to: u16) {
        if self.status == from {
            self.status = to;
        }
    }
}

/// A request, taken apart.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) cookie: String,
    pub(crate) media_type: String,
    pub(crate) accept: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) body: String,
    /// What came in `DPoP` header fields, and what is thought of it.
    pub(crate) proofs: Vec<String>,
    pub(crate) proof: dpop::Proof,
    /// The certificate that was shown.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Asked {
    /// Scheme and token of `Authorization`.
    pub(crate) fn credentials(&self) -> (&str, &str) {
        let authorization = self.authorization.as_deref().unwrap_or_default();
        authorization.split_once(' ').unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut named = self
            .form
            .iter()
            .filter(|(given, value)| given == name && !value.is_empty());
        named.next_back().map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Server {
    pub(crate) issuer: String,
    /// The same where certificates are asked for.
    pub(crate) secure: String,
    pub(crate) fault: Fault,
    pub(crate) counter: AtomicU64,
    pub(crate) revoked: Mutex<HashSet<String>>,
    pub(crate) last: Mutex<Option<String>>,
    pub(crate) people: Mutex<grants::People>,
    pub(crate) clients: Mutex<HashMap<String, Members>>,
    pub(crate) pushed: Mutex<HashMap<String, requests::Pushed>>,
    pub(crate) devices: Mutex<Vec<device::Waiting>>,
    /// The ids of proofs that were shown.
    pub(crate) proofs: Mutex<HashSet<String>>,
    /// What was fetched from clients, by URL.
    pub(crate) fetched: Mutex<HashMap<String, String>>,
    /// What is to be posted to clients.
    pub(crate) outbox: Mutex<Vec<(String, String)>>,
    pub(crate) who: Who,
}

/// Which client the tests are given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Basic,
    Post,
    Key,
}

impl Server {
    /// Starts a server with that fault and says how to test it.
    pub(crate) async fn start(fault: Fault, who: Who) -> Target {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let secure = tls::Secure::bind().await;
        let server = Arc::new(Self {
            issuer: issuer.clone(),
            secure: secure.url.clone(),
            fault,
            counter: AtomicU64::new(0),
            revoked: Mutex::default(),
            last: Mutex::default(),
            people: Mutex::default(),
            clients: Mutex::new(registration::known()),
            pushed: Mutex::default(),
            devices: Mutex::default(),
            proofs: Mutex::default(),
            fetched: Mutex::default(),
            outbox: Mutex::default(),
            who,
        });
        let app = Router::new().fallback(handle).with_state(server);
        let authorities = secure.pem.clone().into_bytes();
        tokio::spawn(secure.serve(app.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

        let (client_id, authentication) = match who {
            Who::Basic => (
                "svc",
                Authentication::ClientSecretBasic(clients::SECRET.into()),
            ),
            Who::Post => (
                "poster",
                Authentication::ClientSecretPost(clients::SECRET.into()),
            ),
            Who::Key => {
                let key = AssertionKey::from_pem(
                    "ES256",
                    Some("c1".into()),
                    jwt::client_pem().as_bytes(),
                )
                .unwrap();
                ("signer", Authentication::PrivateKeyJwt(key))
            }
        };
        let mut target = Target {
            resources: vec![format!("{issuer}/api"), format!("{issuer}/second")],
            api: Some(format!("{issuer}/api/me").parse().unwrap()),
            credentials: Some(Credentials {
                client_id: client_id.into(),
                authentication,
            }),
            public_client: Some("app".into()),
            person: Some(Person {
                login: authorize::LOGIN.into(),
                password: authorize::PASSWORD.into(),
            }),
            app: Some(App {
                client_id: "app".into(),
                redirect_uri: authorize::CALLBACK.into(),
            }),
            registration_token: None,
            authorization_details: Some(json!({"type": "payment", "amount": 1})),
            device: Some(device::DEVICE.into()),
            exchange: Exchangeable {
                target: Some(format!("{issuer}/second")),
                ..Exchangeable::default()
            },
            trusted_issuer: Some(trusted(exchange::TRUSTED)),
            identity_issuer: Some(trusted(exchange::IDENTITY)),
            profile_client: None,
            document_client: Some(App {
                client_id: registration::DOCUMENT.into(),
                redirect_uri: registration::CALLBACK.into(),
            }),
            authorities: Some(authorities),
            listen: Some(Listen::here()),
            issuer,
        };
        if let Fault::Target(edit) = fault {
            edit(&mut target);
        }
        target
    }

    pub(crate) fn breaks(&self, rule: Rule) -> bool {
        matches!(self.fault, Fault::Rule(broken) if broken == rule)
    }

    /// One of the servers takes no request objects.
    pub(crate) fn denies_objects(&self) -> bool {
        self.who == Who::Post
    }

    pub(crate) fn resources(&self) -> [String; 2] {
        [
            format!("{}/api", self.issuer),
            format!("{}/second", self.issuer),
        ]
    }

    fn answer(&self, asked: &Asked) -> Wire {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/.well-known/oauth-authorization-server") => {
                Wire::json(200, &self.metadata().into())
            }
            ("GET", "/.well-known/openid-configuration") => {
                let mut metadata = self.metadata();
                if let Fault::OpenId(edit) = self.fault {
                    edit(&mut metadata);
                }
                Wire::json(200, &metadata.into())
            }
            ("GET", "/.well-known/oauth-protected-resource/api") => self.resource_metadata(),
            ("GET", "/jwks") => self.jwks(),
            ("POST", "/authorize") if self.breaks(Rule::PostIsRefused) => Wire::new(405),
            ("GET" | "POST", "/authorize") => self.authorize(asked),
            ("GET", "/login") => self.login_page(asked),
            ("POST", "/login") => self.sign_in(asked),
            ("GET", "/resume") => self.resume(asked),
            ("POST", "/consent") => self.consent(asked),
            ("GET" | "POST", "/userinfo") => self.userinfo(asked),
            ("GET", "/token") if self.breaks(Rule::GetIsFine) => self.issue("svc", None, "read"),
            ("POST", "/token") => self.token(asked),
            ("POST", "/revoke") => self.revoke(asked),
            ("POST", "/introspect") => self.introspect(asked),
            ("GET", "/revoke") if self.breaks(Rule::GetRevokes) => self.revoke_by_get(asked),
            ("POST", "/device_authorization") => self.authorize_device(asked),
            ("GET" | "POST", "/device") => self.device_page(asked),
            ("POST", "/global") => self.revoke_globally(asked),
            ("GET", "/api/me") => self.me(asked),
            ("POST", "/register") => self.register(asked),
            ("POST", "/par") => self.push(asked),
            ("POST", "/logout") if self.breaks(Rule::LogoutIsGetOnly) => Wire::new(405),
            ("GET" | "POST", "/logout") => self.logout(asked),
            (_, "/token" | "/revoke" | "/introspect" | "/par") => Wire::new(405),
            (_, path) => match path.strip_prefix("/register/") {
                Some(client_id) => self.manage(asked, client_id),
                None => Wire::new(404),
            },
        }
    }

    fn metadata(&self) -> Members {
        let issuer = &self.issuer;
        let secure = &self.secure;
        let mut metadata = members(json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "introspection_endpoint": format!("{issuer}/introspect"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "grant_types_supported": GRANTS,
            "device_authorization_endpoint": format!("{issuer}/device_authorization"),
            "introspection_signing_alg_values_supported": ["RS256", "ES256"],
            "introspection_encryption_alg_values_supported": ["ECDH-ES"],
            "introspection_encryption_enc_values_supported": ["A256GCM"],
            "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
            "identity_chaining_requested_token_types_supported": ["urn:ietf:params:oauth:token-type:id-jag"],
            "global_token_revocation_endpoint": format!("{issuer}/global"),
            "global_token_revocation_endpoint_auth_methods_supported": ["client_secret_basic"],
            "response_modes_supported": ["query", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"],
            "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access", "read"],
            "subject_types_supported": if self.who == Who::Key { vec!["public"] } else { vec!["public", "pairwise"] },
            "claims_supported": ["sub", "name", "email"],
            "claims_parameter_supported": true,
            "acr_values_supported": ["password"],
            "authorization_details_types_supported": ["payment"],
            "registration_endpoint": format!("{issuer}/register"),
            "pushed_authorization_request_endpoint": format!("{issuer}/par"),
            "end_session_endpoint": format!("{issuer}/logout"),
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "request_parameter_supported": !self.denies_objects(),
            "request_uri_parameter_supported": !self.denies_objects(),
            "userinfo_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_signing_alg_values_supported": ["ES256"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"],
            "token_endpoint_auth_signing_alg_values_supported": SIGNS,
            "request_object_signing_alg_values_supported": SIGNS,
            "code_challenge_methods_supported": ["S256"],
            "dpop_signing_alg_values_supported": SIGNS,
            "authorization_response_iss_parameter_supported": true,
        }));
        metadata.extend(members(json!({
            "client_id_metadata_document_supported": true,
            "tls_client_certificate_bound_access_tokens": true,
            "mtls_endpoint_aliases": {
                "token_endpoint": format!("{secure}/token"),
                "userinfo_endpoint": format!("{secure}/userinfo"),
                "introspection_endpoint": format!("{secure}/introspect"),
            },
        })));
        if self.breaks(Rule::NoRsa) {
            let member = "id_token_signing_alg_values_supported";
            metadata.insert(member.into(), json!(["ES256"]));
        }
        if self.breaks(Rule::PushIsRequired) {
            metadata.insert("require_pushed_authorization_requests".into(), true.into());
        }
        let mut statement = metadata.clone();
        statement.insert("iss".into(), issuer.as_str().into());
        if self.breaks(Rule::NestedStatement) {
            statement.insert("signed_metadata".into(), "x".into());
        }
        let header = members(json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}));
        metadata.insert(
            "signed_metadata".into(),
            jwt::sign(&header, &Value::Object(statement).to_string()).into(),
        );
        if let Fault::Metadata(edit) = self.fault {
            edit(&mut metadata);
        }
        metadata
    }

    fn resource_metadata(&self) -> Wire {
        let [api, _] = self.resources();
        let mut metadata = members(json!({
            "resource": api,
            "authorization_servers": [self.issuer],
            "bearer_methods_supported": ["header"],
            "resource_signing_alg_values_supported": ["ES256"],
        }));
        if let Fault::Resource(edit) = self.fault {
            edit(&mut metadata);
        }
        Wire::json(200, &metadata.into())
    }

    fn jwks(&self) -> Wire {
        let mut keys = vec![jwt::public_key()];
        if !self.breaks(Rule::NoRsa) {
            keys.push(jwt::rsa_public_key());
        }
        if let Fault::Keys(edit) = self.fault {
            edit(&mut keys);
        }
        Wire::json(200, &json!({ "keys": keys }))
    }
}

pub(crate) use clients::SECRET;

/// What others sign with that is verified here.
const SIGNS: [&str; 3] = ["ES256", "PS256", "EdDSA"];

const GRANTS: [&str; 6] = [
    "authorization_code",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
];

/// Somebody for whom that issuer speaks.
fn trusted((issuer, seed): (&str, u8)) -> TrustedIssuer {
    let pem = jwt::pem(seed);
    let file = json!({"issuer": issuer, "subject": "person", "key": pem, "kid": "i1"});
    TrustedIssuer::from_json(file.to_string().as_bytes()).unwrap()
}

/// A key under the name of the server's own.
pub(crate) fn other_key() -> Value {
    jwt::key_of(9)
}

pub(crate) fn members(value: Value) -> Members {
    serde_json::from_value(value).unwrap()
}

async fn handle(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let text = |name: &str| {
        head.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let pairs = |text: &[u8]| form_urlencoded::parse(text).into_owned().collect();
    let proofs = head.headers.get_all("dpop").iter();
    let proofs = proofs
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned);
    let mut asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        authorization: text("authorization"),
        cookie: text("cookie").unwrap_or_default(),
        media_type: text("content-type").unwrap_or_default(),
        accept: text("accept").unwrap_or_default(),
        query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
        form: pairs(&body),
        body: String::from_utf8_lossy(&body).into_owned(),
        proofs: proofs.collect(),
        proof: Ok(None),
        certificate: head
            .extensions
            .get::<Option<CertificateDer<'static>>>()
            .and_then(|shown| shown.as_ref().map(|shown| shown.to_vec())),
    };
    if let Some(told) = text("client-cert").filter(|_| server.breaks(Rule::ClientCertIsBelieved)) {
        asked.certificate = BASE64_STANDARD.decode(told.trim_matches(':')).ok();
    }
    asked.proof = server.proof(&asked);
    server.fetch(&asked).await;
    let mut wire = server.answer(&asked);
    Server::offer_nonce(&asked, &mut wire);
    server.deliver().await;
    if let Fault::Wire(path, edit) = server.fault
        && (path == asked.path || (path == "/register/*" && asked.path.starts_with("/register/")))
    {
        edit(&mut wire);
    }
    let mut response = Response::builder().status(wire.status);
    for (name, value) in wire.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(wire.body)).unwrap()
}
