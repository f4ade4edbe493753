//! Claims: selects the code that a step gets and stages the claim.

use super::leases::Taken;
use super::step::{Held, Stage};
use promoflow_block_host::{ClaimError, ClaimRequest, CodeOrigin, Promocode, Reuse, WhenEmpty};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Lane;
use promoflow_store::{
    ClaimId, Exhausted, FreeCode, GivenCode, HeldClaim, Position, StagedClaim, StagedReuse, Store,
    StoreError,
};

pub(super) fn claim(stage: &mut Stage, request: ClaimRequest) -> Result<Promocode, ClaimError> {
    let Some(reach) = &stage.reach else {
        return Err(ClaimError::Unavailable(
            "no run is attached to this step".into(),
        ));
    };
    let selector = request.selector;
    let now = reach.clock.now();
    let needed = reach.calendar.expiry_needed(now, selector.days);
    if let Some(given) = given(stage, &selector.lane, now) {
        return Ok(given);
    }
    let Some(reach) = &stage.reach else {
        return Err(ClaimError::Unavailable(
            "no run is attached to this step".into(),
        ));
    };
    let store = std::sync::Arc::clone(&reach.store);
    let wanted = Wanted {
        store: &*store,
        lane: &selector.lane,
        needed,
        now,
    };
    let unavailable = |error: StoreError| ClaimError::Unavailable(error.to_string());
    let names = stage.names().map_err(unavailable)?;
    let known = wanted
        .again(stage, request.reuse, &names)
        .map_err(unavailable)?;
    let name = names.into_iter().next().unwrap_or_default();
    let found = match known {
        Known::Serves(code) => return Ok(promocode(&selector.lane, &code, CodeOrigin::Reused)),
        Known::Replaced(found) => found,
    };
    let staged = stage.staged.claims.iter().map(|claim| claim.code.position);
    let own: Vec<Position> = staged.chain(stage.beside.iter().copied()).collect();
    let taken = match &stage.reach {
        Some(reach) => reach
            .leases
            .take(&selector.lane, selector.days, needed, &own)
            .map_err(unavailable)?,
        None => {
            return Err(ClaimError::Unavailable(
                "no run is attached to this step".into(),
            ));
        }
    };
    match taken {
        Taken::Code(code) => {
            let claimed = promocode(&selector.lane, &code, CodeOrigin::Claimed);
            let kept = matches!(request.reuse, Reuse::ForContact(_));
            if kept {
                stage.staged.reuses.push(StagedReuse {
                    contact: name.clone(),
                    lane: selector.lane.clone(),
                    found,
                    replaced_by: Some(stage.staged.claims.len()),
                });
            }
            stage.codes.push(Held {
                lane: selector.lane.clone(),
                code: code.clone(),
                kept,
            });
            let step = stage.next_effect();
            stage.goes_by(&name);
            stage.staged.sent_before.push(stage.staged.deliveries.len());
            stage.staged.claims.push(StagedClaim {
                step,
                lane: selector.lane,
                code,
                contact: name,
            });
            Ok(claimed)
        }
        Taken::Exhausted => {
            let lane = selector.lane;
            stage.staged.exhausted.push(Exhausted {
                lane: lane.clone(),
                expires: needed,
            });
            if let WhenEmpty::Substitute(code) = request.when_empty {
                return Ok(Promocode {
                    code,
                    code_type: lane.code_type,
                    discount: lane.discount,
                    expires: None,
                    origin: CodeOrigin::Substitute,
                });
            }
            if request.when_empty == WhenEmpty::Wait {
                stage.must_wait = Some(matches!(request.reuse, Reuse::ForContact(_)));
                stage.goes_by(&name);
                stage.awaits_as = Some(name);
                stage.kept_before = found;
                return Err(ClaimError::MustWait);
            }
            stage.notes.cause = Some(format!(
                "no promo code of type `{}` with discount {} and at least {} days of validity is left",
                lane.code_type, lane.discount, selector.days
            ));
            Err(ClaimError::Exhausted)
        }
        Taken::Contended => {
            stage.contended = true;
            let text = "other runs hold the last codes";
            Err(ClaimError::Unavailable(text.into()))
        }
    }
}

