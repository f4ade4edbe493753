//! Sending: stages a delivery for the outbox.
//!
//! Addresses are resolved and messages are rendered here, once: the dispatcher uses neither
//! contacts nor templates.

use std::cell::OnceCell;
use std::sync::Arc;

use chrono_tz::Tz;

use super::run_contacts::RunContacts;
use super::segment_context::{SegmentContext, Services};
use super::tag_claims::{TagClaimer, TagClaims};
use promoflow_block_host::{
    DeliveryTarget, HostFunctions, Hours, LogLevel, Recipient, SendError, SendRequest,
};
use promoflow_document::quoted;
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{AddressKind, Contact, ContactKey};
use promoflow_model::message::{
    AllowedHours, KnownValues, LocalizedMessage, RenderedMessage, UnsetValue, Values,
    check_address, parse_template, references_of,
};
use promoflow_model::zone;
use promoflow_store::{Alternative, DUE_NOW, StagedDelivery};

/// Stages a delivery and returns its index within the segment.
pub(super) fn stage_delivery(
    segment: &mut SegmentContext,
    request: SendRequest,
) -> Result<u32, SendError> {
    let contact = find_recipient(segment, &request.targets)?;
    let mut builder = DeliveryBuilder::new(segment, &contact, request.language.as_deref());
    let mut alternatives = Vec::with_capacity(request.targets.len());
    let mut refused = Vec::new();
    for target in &request.targets {
        let held = builder.codes.count();
        match resolve_target(segment, &mut builder, target) {
            Ok(alternative) => alternatives.push(alternative),
            // The code claimed for this alternative would be lost.
            Err(error) if builder.codes.count() > held => return Err(error),
            Err(error) if allows_alternative(&error) => refused.push((target, error)),
            Err(error) => return Err(error),
        }
    }
    let expires = segment
        .codes
        .expires(alternatives.iter().map(|alternative| &alternative.content));
    let mut alternatives = alternatives.into_iter();
    let Some(first) = alternatives.next() else {
        return Err(no_alternative(refused));
    };
    let hours = match &request.hours {
        Some(hours) => Some(allowed_hours(hours, || {
            delivery_zone(&segment.services, &segment.contacts, &contact, &first)
        })?),
        None => None,
    };
    let expires = expires.min(request.not_after.unwrap_or(Timestamp::NEVER));
    let now = segment.services.clock.now();
    let begins = request.not_before.unwrap_or(now).max(now);
    let due = hours.map_or(begins, |hours| hours.next_opening(begins));
    if expires <= due {
        let when = hours.map_or_else(|| due.to_string(), |hours| format!("{due} ({hours})"));
        return Err(SendError::Invalid(format!(
            "the message may be sent from {when} on, but expires at {expires} together with its \
             promo code"
        )));
    }
    for (target, error) in refused {
        let note = format!("channel {} skipped: {}", target.channel, error_text(&error));
        segment.log(LogLevel::Info, &note);
    }
    let step = segment.keys.next_key();
    Ok(segment.staged.add_delivery(StagedDelivery {
        step,
        channel: first.channel,
        address: first.address,
        message: first.message,
        content: first.content,
        alternatives: alternatives.collect(),
        due: if due <= now { DUE_NOW } else { due },
        expires,
        hours,
    }))
}

/// The inputs from which the messages of a delivery are rendered.
struct DeliveryBuilder<'c> {
    contact: &'c Contact,
    values: Values,
    /// The values without those that the run's steps have set; computed on first use.
    event_values: OnceCell<Values>,
    /// The preferred languages, best first.
    languages: Vec<String>,
    /// The codes that the tags of its messages have claimed so far.
    codes: TagClaims,
}

impl<'c> DeliveryBuilder<'c> {
    fn new(
        segment: &mut SegmentContext,
        contact: &'c Contact,
        language: Option<&str>,
    ) -> DeliveryBuilder<'c> {
        let values = with_contact(segment.values.take_for_templates(), contact);
        let of_step = language.map(str::to_owned).into_iter();
        DeliveryBuilder {
            contact,
            languages: of_step.chain(values.languages()).collect(),
            values,
            event_values: OnceCell::new(),
            codes: TagClaims::default(),
        }
    }

    /// Returns true if this content cannot contain a promo code: it claimed none, and rendering it
    /// without step-set values gives the same text. (A template can obfuscate a code, so searching
    /// the text for it is not enough.)
    fn is_codeless(
        &self,
        segment: &SegmentContext,
        chosen: &LocalizedMessage<'_>,
        content: &RenderedMessage,
    ) -> bool {
        if segment.values.are_of_event() {
            return true;
        }
        if segment.codes.are_in(content) {
            return false;
        }
        let values = self
            .event_values
            .get_or_init(|| with_contact(segment.values.of_event(), self.contact));
        let made = chosen.render(values, &mut |_| None);
        made.is_ok_and(|made| made.with_unsubscribe_tag() == content.clone().with_unsubscribe_tag())
    }
}

