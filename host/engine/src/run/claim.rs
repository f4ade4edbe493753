//! Claims: selects the code that a step gets and stages the claim.

use super::leases::LeaseOutcome;
use super::segment_context::SegmentContext;
use promoflow_block_host::{ClaimError, ClaimRequest, CodeOrigin, Promocode, Reuse, WhenEmpty};
use promoflow_model::clock::Timestamp;
use promoflow_model::message::RenderedMessage;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AvailableCode, ClaimId, Exhausted, GrantedCode, Position, ReusableClaim, StagedClaim,
    StagedReuse, Store, StoreError,
};

/// A code that a segment holds.
#[derive(Clone)]
pub(super) struct HeldCode {
    pub(super) code_group: CodeGroup,
    pub(super) code: AvailableCode,
    /// True if the contact keeps the code.
    pub(super) kept: bool,
}

/// The codes of a segment.
pub(super) struct SegmentCodes {
    /// The codes that the segment holds: newly claimed and reused ones.
    held: Vec<HeldCode>,
    /// Codes staged by other segments of the same commit request.
    claimed_in_batch: Vec<Position>,
    /// The code that the run received while it waited, until its step claims it.
    pub(super) given: Option<GrantedCode>,
    /// Set if the last claim must wait.
    pub(super) awaiting: Option<AwaitedClaim>,
    /// True if a claim found only codes that other segments have staged.
    pub(super) is_contended: bool,
}

/// A claim that must wait for a code.
#[derive(Default)]
pub(super) struct AwaitedClaim {
    /// The contact name under which the run waits.
    pub(super) contact: Option<String>,
    /// True if the contact keeps the code.
    pub(super) keeps: bool,
    /// The claim of the code that this contact keeps and that cannot be reused.
    pub(super) kept: Option<ClaimId>,
}

impl SegmentCodes {
    pub(super) fn new(held: Vec<HeldCode>, claimed_in_batch: Vec<Position>) -> SegmentCodes {
        SegmentCodes {
            held,
            claimed_in_batch,
            given: None,
            awaiting: None,
            is_contended: false,
        }
    }

    fn hold(&mut self, code_group: &CodeGroup, code: &AvailableCode, kept: bool) {
        self.held.push(HeldCode {
            code_group: code_group.clone(),
            code: code.clone(),
            kept,
        });
    }

    /// Takes the code that the run received while it waited. The run already owns it; a code that
    /// has expired since is not taken.
    fn take_given(&mut self, code_group: &CodeGroup, now: Timestamp) -> Option<Promocode> {
        let fits = |given: &mut GrantedCode| {
            given.code_group == *code_group && given.code.position.expires > now
        };
        let given = self.given.take_if(fits)?;
        self.hold(code_group, &given.code, false);
        Some(promocode(code_group, &given.code, CodeOrigin::Claimed))
    }

    /// Returns the code that this segment took last and that a claim can reuse.
    fn find_held(
        &self,
        code_group: &CodeGroup,
        needed: Timestamp,
        kept: bool,
    ) -> Option<&AvailableCode> {
        let mut latest = self.held.iter().rev();
        let found = latest.find(|held| {
            held.code_group == *code_group
                && held.code.position.expires >= needed
                && (held.kept || !kept)
        });
        found.map(|held| &held.code)
    }

    /// Returns true if the text of this message contains one of the codes.
    pub(super) fn are_in(&self, content: &RenderedMessage) -> bool {
        let mut held = self.held.iter();
        held.any(|held| content.contains_code(&held.code.code))
    }

    /// Returns the earliest expiry of the codes that these messages contain.
    pub(super) fn expires<'c>(
        &self,
        contents: impl Iterator<Item = &'c RenderedMessage> + Clone,
    ) -> Timestamp {
        let carried = self.held.iter().filter(|held| {
            contents
                .clone()
                .any(|content| content.contains_code(&held.code.code))
        });
        let expiries = carried.map(|held| held.code.position.expires);
        expiries.min().unwrap_or(Timestamp::NEVER)
    }
}

