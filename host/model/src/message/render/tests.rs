//! Rendering of messages.

#![allow(clippy::unwrap_used, reason = "a test")]

use serde_json::{Value as Json, json};

use super::*;
use crate::message::Unset;

fn rendered(data: Json) -> Result<RenderedMessage, RenderError> {
    let message = Message {
        id: "m".into(),
        channel: ChannelKind::Email,
        parts: Parts {
            from: Some("$shop <shop@example.com>".into()),
            subject: Some("Hi $name".into()),
            html: Some("<body><p>$name</p></body>".into()),
            reply_to: Some("$answers".into()),
            preheader: Some("For $name".into()),
            ..Parts::default()
        },
        headers: vec![("X-Campaign".into(), "$name".into())],
        language: None,
        languages: Vec::new(),
        unset: Unset::default(),
    };
    let Json::Object(data) = data else {
        unreachable!("an object")
    };
    PreparedMessage::new(message)
        .unwrap()
        .render(&Values::new(&data, "ann"), &mut |_| None)
}

#[test]
fn values_inject_neither_headers_nor_markup() {
    let name = "Ann\r\nBcc: eve@example.com <b>";
    let data = json!({ "shop": "Shop", "name": name, "answers": "help@example.com" });
    let content = rendered(data).unwrap();
    let one_line = "Ann Bcc: eve@example.com <b>";
    assert_eq!(content.from.unwrap(), "Shop <shop@example.com>");
    assert_eq!(content.subject.unwrap(), format!("Hi {one_line}"));
    assert_eq!(
        content.headers,
        [("X-Campaign".to_owned(), one_line.to_owned())]
    );
    let html = content.html.unwrap();
    assert!(html.starts_with("<body><div"), "{html}");
    assert!(
        html.contains(">For Ann Bcc: eve@example.com &lt;b&gt;</div><p>Ann"),
        "{html}"
    );
}

fn hello() -> PreparedMessage {
    let message = json!({
        "id": "m", "channel": "email", "language": "en",
        "subject": "Hello %FIRSTNAME|friend%", "text": "A", "from": "shop@example.com",
        "html": "<p>%firstname|<b>friend</b>% %PC_x_1_7% %PC_x_1_7%</p>",
        "languages": [{ "language": "uk", "subject": "Вітаю, %FIRSTNAME|друже%", "text": "Б %PC_y_1_7|НІЧОГО%" }]
    });
    PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap()
}

fn values(data: Json) -> Values {
    Values::new(data.as_object().unwrap(), "ann")
}

#[test]
fn chooses_the_language_of_the_event_then_the_contact() {
    let hello = hello();
    let subject = |values: Values| {
        hello
            .render(&values, &mut |_| None)
            .unwrap()
            .subject
            .unwrap()
    };
    assert_eq!(subject(values(json!({}))), "Hello friend");
    assert_eq!(
        subject(values(json!({ "language": "uk-UA" }))),
        "Вітаю, друже"
    );
    assert_eq!(
        subject(values(json!({ "languageCode": "fr" }))),
        "Hello friend"
    );
    let of_contact = |data: Json| {
        let fields = json!({ "FirstName": "Оля" });
        let fields = fields.as_object().unwrap().clone();
        subject(values(data).with_contact(fields, vec!["fr".into(), "uk".into()]))
    };
    assert_eq!(of_contact(json!({ "firstName": "Olha" })), "Вітаю, Оля");
    assert_eq!(of_contact(json!({ "Language": "en" })), "Hello Оля");
    let content = hello
        .render(&values(json!({ "language": "uk" })), &mut |_| None)
        .unwrap();
    assert_eq!(content.language.as_deref(), Some("uk"));
    assert_eq!(content.from.as_deref(), Some("shop@example.com"));
    assert_eq!(content.html, None);
}

#[test]
fn escapes_tag_values_in_html() {
    let content = hello()
        .preview(values(json!({ "FIRSTNAME": "A&B <i>" })), None)
        .unwrap();
    assert_eq!(content.subject.unwrap(), "Hello A&B <i>");
    assert_eq!(
        content.html.unwrap(),
        "<p>A&amp;B &lt;i&gt; %PC_x_1_7% %PC_x_1_7%</p>"
    );
    let nobody = hello()
        .preview(values(json!({ "firstname": " " })), None)
        .unwrap();
    assert!(nobody.html.unwrap().starts_with("<p><b>friend</b> "));
}

