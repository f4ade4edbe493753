//! Ids of traces and spans, derived from what they are about.

use opentelemetry::{SpanId, TraceId};
use sha2::{Digest, Sha256};

use promoflow_store::EventRowId;

/// Derives the trace id of an event that came without a trace.
pub(super) fn derive_trace_id(installation: &str, event: EventRowId) -> TraceId {
    let digest = Sha256::digest(format!("{installation}:event:{event}"));
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    TraceId::from_bytes(id)
}

/// Derives the id of a span in a trace.
pub(super) fn derive_span_id(trace: TraceId, what: std::fmt::Arguments<'_>) -> SpanId {
    let digest = Sha256::digest(format!("{trace}:{what}"));
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    SpanId::from_bytes(id)
}
