//! The block *Discount by total*: the higher the cart's total, the higher the discount.
//!
//! It sets the value `discount`, which the next step uses: `with: { type: cart, discount:
//! $discount, days: 3 }`.
//!
//! ```
//! use example_discount_by_total::DiscountByTotal;
//! use promoflow_block::testing::Host;
//!
//! let mut host = Host::new().value("total", 250);
//! let step = [("threshold", 100.0.into()), ("below", 5.into()), ("above", 15.into())];
//! host.run::<DiscountByTotal>(step)?;
//! assert_eq!(host.get("discount"), Some(&15.into()));
//! # Ok::<(), promoflow_block::Error>(())
//! ```
#![forbid(unsafe_code)]

use promoflow_block::{
    Block, Call, Description, Error, Outcome, Parameter, Port, Value, data, export, log,
};

/// The block.
#[derive(Clone, Copy, Debug)]
pub struct DiscountByTotal;

impl Block for DiscountByTotal {
    fn describe() -> Description {
        Description::new("discount-by-total", env!("CARGO_PKG_VERSION"))
            .title("Discount by total")
            .description("Chooses the discount by the total of the cart.")
            .param(
                Parameter::decimal("threshold", 0.0..=1e9)
                    .title("Threshold")
                    .description("The total from which the higher discount applies.")
                    .required(),
            )
            .param(
                Parameter::integer("below", 0..=99)
                    .title("Discount below the threshold")
                    .required(),
            )
            .param(
                Parameter::integer("above", 0..=99)
                    .title("Discount from the threshold on")
                    .required(),
            )
            .port(Port::new("next").title("Next").falls_through())
            .port(
                Port::new("no-total")
                    .title("No total")
                    .description("The event has no total."),
            )
    }

    fn run(call: Call) -> Result<Outcome, Error> {
        let (below, above) = (call.params.integer("below")?, call.params.integer("above")?);
        let threshold = call.params.decimal("threshold")?;
        let Some(total) = data::get("total").and_then(number) else {
            log::info("The event has no parameter `total` that is a number.");
            return Ok(Outcome::port("no-total"));
        };
        data::set("discount", if total < threshold { below } else { above })?;
        Ok(Outcome::port("next"))
    }
}

export!(DiscountByTotal);

/// Reads a number, which events contain as a number or as text.
fn number(value: Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(number as f64),
        Value::Decimal(number) => Some(number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Boolean(_) | Value::Json(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use promoflow_block::testing::Host;

    use super::*;

    fn outcome(total: Value) -> (Outcome, Option<Value>) {
        let mut host = Host::new().value("total", total);
        let step = [
            ("threshold", 50.0.into()),
            ("below", 5.into()),
            ("above", 15.into()),
        ];
        let outcome = host.run::<DiscountByTotal>(step).unwrap();
        (outcome, host.get("discount").cloned())
    }

    #[test]
    fn chooses_the_discount_by_the_total() {
        assert_eq!(
            outcome(49.99.into()),
            (Outcome::port("next"), Some(5.into()))
        );
        assert_eq!(
            outcome("50".into()),
            (Outcome::port("next"), Some(15.into()))
        );
        assert_eq!(outcome("much".into()), (Outcome::port("no-total"), None));
    }
}
