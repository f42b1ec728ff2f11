//! The trace that a request says it is part of.

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};

/// The value of a `traceparent` header field (W3C Trace Context §3.2.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TraceParent(SpanContext);

/// The length of what every version begins with: version, trace, span and flags.
const LENGTH: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();

impl TraceParent {
    /// `None` if there is none, more than one, or one that is malformed: a new trace begins then (§4.3).
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut sent = headers.get_all("traceparent").iter();
        match (sent.next(), sent.next()) {
            (Some(only), None) => Self::parse(only.as_bytes()),
            _ => None,
        }
    }

    fn parse(raw: &[u8]) -> Option<Self> {
        let (known, more) = raw.split_at_checked(LENGTH)?;
        let known = str::from_utf8(known).ok()?;
        let mut parts = known.split('-');
        let mut hex = |digits: usize| {
            let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            parts
                .next()
                .filter(|part| part.len() == digits && part.bytes().all(lower))
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // §3.2.2.1: version ff is none, and later ones may go on after another dash.
        let good = match version {
            "00" => more.is_empty(),
            "ff" => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        };
        let sampled = u8::from_str_radix(flags, 16).ok()? & TraceFlags::SAMPLED.to_u8();
        let context = SpanContext::new(
            TraceId::from_hex(trace).ok()?,
            SpanId::from_hex(span).ok()?,
            TraceFlags::new(sampled),
            true,
            TraceState::NONE,
        );
        // Of zeros alone, neither is one.
        (good && context.is_valid()).then_some(Self(context))
    }

    pub(super) fn trace_id(&self) -> TraceId {
        self.0.trace_id()
    }

    pub(super) fn context(self) -> Context {
        Context::new().with_remote_span_context(self.0)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn only_one_well_formed_traceparent_is_followed() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        let with = |from: &str, to: &str| good.replacen(from, to, 1);
        for (what, sent, taken) in [
            ("a good one", vec![good.clone()], true),
            ("not sampled", vec![with("-01", "-00")], true),
            ("unknown flags", vec![with("-01", "-ff")], true),
            ("a later version", vec![with("00-", "01-")], true),
            ("one with more", vec![with("00-", "cc-") + "-what"], true),
            ("none", vec![], false),
            ("two", vec![good.clone(), good.clone()], false),
            ("empty", vec![String::new()], false),
            ("version ff", vec![with("00-", "ff-")], false),
            ("version 00 with more", vec![good.clone() + "-what"], false),
            ("more without a dash", vec![with("00-", "cc-") + "x"], false),
            ("capitals", vec![with("af", "AF")], false),
            ("no hex", vec![with("af", "xy")], false),
            ("no ASCII", vec![with("af", "é")], false),
            (
                "a trace of zeros",
                vec![with(TRACE, &"0".repeat(32))],
                false,
            ),
            (
                "a span of zeros",
                vec![with("b7ad6b7169203331", &"0".repeat(16))],
                false,
            ),
            ("a part too short", vec![with("0af7", "af7") + "0"], false),
            ("spaces", vec![format!(" {good}")], false),
            ("very long", vec!["0".repeat(10_000)], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append("traceparent", value);
            }
            let parent = TraceParent::of(&headers);
            assert_eq!(parent.is_some(), taken, "{what}");
            if let Some(parent) = parent {
                assert_eq!(parent.trace_id().to_string(), TRACE, "{what}");
                assert_eq!(parent.0.is_sampled(), what != "not sampled", "{what}");
            }
        }
    }
}
