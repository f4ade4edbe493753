use std::collections::BTreeSet;
use std::io;

use proptest::prelude::*;

use super::super::files::MAX_HTML_BYTES;
use super::*;
use crate::message::SCHEMA;
use crate::schema_check::{properties, violation};
use promoflow_document::TemplateError;

/// A fake template engine: `#oops` is an error, and `$` a reference.
fn templates(text: &str) -> Result<bool, TemplateError> {
    for (number, line) in text.split('\n').enumerate() {
        if let Some(byte) = line.find("#oops") {
            return Err(TemplateError {
                hint: None,
                message: "unknown directive `#oops`".into(),
                line: number + 1,
                column: line[..byte].chars().count() + 1,
            });
        }
    }
    Ok(text.contains('$'))
}

fn files(path: &str) -> io::Result<Vec<u8>> {
    Ok(match path {
        "birthday.html" => {
            include_bytes!("../../../../../examples/birthday/birthday.html").to_vec()
        }
        "faulty.html" => b"<p>\n  #oops".to_vec(),
        "latin.html" => b"\xe9".to_vec(),
        "empty.html" => b"\xef\xbb\xbf \n".to_vec(),
        "large.html" => vec![b'x'; MAX_HTML_BYTES + 1],
        _ => return Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    })
}

fn parsed(file: &str) -> Parsed<Message> {
    parse("mail/m.yaml", file.as_bytes(), &files, &templates)
}

/// Checks the exact diagnostics of a file.
macro_rules! rejects {
    ($($name:ident: $file:expr => $expected:expr;)*) => { $(
        #[test]
        fn $name() {
            let parsed = parsed(&$file);
            let actual: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
            assert_eq!(actual.join("\n"), $expected);
            assert!(parsed.has_errors());
        }
    )* };
}

/// An email with additional lines.
fn email(lines: &str) -> String {
    format!("message: m\nchannel: email\n{lines}")
}

fn push(lines: &str) -> String {
    format!("message: m\nchannel: mobile-push\ntext: t\n{lines}")
}

fn viber(lines: &str) -> String {
    format!("message: m\nchannel: viber\ntext: t\n{lines}")
}