/// Claims a code for the current step, or reuses one.
pub(super) fn claim_code(
    segment: &mut SegmentContext,
    request: ClaimRequest,
) -> Result<Promocode, ClaimError> {
    let selector = request.selector;
    let now = segment.services.clock.now();
    let needed = segment.services.calendar.expiry_needed(now, selector.days);
    if let Some(given) = segment.codes.take_given(&selector.code_group, now) {
        return Ok(given);
    }
    let store = std::sync::Arc::clone(&segment.services.store);
    let query = ClaimQuery {
        store: &*store,
        code_group: &selector.code_group,
        needed,
        now,
    };
    let unavailable = |error: StoreError| ClaimError::Unavailable(error.to_string());
    let names = segment.contacts.names(&segment.values);
    let names = names.map_err(unavailable)?;
    let known = query
        .find_reusable(segment, request.reuse, &names)
        .map_err(unavailable)?;
    let name = names.into_iter().next().unwrap_or_default();
    let found = match known {
        PriorClaim::Reusable(code) => {
            return Ok(promocode(&selector.code_group, &code, CodeOrigin::Reused));
        }
        PriorClaim::NotReusable(found) => found,
    };
    let staged = segment.staged.claims.iter();
    let staged = staged.map(|claim| claim.code.position);
    let own: Vec<Position> = staged
        .chain(segment.codes.claimed_in_batch.iter().copied())
        .collect();
    let leases = &segment.services.leases;
    let taken = leases.take(&selector.code_group, selector.days, needed, &own);
    let kept = matches!(request.reuse, Reuse::ForContact(_));
    match taken.map_err(unavailable)? {
        LeaseOutcome::Code(code) => {
            let claimed = promocode(&selector.code_group, &code, CodeOrigin::Claimed);
            if kept {
                segment.staged.reuses.push(StagedReuse {
                    contact: name.clone(),
                    code_group: selector.code_group.clone(),
                    found,
                    replaced_by: Some(segment.staged.claims.len()),
                });
            }
            segment.codes.hold(&selector.code_group, &code, kept);
            segment.staged.add_alias(&name, segment.values.key());
            segment.staged.add_claim(StagedClaim {
                step: segment.keys.next_key(),
                code_group: selector.code_group,
                code,
                contact: name,
            });
            Ok(claimed)
        }
        LeaseOutcome::Exhausted => {
            let code_group = selector.code_group;
            segment.staged.exhausted.push(Exhausted {
                code_group: code_group.clone(),
                expires: needed,
            });
            if let WhenEmpty::Substitute(code) = request.when_empty {
                return Ok(Promocode {
                    code,
                    code_type: code_group.code_type,
                    discount: code_group.discount,
                    expires: None,
                    origin: CodeOrigin::Substitute,
                });
            }
            if request.when_empty == WhenEmpty::Wait {
                segment.staged.add_alias(&name, segment.values.key());
                segment.codes.awaiting = Some(AwaitedClaim {
                    contact: Some(name),
                    keeps: kept,
                    kept: found,
                });
                return Err(ClaimError::MustWait);
            }
            segment.journal.cause = Some(format!(
                "no promo code of type `{}` with discount {} and at least {} days of validity is left",
                code_group.code_type, code_group.discount, selector.days
            ));
            Err(ClaimError::Exhausted)
        }
        LeaseOutcome::Busy => {
            segment.codes.is_contended = true;
            let text = "other runs hold the last codes";
            Err(ClaimError::Unavailable(text.into()))
        }
    }
}

fn promocode(code_group: &CodeGroup, code: &AvailableCode, origin: CodeOrigin) -> Promocode {
    let expires = code.position.expires;
    Promocode {
        code: code.code.clone(),
        code_type: code_group.code_type.clone(),
        discount: code_group.discount,
        expires: (expires != Timestamp::NEVER).then_some(expires),
        origin,
    }
}

/// The result of looking for an earlier claim.
enum PriorClaim {
    /// This code can be reused.
    Reusable(AvailableCode),
    /// No code can be reused. Holds the claim whose code the contact keeps so far, if any.
    NotReusable(Option<ClaimId>),
}

/// The criteria of a claim.
struct ClaimQuery<'w> {
    store: &'w dyn Store,
    code_group: &'w CodeGroup,
    needed: Timestamp,
    now: Timestamp,
}

impl ClaimQuery<'_> {
    /// Looks for a code that was claimed before and can be reused.
    fn find_reusable(
        &self,
        segment: &mut SegmentContext,
        reuse: Reuse,
        names: &[String],
    ) -> Result<PriorClaim, StoreError> {
        let kept = match reuse {
            Reuse::Never => return Ok(PriorClaim::NotReusable(None)),
            Reuse::WithinRun => false,
            Reuse::ForContact(_) => true,
        };
        if let Some(code) = segment.codes.find_held(self.code_group, self.needed, kept) {
            return Ok(PriorClaim::Reusable(code.clone()));
        }
        let held = match (reuse, segment.run) {
            (Reuse::WithinRun, Some(run)) => {
                let held = self.store.claim_of_run(run, self.code_group, self.needed)?;
                held.map(|held| (0, held))
            }
            (Reuse::ForContact(seconds), _) => self.kept_claim(names, seconds)?,
            _ => None,
        };
        let Some((by, held)) = held else {
            return Ok(PriorClaim::NotReusable(None));
        };
        if let Reuse::ForContact(seconds) = reuse
            && !self.is_reusable(&held, seconds)
        {
            return Ok(PriorClaim::NotReusable(Some(held.id)));
        }
        segment.codes.hold(self.code_group, &held.code, kept);
        if kept && let Some(name) = names.get(by) {
            segment.staged.add_alias(name, segment.values.key());
            segment.staged.reuses.push(StagedReuse {
                contact: name.clone(),
                code_group: self.code_group.clone(),
                found: Some(held.id),
                replaced_by: None,
            });
        }
        Ok(PriorClaim::Reusable(held.code))
    }

    /// Returns the claim whose code a contact keeps, with the index of the name that it is kept
    /// under. A claim under any name but the first counts only if its code can be reused, because a
    /// new claim is kept under the first name.
    fn kept_claim(
        &self,
        names: &[String],
        seconds: u64,
    ) -> Result<Option<(usize, ReusableClaim)>, StoreError> {
        for (number, name) in names.iter().enumerate() {
            if let Some(held) = self.store.claim_kept_by_contact(name, self.code_group)?
                && (number == 0 || self.is_reusable(&held, seconds))
            {
                return Ok(Some((number, held)));
            }
        }
        Ok(None)
    }

    /// Returns true if the reuse period has not ended and the code is valid for long enough.
    fn is_reusable(&self, held: &ReusableClaim, seconds: u64) -> bool {
        let period = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        held.at.0.saturating_add(period) > self.now.0 && held.code.position.expires >= self.needed
    }
}
