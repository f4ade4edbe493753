//! The conformance suite: what every engine behind [`Store`] must do.
//!
//! An engine implements [`Harness`] in its tests and lists the cases with
//! [`conformance_tests`], which makes each case a test of its own:
//!
//! ```ignore
//! struct Sqlite { folder: TempDir, store: SqliteStore }
//! impl Harness for Sqlite { /* create, store, reopen, another */ }
//! promoflow_store_conformance::conformance_tests!(Sqlite);
//! ```
//!
//! The cases only use the traits. Their names begin with the promise that they test. Each module holds
//! the cases of the aggregate that it is named after; `fixture` holds what they share.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests"
)]

pub mod configuration;
pub mod contacts;
pub mod deliveries;
mod fixture;
pub mod installation;
pub mod pool;
pub mod pool_model;
pub mod records;
pub mod runs;
pub mod units;
pub mod uploads;

pub use fixture::{Fixture, NOW, claim, code_group, head, row, segment, workflow};

use promoflow_store::Store;

/// Access to an engine under test.
pub trait Harness: Sized {
    /// True if any number of processes execute at a time and divide the work, false if one does.
    const DIVIDES_WORK: bool = false;
    /// A tool that backs the database up; `None` if the store does.
    const BACKUP_TOOL: Option<&'static str> = None;

    /// Creates a new, empty store.
    fn create() -> Self;

    /// Returns the store.
    fn store(&self) -> &dyn Store;

    /// Opens the store again, as the next process does after this one has ended in any way.
    #[must_use]
    fn reopen(self) -> Self;

    /// Opens the store once more, as another process does while this one runs.
    #[must_use]
    fn another(&self) -> Self;
}

/// Makes every case of the conformance suite a test of the engine with this [`Harness`].
#[macro_export]
macro_rules! conformance_tests {
    (@cases $harness:ty: $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::$module::$case::<$harness>();
                }
            )+
        })+
    };
    ($harness:ty) => {
        $crate::conformance_tests! { @cases $harness:
            configuration: each_change_is_a_version, workflows_are_paused_and_resumed,
                blocks_are_stored_by_digest;
            contacts: finds_a_contact_by_each_of_its_names,
                row_updates_only_what_it_states_of_its_contact, ids_and_external_ids_are_unique,
                rows_undo_unsubscriptions_only_if_asked_to, rolled_back_atomic_upload_leaves_nothing,
                events_add_contacts, recipients_unsubscribe;
            deliveries: p3_attempts_are_recorded_before_they_are_made,
                p3_late_end_of_an_earlier_attempt_changes_nothing,
                p4_code_of_an_attempted_delivery_is_kept,
                p4_code_of_a_refused_delivery_is_released, p8_delivery_expires_with_its_code,
                permanent_failure_switches_to_the_alternative,
                failed_deliveries_are_restarted_and_listed, deliveries_are_rescheduled_or_fail,
                due_pages_alternate_and_exclude;
            installation: identity_calendar_and_schema, members_execute_until_they_end,
                commits_are_noticed,
                p7_everything_acknowledged_survives_a_restart;
            pool: p9_unused_codes_are_only_retired, leases_change_nothing, lists_and_counts_by_filter,
                codes_are_ordered_by_bytes, claims_are_counted, kept_codes_are_found;
            pool_model: p6_pool_matches_a_plain_table;
            records: keys_are_added_and_revoked, responses_are_stored_once,
                keys_are_reserved_until_their_process_ends, alerts_and_notifications;
            runs: p2_failed_attempts_keep_no_effects, p4_cancelled_run_releases_its_code,
                p5_event_is_accepted_once, p5_start_rules_hold_in_one_batch, stop_event_ends_a_run,
                waiting_runs_get_codes_in_order, reply_wakes_its_run, listings_and_traces;
            units: p1_second_unit_that_claims_a_code_is_stale_and_leaves_nothing,
                p8_code_that_expires_at_commit_time_is_stale,
                exhausted_is_stale_if_a_suitable_code_is_available,
                p2_commits_a_segment_once_and_only_for_an_active_run,
                p2_failed_segment_commits_its_error_and_no_claim,
                unit_of_another_configuration_is_stale;
            uploads: rolled_back_or_dropped_atomic_upload_leaves_nothing,
                dry_run_blocks_nothing_and_is_never_blocked, history_and_interruption,
                unused_codes_of_an_upload, only_uploads_of_ended_processes_are_interrupted;
        }
    };
}
