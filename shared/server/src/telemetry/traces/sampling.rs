//! Which traces are kept.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult, ShouldSample,
};

use super::REQUEST;

/// A share of the requests, whole. Work that no request asked for, such as polls, makes no traces.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    share: Sampler,
}

impl Requests {
    pub(super) fn new(share: f64) -> Self {
        Self {
            share: Sampler::TraceIdRatioBased(share),
        }
    }
}

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|context| context.span().span_context().clone());
        let parent = parent.filter(opentelemetry::trace::SpanContext::is_valid);
        let own = |drawn| {
            self.share
                .should_sample(None, drawn, name, kind, attributes, links)
        };
        let decided = |decision| SamplingResult {
            decision,
            attributes: Vec::new(),
            trace_state: parent
                .as_ref()
                .map(|parent| parent.trace_state().clone())
                .unwrap_or_default(),
        };
        match &parent {
            // Anyone may send a header that asks for a trace; what it costs is the operator's to decide. By an id of
            // our own: the sender chose theirs.
            Some(sender) if sender.is_remote() && sender.is_sampled() => {
                own(RandomIdGenerator::default().new_trace_id())
            }
            Some(request) if request.is_sampled() => decided(SamplingDecision::RecordAndSample),
            None if name == REQUEST => own(trace_id),
            Some(_) | None => decided(SamplingDecision::Drop),
        }
    }
}
