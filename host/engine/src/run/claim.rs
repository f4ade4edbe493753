//! Claims: selects the code that a step gets and stages the claim.

use super::effect_buffer::{EffectBuffer, HeldCode};
use super::leases::LeaseOutcome;
use promoflow_block_host::{ClaimError, ClaimRequest, CodeOrigin, Promocode, Reuse, WhenEmpty};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AvailableCode, ClaimId, Exhausted, GrantedCode, Position, ReusableClaim, StagedClaim,
    StagedReuse, Store, StoreError,
};

pub(super) fn claim_code(
    effects: &mut EffectBuffer,
    request: ClaimRequest,
) -> Result<Promocode, ClaimError> {
    let Some(host) = &effects.host else {
        return Err(ClaimError::Unavailable(
            "no run is attached to this step".into(),
        ));
    };
    let selector = request.selector;
    let now = host.clock.now();
    let needed = host.calendar.expiry_needed(now, selector.days);
    if let Some(given) = take_given_code(effects, &selector.code_group, now) {
        return Ok(given);
    }
    let Some(host) = &effects.host else {
        return Err(ClaimError::Unavailable(
            "no run is attached to this step".into(),
        ));
    };
    let store = std::sync::Arc::clone(&host.store);
    let query = ClaimQuery {
        store: &*store,
        code_group: &selector.code_group,
        needed,
        now,
    };
    let unavailable = |error: StoreError| ClaimError::Unavailable(error.to_string());
    let names = effects.contact_names().map_err(unavailable)?;
    let known = query
        .find_reusable(effects, request.reuse, &names)
        .map_err(unavailable)?;
    let name = names.into_iter().next().unwrap_or_default();
    let found = match known {
        PriorClaim::Reusable(code) => {
            return Ok(promocode(&selector.code_group, &code, CodeOrigin::Reused));
        }
        PriorClaim::NotReusable(found) => found,
    };
    let staged = effects
        .staged
        .claims
        .iter()
        .map(|claim| claim.code.position);
    let own: Vec<Position> = staged
        .chain(effects.claimed_in_batch.iter().copied())
        .collect();
    let taken = match &effects.host {
        Some(host) => host
            .leases
            .take(&selector.code_group, selector.days, needed, &own)
            .map_err(unavailable)?,
        None => {
            return Err(ClaimError::Unavailable(
                "no run is attached to this step".into(),
            ));
        }
    };
    match taken {
        LeaseOutcome::Code(code) => {
            let claimed = promocode(&selector.code_group, &code, CodeOrigin::Claimed);
            let kept = matches!(request.reuse, Reuse::ForContact(_));
            if kept {
                effects.staged.reuses.push(StagedReuse {
                    contact: name.clone(),
                    code_group: selector.code_group.clone(),
                    found,
                    replaced_by: Some(effects.staged.claims.len()),
                });
            }
            effects.codes.push(HeldCode {
                code_group: selector.code_group.clone(),
                code: code.clone(),
                kept,
            });
            let step = effects.next_effect();
            effects.add_alias(&name);
            effects
                .staged
                .deliveries_before_claim
                .push(effects.staged.deliveries.len());
            effects.staged.claims.push(StagedClaim {
                step,
                code_group: selector.code_group,
                code,
                contact: name,
            });
            Ok(claimed)
        }
        LeaseOutcome::Exhausted => {
            let code_group = selector.code_group;
            effects.staged.exhausted.push(Exhausted {
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
                effects.wait_keeps_code = Some(matches!(request.reuse, Reuse::ForContact(_)));
                effects.add_alias(&name);
                effects.waiting_alias = Some(name);
                effects.kept_claim = found;
                return Err(ClaimError::MustWait);
            }
            effects.journal.cause = Some(format!(
                "no promo code of type `{}` with discount {} and at least {} days of validity is left",
                code_group.code_type, code_group.discount, selector.days
            ));
            Err(ClaimError::Exhausted)
        }
        LeaseOutcome::Busy => {
            effects.is_contended = true;
            let text = "other runs hold the last codes";
            Err(ClaimError::Unavailable(text.into()))
        }
    }
}

/// Returns the code that the run received while it waited. The run already owns it; a code that has
/// expired since is not returned.
fn take_given_code(
    effects: &mut EffectBuffer,
    code_group: &CodeGroup,
    now: Timestamp,
) -> Option<Promocode> {
    let fits = |given: &mut GrantedCode| {
        given.code_group == *code_group && given.code.position.expires > now
    };
    let given = effects.given.take_if(fits)?;
    let promocode = promocode(code_group, &given.code, CodeOrigin::Claimed);
    effects.codes.push(HeldCode {
        code_group: given.code_group,
        code: given.code,
        kept: false,
    });
    Some(promocode)
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
        effects: &mut EffectBuffer,
        reuse: Reuse,
        names: &[String],
    ) -> Result<PriorClaim, StoreError> {
        let kept = match reuse {
            Reuse::Never => return Ok(PriorClaim::NotReusable(None)),
            Reuse::WithinRun => false,
            Reuse::ForContact(_) => true,
        };
        let in_segment = effects.codes.iter().rev().find(|held| {
            held.code_group == *self.code_group
                && held.code.position.expires >= self.needed
                && (held.kept || !kept)
        });
        if let Some(held) = in_segment {
            return Ok(PriorClaim::Reusable(held.code.clone()));
        }
        let held = match (reuse, effects.run) {
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
        effects.codes.push(HeldCode {
            code_group: self.code_group.clone(),
            code: held.code.clone(),
            kept,
        });
        if kept && let Some(name) = names.get(by) {
            effects.add_alias(name);
            effects.staged.reuses.push(StagedReuse {
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