rejects! {
    names_missing_keys:
        "subject: x" => "mail/m.yaml:1:1: the message lacks `message`
mail/m.yaml:1:1: the message lacks `channel`";

    rejects_unknown_keys:
        email("subjct: s\nsubject: s\ntext: t\ncolour: red\n")
        => "mail/m.yaml:3:1: unknown key `subjct` in the message
  hint: did you mean `subject`?
mail/m.yaml:6:1: unknown key `colour` in the message
  hint: known keys: message, channel, from, reply-to, subject, preheader, title, text, html, html-file, image, link, button, headers, unset, language, languages";

    requires_a_mailbox_for_replies:
        email("subject: s\ntext: t\nreply-to: nobody\n")
        => "mail/m.yaml:5:11: `nobody` is not a mailbox
  hint: write `shop@example.com` or `Shop <shop@example.com>`; put a name with a comma or a bracket in double quotes";

    rejects_reserved_and_invalid_headers:
        email("subject: s\ntext: t\nheaders:\n  Bcc: a@example.com\n  content-type: x\n  X Y: z\n  X-Ok: v\n  X-Two: \"a\\r\\nBcc: b@example.com\"\n")
        => "mail/m.yaml:6:3: `Bcc` is a header that Promoflow sets itself
mail/m.yaml:7:3: `content-type` is a header that Promoflow sets itself
mail/m.yaml:8:3: `X Y` is not a header name; expected 1–76 letters, digits and `-`
mail/m.yaml:10:10: `X-Two` must be one line, without tabs or other control characters";

    requires_html_for_a_preheader:
        email("subject: s\ntext: t\npreheader: p\n")
        => "mail/m.yaml:5:1: `preheader` requires HTML
  hint: a preheader is hidden text at the start of the HTML: add `html` or `html-file`";

    rejects_unknown_channels:
        "message: m\nchannel: e-mail\ntext: t\n"
        => "mail/m.yaml:2:10: unknown channel `e-mail`
  hint: did you mean `email`?";

    rejects_invalid_ids:
        "message: a b\nchannel: sms\ntext: t\n" => "mail/m.yaml:1:10: `a b` is not an id
  hint: use letters a-z, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`; at most 100 characters";

    requires_subject_and_body_in_emails:
        email("") => "mail/m.yaml:1:1: the message lacks `subject`
mail/m.yaml:1:1: the body is missing
  hint: add `text`, `html` or `html-file`";

    requires_plain_text_outside_emails:
        "message: m\nchannel: viber\nsubject: s\nhtml: <p>\n"
        => "mail/m.yaml:1:1: the message lacks `text`
mail/m.yaml:3:1: messages for viber do not support `subject`
  hint: put all of it in `text`
mail/m.yaml:4:1: messages for viber do not support `html`
  hint: put all of it in `text`";

    rejects_parts_of_other_channels:
        [
            push("subject: s\nbutton: b\n"),
            email("subject: s\ntext: t\ntitle: t\nimage: https://a.b/c\n").replace(": m\n", ": e\n"),
            push("image: https://a.b/c\n").replace("mobile-push", "sms").replace(": m\n", ": s\n"),
            viber("headers: { X-A: b }\n").replace(": m\n", ": v\n"),
        ].join("---\n")
        => "mail/m.yaml:4:1: messages for mobile-push do not support `subject`
  hint: use `title`
mail/m.yaml:5:1: messages for mobile-push do not support `button`
  hint: remove it: a tap on the push opens its `link`
mail/m.yaml:11:1: messages for email do not support `title`
  hint: use `subject`
mail/m.yaml:12:1: messages for email do not support `image`
  hint: put it in the HTML
mail/m.yaml:17:1: messages for sms do not support `image`
  hint: put all of it in `text`
mail/m.yaml:22:1: messages for viber do not support `headers`
  hint: remove it: only emails have it";

    requires_button_and_link_together:
        [
            viber("button: To the shop\n"),
            viber("link: https://a.b/c\n").replace(": m\n", ": v\n"),
        ].join("---\n")
        => "mail/m.yaml:4:1: `button` has no `link`
  hint: add `link: https://example.com/sale`
mail/m.yaml:9:1: `link` has no `button`
  hint: add `button: To the shop`, or put the address in `text`";

    requires_valid_urls_for_images_and_links:
        push("image: shop://a.png\nlink: javascript:alert(1)\n")
        => "mail/m.yaml:4:8: `shop://a.png` is not a valid address for `image`
  hint: expected the URL of an image, such as https://example.com/gift.png
mail/m.yaml:5:7: `javascript:alert(1)` is not a valid address for `link`
  hint: expected a link, such as https://example.com/sale";

    rejects_invalid_and_duplicate_languages:
        viber("language: EN\nlanguages:\n  uk_UA: { text: x }\n  en: { text: x }\n  de: { text: x }\n  DE: { text: y }\n  fr: x\n")
        => "mail/m.yaml:6:3: `uk_UA` is not a language tag
  hint: write a BCP 47 tag such as uk, pt-BR or zh-Hant
mail/m.yaml:7:3: duplicate language `en`
  hint: keep one of them; `language` is the message's own language
mail/m.yaml:9:3: duplicate language `DE`
  hint: keep one of them; `language` is the message's own language
mail/m.yaml:10:7: expected a mapping for a language, found text
  hint: write `key: value` lines";

    requires_all_texts_in_each_language:
        [
            email("subject: s\ntext: t\nlanguages: { uk: { headers: {} } }\n"),
            viber("link: https://a.b\nbutton: b\nlanguages:\n  uk: { text: x }\n").replace(": m\n", ": v\n"),
            viber("languages:\n  uk: { text: x, button: b }\n").replace(": m\n", ": w\n"),
        ].join("---\n")
        => "mail/m.yaml:5:18: a language lacks `subject`
mail/m.yaml:5:18: the body is missing
  hint: add `text`, `html` or `html-file`
mail/m.yaml:5:20: unknown key `headers` in a language
  hint: known keys: from, reply-to, subject, preheader, title, text, html, html-file, image, link, button
mail/m.yaml:13:7: a language lacks `button`
mail/m.yaml:19:18: `button` has no `link`
  hint: add `link: https://example.com/sale`";

    rejects_html_together_with_html_file:
        email("subject: s\nhtml: <p>\nhtml-file: birthday.html\n")
        => "mail/m.yaml:5:1: `html` and `html-file` cannot be used together
  hint: keep one of them";

    requires_a_mailbox_as_sender_of_emails:
        email("from: the shop\nsubject: s\ntext: t\n")
        => "mail/m.yaml:3:7: `the shop` is not a mailbox
  hint: write `shop@example.com` or `Shop <shop@example.com>`; put a name with a comma or a bracket in double quotes";

    requires_single_line_subject_and_sender:
        email("from: \"a@b.c\\r\\nBcc: x@y.z\"\nsubject: |\n  one\n  two\ntext: t\n")
        => "mail/m.yaml:3:7: `from` must be one line, without tabs or other control characters
mail/m.yaml:5:3: `subject` must be one line, without tabs or other control characters";

    rejects_empty_parts:
        email("subject: ''\ntext: ' '\nhtml: ''\n") => "mail/m.yaml:3:10: `subject` is empty
mail/m.yaml:4:7: `text` is empty
mail/m.yaml:5:7: `html` is empty";

    rejects_long_subjects:
        email(&format!("subject: {}\ntext: t\n", "x".repeat(501)))
        => "mail/m.yaml:3:10: `subject` has more than 500 characters";

    locates_template_errors:
        email("subject: a#oops\ntext: |\n  one\n\n   two #oops\nhtml: '<p>#oops'\n")
        => "mail/m.yaml:3:11: unknown directive `#oops`
mail/m.yaml:7:8: unknown directive `#oops`
mail/m.yaml:8:11: unknown directive `#oops`";

    locates_errors_in_the_html_file:
        email("subject: s\nhtml-file: faulty.html\ncolour: x\n")
        => "mail/m.yaml:5:1: unknown key `colour` in the message
  hint: known keys: message, channel, from, reply-to, subject, preheader, title, text, html, html-file, image, link, button, headers, unset, language, languages
mail/faulty.html:2:3: unknown directive `#oops`";

    rejects_html_files_outside_the_folder:
        email("subject: s\nhtml-file: ../birthday.html\n")
        => "mail/m.yaml:4:12: `../birthday.html` is outside the message's folder
  hint: name a file in the message's folder or below, with `/` between folders";

    requires_the_html_file_to_exist:
        email("subject: s\nhtml-file: none.html\n")
        => "mail/m.yaml:4:12: cannot read `none.html`: no such file
  hint: the path is relative to the message's file";

    rejects_binary_empty_and_large_html_files:
        [
            "message: a\nchannel: email\nsubject: s\nhtml-file: latin.html\n",
            "message: b\nchannel: email\nsubject: s\nhtml-file: empty.html\n",
            "message: c\nchannel: email\nsubject: s\nhtml-file: large.html\n",
        ].join("---\n") => "mail/m.yaml:4:12: `latin.html` is not UTF-8
  hint: save it as UTF-8
mail/m.yaml:9:12: `empty.html` is empty
mail/m.yaml:14:12: `large.html` is larger than 1048576 bytes";

    rejects_duplicate_messages:
        "message: m\nchannel: sms\ntext: t\n---\nmessage: m\nchannel: sms\ntext: t\n"
        => "mail/m.yaml:5:1: the message `m` is defined twice in this file
  hint: give one of them another id";

    recognizes_workflow_files:
        "workflow: w\n" => "mail/m.yaml:1:1: this is a workflow, not a message
  hint: apply workflows with `promoflow workflow apply`";
}

