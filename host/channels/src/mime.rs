//! Formats a message as MIME, the same for every email channel.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::OutboundMessage;
use promoflow_model::message::ChannelKind;

/// The start of an encoded word (RFC 2047).
const ENCODED_WORD_START: &str = "=?";
/// Maximum length of a word in an unencoded header in bytes: a line is limited to 998 (RFC 5322,
/// 2.1.1).
const MAX_WORD_BYTES: usize = 200;
/// Bytes of text per encoded word, which is limited to 75 characters.
const WORD_BYTES: usize = 42;

/// Formats an email. `sender` is used if the message names no sender. An error is permanent; its
/// text contains no address.
///
/// The Message-ID is derived from the delivery id and the installation, so it is unique and the
/// same in every attempt.
pub(super) fn format_email(
    outbound: &OutboundMessage<'_>,
    sender: &str,
) -> Result<Message, String> {
    let content = outbound.content;
    let mailbox = |what: &str, text: &str| -> Result<Mailbox, String> {
        let wrong = |error| format!("{what}: {error}");
        let mailbox: Mailbox = text.parse().map_err(wrong)?;
        let email = ascii_domain(mailbox.email).map_err(wrong)?;
        Ok(Mailbox::new(mailbox.name, email))
    };
    let from = mailbox("the sender", content.from.as_deref().unwrap_or(sender))?;
    let id = format!("<{}@{}.promoflow>", outbound.id, outbound.installation);
    let mut mail = Message::builder().from(from).message_id(Some(id));
    let text = lines(content.text.as_deref().unwrap_or_default());
    if outbound.kind != ChannelKind::Email {
        // Other kinds than email: the address becomes a display name and the kind the subject.
        let nowhere = format!("{}@promoflow.invalid", outbound.kind)
            .parse()
            .map_err(|error| format!("the channel: {error}"))?;
        let to = Mailbox::new(Some(one_line(outbound.address)), nowhere);
        return mail
            .to(to)
            .subject(outbound.kind.to_string())
            .singlepart(SinglePart::plain(text))
            .map_err(|error| format!("the email: {error}"));
    }
    if let Some(reply_to) = &content.reply_to {
        mail = mail.reply_to(mailbox("reply-to", reply_to)?);
    }
    for (name, value) in &content.headers {
        let name = HeaderName::new_from_ascii(name.clone())
            .map_err(|_| format!("`{name}` is not a header name"))?;
        mail = mail.raw_header(line(name, value));
    }
    if let Some(url) = outbound.unsubscribe {
        // RFC 2369, and RFC 8058 for one-click unsubscribing.
        let header = |name, value| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
        mail = mail
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header(
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            ));
    }
    if let Some(language) = &content.language {
        // RFC 3282; the language tag was checked when the message was applied.
        mail = mail.raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Content-Language"),
            language.clone(),
        ));
    }
    mail = mail
        .to(mailbox("the address", outbound.address)?)
        .raw_header(line(
            HeaderName::new_from_ascii_str("Subject"),
            content.subject.as_deref().unwrap_or_default(),
        ));
    match content.html.as_deref().map(lines) {
        Some(html) if content.text.is_some() => {
            mail.multipart(MultiPart::alternative_plain_html(text, html))
        }
        Some(html) => mail.singlepart(SinglePart::html(html)),
        None => mail.singlepart(SinglePart::plain(text)),
    }
    .map_err(|error| format!("the email: {error}"))
}

/// Converts the domain of an address to ASCII (RFC 5890), because not every server supports names
/// like `пошта.укр`.
fn ascii_domain(address: Address) -> Result<Address, AddressError> {
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let domain = idna::domain_to_ascii(address.domain());
    let domain = domain.map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), domain)
}

/// Normalizes line ends and removes control characters except tabs; LF becomes CRLF when the email
/// is formatted (RFC 5322, 2.3). A bare CR ends a line for some servers only, so text from outside
/// could inject an SMTP command.
fn lines(text: &str) -> String {
    let dropped = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\t');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace(dropped, "")
}

/// Replaces control characters by spaces, to give one line.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_control(), " ")
}

/// Creates a text header, encoded if necessary.
fn line(name: HeaderName, text: &str) -> HeaderValue {
    let text = one_line(text);
    // Text that looks like an encoded word would be decoded, and a long word cannot be folded.
    let plain = !text.contains(ENCODED_WORD_START)
        && text.split(' ').all(|word| word.len() <= MAX_WORD_BYTES);
    if plain {
        return HeaderValue::new(name, text);
    }
    let mut words: Vec<String> = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_BYTES => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let words = words
        .iter()
        .map(|word| format!("{ENCODED_WORD_START}utf-8?b?{}?=", STANDARD.encode(word)));
    let encoded = words.collect::<Vec<_>>().join("\r\n ");
    HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
}