#[test]
fn does_not_expand_tags_in_values() {
    let data = json!({ "firstName": "%PC_x_1_7% %LASTNAME|x%" });
    let content = hello().preview(values(data), None).unwrap();
    assert_eq!(content.subject.unwrap(), "Hello %PC_x_1_7% %LASTNAME|x%");
}

#[test]
fn claims_only_printed_codes() {
    let message = |text: &str| {
        let message = json!({
            "id": "m", "channel": "sms", "language": "en", "text": text,
            "languages": [{ "language": "uk", "text": "%PC_y_1_7|НІЧОГО%" }]
        });
        PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap()
    };
    let taken = |text: &str, data: Json| {
        let mut taken = Vec::new();
        let made = message(text).render(&values(data), &mut |tag| {
            taken.push(tag.to_string());
            tag.instead.is_none().then(|| "A1".to_owned())
        });
        (taken.join(" "), made.unwrap().text.unwrap())
    };
    let of = |codes: &str, text: &str| (codes.to_owned(), text.to_owned());
    let branches = "#if($vip)%PC_x_1_7%#{else}None#end";
    assert_eq!(
        taken(branches, json!({ "vip": true })),
        of("PC_x_1_7", "A1")
    );
    assert_eq!(taken(branches, json!({})), of("", "None"));
    let each = "#foreach($i in $items)%PC_x_1_7% #end";
    assert_eq!(taken(each, json!({ "items": [] })), of("", ""));
    let twice = of("PC_x_1_7 PC_x_1_7", "A1 A1 ");
    assert_eq!(taken(each, json!({ "items": [1, 2] })), twice);
    let defined = "#define($code)%PC_x_1_7%#end#if($vip)$code#end";
    assert_eq!(taken(defined, json!({})), of("", ""));
    assert_eq!(taken(defined, json!({ "vip": 1 })), of("PC_x_1_7", "A1"));
    // The printed text decides, even if it comes from another tag.
    let spare = "#define($a)%PC_x_1_7|NONE%#end#set($a = \"$a\")#if($a == 'NONE')%PC_z_0_1%#end";
    assert_eq!(taken(spare, json!({})), of("PC_x_1_7 PC_z_0_1", "A1"));
    assert_eq!(
        taken(branches, json!({ "language": "uk", "vip": true })),
        of("PC_y_1_7", "НІЧОГО")
    );
}

fn button(data: Json) -> Result<RenderedMessage, RenderError> {
    let message = Message {
        id: "m".into(),
        channel: ChannelKind::Viber,
        parts: Parts {
            text: Some("Hi".into()),
            image: Some("https://example.com/$picture".into()),
            link: Some("$shop/?q=$name".into()),
            button: Some("For $name".into()),
            ..Parts::default()
        },
        headers: Vec::new(),
        language: None,
        languages: Vec::new(),
        unset: Unset::default(),
    };
    let Json::Object(data) = data else {
        unreachable!("an object")
    };
    PreparedMessage::new(message)
        .unwrap()
        .render(&Values::new(&data, "ann"), &mut |_| None)
}

#[test]
fn values_cannot_change_the_target_of_a_link() {
    let data = json!({ "shop": "https://example.com", "name": "Ann\n B", "picture": "a.png" });
    let content = button(data).unwrap();
    assert_eq!(content.link.unwrap(), "https://example.com/?q=Ann%0A%20B");
    assert_eq!(content.image.unwrap(), "https://example.com/a.png");
    assert_eq!(content.button.unwrap(), "For Ann  B");
    let data = json!({ "shop": "javascript:alert(1)//", "name": "x", "picture": "a.png" });
    let error = button(data).unwrap_err();
    assert_eq!(error.part, "link");
    assert!(error.why.contains("is not a valid address"), "{error}");
}

const AT: &str = "https://shop.example/?u=7.x&v=\"1\"";