const EXAMPLE: &str = include_str!("../../../../../examples/birthday/message.yaml");

#[test]
fn accepts_the_shipped_example() {
    let (messages, warnings) = parsed(EXAMPLE).into_result().unwrap();
    assert_eq!(warnings, []);
    let [birthday, sorry] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(birthday.id, "birthday-email");
    assert_eq!(birthday.channel, ChannelKind::Email);
    assert_eq!(
        birthday.parts.from.as_deref(),
        Some("Shop <shop@example.com>")
    );
    assert_eq!(
        birthday.parts.subject.as_deref(),
        Some("Happy birthday, $!data.get('firstName')!")
    );
    assert!(
        birthday
            .parts
            .text
            .as_ref()
            .unwrap()
            .contains("$!data.get('promocode')\n")
    );
    assert!(
        birthday
            .parts
            .html
            .as_ref()
            .unwrap()
            .contains("$!data.get('promocode')")
    );
    assert_eq!(sorry.id, "birthday-without-code");
    assert_eq!(sorry.parts.html, None);
}

#[test]
fn keeps_the_stored_format() {
    let (messages, _) = parsed("message: m\nchannel: mobile-push\nfrom: Shop\ntext: Hi $x\n")
        .into_result()
        .unwrap();
    let stored = serde_json::json!({
        "id": "m", "channel": "mobile-push", "from": "Shop", "subject": null, "text": "Hi $x", "html": null
    });
    assert_eq!(serde_json::to_value(&messages[0]).unwrap(), stored);
}

