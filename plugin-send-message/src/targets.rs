//! One from many: the alternatives of a step, with their addresses.

use promoflow_block::messages::Target;
use promoflow_block::{Error, Params};

use crate::address;

/// Returns the alternatives in order, without those that have no address in this run.
pub(crate) fn all(params: &Params) -> Result<Vec<Target>, Error> {
    let alternatives = params.records_opt("otherwise")?.unwrap_or_default();
    let contact = params.text_opt("contact")?;
    let mut targets = Vec::with_capacity(1 + alternatives.len());
    let mut rejected = Vec::new();
    for (number, alternative) in std::iter::once(params).chain(&alternatives).enumerate() {
        match target(alternative, contact, number) {
            Ok(target) => targets.push(target),
            Err(Error::Rejected(why)) => rejected.push(why),
            Err(Error::Invalid(why)) if number > 0 => {
                return Err(Error::Invalid(format!(
                    "otherwise, alternative {number}: {why}"
                )));
            }
            Err(error) => return Err(error),
        }
    }
    match targets.is_empty() {
        true => Err(Error::Rejected(rejected.join("; "))),
        false => Ok(targets),
    }
}

/// The step's contact applies to all alternatives without an address of their own.
fn target(alternative: &Params, contact: Option<&str>, number: usize) -> Result<Target, Error> {
    let channel = alternative.channel("channel")?;
    let message = alternative.text("message")?.to_owned();
    let to = match alternative.get("to") {
        None => None,
        Some(to) => Some(
            to.to_text()
                .ok_or_else(|| Error::Invalid("to must be text".into()))?,
        ),
    };
    let contact = contact.filter(|_| number == 0 || to.is_none());
    Ok(Target {
        channel,
        recipient: address::find(channel, to.as_deref(), contact)?,
        message,
    })
}
