//! Judges units by what the first round trip found.

use promoflow_model::clock::Timestamp;
use promoflow_store::{CommitReply, EventRowId, RunId, Segment, SegmentEnd, Stale};

use super::changes::Changes;
use super::lock::{Found, codes_of, exhausted_of};
use super::{Member, NewEvent, Verdict, Work};
use crate::commit::claim_codes::claims_to_take;
use crate::connection::integer;

/// Judges a unit, and collects its changes of deliveries.
pub(super) fn judge(
    member: &Member<'_>,
    found: &Found,
    changes: &mut Changes<'_>,
    now: Timestamp,
) -> Verdict {
    match &member.work {
        Work::Accept(event) => judge_event(event, &member.work, found, now),
        Work::Known(accept) => {
            let id = accept.event.id.as_ref();
            match id.and_then(|id| found.known.get(id)) {
                Some(known) => Verdict::Commit(known.reply(&accept.event)),
                None => Verdict::NotOrdinary,
            }
        }
        Work::Segment(segment) => judge_segment(segment, found, now),
        Work::Attempts(batch) => match changes.add(batch) {
            Some(reply) => Verdict::Commit(reply),
            None => Verdict::NotOrdinary,
        },
    }
}

fn judge_event(event: &NewEvent<'_>, work: &Work<'_>, found: &Found, now: Timestamp) -> Verdict {
    if !found.events.contains(&event.id) {
        return Verdict::Known;
    }
    if event.accept.config.0 != found.config {
        return Verdict::Refuse(CommitReply::Stale(Stale::Config));
    }
    if found.contacts || found.stopping.contains(&event.id) {
        return Verdict::NotOrdinary;
    }
    for (_, _, segment) in work.segments() {
        if let Some(stale) = stale_codes(segment, found, now) {
            return Verdict::Refuse(CommitReply::Stale(stale));
        }
    }
    Verdict::Commit(CommitReply::Accepted {
        event: EventRowId(event.id),
        runs: event.runs.iter().map(|run| Some(RunId(*run))).collect(),
    })
}

fn judge_segment(segment: &Segment, found: &Found, now: Timestamp) -> Verdict {
    if let Some(stale) = stale_codes(segment, found, now) {
        return Verdict::Refuse(CommitReply::Stale(stale));
    }
    let Some((run, number)) = segment.run else {
        return Verdict::NotOrdinary;
    };
    if found.runs.get(&run.0) != Some(&integer(number)) {
        return Verdict::Refuse(CommitReply::Stale(Stale::Run));
    }
    if matches!(segment.end, SegmentEnd::Completed) && found.releasing.contains(&run.0) {
        return Verdict::NotOrdinary;
    }
    Verdict::Commit(CommitReply::Done)
}

/// Returns how the codes of a segment are outdated.
fn stale_codes(segment: &Segment, found: &Found, now: Timestamp) -> Option<Stale> {
    let claims = claims_to_take(segment);
    let taken = codes_of(segment, &found.code_groups).filter(|code| found.codes.contains(code));
    let any_expired = claims
        .iter()
        .any(|claim| claim.code.position.expires <= now);
    if any_expired || taken.count() < claims.len() {
        return Some(Stale::Code);
    }
    exhausted_of(segment, &found.code_groups)
        .any(|wanted| found.available.contains(&wanted))
        .then_some(Stale::NotExhausted)
}
