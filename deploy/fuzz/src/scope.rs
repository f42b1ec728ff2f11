//! Scope (RFC 6749 §3.3, appendix A.4).

use std::collections::BTreeSet;

use shared_protocol::scope::{ScopeSet, ScopeToken};

pub(crate) fn check(bytes: &[u8]) {
    let Some(raw) = crate::text(bytes) else {
        return;
    };
    let tokens: Vec<&str> = raw.split(' ').collect();
    let is_token = |token: &&str| {
        let allowed = |c: char| ('!'..='~').contains(&c) && c != '"' && c != '\\';
        !token.is_empty() && token.chars().all(allowed)
    };
    let is_good = raw.len() <= 4096 && tokens.len() <= 100 && tokens.iter().all(is_token);
    let scope: Result<ScopeSet, _> = raw.parse();
    assert_eq!(scope.is_ok(), is_good || raw.is_empty());
    assert_eq!(
        raw.parse::<ScopeToken>().is_ok(),
        raw.len() <= 4096 && is_token(&raw)
    );
    let Ok(scope) = scope else { return };
    let sent: BTreeSet<&str> = tokens.into_iter().filter(|it| !it.is_empty()).collect();
    assert!(scope.iter().map(ScopeToken::as_str).eq(sent));
    assert_eq!(scope.to_string().parse().as_ref(), Ok(&scope));
    assert!(scope.is_subset(&scope) && scope.intersection(&scope) == scope);
}
