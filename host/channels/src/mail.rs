//! A letter as a mail, the same whichever way it goes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::Letter;
use promoflow_model::message::ChannelKind;

/// How an encoded word begins (RFC 2047).
const ENCODED: &str = "=?";
/// Bytes of a word that stands in a header as it is: its line may have 998 (RFC 5322, 2.1.1).
const LONGEST_WORD: usize = 200;
/// Bytes of text in an encoded word, which has at most 75 characters.
const WORD_BYTES: usize = 42;

/// Makes the mail of a letter; `sender` is whom it is from where its message names nobody. An error
/// says why there will never be one, without addresses.
///
/// Its Message-ID comes from the delivery and the installation, so it is the same in every attempt
/// and nobody else's.
pub(super) fn mail(letter: &Letter<'_>, sender: &str) -> Result<Message, String> {
    let content = letter.content;
    let mailbox = |what: &str, text: &str| -> Result<Mailbox, String> {
        let wrong = |error| format!("{what}: {error}");
        let mailbox: Mailbox = text.parse().map_err(wrong)?;
        let email = ascii_domain(mailbox.email).map_err(wrong)?;
        Ok(Mailbox::new(mailbox.name, email))
    };
    let from = mailbox("the sender", content.from.as_deref().unwrap_or(sender))?;
    let id = format!("<{}@{}.promoflow>", letter.id, letter.installation);
    let mut mail = Message::builder().from(from).message_id(Some(id));
    let text = lines(content.text.as_deref().unwrap_or_default());
    if letter.kind != ChannelKind::Email {
        // What is no email goes to the address as a name, with the kind as subject.
        let nowhere = format!("{}@promoflow.invalid", letter.kind)
            .parse()
            .map_err(|error| format!("the channel: {error}"))?;
        let to = Mailbox::new(Some(one_line(letter.address)), nowhere);
        return mail
            .to(to)
            .subject(letter.kind.to_string())
            .singlepart(SinglePart::plain(text))
            .map_err(|error| format!("the mail: {error}"));
    }
    if let Some(reply_to) = &content.reply_to {
        mail = mail.reply_to(mailbox("the mailbox for replies", reply_to)?);
    }
    for (name, value) in &content.headers {
        let name = HeaderName::new_from_ascii(name.clone())
            .map_err(|_| format!("`{name}` is not the name of a header"))?;
        mail = mail.raw_header(line(name, value));
    }
    if let Some(url) = letter.unsubscribe {
        // RFC 2369, and RFC 8058 for the one request that mail programs make.
        let header = |name, value| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
        mail = mail
            .raw_header(header("List-Unsubscribe", format!("<{url}>")))
            .raw_header(header(
                "List-Unsubscribe-Post",
                "List-Unsubscribe=One-Click".to_owned(),
            ));
    }
    if let Some(language) = &content.language {
        // RFC 3282; the language is a tag that was checked when the message was applied.
        mail = mail.raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Content-Language"),
            language.clone(),
        ));
    }
    mail = mail
        .to(mailbox("the address", letter.address)?)
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
    .map_err(|error| format!("the mail: {error}"))
}

/// The address with its domain as every mail server takes it (RFC 5890): `пошта.укр` is a name that
/// only some do.
fn ascii_domain(address: Address) -> Result<Address, AddressError> {
    if address.domain().is_ascii() {
        return Ok(address);
    }
    let domain = idna::domain_to_ascii(address.domain());
    let domain = domain.map_err(|_| AddressError::InvalidDomain)?;
    Address::new(address.user(), domain)
}

/// A text as the lines of a mail, without control characters but tabs; LF becomes CR and LF as the
/// mail is made (RFC 5322, 2.3). A CR alone ends a line for some mail servers and not for others,
/// so that one reads as a command of ours what a stranger has put into a text.
fn lines(text: &str) -> String {
    let dropped = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\t');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.replace(dropped, "")
}

/// A text as one line.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_control(), " ")
}

/// A header that holds a text.
fn line(name: HeaderName, text: &str) -> HeaderValue {
    let text = one_line(text);
    // What looks like an encoded word would be read as one, and what has no space cannot be folded.
    let plain = !text.contains(ENCODED) && text.split(' ').all(|word| word.len() <= LONGEST_WORD);
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
        .map(|word| format!("{ENCODED}utf-8?b?{}?=", STANDARD.encode(word)));
    let encoded = words.collect::<Vec<_>>().join("\r\n ");
    HeaderValue::dangerous_new_pre_encoded(name, text, encoded)
}
