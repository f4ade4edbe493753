//! A letter as a mail, the same whichever way it goes.

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::Letter;
use crate::message::ChannelKind;

/// Makes the mail of a letter; `sender` is whom it is from where its message names nobody. An error
/// says why there will never be one, without addresses.
///
/// Its Message-ID comes from the delivery and the installation, so it is the same in every attempt
/// and nobody else's.
pub(super) fn mail(letter: &Letter<'_>, sender: &str) -> Result<Message, String> {
    let content = letter.content;
    let mailbox = |what: &str, text: &str| -> Result<Mailbox, String> {
        text.parse().map_err(|error| format!("{what}: {error}"))
    };
    let from = mailbox("the sender", content.from.as_deref().unwrap_or(sender))?;
    let id = format!("<{}@{}.promoflow>", letter.id, letter.installation);
    let mut mail = Message::builder().from(from).message_id(Some(id));
    let text = content.text.clone().unwrap_or_default();
    if letter.kind != ChannelKind::Email {
        // What is no email goes to the address as a name, with the kind as subject.
        let nowhere = format!("{}@promoflow.invalid", letter.kind)
            .parse()
            .map_err(|error| format!("the channel: {error}"))?;
        let to = Mailbox::new(Some(letter.address.to_owned()), nowhere);
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
        mail = mail.raw_header(HeaderValue::new(name, value.clone()));
    }
    mail = mail
        .to(mailbox("the address", letter.address)?)
        .subject(content.subject.clone().unwrap_or_default());
    match &content.html {
        Some(html) if content.text.is_some() => {
            mail.multipart(MultiPart::alternative_plain_html(text, html.clone()))
        }
        Some(html) => mail.singlepart(SinglePart::html(html.clone())),
        None => mail.singlepart(SinglePart::plain(text)),
    }
    .map_err(|error| format!("the mail: {error}"))
}
