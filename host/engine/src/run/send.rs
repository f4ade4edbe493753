//! Sending: stages a delivery for the outbox.
//!
//! Addresses are resolved and messages are rendered here, once: the dispatcher uses neither
//! contacts nor templates.

use std::cell::OnceCell;
use std::sync::Arc;

use chrono_tz::Tz;

use super::implied::{Codes, Taking};
use super::step::{Reach, Stage};
use promoflow_block_host::{Hours, LogLevel, Recipient, SendError, SendRequest, StepHost, Target};
use promoflow_document::shown;
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Contact, Name};
use promoflow_model::message::{
    AllowedHours, Chosen, Content, KnownValues, UnsetValue, Values, check_address, parse_template,
    wants_of,
};
use promoflow_model::zone;
use promoflow_store::{AT_ONCE, Alternative, StagedDelivery};

/// Stages a delivery and returns its index within the segment.
pub(super) fn send(stage: &mut Stage, request: SendRequest) -> Result<u32, SendError> {
    let contact = contact_of(stage, &request.targets)?;
    let mut making = Making::new(stage, &contact, request.language.as_deref());
    let mut ways = Vec::with_capacity(request.targets.len());
    let mut refused = Vec::new();
    for target in &request.targets {
        let held = making.codes.taken();
        match resolve(stage, &mut making, target) {
            Ok(way) => ways.push(way),
            // The code claimed for this alternative would be lost.
            Err(error) if making.codes.taken() > held => return Err(error),
            Err(error) if is_of_this_run(&error) => refused.push((target, error)),
            Err(error) => return Err(error),
        }
    }
    let Some(reach) = &stage.reach else {
        return Err(SendError::Unavailable("the run is not here".into()));
    };
    let expires = stage.expires(ways.iter().map(|way| &way.content));
    let mut ways = ways.into_iter();
    let Some(first) = ways.next() else {
        return Err(none(refused));
    };
    let hours = match &request.hours {
        Some(hours) => Some(allowed(hours, || zone_of(reach, &contact, &first))?),
        None => None,
    };
    let expires = expires.min(request.not_after.unwrap_or(Timestamp::NEVER));
    let now = reach.clock.now();
    let begins = request.not_before.unwrap_or(now).max(now);
    let due = hours.map_or(begins, |hours| hours.next_open(begins));
    if expires <= due {
        let when = hours.map_or_else(|| due.to_string(), |hours| format!("{due} ({hours})"));
        return Err(SendError::Invalid(format!(
            "the message may be sent from {when} on, but expires at {expires} together with its \
             promo code"
        )));
    }
    for (target, error) in refused {
        let note = format!("channel {} skipped: {}", target.channel, why(&error));
        stage.log(LogLevel::Info, &note);
    }
    let step = stage.next_effect();
    stage.staged.deliveries.push(StagedDelivery {
        step,
        channel: first.channel,
        address: first.address,
        message: first.message,
        content: first.content,
        others: ways.collect(),
        due: if due <= now { AT_ONCE } else { due },
        expires,
        hours,
    });
    Ok(u32::try_from(stage.staged.deliveries.len() - 1).unwrap_or(u32::MAX))
}

/// The inputs from which the messages of a delivery are rendered.
struct Making<'c> {
    contact: &'c Contact,
    values: Values,
    /// The values without those that the run's steps have set; computed on first use.
    as_they_came: OnceCell<Values>,
    /// The preferred languages, best first.
    languages: Vec<String>,
    /// The codes that the tags of its messages have claimed so far.
    codes: Codes,
}

