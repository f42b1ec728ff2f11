//! How a client sends people to the authorization endpoint, and is answered.

use clap::Args;
use shared_protocol::jose::Algorithm;

use crate::authorize::request::ResponseType;
use crate::clients::url::ClientUrl;
use crate::clients::{ClientMetadata, ObjectAlgorithm};

#[derive(Args, Debug)]
pub(super) struct RequestArgs {
    /// What it may ask the authorization endpoint for (`code id_token`; may repeat); what its grants imply if not given
    #[arg(long = "response-type", value_name = "TYPE")]
    response_types: Vec<ResponseType>,
    /// Its authorization requests must be pushed (RFC 9126), whatever the server's policy
    #[arg(long)]
    require_pushed_requests: bool,
    /// Its authorization requests must be signed (RFC 9101), whatever the server's policy
    #[arg(long)]
    require_signed_requests: bool,
    /// The one algorithm of its request objects ("none" where the server's policy allows that)
    #[arg(long, value_name = "ALG")]
    request_object_alg: Option<ObjectAlgorithm>,
    /// Where it publishes request objects (may repeat)
    #[arg(long = "request-uri", value_name = "URL")]
    request_uris: Vec<ClientUrl>,
    /// The algorithm of answers that it wants as JWTs, RS256 if not given
    #[arg(long, value_name = "ALG")]
    response_alg: Option<Algorithm>,
}

impl RequestArgs {
    /// The same, with what was given here.
    pub(super) fn set(self, metadata: ClientMetadata) -> ClientMetadata {
        ClientMetadata {
            response_types: self.response_types,
            require_pushed_authorization_requests: self.require_pushed_requests,
            require_signed_request_object: self.require_signed_requests,
            request_object_signing_alg: self.request_object_alg,
            request_uris: self.request_uris,
            authorization_signed_response_alg: self.response_alg,
            ..metadata
        }
    }
}