#[test]
fn accepts_references_in_the_sender() {
    assert!(!parsed(&email("from: $sender\nsubject: s\ntext: t\n")).has_errors());
}

#[test]
fn the_schema_has_the_same_keys_as_the_parser() {
    let in_schema = properties(SCHEMA, "");
    let in_schema: BTreeSet<_> = in_schema.iter().map(String::as_str).collect();
    assert_eq!(in_schema, keys().into_iter().collect());
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let channels = serde_json::json!(ChannelKind::ALL.map(ChannelKind::name));
    assert_eq!(schema["properties"]["channel"]["enum"], channels);
}

#[test]
fn schema_and_parser_accept_the_same_files() {
    let sms = "message: m\nchannel: sms\ntext: t\n";
    for (file, taken) in [
        (sms.to_owned(), true),
        (format!("{sms}subject: s\n"), false),
        (format!("{sms}html-file: birthday.html\n"), false),
        (sms.replace("sms", "pigeon"), false),
        (sms.replace("message", "mesage"), false),
        (sms.replace("message: m", "message: m.1_x-y"), true),
        (sms.replace("message: m", "message: -m"), false),
        (sms.replace("message: m", "message: é"), false),
        (format!("{sms}language: pt-BR\n"), true),
        (format!("{sms}language: zh-Hant-TW\n"), true),
        (format!("{sms}language: pt_BR\n"), false),
        (format!("{sms}language: e\n"), false),
        (format!("{sms}language: en-\n"), false),
        (
            format!("{sms}language: en\nlanguages: {{ x1: {{ text: t }} }}\n"),
            false,
        ),
        (
            format!("{sms}language: en\nlanguages: {{ de-AT: {{ text: t }} }}\n"),
            true,
        ),
        (email("subject: s\ntext: t\n"), true),
        (email("subject: s\nhtml-file: birthday.html\n"), true),
        (email("text: t\n"), false),
        (email("subject: s\n"), false),
        (
            email("subject: s\nhtml: h\nhtml-file: birthday.html\n"),
            false,
        ),
        (email("subject: ''\ntext: t\n"), false),
        (
            email("subject: s\nhtml: h\npreheader: p\nreply-to: a@b\nheaders: { X-A: b }\n"),
            true,
        ),
        (format!("{sms}reply-to: a@b\n"), false),
        (format!("{sms}headers: {{ X-A: b }}\n"), false),
        (format!("{sms}title: t\n"), false),
        (email("subject: s\ntext: t\nimage: https://a.b/c\n"), false),
        (
            push("title: t\nimage: https://a.b/c\nlink: shop://cart\n"),
            true,
        ),
        (push("button: b\n"), false),
        (push("subject: s\n"), false),
        (viber("image: https://a.b/c\n"), true),
        (viber("link: https://a.b/c\nbutton: b\n"), true),
        (viber("link: https://a.b/c\n"), false),
        (viber("button: b\n"), false),
        (viber("title: t\n"), false),
        (
            viber("language: en\nlanguages: { uk: { text: x } }\n"),
            true,
        ),
        (viber("languages: { uk: { text: x, title: t } }\n"), false),
        (viber("languages: { uk: {} }\n"), false),
        (viber("languages: { uk: { text: x, subject: s } }\n"), false),
        (
            viber("languages: { uk: { text: x, headers: {} } }\n"),
            false,
        ),
        (
            email("subject: s\ntext: t\nlanguages: { uk: { subject: x, html: h } }\n"),
            true,
        ),
        (
            email("subject: s\ntext: t\nlanguages: { uk: { subject: x } }\n"),
            false,
        ),
        (
            email("subject: s\ntext: t\nlanguages: { uk: { text: x } }\n"),
            false,
        ),
    ] {
        let json = read(file.as_bytes(), &mut Diagnostics::new("f"))[0].to_json(true);
        assert_eq!(violation(SCHEMA, &json).is_none(), taken, "{file}");
        assert_eq!(!parsed(&file).has_errors(), taken, "{file}");
    }
    for document in read(EXAMPLE.as_bytes(), &mut Diagnostics::new("f")) {
        assert_eq!(violation(SCHEMA, &document.to_json(true)), None);
    }
}

proptest! {
    #[test]
    fn never_panics_on_modified_messages(
        at in 0..EXAMPLE.len(),
        gone in 0..30usize,
        new in "[-:|>'\"{}\\[\\]&*!#$ \n\ta-cé]{0,20}",
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, new.into_bytes());
        parse("f", &bytes, &files, &templates);
    }
}
