//! What a resource server and an authorization server both need to speak OAuth 2: protocol words as types, JOSE, the
//! guard for bearer-protected routes, an SSRF-safe fetcher, and time as a value that is passed in.

pub mod random;
pub mod time;
