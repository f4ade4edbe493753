//! One from many: the alternatives of a step, with their addresses.

use promoflow_block::messages::{Target, TargetEntry};
use promoflow_block::{Error, Params};

use crate::address;

/// Returns the alternatives in order, without those that have no address in this run.
pub(crate) fn all(params: &Params) -> Result<Vec<Target>, Error> {
    let own = TargetEntry {
        channel: params.channel("channel")?,
        message: params.text("message")?.into(),
        to: params.text_opt("to")?.map(str::to_owned),
    };
    let contact = params.text_opt("contact")?;
    let alternatives = params.targets_opt("otherwise")?.unwrap_or_default();
    // The step's contact applies to all alternatives without an address of their own.
    let alternatives = alternatives
        .iter()
        .map(|entry| (entry, contact.filter(|_| entry.to.is_none())));
    let mut targets = Vec::with_capacity(1 + alternatives.len());
    let mut rejected = Vec::new();
    for (entry, contact) in std::iter::once((&own, contact)).chain(alternatives) {
        match target(entry, contact) {
            Ok(target) => targets.push(target),
            Err(Error::Rejected(why)) => rejected.push(why),
            Err(error) => return Err(error),
        }
    }
    match targets.is_empty() {
        true => Err(Error::Rejected(rejected.join("; "))),
        false => Ok(targets),
    }
}

fn target(entry: &TargetEntry, contact: Option<&str>) -> Result<Target, Error> {
    Ok(Target {
        channel: entry.channel,
        recipient: address::find(entry.channel, entry.to.as_deref(), contact)?,
        message: entry.message.clone(),
    })
}
