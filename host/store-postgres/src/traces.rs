//! The trace contexts of events.

use promoflow_model::trace_context::TraceParent;
use promoflow_store::{EventRowId, RunId};

use crate::connection::params;
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

pub(crate) fn put(
    transaction: &Transaction<'_>,
    event: EventRowId,
    parent: TraceParent,
) -> Result<()> {
    transaction.execute(
        "INSERT INTO event_trace (event, trace_id, span_id, sampled) VALUES ($1, $2, $3, $4)",
        params![
            event.0,
            &parent.trace[..],
            &parent.span[..],
            i32::from(parent.sampled)
        ],
    )?;
    Ok(())
}

/// Returns the event of a run, with the trace context that it arrived with.
pub(crate) fn of_run(
    transaction: &Transaction<'_>,
    run: RunId,
) -> Result<Option<(EventRowId, Option<TraceParent>)>> {
    let row = transaction.row(
        "SELECT run.event, trace_id, span_id, sampled FROM run
         LEFT JOIN event_trace ON event_trace.event = run.event WHERE run.id = $1",
        params![run.0],
    )?;
    let Some(row) = row else { return Ok(None) };
    let event = EventRowId(row.get(0)?);
    let (trace, span): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(1)?, row.get(2)?);
    let (Some(trace), Some(span)) = (trace, span) else {
        return Ok(Some((event, None)));
    };
    let invalid = || {
        damaged(
            format!("the trace of event {event}"),
            "its length is invalid",
        )
    };
    let parent = TraceParent {
        trace: trace.try_into().map_err(|_| invalid())?,
        span: span.try_into().map_err(|_| invalid())?,
        sampled: row.flag(3)?,
    };
    Ok(Some((event, Some(parent))))
}
