//! Conversion of a step's parameters to a selector.

use promoflow_block::{Choice, ChoicePayload, Error, Params, Reuse, Selector, WhenEmpty};

/// The parameters of a step.
pub(crate) struct Step {
    pub(crate) selector: Selector,
    /// The name of the value to set.
    pub(crate) value: String,
    pub(crate) empty: OnEmpty,
}

/// The reaction to an empty pool that the host leaves to the block.
#[derive(PartialEq)]
pub(crate) enum OnEmpty {
    Fail,
    Port,
}

impl Step {
    pub(crate) fn read(params: &Params) -> Result<Self, Error> {
        let when_empty = params.choice("when-empty")?;
        let (when_empty, empty) = match (when_empty.name.as_str(), when_empty.payload) {
            ("port", ChoicePayload::Nothing) => (WhenEmpty::Report, OnEmpty::Port),
            ("fail", ChoicePayload::Nothing) => (WhenEmpty::Report, OnEmpty::Fail),
            ("wait", ChoicePayload::Nothing) => (WhenEmpty::Wait, OnEmpty::Port),
            ("code", ChoicePayload::Text(code)) => (WhenEmpty::Substitute(code), OnEmpty::Port),
            _ => {
                return Err(invalid(
                    "when-empty must be port, fail, wait or { code: TEXT }",
                ));
            }
        };
        let discount = params.integer("discount")?.try_into();
        let days = params.integer("days")?.try_into();
        let selector = Selector {
            type_: params.text("type")?.into(),
            discount: discount.map_err(|_| invalid("discount must be 0 to 99"))?,
            days: days.map_err(|_| invalid("days must be 0 to 36500"))?,
            reuse: reuse(params.choice("reuse")?)?,
            when_empty,
        };
        Ok(Self {
            selector,
            value: params.text("as")?.into(),
            empty,
        })
    }

    /// Returns the error of a step that fails if no code matches.
    pub(crate) fn exhausted(&self) -> Error {
        let selector = &self.selector;
        Error::Rejected(format!(
            "no promo code of type `{}` and discount {} is available that is valid for {} more days",
            selector.type_, selector.discount, selector.days
        ))
    }
}

fn reuse(choice: Choice) -> Result<Reuse, Error> {
    match (choice.name.as_str(), choice.payload) {
        ("never", ChoicePayload::Nothing) => Ok(Reuse::Never),
        ("run", ChoicePayload::Nothing) => Ok(Reuse::WithinRun),
        ("contact", ChoicePayload::Duration(seconds)) => Ok(Reuse::ForContact(seconds)),
        _ => Err(invalid("reuse must be never, run or { contact: 30d }")),
    }
}

fn invalid(what: &str) -> Error {
    Error::Invalid(what.into())
}