fn with_contact(values: Values, contact: &Contact) -> Values {
    values
        .with_contact(contact.values(), contact.languages.clone())
        .with_contact_zone(contact.time_zone)
}

/// Returns the recipient of a message: the contact that its targets name, else the run's contact.
fn find_recipient(
    segment: &mut SegmentContext,
    targets: &[DeliveryTarget],
) -> Result<Contact, SendError> {
    let named = targets.iter().find_map(|target| match &target.recipient {
        Recipient::Contact(name) => Some(name),
        Recipient::Address(_) => None,
    });
    let found = match named {
        Some(name) => segment.contacts.named(&segment.values, name),
        None => segment.contacts.known_contact(&segment.values),
    };
    let found = found.map_err(|error| SendError::Unavailable(error.to_string()))?;
    Ok(found.unwrap_or_default())
}

/// Resolves one target to an alternative: a channel, an address and the rendered message.
fn resolve_target(
    segment: &mut SegmentContext,
    builder: &mut DeliveryBuilder<'_>,
    target: &DeliveryTarget,
) -> Result<Alternative, SendError> {
    let Some(message) = segment.services.plan.messages.get(&target.message) else {
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
        Recipient::Contact(name) => {
            segment
                .contacts
                .address_of(&segment.values, target.channel, name)?
        }
    };
    segment
        .contacts
        .check_consent(&segment.values, target.channel, &address)?;
    let chosen = message.choose(&builder.languages);
    let mut claimer = TagClaimer::new(segment, &target.message, &mut builder.codes);
    let mut asked = false;
    let made = chosen.render_reporting(&builder.values, &mut |tag| {
        asked = true;
        claimer.claim_tag(tag)
    });
    // Report a missing code first: it may be the reason why the message does not render.
    claimer.finish()?;
    let (mut content, unset) = made.map_err(|error| SendError::Unrenderable(error.to_string()))?;
    if segment.contacts.is_test_run() {
        log_unset(segment, &target.message, &builder.values, &unset);
    }
    content.codeless = !asked && builder.is_codeless(segment, &chosen, &content);
    Ok(Alternative {
        channel: target.channel,
        address,
        message: target.message.clone(),
        content,
    })
}

/// Maximum number of unset references that are logged for one message.
const MAX_LOGGED_REFERENCES: usize = 20;

/// Logs the references that had no value.
fn log_unset(segment: &mut SegmentContext, message: &str, values: &Values, unset: &[UnsetValue]) {
    let known = KnownValues::new(values.names().map(str::to_owned));
    for UnsetValue { part, reference } in unset.iter().take(MAX_LOGGED_REFERENCES) {
        let source = quoted(&reference.source);
        let (line, column) = (reference.line, reference.column);
        let mut note =
            format!("message `{message}`, {part}, {line}:{column}: {source} has no value");
        let template_references =
            parse_template(&reference.source).map(|source| references_of(&source));
        let template_references = template_references.unwrap_or_default();
        if let Some(suggestion) = template_references
            .first()
            .and_then(|(reference, ..)| known.suggestion(reference))
        {
            note = format!("{note}; {suggestion}");
        }
        segment.log(LogLevel::Warn, &note);
    }
}

/// Returns true if another alternative may still work: the error concerns only this run.
fn allows_alternative(error: &SendError) -> bool {
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
fn no_alternative(mut refused: Vec<(&DeliveryTarget, SendError)>) -> SendError {
    if refused.len() == 1
        && let Some((_, error)) = refused.pop()
    {
        return error;
    }
    let all: Vec<String> = refused
        .iter()
        .map(|(target, error)| format!("{}: {}", target.channel, error_text(error)))
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

fn error_text(error: &SendError) -> &str {
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
fn allowed_hours(
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
fn delivery_zone(
    services: &Services,
    contacts: &RunContacts,
    contact: &Contact,
    alternative: &Alternative,
) -> Result<Tz, SendError> {
    if let Some(zone) = contact.time_zone {
        return Ok(zone);
    }
    let name = ContactKey::Address(
        AddressKind::of(alternative.channel),
        alternative.address.clone(),
    );
    let contact = contacts
        .find(name)
        .map_err(|error| SendError::Unavailable(format!("the contact's time zone: {error}")))?;
    let zone = contact.and_then(|contact| contact.time_zone);
    Ok(zone.unwrap_or(services.calendar.zone()))
}
