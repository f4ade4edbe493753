//! The standard block *Send message*: stages a prepared message for an address.
//!
//! ```
//! use plugin_send_message::SendMessage;
//! use promoflow_block::{Channel, Outcome, Request, testing::Host};
//!
//! let mut host = Host::new().value("EmailAddress", "ann@example.com");
//! let step = [
//!     ("channel", "email".into()),
//!     ("message", "birthday-email".into()),
//! ];
//! let outcome = host.run::<SendMessage>(step)?;
//! assert_eq!(outcome, Outcome::port("next"));
//! let request = Request::new(Channel::Email, "ann@example.com", "birthday-email");
//! assert_eq!(host.sent, [request]);
//! # Ok::<(), promoflow_block::Error>(())
//! ```
//!
//! If the contact cannot be reached or has unsubscribed, the run takes the port of that name, and
//! fails if the workflow does not connect it. Either way, a promo code that the run claimed since
//! its last wait returns to the pool, unless another message contains it.
#![forbid(unsafe_code)]

mod address;
mod describe;
mod targets;

use promoflow_block::{
    Block, Call, Description, Error, Hours, Outcome, Params, Request, SendError, export, messages,
};

/// The block.
#[derive(Clone, Copy, Debug)]
pub struct SendMessage;

impl Block for SendMessage {
    fn describe() -> Description {
        describe::description()
    }

    fn run(call: Call) -> Result<Outcome, Error> {
        let request = Request {
            targets: targets::all(&call.params)?,
            not_before: None,
            not_after: None,
            hours: hours(&call.params)?,
            language: call
                .params
                .text_opt("language")?
                .and_then(address::resolve_optional),
        };
        match messages::send(&request) {
            Ok(_) => Ok(Outcome::port("next")),
            Err(SendError::Unreachable(_)) => Ok(Outcome::port("unreachable")),
            Err(SendError::NoConsent(_)) => Ok(Outcome::port("unsubscribed")),
            Err(error) => Err(error.into()),
        }
    }
}

fn hours(params: &Params) -> Result<Option<Hours>, Error> {
    let time_zone = params.text_opt("time-zone")?.map(str::to_owned);
    match params.hours_opt("allowed-hours")? {
        Some(hours) => Ok(Some(Hours { time_zone, ..hours })),
        None if time_zone.is_some() => Err(Error::Invalid(
            "`time-zone` requires `allowed-hours`".into(),
        )),
        None => Ok(None),
    }
}

export!(SendMessage);

#[cfg(test)]
mod tests;
