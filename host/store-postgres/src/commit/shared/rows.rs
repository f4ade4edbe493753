//! The rows that a commit adds, by column, and how they are added.

use promoflow_model::clock::Timestamp;

use crate::transaction::Transaction;

/// Defines rows by column, added by a statement whose parameters are the columns in this order and
/// then, if there is one, the time.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident { $($column:ident: $kind:ty),+ $(,)? } $(at $now:ident)? => $sql:expr) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $name {
            $(pub(super) $column: Vec<$kind>,)+
        }

        impl $name {
            /// Sends the rows with the commit, if there are any.
            pub(super) fn send(self, transaction: &Transaction<'_> $(, $now: Timestamp)?) {
                let columns = [$(self.$column.len()),+];
                if columns.iter().all(|rows| *rows == 0) {
                    return;
                }
                transaction.at_commit(
                    $sql,
                    vec![$(Box::new(self.$column),)+ $(Box::new($now.0))?],
                );
            }
        }
    };
}

rows! {
    /// Trace contexts of events.
    TraceRows {
        event: i64,
        trace_id: Vec<u8>,
        span_id: Vec<u8>,
        sampled: i32,
    } => "INSERT INTO event_trace (event, trace_id, span_id, sampled)
          SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::integer[])"
}

rows! {
    /// Runs that start.
    NewRuns {
        id: i64,
        event: i64,
        workflow: i64,
        config_version: i64,
        state: &'static str,
        segment: i32,
        step: i32,
        attempt: i32,
        due_at: Option<i64>,
        data: Option<String>,
        error: Option<String>,
        finished_at: Option<i64>,
    } at now => "INSERT INTO run (id, event, workflow, config_version, state, segment, step, attempt,
                                  due_at, data, error, finished_at, started_at)
                 SELECT *, $13 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
                     $5::text[], $6::integer[], $7::integer[], $8::integer[], $9::bigint[],
                     $10::text[], $11::text[], $12::bigint[])"
}

rows! {
    /// Runs whose next segment is committed, which finishes it.
    RunChanges {
        id: i64,
        state: &'static str,
        step: Option<i32>,
        attempt: i32,
        due_at: Option<i64>,
        data: Option<String>,
        error: Option<String>,
        finished_at: Option<i64>,
    } => "UPDATE run SET state = next.state, segment = run.segment + 1,
              step = coalesce(next.step, run.step), attempt = next.attempt, due_at = next.due_at,
              data = coalesce(next.data, run.data), error = next.error,
              finished_at = next.finished_at
          FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::integer[], $5::bigint[],
                      $6::text[], $7::text[], $8::bigint[])
              AS next (id, state, step, attempt, due_at, data, error, finished_at)
          WHERE run.id = next.id"
}

rows! {
    /// Claims of codes that were taken.
    ClaimRows {
        id: i64,
        run: i64,
        step: String,
        visit: i32,
        ordinal: i32,
        code_group: i64,
        expires_at: i64,
        code_id: i64,
        code: String,
        contact: String,
    } at now => "INSERT INTO claim (id, run, step, visit, ordinal, code_group, expires_at, code_id,
                                    code, contact, claimed_at)
                 SELECT *, $11 FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::integer[],
                     $5::integer[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
                     $10::text[])"
}

rows! {
    /// Deliveries without alternatives.
    DeliveryRows {
        id: i64,
        run: i64,
        step: String,
        visit: i32,
        ordinal: i32,
        channel: &'static str,
        address: String,
        message: String,
        content: String,
        state: &'static str,
        due_at: Option<i64>,
        expires_at: i64,
        error: Option<&'static str>,
        allowed_hours: Option<String>,
    } at now => "INSERT INTO delivery (id, run, step, visit, ordinal, channel, address, message,
                                       content, state, due_at, expires_at, error, allowed_hours,
                                       created_at, attempts)
                 SELECT *, $15, 0 FROM unnest($1::bigint[], $2::bigint[], $3::text[],
                     $4::integer[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[],
                     $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[])"
}

rows! {
    /// Journal entries of segments.
    JournalRows {
        run: i64,
        segment: i32,
        outcome: &'static str,
        steps: String,
    } at now => "INSERT INTO journal (run, segment, outcome, steps, committed_at)
                 SELECT *, $5 FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[])"
}
