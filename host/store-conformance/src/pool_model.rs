//! Uploads, retirements and claims against a pool that is a plain table.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Fixture, Harness, NOW, claim, code_group, row, segment};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{Calendar, Filter, NewCode};
use promoflow_store::{Atomicity, CodeRow, CommitReply, RetireResult, RowOutcome, UploadState};

/// An action on a pool.
#[derive(Clone, Debug)]
enum Deed {
    /// Uploads these batches.
    Upload(Vec<Vec<NewCode>>, Atomicity),
    Retire(Vec<String>),
    Reinstate(Vec<String>),
    /// Claims the first code of a code group in a segment.
    Claim(u8),
}

fn code() -> impl Strategy<Value = String> {
    (0_u8..12).prop_map(|number| format!("C{number}"))
}

fn new_code() -> impl Strategy<Value = NewCode> {
    (
        code(),
        prop::option::of(0_u8..2),
        prop::option::of(0_i64..4),
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(code, discount, expires, in_use)| NewCode {
            discount,
            in_use,
            ..row(&code, expires.map(|later| NOW.0 + 1 + later))
        })
}

fn atomicity() -> impl Strategy<Value = Atomicity> {
    prop_oneof![
        Just(Atomicity::Batches),
        Just(Atomicity::OneTransaction),
        Just(Atomicity::Staged),
    ]
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let batches = || prop::collection::vec(prop::collection::vec(new_code(), 1..8), 1..3);
    let codes = || prop::collection::vec(code(), 1..4);
    let deed = prop_oneof![
        3 => (batches(), atomicity()).prop_map(|(rows, how)| Deed::Upload(rows, how)),
        1 => codes().prop_map(Deed::Retire),
        1 => codes().prop_map(Deed::Reinstate),
        3 => (0_u8..2).prop_map(Deed::Claim),
    ];
    prop::collection::vec(deed, 1..25)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Free,
    Retired,
    Used,
}

/// A code in the model.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    place: usize,
    discount: u8,
    expires: Timestamp,
    state: State,
}

/// A pool as a plain table.
#[derive(Default)]
struct Model {
    codes: BTreeMap<String, Held>,
    rows: usize,
}

impl Model {
    fn upload(&mut self, rows: &[NewCode]) -> Vec<RowOutcome> {
        // The values from earlier lines of this upload, by code.
        let mut said: BTreeMap<String, (u8, Timestamp, bool)> = BTreeMap::new();
        let mut outcomes = Vec::new();
        for row in rows {
            self.rows += 1;
            let stated = |discount: u8, expires: Timestamp, in_use: bool| {
                (
                    row.discount.unwrap_or(discount),
                    row.expires.unwrap_or(expires),
                    row.in_use.unwrap_or(in_use),
                )
            };
            if let Some(&(discount, expires, in_use)) = said.get(&row.code) {
                let now = stated(discount, expires, in_use);
                outcomes.push(contradiction(now, (discount, expires, in_use)));
                continue;
            }
            let Some(held) = self.codes.get_mut(&row.code) else {
                let (discount, expires, in_use) = stated(0, Timestamp::NEVER, false);
                said.insert(row.code.clone(), (discount, expires, in_use));
                let state = if in_use { State::Retired } else { State::Free };
                let held = Held {
                    place: self.rows,
                    discount,
                    expires,
                    state,
                };
                self.codes.insert(row.code.clone(), held);
                outcomes.push(RowOutcome::Inserted);
                continue;
            };
            let now = stated(held.discount, held.expires, held.state == State::Retired);
            said.insert(row.code.clone(), now);
            let before = held.clone();
            if held.state != State::Used {
                (held.discount, held.expires) = (now.0, now.1);
                if now.2 {
                    held.state = State::Retired;
                }
            }
            outcomes.push(if *held == before {
                RowOutcome::Unchanged
            } else {
                RowOutcome::Updated
            });
        }
        outcomes
    }

    fn set(&mut self, codes: &[String], from: State, to: State) -> RetireResult {
        let mut done = RetireResult::default();
        for code in codes {
            match self.codes.get_mut(code) {
                None => done.unknown.push(code.clone()),
                Some(held) if held.state == State::Used => done.already_used.push(code.clone()),
                Some(held) if held.state == from => {
                    held.state = to;
                    done.retired += 1;
                }
                Some(_) => {}
            }
        }
        done
    }

    /// Returns the available codes of a code group in the order of claiming.
    fn free(&self, discount: u8) -> Vec<&String> {
        let mut free: Vec<(&String, &Held)> = self
            .codes
            .iter()
            .filter(|(_, held)| held.state == State::Free && held.discount == discount)
            .collect();
        free.sort_by_key(|(_, held)| (held.expires, held.place));
        free.into_iter().map(|(code, _)| code).collect()
    }
}

fn contradiction(now: (u8, Timestamp, bool), earlier: (u8, Timestamp, bool)) -> RowOutcome {
    let contradicts = |field, earlier: String| RowOutcome::Conflict { field, earlier };
    if now.0 != earlier.0 {
        contradicts("discount", earlier.0.to_string())
    } else if now.1 != earlier.1 {
        let utc = Calendar::new(chrono_tz::UTC);
        contradicts(
            "expirationDate",
            utc.format_expiry(earlier.1).unwrap_or_default(),
        )
    } else if now.2 != earlier.2 {
        contradicts("inUse", earlier.2.to_string())
    } else {
        RowOutcome::Unchanged
    }
}

