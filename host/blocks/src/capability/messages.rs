//! `messages`: deliveries.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::promoflow::workflow::messages;
use crate::bindings::promoflow::workflow::messages::Host;
use crate::boundary::{check_length, clamp_time};
use crate::sandbox::StepState;
use crate::types::{DeliveryTarget, HostFunctions, Hours, Recipient, SendError, SendRequest};
use promoflow_model::message::ChannelKind;

/// Maximum number of targets of a delivery: one per channel.
const MAX_TARGETS: usize = 6;
/// Maximum length of an address or a contact id in characters. Push tokens are the longest.
const MAX_ADDRESS_CHARS: usize = 4_096;
/// Maximum length of the other texts of a request, in characters.
const MAX_TEXT_CHARS: usize = 200;
const MINUTES_A_DAY: u16 = 24 * 60;

pub(super) fn link<H: HostFunctions>(linker: &mut Linker<StepState<H>>) -> wasmtime::Result<()> {
    messages::add_to_linker::<_, HasSelf<StepState<H>>>(linker, |state| state)
}

impl<H: HostFunctions> Host for StepState<H> {
    fn send(
        &mut self,
        request: messages::Request,
    ) -> wasmtime::Result<Result<messages::Delivery, messages::SendError>> {
        let most = self.bounds.deliveries;
        let used = self.used.deliveries;
        let host = self.enter()?;
        if used >= most {
            let text = format!("a step may stage at most {most} deliveries");
            return Ok(Err(messages::SendError::Denied(text)));
        }
        let sent = match read_request(request) {
            Ok(request) => host.send(request),
            Err(text) => Err(SendError::Invalid(text)),
        };
        self.used.deliveries = used + 1;
        Ok(sent
            .map(|number| messages::Delivery { number })
            .map_err(|error| match error {
                SendError::UnknownMessage(text) => messages::SendError::UnknownMessage(text),
                SendError::InvalidAddress(text) => messages::SendError::InvalidAddress(text),
                SendError::Unreachable(text) => messages::SendError::Unreachable(text),
                SendError::NoConsent(text) => messages::SendError::NoConsent(text),
                SendError::Unrenderable(text) => messages::SendError::Unrenderable(text),
                SendError::Invalid(text) => messages::SendError::Invalid(text),
                SendError::Denied(text) => messages::SendError::Denied(text),
                SendError::Unavailable(text) => messages::SendError::Unavailable(text),
            }))
    }
}

fn read_request(request: messages::Request) -> Result<SendRequest, String> {
    let count = request.targets.len();
    if count == 0 || count > MAX_TARGETS {
        return Err(format!(
            "targets: expected 1 to {MAX_TARGETS}, found {count}"
        ));
    }
    if let Some(hours) = &request.hours
        && (hours.from >= MINUTES_A_DAY
            || hours.until == 0
            || hours.until > MINUTES_A_DAY
            || hours.from == hours.until)
    {
        return Err("hours: expected minutes of a day, with `from` different from `until`".into());
    }
    Ok(SendRequest {
        targets: request
            .targets
            .into_iter()
            .map(read_target)
            .collect::<Result<_, _>>()?,
        not_before: request.not_before.map(clamp_time),
        not_after: request.not_after.map(clamp_time),
        hours: match request.hours {
            None => None,
            Some(hours) => Some(Hours {
                from: hours.from,
                until: hours.until,
                time_zone: check_name("time-zone", hours.time_zone)?,
            }),
        },
        language: check_name("language", request.language)?,
    })
}

fn check_name(what: &str, name: Option<String>) -> Result<Option<String>, String> {
    name.map(|name| check_length(what, name, MAX_TEXT_CHARS))
        .transpose()
}

fn read_target(target: messages::Target) -> Result<DeliveryTarget, String> {
    Ok(DeliveryTarget {
        channel: match target.channel {
            messages::Channel::Email => ChannelKind::Email,
            messages::Channel::Sms => ChannelKind::Sms,
            messages::Channel::Viber => ChannelKind::Viber,
            messages::Channel::MobilePush => ChannelKind::MobilePush,
            messages::Channel::WebPush => ChannelKind::WebPush,
            messages::Channel::Telegram => ChannelKind::Telegram,
        },
        recipient: match target.recipient {
            messages::Recipient::Address(address) => {
                Recipient::Address(check_length("address", address, MAX_ADDRESS_CHARS)?)
            }
            messages::Recipient::Contact(id) => {
                Recipient::Contact(check_length("contact", id, MAX_ADDRESS_CHARS)?)
            }
        },
        message: check_length("message", target.message, MAX_TEXT_CHARS)?,
    })
}