impl<'c> Making<'c> {
    fn new(stage: &mut Stage, contact: &'c Contact, language: Option<&str>) -> Making<'c> {
        let values = of_contact(stage.take_values(), contact);
        let of_step = language.map(str::to_owned).into_iter();
        Making {
            contact,
            languages: of_step.chain(values.languages()).collect(),
            values,
            as_they_came: OnceCell::new(),
            codes: Codes::default(),
        }
    }

    /// Returns true if this content cannot contain a promo code: it claimed none, and rendering it
    /// without step-set values gives the same text. (A template can obfuscate a code, so searching
    /// the text for it is not enough.)
    fn is_codeless(&self, stage: &Stage, chosen: &Chosen<'_>, content: &Content) -> bool {
        if stage.is_as_it_came() {
            return true;
        }
        if stage
            .codes
            .iter()
            .any(|held| content.shows(&held.code.code))
        {
            return false;
        }
        let values = self
            .as_they_came
            .get_or_init(|| of_contact(stage.values_as_they_came(), self.contact));
        let made = chosen.render(values, &mut |_| None);
        made.is_ok_and(|made| made.shown() == content.clone().shown())
    }
}

fn of_contact(values: Values, contact: &Contact) -> Values {
    values
        .with_contact(contact.values(), contact.languages.clone())
        .with_contact_zone(contact.time_zone)
}

/// Returns the recipient of a message: the contact that its targets name, else the run's contact.
fn contact_of(stage: &mut Stage, targets: &[Target]) -> Result<Contact, SendError> {
    let named = targets.iter().find_map(|target| match &target.recipient {
        Recipient::Contact(name) => Some(name),
        Recipient::Address(_) => None,
    });
    let found = match named {
        Some(name) => stage.contact(name),
        None => stage.known_person(),
    };
    let found = found.map_err(|error| SendError::Unavailable(error.to_string()))?;
    Ok(found.unwrap_or_default())
}

/// Resolves one target to an alternative: a channel, an address and the rendered message.
fn resolve(
    stage: &mut Stage,
    making: &mut Making<'_>,
    target: &Target,
) -> Result<Alternative, SendError> {
    let Some(reach) = &stage.reach else {
        return Err(SendError::Unavailable("the run is not here".into()));
    };
    let Some(message) = reach.plan.messages.get(&target.message) else {
        return Err(SendError::UnknownMessage(format!(
            "no message `{}`",
            target.message
        )));
    };
    if message.channel() != target.channel {
        return Err(SendError::UnknownMessage(format!(
            "message `{}` is for channel {}, not {}",
            target.message,
            message.channel(),
            target.channel
        )));
    }
    let message = Arc::clone(message);
    let address = match &target.recipient {
        Recipient::Address(address) => {
            check_address(target.channel, address).map_err(SendError::InvalidAddress)?
        }
        Recipient::Contact(name) => stage.address_of(target.channel, name)?,
    };
    stage.check_consent(target.channel, &address)?;
    let chosen = message.choose(&making.languages);
    let mut taking = Taking::new(stage, &target.message, &mut making.codes);
    let mut asked = false;
    let made = chosen.render_reporting(&making.values, &mut |tag| {
        asked = true;
        taking.take(tag)
    });
    // Report a missing code first: it may be the reason why the message does not render.
    taking.finish()?;
    let (mut content, unset) = made.map_err(|error| SendError::Unrenderable(error.to_string()))?;
    stage.note_unset(&target.message, &making.values, &unset);
    content.codeless = !asked && making.is_codeless(stage, &chosen, &content);
    Ok(Alternative {
        channel: target.channel,
        address,
        message: target.message.clone(),
        content,
    })
}

/// Maximum number of unset references that are logged for one message.
const MOST_NOTED: usize = 20;

impl Stage {
    /// Logs the references that had no value. Only test runs do so.
    fn note_unset(&mut self, message: &str, values: &Values, unset: &[UnsetValue]) {
        if self
            .reach
            .as_ref()
            .is_none_or(|reach| reach.aside.is_none())
        {
            return;
        }
        let known = KnownValues::new(values.names().map(str::to_owned));
        for UnsetValue { part, reference } in unset.iter().take(MOST_NOTED) {
            let source = shown(&reference.source);
            let (line, column) = (reference.line, reference.column);
            let mut note =
                format!("message `{message}`, {part}, {line}:{column}: {source} has no value");
            let wants = parse_template(&reference.source).map(|source| wants_of(&source));
            let wants = wants.unwrap_or_default();
            if let Some(meant) = wants.first().and_then(|(want, ..)| known.meant(want)) {
                note = format!("{note}; {meant}");
            }
            self.log(LogLevel::Warn, &note);
        }
    }
}

/// Returns true if another alternative may still work: the error concerns only this run.
fn is_of_this_run(error: &SendError) -> bool {
    matches!(
        error,
        SendError::InvalidAddress(_)
            | SendError::Unreachable(_)
            | SendError::NoConsent(_)
            | SendError::Unrenderable(_)
    )
}

/// Returns the error of a delivery without a usable alternative: that of its only target, or one
/// that lists all of them.
fn none(mut refused: Vec<(&Target, SendError)>) -> SendError {
    if refused.len() == 1
        && let Some((_, error)) = refused.pop()
    {
        return error;
    }
    let all: Vec<String> = refused
        .iter()
        .map(|(target, error)| format!("{}: {}", target.channel, why(error)))
        .collect();
    let text = format!("no channel can be used: {}", all.join("; "));
    match refused
        .iter()
        .all(|(_, error)| matches!(error, SendError::NoConsent(_)))
    {
        true => SendError::NoConsent(text),
        false => SendError::Unreachable(text),
    }
}

fn why(error: &SendError) -> &str {
    match error {
        SendError::UnknownMessage(text)
        | SendError::InvalidAddress(text)
        | SendError::Unreachable(text)
        | SendError::NoConsent(text)
        | SendError::Unrenderable(text)
        | SendError::Invalid(text)
        | SendError::Denied(text)
        | SendError::Unavailable(text) => text,
    }
}

/// Returns the allowed hours in the time zone of the step, else of the contact.
fn allowed(
    hours: &Hours,
    of_contact: impl FnOnce() -> Result<Tz, SendError>,
) -> Result<AllowedHours, SendError> {
    let zone = match &hours.time_zone {
        None => of_contact()?,
        Some(name) => zone::parse(name)
            .map_err(|error| SendError::Invalid(format!("{error}; {}", error.hint)))?,
    };
    AllowedHours::new(hours.from, hours.until, zone)
        .ok_or_else(|| SendError::Invalid("allowed-hours: start and end must differ".into()))
}

/// Returns the time zone of the contact with this address, else the installation's.
fn zone_of(reach: &Reach, contact: &Contact, way: &Alternative) -> Result<Tz, SendError> {
    if let Some(zone) = contact.time_zone {
        return Ok(zone);
    }
    let name = Name::Address(AddressKind::of(way.channel), way.address.clone());
    let contact = reach
        .directory()
        .contact(name)
        .map_err(|error| SendError::Unavailable(format!("the contact's time zone: {error}")))?;
    let zone = contact.and_then(|contact| contact.time_zone);
    Ok(zone.unwrap_or(reach.calendar.zone()))
}