fn does<H: Harness>(
    fixture: &Fixture<H>,
    model: &mut Model,
    deed: &Deed,
) -> Result<(), TestCaseError> {
    let store = fixture.store();
    match deed {
        Deed::Upload(batches, how) => {
            let generation = store.pool_generation().unwrap();
            let dry_run_outcomes = dry_run(fixture, batches);
            prop_assert_eq!(store.pool_generation().unwrap(), generation);
            let outcomes = fixture.upload(batches, *how);
            prop_assert_eq!(dry_run_outcomes, outcomes.clone());
            let changed = outcomes
                .iter()
                .any(|one| matches!(one, RowOutcome::Inserted | RowOutcome::Updated));
            prop_assert_eq!(&outcomes, &model.upload(&batches.concat()));
            let sum = store.uploads(None, 1).unwrap().remove(0);
            let count = |wanted: RowOutcome| outcomes.iter().filter(|&o| *o == wanted).count();
            prop_assert_eq!(
                [sum.inserted, sum.updated, sum.unchanged],
                [
                    RowOutcome::Inserted,
                    RowOutcome::Updated,
                    RowOutcome::Unchanged
                ]
                .map(|one| count(one) as u64)
            );
            prop_assert_eq!(sum.state, UploadState::Completed);
            let raised = store.pool_generation().unwrap() != generation;
            prop_assert_eq!(
                raised,
                changed,
                "every change must raise the pool generation"
            );
        }
        Deed::Retire(codes) => {
            let done = store.retire(codes, true, &NOW).unwrap();
            prop_assert_eq!(done, model.set(codes, State::Free, State::Retired));
        }
        Deed::Reinstate(codes) => {
            let done = store.retire(codes, false, &NOW).unwrap();
            prop_assert_eq!(done, model.set(codes, State::Retired, State::Free));
        }
        Deed::Claim(discount) => {
            let code_group = code_group(*discount);
            let wanted = model.free(*discount).first().map(|code| (*code).clone());
            let found = fixture.first(&code_group);
            prop_assert_eq!(found.as_ref().map(|one| &one.code), wanted.as_ref());
            if let Some(found) = found {
                if let Some(held) = model.codes.get_mut(&found.code) {
                    held.state = State::Used;
                }
                let unit =
                    fixture.accept(None, Some(segment(None, vec![claim(code_group, found)])));
                let replies = store.commit(&[unit], &NOW).unwrap();
                let taken = matches!(replies[0], CommitReply::Accepted { .. });
                prop_assert!(taken, "{:?}", replies);
            }
        }
    }
    Ok(())
}

fn agree<H: Harness>(fixture: &Fixture<H>, model: &Model) -> Result<(), TestCaseError> {
    let store = fixture.store();
    let mut listed: Vec<CodeRow> = Vec::new();
    loop {
        let after = listed.last().map(|row| row.code.as_str());
        let page = store.codes(&Filter::default(), after, 7, NOW).unwrap();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    prop_assert_eq!(listed.len(), model.codes.len());
    for (row, (code, held)) in listed.iter().zip(&model.codes) {
        prop_assert_eq!(&row.code, code);
        prop_assert_eq!(&row.code_group, &code_group(held.discount));
        prop_assert_eq!(row.expires, held.expires);
        prop_assert_eq!(row.in_use, held.state != State::Free);
        prop_assert_eq!(row.used_by.is_some(), held.state == State::Used);
    }
    for discount in 0..2 {
        let free = store
            .available_codes(&code_group(discount), None, 100)
            .unwrap();
        let free: Vec<&String> = free.iter().map(|one| &one.code).collect();
        prop_assert_eq!(free, model.free(discount));
    }
    let count = store.count_codes(&Filter::default(), NOW).unwrap();
    let of = |state| {
        model
            .codes
            .values()
            .filter(|one| one.state == state)
            .count() as u64
    };
    prop_assert_eq!(
        (count.total, count.available, count.used, count.retired),
        (
            model.codes.len() as u64,
            of(State::Free),
            of(State::Used),
            of(State::Retired)
        )
    );
    Ok(())
}

fn dry_run<H: Harness>(fixture: &Fixture<H>, batches: &[Vec<NewCode>]) -> Vec<RowOutcome> {
    let mut session = fixture.store().begin_dry_run(&NOW).unwrap();
    let batches = batches.iter();
    batches
        .flat_map(|rows| session.batch(rows).unwrap())
        .collect()
}

/// The pool agrees with the table after each action, and the audit with the promises at the end.
pub fn p6_pool_matches_a_plain_table<H: Harness>() {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(40)
    };
    let tested = TestRunner::new(config).run(&deeds(), |deeds| {
        let fixture = Fixture::<H>::new();
        let mut model = Model::default();
        for deed in &deeds {
            does(&fixture, &mut model, deed)?;
            agree(&fixture, &model)?;
        }
        fixture.audit();
        Ok(())
    });
    tested.unwrap();
}
