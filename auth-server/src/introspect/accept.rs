//! In which form introspection answers (RFC 9701 §4).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// RFC 9701 §5.
pub(super) const JWT: &str = "application/token-introspection+jwt";
const JSON: &str = "application/json";

/// The form that is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Whichever: a JSON object (RFC 7662 §2.2), but where a profile says otherwise.
    Any,
    /// A JSON object, by name, or in place of a JWT that is wanted less.
    Json,
    /// A JWT (RFC 9701 §5).
    Jwt,
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::accepted(&parts.headers))
    }
}

impl Form {
    /// RFC 9110 §12.5.1. A range with `*` asks for nothing in particular: it never means the JWT, and speaks for JSON only against a
    /// JWT that is wanted less.
    fn accepted(headers: &HeaderMap) -> Self {
        let (mut jwt, mut json) = (None, None);
        let mut any: f32 = 0.0;
        for value in headers.get_all(header::ACCEPT) {
            let ranges = value.to_str().unwrap_or_default().split(',');
            for (range, weight) in ranges.filter_map(weighed) {
                if range.eq_ignore_ascii_case(JWT) {
                    jwt = Some(weight);
                } else if range.eq_ignore_ascii_case(JSON) {
                    json = Some(weight);
                } else if range == "*/*" || range.eq_ignore_ascii_case("application/*") {
                    any = any.max(weight);
                }
            }
        }
        match (jwt, json) {
            (Some(jwt), json) if jwt > 0.0 && jwt >= json.unwrap_or(any) => Self::Jwt,
            (None, None | Some(0.0)) => Self::Any,
            (Some(_), _) | (None, Some(_)) => Self::Json,
        }
    }
}

/// A media range and its weight. Other parameters are of no type that there is here.
fn weighed(part: &str) -> Option<(&str, f32)> {
    let mut parameters = part.split(';').map(str::trim);
    let range = parameters.next()?;
    let mut weight = 1.0;
    for parameter in parameters {
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("q")
        {
            weight = value.trim().parse().ok()?;
        }
    }
    (0.0..=1.0).contains(&weight).then_some((range, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9701_4_a_jwt_comes_where_it_is_asked_for() {
        for (accept, expected) in [
            (&[][..], Form::Any),
            (&[""], Form::Any),
            (&["*/*"], Form::Any),
            (&["application/*"], Form::Any),
            (&["application/jwt"], Form::Any),
            (&["text/html"], Form::Any),
            (&["application/json"], Form::Json),
            (&["application/json;q=0"], Form::Any),
            (&[JWT], Form::Jwt),
            (&["Application/Token-Introspection+JWT"], Form::Jwt),
            (&["application/token-introspection+jwt;q=0"], Form::Json),
            (&["application/token-introspection+jwt;q=0.1"], Form::Jwt),
            (&["application/token-introspection+jwt; Q=0.1"], Form::Jwt),
            (&["application/token-introspection+jwt;q=x"], Form::Any),
            (&["application/token-introspection+jwt;q=NaN"], Form::Any),
            (&["application/token-introspection+jwt;q=2"], Form::Any),
            (
                &["application/token-introspection+jwt;v=1;q=0.5"],
                Form::Jwt,
            ),
            (
                &["application/json, application/token-introspection+jwt"],
                Form::Jwt,
            ),
            (
                &["application/json", "application/token-introspection+jwt"],
                Form::Jwt,
            ),
            (
                &["application/json;q=0.9, application/token-introspection+jwt"],
                Form::Jwt,
            ),
            (
                &["application/json, application/token-introspection+jwt;q=0.9"],
                Form::Json,
            ),
            (
                &["*/*, application/token-introspection+jwt;q=0.9"],
                Form::Json,
            ),
            (
                &["*/*;q=0.1, application/token-introspection+jwt;q=0.9"],
                Form::Jwt,
            ),
            (
                &["*/*, application/json;q=0.1, application/token-introspection+jwt;q=0.9"],
                Form::Jwt,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(Form::accepted(&headers), expected, "{accept:?}");
        }
    }
}
