//! Executable requirements of the OAuth and OpenID Connect standards, for any authorization server.

fn main() {}
