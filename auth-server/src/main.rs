//! OAuth 2 and OpenID Connect authorization server.

fn main() {}
