//! `promocodes`: claims.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::promoflow::workflow::promocodes;
use crate::bindings::promoflow::workflow::promocodes::Host;
use crate::sandbox::StepState;
use crate::types::{ClaimError, ClaimRequest, CodeOrigin, HostFunctions, Reuse, WhenEmpty};
use promoflow_document::value::check_text;
use promoflow_model::pool::{CodeGroup, MAX_CODE_CHARS, MAX_DISCOUNT, MAX_TYPE_CHARS, Selector};

pub(super) fn link<H: HostFunctions>(linker: &mut Linker<StepState<H>>) -> wasmtime::Result<()> {
    promocodes::add_to_linker::<_, HasSelf<StepState<H>>>(linker, |state| state)
}

impl<H: HostFunctions> Host for StepState<H> {
    fn claim(
        &mut self,
        selector: promocodes::Selector,
    ) -> wasmtime::Result<Result<promocodes::Promocode, promocodes::ClaimError>> {
        let most = self.bounds.claims;
        let used = self.used.claims;
        let host = self.enter()?;
        if used >= most {
            let text = format!("a step may claim at most {most} promo codes");
            return Ok(Err(promocodes::ClaimError::Denied(text)));
        }
        let claimed = match read_request(selector) {
            Ok(request) => host.claim(request),
            Err(text) => Err(ClaimError::Invalid(text)),
        };
        self.used.claims = used + 1;
        Ok(claimed.map(into_wit).map_err(|error| match error {
            ClaimError::Exhausted => promocodes::ClaimError::Exhausted,
            ClaimError::MustWait => promocodes::ClaimError::MustWait,
            ClaimError::Invalid(text) => promocodes::ClaimError::Invalid(text),
            ClaimError::Denied(text) => promocodes::ClaimError::Denied(text),
            ClaimError::Unavailable(text) => promocodes::ClaimError::Unavailable(text),
        }))
    }
}

fn into_wit(code: crate::types::Promocode) -> promocodes::Promocode {
    promocodes::Promocode {
        code: code.code,
        type_: code.code_type,
        discount: code.discount,
        expires: code.expires.map(|expires| expires.0),
        origin: match code.origin {
            CodeOrigin::Claimed => promocodes::Origin::Claimed,
            CodeOrigin::Reused => promocodes::Origin::Reused,
            CodeOrigin::Substitute => promocodes::Origin::Substitute,
        },
    }
}

/// Converts a selector and checks its limits.
pub(crate) fn read_selector(selector: &promocodes::Selector) -> Result<Selector, String> {
    let chars = selector.type_.chars().count();
    if chars == 0 || chars > MAX_TYPE_CHARS {
        return Err(format!(
            "type: expected 1 to {MAX_TYPE_CHARS} characters, found {chars}"
        ));
    }
    check_text(&selector.type_).map_err(|why| format!("type: {why}"))?;
    if selector.discount > MAX_DISCOUNT {
        let found = selector.discount;
        return Err(format!(
            "discount: expected 0 to {MAX_DISCOUNT}, found {found}"
        ));
    }
    Ok(Selector {
        code_group: CodeGroup {
            code_type: selector.type_.clone(),
            discount: selector.discount,
        },
        days: selector.days,
    })
}

fn read_request(selector: promocodes::Selector) -> Result<ClaimRequest, String> {
    Ok(ClaimRequest {
        selector: read_selector(&selector)?,
        reuse: match selector.reuse {
            promocodes::Reuse::Never => Reuse::Never,
            promocodes::Reuse::WithinRun => Reuse::WithinRun,
            promocodes::Reuse::ForContact(seconds) => Reuse::ForContact(seconds),
        },
        when_empty: match selector.when_empty {
            promocodes::WhenEmpty::Report => WhenEmpty::Report,
            promocodes::WhenEmpty::Wait => WhenEmpty::Wait,
            promocodes::WhenEmpty::Substitute(code) => {
                let chars = code.chars().count();
                if chars == 0 || chars > MAX_CODE_CHARS || code.chars().any(char::is_control) {
                    return Err(format!(
                        "when-empty: expected a code of 1 to {MAX_CODE_CHARS} printable characters"
                    ));
                }
                WhenEmpty::Substitute(code)
            }
        },
    })
}