#[test]
fn inserts_the_unsubscribe_url_when_sending() {
    let message = json!({
        "id": "m", "channel": "email", "from": "shop@example.com",
        "subject": "%unsubscribe%", "text": "$name: %UNSUBSCRIBE%",
        "html": "<a href=\"%UNSUBSCRIBE%\">$name</a>",
        "headers": [["X-Out", "<%UNSUBSCRIBE%>"]]
    });
    let message = PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap();
    // Text from values never matches the marker.
    let name = "%UNSUBSCRIBE% https://unsubscribe.invalid/0";
    let made = message
        .render(&values(json!({ "name": name })), &mut |_| None)
        .unwrap();
    let again = message
        .render(&values(json!({ "name": name })), &mut |_| None)
        .unwrap();
    assert_ne!(made.text, again.text);
    let stored: RenderedMessage =
        serde_json::from_value(serde_json::to_value(&made).unwrap()).unwrap();
    let leaves = stored.with_unsubscribe_url(AT);
    assert_eq!(leaves.subject.as_deref(), Some(AT));
    assert_eq!(leaves.text.unwrap(), format!("{name}: {AT}"));
    assert_eq!(leaves.headers[0].1, format!("<{AT}>"));
    let href = "https://shop.example/?u=7.x&amp;v=&quot;1&quot;";
    let html = format!("<a href=\"{href}\">{name}</a>");
    assert_eq!(leaves.html.unwrap(), html);
    assert_eq!(leaves.unsubscribe, None);
    // Previews must not show a URL that works for everyone who has it.
    assert_eq!(
        made.with_unsubscribe_tag().text.unwrap(),
        format!("{name}: %UNSUBSCRIBE%")
    );
    let preview = message.preview(values(json!({ "name": "Ann" })), None);
    assert_eq!(preview.unwrap().text.unwrap(), "Ann: %UNSUBSCRIBE%");
}

#[test]
fn accepts_the_unsubscribe_tag_as_a_link() {
    let message = json!({
        "id": "m", "channel": "viber", "text": "Hi", "button": "No more", "link": "%UNSUBSCRIBE%"
    });
    let message = PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap();
    let made = message.render(&values(json!({})), &mut |_| None).unwrap();
    assert_eq!(made.with_unsubscribe_url(AT).link.as_deref(), Some(AT));
    let preview = message.preview(values(json!({})), None).unwrap();
    assert_eq!(preview.link.as_deref(), Some("%UNSUBSCRIBE%"));
}

#[test]
fn quotes_sender_names_from_values_if_necessary() {
    let from = |template: &str, shop: &str| {
        let message = json!({ "id": "m", "channel": "email", "subject": "s", "text": "t",
            "from": template, "replyTo": template });
        let message = PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap();
        let data = json!({ "shop": shop, "at": "shop", "ok": true });
        let made = message.render(&values(data), &mut |_| None);
        made.map(|content| {
            assert_eq!(content.from, content.reply_to);
            content.from.unwrap()
        })
    };
    for (shop, made) in [
        ("Shop", "Shop <a@b.c>"),
        ("Крамниця", "Крамниця <a@b.c>"),
        ("Shop, Inc.", "\"Shop, Inc.\" <a@b.c>"),
        (
            "The \"Best\" \\ Shop",
            "\"The \\\"Best\\\" \\\\ Shop\" <a@b.c>",
        ),
        ("a < b", "\"a < b\" <a@b.c>"),
        ("<eve@example.com>", "\"<eve@example.com>\" <a@b.c>"),
        (
            "Shop\r\nBcc: eve@example.com",
            "\"Shop Bcc: eve@example.com\" <a@b.c>",
        ),
        ("A\u{1}<eve@example.com>", "\"A <eve@example.com>\" <a@b.c>"),
        ("", "<a@b.c>"),
    ] {
        for template in ["$!shop <a@b.c>", "\"$!shop\" <a@b.c>", "%SHOP% <a@b.c>"] {
            assert_eq!(from(template, shop).unwrap(), made, "{template}");
        }
    }
    for (template, made) in [
        ("$shop <$at@b.c>", "\"a, b\" <shop@b.c>"),
        (
            "#set($n = \"my $shop\")$n <$at@b.c>",
            "\"my a, b\" <shop@b.c>",
        ),
        ("#if($ok && 2 < 3)$shop#end <a@b.c>", "\"a, b\" <a@b.c>"),
        ("$at@b.c", "shop@b.c"),
        ("\"Shop, Inc\" <a@b.c>", "\"Shop, Inc\" <a@b.c>"),
    ] {
        assert_eq!(from(template, "a, b").unwrap(), made, "{template}");
    }
    for local in ["a@b.c>, <eve", "\u{1}<eve@example.com", "eve\n"] {
        let error = from("Shop <$shop@b.c>", local).unwrap_err();
        assert!(error.why.contains("not a mailbox"), "{error}");
    }
}

