//! `mischief`, a block that performs the action its step names; most actions are harmful.
//!
//! `do` names the action. `claims` codes are claimed first, so that every failure can also happen
//! with staged effects. `n` is the number of repetitions of actions that loop.
#![forbid(unsafe_code)]

mod action;

use action::Action;
use promoflow_block::{
    Alternative, Block, Call, Description, Error, Outcome, Parameter, Params, Port, Resumption,
    Selector, data, export, promocodes,
};

/// The block.
#[derive(Clone, Copy, Debug)]
pub struct Chaos;

impl Block for Chaos {
    fn describe() -> Description {
        let actions = Action::ALL.map(|(name, _)| Alternative::plain(name, name));
        Description::new("mischief", env!("CARGO_PKG_VERSION"))
            .title("Mischief")
            .description("Performs the action that `do` names.")
            .param(Parameter::choice("do", actions).required())
            .param(
                Parameter::integer("n", 0..=i64::MAX)
                    .description("Repetitions of a loop, or bytes of a value.")
                    .default(1_000_000),
            )
            .param(
                Parameter::integer("claims", 0..=1000)
                    .description("Number of codes to claim first.")
                    .default(0),
            )
            .param(Parameter::text("type", 1..=100).default("General"))
            .param(Parameter::integer("discount", 0..=99).default(0))
            .param(Parameter::integer("days", 0..=36_500).default(0))
            .param(
                Parameter::integer("until", i64::MIN..=i64::MAX)
                    .description("End of a wait, in milliseconds since 1970.")
                    .default(0),
            )
            .port(
                Port::new("next")
                    .description("Nothing bad happened.")
                    .falls_through(),
            )
            .port(Port::new("other").description("Not connected unless the workflow connects it."))
    }

    fn run(call: Call) -> Result<Outcome, Error> {
        let params = &call.params;
        let action = Action::from_name(&params.choice("do")?.name)
            .ok_or_else(|| Error::Invalid("do: unknown action".into()))?;
        match call.resumed {
            Some(Resumption::GaveUp) if matches!(action, Action::WaitAgain) => {}
            Some(Resumption::GaveUp) => return Ok(Outcome::port("other")),
            Some(Resumption::Code) if matches!(action, Action::WaitCodeAgain) => {}
            Some(Resumption::Code) => {
                claim(params)?;
                return Ok(Outcome::port("next"));
            }
            Some(Resumption::Reply(reply)) => {
                data::set("reply", reply)?;
                return Ok(Outcome::port("next"));
            }
            None => {}
        }
        let claims = match action {
            Action::ClaimThenTrap => 1,
            _ => params.integer("claims")?,
        };
        for _ in 0..claims {
            claim(params)?;
        }
        action.perform(params)
    }
}

/// Returns the selector from the step's parameters.
fn selector(params: &Params) -> Result<Selector, Error> {
    let number = |name| {
        let number = params.integer(name)?;
        u32::try_from(number).map_err(|_| Error::Invalid(format!("{name} is out of bounds")))
    };
    let discount = u8::try_from(number("discount")?).unwrap_or(u8::MAX);
    Ok(Selector::new(
        params.text("type")?,
        discount,
        number("days")?,
    ))
}

/// Claims a code and sets it as the value `promocode`.
fn claim(params: &Params) -> Result<(), Error> {
    let promocode = promocodes::claim(&selector(params)?)?;
    data::set("promocode", promocode.code)
}

export!(Chaos);
