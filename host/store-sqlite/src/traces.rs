//! The trace contexts of events.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, damaged};
use promoflow_model::trace_context::TraceParent;
use promoflow_store::{EventRowId, RunId};

pub(super) fn put(connection: &Connection, event: EventRowId, parent: TraceParent) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO event_trace (event, trace_id, span_id, sampled) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![event.0, parent.trace, parent.span, parent.sampled])?;
    Ok(())
}

/// Returns the event of a run, with the trace context that it arrived with.
pub(super) fn of_run(
    connection: &Connection,
    run: RunId,
) -> Result<Option<(EventRowId, Option<TraceParent>)>> {
    let found = connection
        .prepare_cached(
            "SELECT run.event, trace_id, span_id, sampled FROM run
             LEFT JOIN event_trace ON event_trace.event = run.event WHERE run.id = ?1",
        )?
        .query_row([run.0], |row| {
            Ok((
                EventRowId(row.get(0)?),
                row.get::<_, Option<Vec<u8>>>(1)?,
                row.get::<_, Option<Vec<u8>>>(2)?,
                row.get::<_, Option<bool>>(3)?,
            ))
        })
        .optional()?;
    let Some((event, trace, span, sampled)) = found else {
        return Ok(None);
    };
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
        sampled: sampled.unwrap_or(true),
    };
    Ok(Some((event, Some(parent))))
}
