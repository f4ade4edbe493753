//! Consent when addresses move between contacts: neither the contact that unsubscribed nor the
//! address at which it did so gets messages.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use promoflow::Promoflow;
use promoflow::config::Config;
use promoflow::contact::{Contact, ContactKey, ContactOptions};
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::store::{DeliveryState, RunState};
use promoflow_tests::{PromoflowExt, TestApp, until};

const EMAIL: [ChannelKind; 1] = [ChannelKind::Email];

/// Workflows that find the contact by id or by the event's key.
const WORKFLOWS: &str = "
workflow: named
start: { event: named }
steps:
  - { id: mail, block: send-message, with: { channel: email, message: mail, contact: ContactId }, ports: { unsubscribed: end } }
---
workflow: plain
start: { event: plain }
steps:
  - { id: mail, block: send-message, with: { channel: email, message: mail }, ports: { unsubscribed: end } }
---
workflow: tonight
start: { event: tonight }
steps:
  - { id: mail, block: send-message, with: { channel: email, message: mail, contact: ContactId, allowed-hours: 20:00-23:00 } }
";

/// An installation with unsubscribe links, and the tokens of its messages.
struct World {
    app: TestApp,
    promoflow: Promoflow,
    tokens: Arc<Mutex<Vec<String>>>,
}

fn world() -> World {
    let app = TestApp::new();
    let secret = app.sibling("secret");
    std::fs::write(&secret, "a secret of more than sixteen bytes").unwrap();
    let config = format!(
        "[unsubscribe]\nurl = \"https://shop.example/u/{{token}}\"\nsecret = {{ file = {secret:?} }}\n"
    );
    let config = Config::parse("p.toml", &config).unwrap();
    let promoflow = app.builder().configure(&config).open().unwrap();
    promoflow.add_messages("{ message: mail, channel: email, subject: Hello, text: Hello }");
    promoflow.add_workflows(WORKFLOWS);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&tokens);
    app.channel.on_delivery(move |message| {
        let url = message.unsubscribe.unwrap();
        let token = url.strip_prefix("https://shop.example/u/").unwrap();
        kept.lock().unwrap().push(token.to_owned());
    });
    World {
        app,
        promoflow,
        tokens,
    }
}

impl World {
    fn import(&self, resubscribe: bool, csv: &str) {
        // The time decides which contact had an address.
        self.app.clock.advance(1_000);
        let options = ContactOptions {
            resubscribe,
            ..ContactOptions::default()
        };
        let report = self
            .promoflow
            .import_contacts(csv.as_bytes(), options, &mut |_| ());
        assert_eq!(report.unwrap().rejected, 0);
        self.app.clock.advance(1_000);
    }

    /// Sends an event with these parameters and returns the address that got a message.
    fn sends(&self, kind: &str, params: &[(&str, &str)]) -> Option<String> {
        let before = self.app.channel.sent().len();
        let mut event = Event::new(kind, "order");
        for (name, value) in params {
            event = event.with_param(*name, *value);
        }
        let running = self.promoflow.start().unwrap();
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        running.stop();
        let state = self.promoflow.run_of(receipt.runs[0]).0.state;
        assert_eq!(state, RunState::Completed);
        let sent = self.app.channel.sent();
        sent.get(before).map(|one| one.address.clone())
    }

    /// Follows the unsubscribe link of a message.
    fn unsubscribe_from(&self, message: usize) {
        let token = self.tokens.lock().unwrap()[message].clone();
        assert!(self.promoflow.unsubscribe_by_token(&token).unwrap());
    }

    fn contact(&self, id: &str) -> Option<Contact> {
        self.promoflow.contact(ContactKey::Any(id.into())).unwrap()
    }

    fn is_unsubscribed(&self, id: &str) -> bool {
        self.contact(id)
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    }
}

fn to(address: &str) -> Option<String> {
    Some(address.to_owned())
}

const A: (&str, &str) = ("ContactId", "A");
const B: (&str, &str) = ("ContactId", "B");

#[test]
fn unsubscribing_from_an_old_message_covers_every_address_of_its_contact() {
    let world = world();
    world.import(false, "contact,email\nA,old@x.com\n");
    // By the event's id, and by the address in the event.
    for by in [A, ("Email", "old@x.com")] {
        assert_eq!(world.sends("plain", &[by]), to("old@x.com"));
    }
    world.import(false, "contact,email\nA,new@x.com\n");
    for message in 0..2 {
        world.unsubscribe_from(message);
        assert!(world.is_unsubscribed("A"));
        assert!(
            world.contact("old@x.com").is_none(),
            "a new contact was created"
        );
        assert_eq!(world.sends("named", &[A]), None);
        assert_eq!(world.sends("plain", &[("Email", "old@x.com")]), None);
        // The event has assigned the address to another contact, which gives it up again.
        let other = world.contact("old@x.com").unwrap().id;
        assert_ne!(other, "A");
        world.import(false, &format!("contact,email\n{other},other@x.com\n"));
        world.promoflow.subscribe("A", &EMAIL).unwrap();
        assert_eq!(world.sends("named", &[A]), to("new@x.com"));
    }
}