#[test]
fn rejects_mailboxes_that_values_make_invalid() {
    let data = json!({ "shop": "Shop", "name": "Ann", "answers": "a@b, c@d" });
    let error = rendered(data).unwrap_err();
    assert_eq!(error.part, "reply-to");
    assert!(error.why.contains("not a mailbox"), "{error}");
}

fn sms(text: &str, unset: Unset) -> PreparedMessage {
    let message = json!({ "id": "m", "channel": "sms", "text": text, "unset": unset });
    PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap()
}

fn text_of(prepared: &PreparedMessage, values: &Values) -> String {
    prepared
        .render(values, &mut |_| None)
        .unwrap()
        .text
        .unwrap()
}

#[test]
fn prints_nothing_or_the_source_of_an_unset_reference() {
    let text = "Hi $firstNmae ${order.total} US$ABC $10, \\$name";
    let values = values(json!({ "firstName": "Ann" }));
    let nothing = sms(text, Unset::Nothing);
    assert_eq!(text_of(&nothing, &values), "Hi   US$ABC $10, $name");
    let print = sms(text, Unset::Print);
    assert_eq!(text_of(&print, &values), text);
    let (_, unset) = nothing
        .choose(&[])
        .render_reporting(&values, &mut |_| None)
        .unwrap();
    let reported: Vec<_> = unset
        .iter()
        .map(|one| {
            (
                one.part,
                one.reference.source.as_str(),
                one.reference.column,
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            ("text", "$firstNmae", 4),
            ("text", "${order.total}", 15),
            ("text", "$ABC", 32)
        ]
    );
}

#[test]
fn reads_contact_fields_if_the_run_has_no_value() {
    let text = "$firstName ${firstName} $!data.get('PERSONAL.GENDER') $city $code %CITY%";
    let fields = json!({
        "firstName": "Ann", "PERSONAL.GENDER": "F", "city": "Kyiv", "code": "OLD", "language": "de"
    });
    let data = json!({ "city": "Lviv", "code": "NEW-1", "firstName": null });
    let values = values(data).with_contact(fields.as_object().unwrap().clone(), vec!["uk".into()]);
    assert_eq!(
        text_of(&sms(text, Unset::Nothing), &values),
        // A tag prefers the contact; a template prefers the run, whose steps set values.
        "Ann Ann F Lviv NEW-1 Kyiv"
    );
    assert_eq!(
        values.languages(),
        ["uk"],
        "a contact field is not a language preference of the event"
    );
}

#[test]
fn encodes_tag_values_in_urls() {
    let message = json!({
        "id": "m", "channel": "viber", "text": "shop.example/?n=%NAME%", "button": "%NAME%",
        "link": "https://shop.example/?n=%NAME%&c=%PC_x_1_7%&u=%UNSUBSCRIBE%",
        "image": "%IMAGE%",
    });
    let message = PreparedMessage::new(serde_json::from_value(message).unwrap()).unwrap();
    let data = json!({ "name": "Tom & Jerry", "image": "https://i.example/a.png?s=1&t=2" });
    let content = message
        .render(&values(data.clone()), &mut |_| Some("A&B".into()))
        .unwrap();
    let made = content.with_unsubscribe_url("https://shop.example/u/1?a=b");
    assert_eq!(made.text.unwrap(), "shop.example/?n=Tom%20%26%20Jerry");
    assert_eq!(made.button.unwrap(), "Tom & Jerry");
    assert_eq!(made.image.unwrap(), "https://i.example/a.png?s=1&t=2");
    assert_eq!(
        made.link.unwrap(),
        "https://shop.example/?n=Tom%20%26%20Jerry&c=A%26B\
         &u=https%3A%2F%2Fshop.example%2Fu%2F1%3Fa%3Db"
    );
    let shown = message.preview(values(data), None).unwrap();
    assert_eq!(
        shown.link.unwrap(),
        "https://shop.example/?n=Tom%20%26%20Jerry&c=%PC_x_1_7%&u=%UNSUBSCRIBE%"
    );
}
