//! The standard block *Get promo code*: claims the next matching code and saves it as a value.
//!
//! ```
//! use plugin_get_promocode::GetPromocode;
//! use promoflow_block::{Outcome, testing::Host};
//!
//! let mut host = Host::new().code("HAPPY-1");
//! let step = [
//!     ("type", "birthday".into()),
//!     ("discount", 10.into()),
//!     ("days", 7.into()),
//! ];
//! let outcome = host.run::<GetPromocode>(step)?;
//! assert_eq!(outcome, Outcome::port("next"));
//! assert_eq!(host.get("promocode"), Some(&"HAPPY-1".into()));
//! # Ok::<(), promoflow_block::Error>(())
//! ```
#![forbid(unsafe_code)]

mod describe;
mod step;

use promoflow_block::{
    Block, Call, ClaimError, Description, Error, Outcome, Resumption, data, export, log, promocodes,
};
use step::{OnEmpty, Step};

/// The block.
#[derive(Clone, Copy, Debug)]
pub struct GetPromocode;

impl Block for GetPromocode {
    fn describe() -> Description {
        describe::description()
    }

    fn run(call: Call) -> Result<Outcome, Error> {
        let step = Step::read(&call.params)?;
        if call.resumed == Some(Resumption::GaveUp) {
            return Ok(Outcome::port("exhausted"));
        }
        match promocodes::claim(&step.selector) {
            Ok(promocode) => {
                data::set(&step.value, promocode.code)?;
                Ok(Outcome::port("next"))
            }
            Err(ClaimError::MustWait) => Ok(Outcome::wait_for_code(step.selector)),
            Err(ClaimError::Exhausted) if step.empty == OnEmpty::Fail => Err(step.exhausted()),
            Err(ClaimError::Exhausted) => {
                log::info("No matching promo code is available.");
                Ok(Outcome::port("exhausted"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

export!(GetPromocode);

#[cfg(test)]
mod tests;