/// Returns the code that the run received while it waited. The run already owns it; a code that has
/// expired since is not returned.
fn given(stage: &mut Stage, lane: &Lane, now: Timestamp) -> Option<Promocode> {
    let fits = |given: &mut GivenCode| given.lane == *lane && given.code.position.expires > now;
    let given = stage.given.take_if(fits)?;
    let promocode = promocode(lane, &given.code, CodeOrigin::Claimed);
    stage.codes.push(Held {
        lane: given.lane,
        code: given.code,
        kept: false,
    });
    Some(promocode)
}

fn promocode(lane: &Lane, code: &FreeCode, origin: CodeOrigin) -> Promocode {
    let expires = code.position.expires;
    Promocode {
        code: code.code.clone(),
        code_type: lane.code_type.clone(),
        discount: lane.discount,
        expires: (expires != Timestamp::NEVER).then_some(expires),
        origin,
    }
}

/// The result of looking for an earlier claim.
enum Known {
    /// This code can be reused.
    Serves(FreeCode),
    /// No code can be reused. Holds the claim whose code the contact keeps so far, if any.
    Replaced(Option<ClaimId>),
}

/// The criteria of a claim.
struct Wanted<'w> {
    store: &'w dyn Store,
    lane: &'w Lane,
    needed: Timestamp,
    now: Timestamp,
}

impl Wanted<'_> {
    /// Looks for a code that was claimed before and can be reused.
    fn again(
        &self,
        stage: &mut Stage,
        reuse: Reuse,
        names: &[String],
    ) -> Result<Known, StoreError> {
        let kept = match reuse {
            Reuse::Never => return Ok(Known::Replaced(None)),
            Reuse::WithinRun => false,
            Reuse::ForContact(_) => true,
        };
        let in_segment = stage.codes.iter().rev().find(|held| {
            held.lane == *self.lane
                && held.code.position.expires >= self.needed
                && (held.kept || !kept)
        });
        if let Some(held) = in_segment {
            return Ok(Known::Serves(held.code.clone()));
        }
        let held = match (reuse, stage.run) {
            (Reuse::WithinRun, Some(run)) => {
                let held = self.store.held_by_run(run, self.lane, self.needed)?;
                held.map(|held| (0, held))
            }
            (Reuse::ForContact(seconds), _) => self.kept(names, seconds)?,
            _ => None,
        };
        let Some((by, held)) = held else {
            return Ok(Known::Replaced(None));
        };
        if let Reuse::ForContact(seconds) = reuse
            && !self.lasts(&held, seconds)
        {
            return Ok(Known::Replaced(Some(held.id)));
        }
        stage.codes.push(Held {
            lane: self.lane.clone(),
            code: held.code.clone(),
            kept,
        });
        if kept && let Some(name) = names.get(by) {
            stage.goes_by(name);
            stage.staged.reuses.push(StagedReuse {
                contact: name.clone(),
                lane: self.lane.clone(),
                found: Some(held.id),
                replaced_by: None,
            });
        }
        Ok(Known::Serves(held.code))
    }

    /// Returns the claim whose code a contact keeps, with the index of the name that it is kept
    /// under. A claim under any name but the first counts only if its code can be reused, because a
    /// new claim is kept under the first name.
    fn kept(
        &self,
        names: &[String],
        seconds: u64,
    ) -> Result<Option<(usize, HeldClaim)>, StoreError> {
        for (number, name) in names.iter().enumerate() {
            if let Some(held) = self.store.held_by_contact(name, self.lane)?
                && (number == 0 || self.lasts(&held, seconds))
            {
                return Ok(Some((number, held)));
            }
        }
        Ok(None)
    }

    /// Returns true if the reuse period has not ended and the code is valid for long enough.
    fn lasts(&self, held: &HeldClaim, seconds: u64) -> bool {
        let period = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000);
        held.at.0.saturating_add(period) > self.now.0 && held.code.position.expires >= self.needed
    }
}
