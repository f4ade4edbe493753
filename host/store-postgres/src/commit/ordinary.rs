//! Which units of a batch may be committed in a shared transaction.
//!
//! A unit is ordinary if single rows decide everything about it. Rules between runs, waits, reuse,
//! releases and alternatives need an exclusive transaction. What is not certain is not ordinary.

use std::collections::HashSet;

use promoflow_store::{CommitUnit, Segment, SegmentEnd};

use super::claim_codes::claims_to_take;

/// A row that a unit decides about.
#[derive(PartialEq, Eq, Hash)]
enum Touched<'u> {
    Event(&'u str),
    Run(i64),
    /// By type, discount, expiry and id.
    Code(&'u str, u8, i64, i64),
    Delivery(i64),
}

/// The units of a batch, by their indices in ascending order.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Units that may share a transaction with other ones.
    pub(super) ordinary: Vec<usize>,
    /// Units that need an exclusive transaction, after the ordinary ones.
    pub(super) others: Vec<usize>,
}

/// Splits a batch. Of units that decide about the same row, only the first is ordinary.
pub(super) fn split(units: &[CommitUnit]) -> Split {
    let mut split = Split::default();
    let mut touched = HashSet::new();
    for (index, unit) in units.iter().enumerate() {
        let mut is_first = true;
        for row in rows_of(unit) {
            is_first &= touched.insert(row);
        }
        match is_first && is_ordinary(unit) {
            true => split.ordinary.push(index),
            false => split.others.push(index),
        }
    }
    split
}

fn is_ordinary(unit: &CommitUnit) -> bool {
    match unit {
        CommitUnit::Accept(accept) => accept.starts.iter().all(|start| {
            let segment = start.segment.as_ref();
            start.rule.is_none() && segment.is_none_or(is_ordinary_segment)
        }),
        CommitUnit::Segment(segment) => segment.run.is_some() && is_ordinary_segment(segment),
        // The rest is seen in the rows.
        CommitUnit::Attempts(_) => true,
    }
}

fn is_ordinary_segment(segment: &Segment) -> bool {
    let ends = match &segment.end {
        SegmentEnd::Completed | SegmentEnd::Failed { .. } => true,
        SegmentEnd::Wait { wait, .. } => wait.is_none(),
        SegmentEnd::Retry { .. } => false,
    };
    ends && segment.attempt <= 1
        && segment.resumed.is_none()
        && segment.reuses.is_empty()
        && segment.contact_aliases.is_empty()
        && !segment.has_unsent_message
        && segment
            .deliveries
            .iter()
            .all(|delivery| delivery.alternatives.is_empty())
}

fn rows_of(unit: &CommitUnit) -> Vec<Touched<'_>> {
    let mut rows = Vec::new();
    match unit {
        CommitUnit::Accept(accept) => {
            rows.extend(accept.event.id.as_deref().map(Touched::Event));
            let segments = accept
                .starts
                .iter()
                .filter_map(|start| start.segment.as_ref());
            segments.for_each(|segment| add_codes(segment, &mut rows));
        }
        CommitUnit::Segment(segment) => {
            rows.extend(segment.run.map(|(run, _)| Touched::Run(run.0)));
            add_codes(segment, &mut rows);
        }
        CommitUnit::Attempts(batch) => {
            let ends = batch.ends.iter().map(|end| end.delivery);
            let rescheduled = batch.rescheduled.iter().map(|(delivery, _)| *delivery);
            let unreadable = batch.unreadable.iter().map(|(delivery, _)| *delivery);
            let all = ends.chain(rescheduled).chain(unreadable);
            let all = all.chain(batch.starts.iter().copied());
            rows.extend(all.map(|delivery| Touched::Delivery(delivery.0)));
        }
    }
    rows
}

fn add_codes<'u>(segment: &'u Segment, rows: &mut Vec<Touched<'u>>) {
    rows.extend(claims_to_take(segment).iter().map(|claim| {
        let (group, position) = (&claim.code_group, claim.code.position);
        Touched::Code(
            &group.code_type,
            group.discount,
            position.expires.0,
            position.id,
        )
    }));
}
