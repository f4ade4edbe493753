//! Creates spans from trace records.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId, TraceId};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};

use super::ids::{derive_span_id, derive_trace_id};
use promoflow_model::trace_context::TraceParent;

use super::{CommitSpan, SegmentSpan, TraceRecord};
use promoflow_store::{EventRowId, Result, Store};

/// Creates spans and passes them to the exporter.
pub(super) struct Spans {
    processor: BatchSpanProcessor,
    store: Arc<dyn Store>,
    installation: String,
    sample: f64,
    scope: InstrumentationScope,
}

/// A span to export.
struct SpanDraft {
    trace: TraceId,
    id: SpanId,
    parent: SpanId,
    kind: SpanKind,
    name: Cow<'static, str>,
    times: (SystemTime, SystemTime),
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl Spans {
    pub(super) fn new(
        processor: BatchSpanProcessor,
        store: Arc<dyn Store>,
        installation: String,
        sample: f64,
    ) -> Spans {
        let scope = InstrumentationScope::builder("promoflow")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Spans {
            processor,
            store,
            installation,
            sample,
            scope,
        }
    }

    /// Exports the remaining spans.
    pub(super) fn finish(&self, timeout: Duration) {
        if let Err(error) = self.processor.shutdown_with_timeout(timeout) {
            tracing::warn!("the last spans were not exported: {error}");
        }
    }

    pub(super) fn create(&self, happened: TraceRecord) -> Result<()> {
        match happened {
            TraceRecord::Event {
                row,
                kind,
                origin,
                segments,
                commit,
            } => {
                let Some(trace) = self.trace(row, origin.parent) else {
                    return Ok(());
                };
                let event = event_span(trace);
                let parent = origin.parent.map(|parent| SpanId::from_bytes(parent.span));
                self.export(SpanDraft {
                    trace,
                    id: event,
                    parent: parent.unwrap_or(SpanId::INVALID),
                    kind: SpanKind::Server,
                    name: format!("event {kind}").into(),
                    times: (origin.received, commit.ended),
                    attributes: vec![
                        KeyValue::new("promoflow.event", row.0),
                        KeyValue::new("promoflow.event.type", kind),
                    ],
                    failed: false,
                });
                self.commit(trace, event, format_args!("commit"), commit);
                for segment in segments {
                    self.segment(trace, &segment);
                }
            }
            TraceRecord::Segment { segment, commit } => {
                let Some((row, parent)) = self.store.trace_of_run(segment.run)? else {
                    return Ok(());
                };
                if let Some(trace) = self.trace(row, parent) {
                    let run = self.segment(trace, &segment);
                    let SegmentSpan {
                        run: of,
                        number,
                        attempt,
                        ..
                    } = segment;
                    let what = format_args!("commit:{of}:{number}:{attempt}");
                    self.commit(trace, run, what, commit);
                }
            }
            TraceRecord::Attempt {
                delivery,
                channel,
                outcome,
                began,
                ended,
            } => {
                let Some(run) = self.store.delivery(delivery)?.map(|one| one.run) else {
                    return Ok(());
                };
                let Some((row, parent)) = self.store.trace_of_run(run)? else {
                    return Ok(());
                };
                let Some(trace) = self.trace(row, parent) else {
                    return Ok(());
                };
                let since = began.duration_since(SystemTime::UNIX_EPOCH);
                let since = since.unwrap_or_default().as_nanos();
                self.export(SpanDraft {
                    trace,
                    id: derive_span_id(trace, format_args!("attempt:{delivery}:{since}")),
                    parent: derive_span_id(trace, format_args!("run:{run}:0")),
                    kind: SpanKind::Client,
                    name: format!("deliver {channel}").into(),
                    times: (began, ended),
                    attributes: vec![
                        KeyValue::new("promoflow.delivery", delivery.0),
                        KeyValue::new("promoflow.channel", channel),
                        KeyValue::new("promoflow.outcome", outcome),
                    ],
                    failed: outcome != "delivered",
                });
            }
        }
        Ok(())
    }

    /// Returns the trace of an event; `None` if it is not sampled.
    fn trace(&self, row: EventRowId, parent: Option<TraceParent>) -> Option<TraceId> {
        match parent {
            // The sender of the trace has decided.
            Some(parent) => parent.sampled.then(|| TraceId::from_bytes(parent.trace)),
            None => {
                let trace = derive_trace_id(&self.installation, row);
                let [first, ..] = trace.to_bytes();
                (f64::from(first) < self.sample * 256.0).then_some(trace)
            }
        }
    }

    fn segment(&self, trace: TraceId, segment: &SegmentSpan) -> SpanId {
        let (run, number) = (segment.run, segment.number);
        // A retried segment has a span for each attempt.
        let attempt_number = match segment.end {
            "retried" => segment.attempt,
            _ => 0,
        };
        let id = match attempt_number {
            0 => derive_span_id(trace, format_args!("run:{run}:{number}")),
            attempt => derive_span_id(trace, format_args!("run:{run}:{number}:{attempt}")),
        };
        let began = segment.steps.first().map(|step| step.began);
        let ended = segment.steps.last().map(|step| step.ended);
        let now = SystemTime::now();
        self.export(SpanDraft {
            trace,
            id,
            parent: event_span(trace),
            kind: SpanKind::Internal,
            name: "run".into(),
            times: (began.unwrap_or(now), ended.unwrap_or(now)),
            attributes: vec![
                KeyValue::new("promoflow.run", run.0),
                KeyValue::new("promoflow.segment", i64::from(number)),
                KeyValue::new("promoflow.end", segment.end),
            ],
            failed: matches!(segment.end, "failed" | "retried"),
        });
        for (place, step) in segment.steps.iter().enumerate() {
            let mut attributes = vec![
                KeyValue::new("promoflow.step", step.step.clone()),
                KeyValue::new("promoflow.block", step.block.clone()),
            ];
            if let Some(port) = &step.port {
                attributes.push(KeyValue::new("promoflow.port", port.clone()));
            }
            self.export(SpanDraft {
                trace,
                id: derive_span_id(
                    trace,
                    format_args!("step:{run}:{number}:{attempt_number}:{place}"),
                ),
                parent: id,
                kind: SpanKind::Internal,
                name: format!("step {}", step.step).into(),
                times: (step.began, step.ended),
                attributes,
                failed: step.port.is_none() && matches!(segment.end, "failed" | "retried"),
            });
        }
        id
    }

    fn commit(
        &self,
        trace: TraceId,
        parent: SpanId,
        what: std::fmt::Arguments<'_>,
        commit: CommitSpan,
    ) {
        let units = i64::try_from(commit.units).unwrap_or(i64::MAX);
        self.export(SpanDraft {
            trace,
            id: derive_span_id(trace, what),
            parent,
            kind: SpanKind::Internal,
            name: "commit".into(),
            times: (commit.began, commit.ended),
            attributes: vec![KeyValue::new("promoflow.units", units)],
            failed: false,
        });
    }

    fn export(&self, draft: SpanDraft) {
        let context = SpanContext::new(
            draft.trace,
            draft.id,
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        self.processor.on_end(SpanData {
            span_context: context,
            parent_span_id: draft.parent,
            parent_span_is_remote: draft.kind == SpanKind::Server,
            span_kind: draft.kind,
            name: draft.name,
            start_time: draft.times.0,
            end_time: draft.times.1.max(draft.times.0),
            attributes: draft.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: match draft.failed {
                true => Status::error("see the run history"),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        });
    }
}

fn event_span(trace: TraceId) -> SpanId {
    derive_span_id(trace, format_args!("event"))
}