#[test]
fn unsubscribing_covers_the_message_s_contact_and_a_shared_address() {
    let world = world();
    world.import(false, "contact,email\nA,fam@x.com\nB,FAM@x.com\n");
    assert_eq!(world.sends("named", &[B]), to("FAM@x.com"));
    world.unsubscribe_from(0);
    assert!(world.is_unsubscribed("B") && !world.is_unsubscribed("A"));
    world.import(false, "contact,email\nA,a@x.com\n");
    assert_eq!(world.sends("named", &[B]), None);
    assert_eq!(world.sends("named", &[A]), to("a@x.com"));
    // A third contact is not written to at the unsubscribed address either.
    world.import(false, "contact,email\nB,b@x.com\nC,fam@x.com\n");
    assert_eq!(world.sends("named", &[B]), None);
    assert_eq!(world.sends("named", &[("ContactId", "C")]), None);
}

#[test]
fn unsubscribing_from_a_message_to_another_contact_does_not_affect_the_event_s_contact() {
    let world = world();
    world.import(false, "contact,email\nA,a@x.com\nF,friend@x.com\n");
    let friend = "
workflow: friend
start: { event: friend }
steps:
  - { id: mail, block: send-message, with: { channel: email, message: mail, contact: F } }
";
    world.promoflow.add_workflows(friend);
    assert_eq!(world.sends("friend", &[A]), to("friend@x.com"));
    world.unsubscribe_from(0);
    assert!(world.is_unsubscribed("F") && !world.is_unsubscribed("A"));
}

#[test]
fn an_unsubscribed_address_stays_unsubscribed_when_its_contact_changes_address() {
    let world = world();
    world.import(false, "contact,email\nM,m1@x.com\n");
    world.promoflow.unsubscribe("M", &EMAIL).unwrap();
    world.import(false, "contact,email\nM,m2@x.com\n");
    for address in ["m1@x.com", "M1@x.com", "m2@x.com"] {
        assert_eq!(world.sends("plain", &[("Email", address)]), None);
    }
    // Other channels are not affected.
    let sms = "{ message: text, channel: sms, text: Hello }";
    world.promoflow.add_messages(sms);
    world.promoflow.add_workflows(
        "{ workflow: text, start: { event: text }, steps: [{ id: t, block: send-message, with: \
         { channel: sms, message: text } }] }",
    );
    let phone = ("Phone", "+380501234567");
    assert_eq!(
        world.sends("text", &[("ContactId", "M"), phone]),
        to(phone.1)
    );
}

#[test]
fn an_address_is_resubscribed_by_hand_or_by_an_upload_with_resubscribe() {
    let world = world();
    world.import(false, "contact,email,consent.email\nM,m@x.com,false\n");
    let mail = || world.sends("plain", &[("Email", "m@x.com")]);
    assert_eq!(mail(), None);
    world.promoflow.subscribe("M", &EMAIL).unwrap();
    assert_eq!(mail(), to("m@x.com"));
    world.promoflow.unsubscribe("M", &EMAIL).unwrap();
    world.import(false, "contact,email\nM,m2@x.com\n");
    let claims = "contact,email,consent.email\nM,,true\nN,m@x.com,true\n";
    world.import(false, claims);
    assert_eq!(mail(), None);
    // This includes the address that the contact no longer has.
    world.import(true, "contact,consent.email\nM,true\n");
    assert_eq!(mail(), to("m@x.com"));
    assert_eq!(world.sends("named", &[("ContactId", "M")]), to("m2@x.com"));
}

#[test]
fn a_scheduled_message_is_cancelled_whether_its_contact_unsubscribes_or_moves_first() {
    for unsubscribes_first in [true, false] {
        let world = world();
        world.import(false, "contact,email\nA,fam@x.com\nB,fam@x.com\n");
        for contact in [A, B] {
            assert_eq!(world.sends("tonight", &[contact]), None);
        }
        let unsubscribe = || world.promoflow.unsubscribe("A", &EMAIL).unwrap();
        if unsubscribes_first {
            unsubscribe();
        }
        world.import(false, "contact,email\nA,new@x.com\n");
        unsubscribe();
        world.app.clock.set("2026-06-01T20:30:00Z");
        let running = world.promoflow.start().unwrap();
        let states = || {
            let mut states = Vec::new();
            let read = world.promoflow.deliveries(None, |row| {
                states.push(row.state);
                ControlFlow::Continue(())
            });
            read.unwrap();
            states
        };
        until(|| !states().contains(&DeliveryState::Pending));
        running.stop();
        // The other contact's own address was not unsubscribed when its message was staged.
        let other = match unsubscribes_first {
            true => DeliveryState::Cancelled,
            false => DeliveryState::Delivered,
        };
        assert_eq!(states(), [DeliveryState::Cancelled, other]);
    }
}
