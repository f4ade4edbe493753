//! Contacts: created from events, found by events, and the codes they keep.

use promoflow::Promoflow;
use promoflow::contact::{Contact, ContactKey, ContactOptions};
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::store::RunState;
use promoflow_tests::{PromoflowExt, TestApp};

const KEEPS: &str = "
workflow: keeps
start: { event: keeps }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, reuse: { contact: 30d } }
    ports: { exhausted: end }
";

const TO_A_CONTACT: &str = "
workflow: hello
start: { event: hello }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: hello, contact: ContactId }
";

const HELLO: &str = "
message: hello
channel: email
subject: Hello
text: Hello %FIRSTNAME|friend%
";

fn import(promoflow: &Promoflow, csv: &str) {
    let options = ContactOptions::default();
    let report = promoflow.import_contacts(csv.as_bytes(), options, &mut |_| ());
    assert_eq!(report.unwrap().rejected, 0);
}

fn contact(promoflow: &Promoflow, name: &str) -> Option<Contact> {
    promoflow.contact(ContactKey::Any(name.into())).unwrap()
}

fn rows(app: &TestApp, table: &str) -> i64 {
    app.inspect().count(table).unwrap()
}

#[test]
fn events_write_no_contact_rows_until_contacts_are_used() {
    let (app, promoflow) = TestApp::with_codes(0);
    let running = promoflow.start().unwrap();
    let before = Event::new("x", "")
        .with_param("ContactId", 42)
        .with_param("emailaddress", "ann@example.com")
        .with_param("Phone", "call me");
    running.send(before).unwrap();
    assert_eq!(rows(&app, "contact"), 0);
    let ann = contact(&promoflow, "42").unwrap();
    assert_eq!(ann.address(ChannelKind::Email), Some("ann@example.com"));
    assert_eq!(ann.address(ChannelKind::Sms), None);
    // From now on each event creates or updates its contact in its own commit, however it names the
    // contact.
    let after = [
        Event::new("x", "ann@example.com").with_param("PhoneNumber", "+380501234567"),
        Event::new("x", "order-7")
            .with_param("externalCustomerId", "shop-7")
            .with_param("Email", "bob@example.com"),
        Event::new("x", "order-8")
            .with_param("SMS", "380501234567")
            .with_param("PushToken", "t"),
        Event::new("x", "order-9").with_param("total", 7),
    ];
    for event in after {
        running.send(event).unwrap();
    }
    assert_eq!(rows(&app, "contact"), 2);
    let ann = contact(&promoflow, "42").unwrap();
    assert_eq!(ann.address(ChannelKind::Viber), Some("380501234567"));
    assert_eq!(ann.address(ChannelKind::MobilePush), Some("t"));
    let bob = contact(&promoflow, "shop-7").unwrap();
    assert_eq!(bob.address(ChannelKind::Email), Some("bob@example.com"));
    promoflow.assert_audit();
}

#[test]
fn a_step_names_a_contact_and_the_directory_provides_its_address() {
    let (app, promoflow) = TestApp::with_codes(0);
    promoflow.add_messages(HELLO);
    promoflow.add_workflows(TO_A_CONTACT);
    let running = promoflow.start().unwrap();
    // Contacts are not in use yet; an earlier event had this contact's address.
    let earlier = Event::new("x", "x")
        .with_param("ContactId", "A")
        .with_param("Email", "a@example.com");
    running.send(earlier).unwrap();
    let send = |event: Event| {
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        let row = promoflow.run_of(receipt.runs[0]).0;
        (row.state, row.error.unwrap_or_default())
    };
    let done = || (RunState::Completed, String::new());
    let hello = |id: &str| Event::new("hello", "order").with_param("ContactId", id);
    assert_eq!(send(hello("A")), done());
    import(
        &promoflow,
        "contact,firstName,phone\nA,Ann,+380501234567\nB,Bob,+380507654321\n",
    );
    assert_eq!(send(hello("A")), done());
    // The event's own address has priority.
    let moved = hello("A").with_param("Email", "new@example.com");
    assert_eq!(send(moved), done());
    let sent = app.channel.sent();
    let recipients: Vec<_> = sent
        .iter()
        .map(|one| (one.address.as_str(), one.text.as_str()))
        .collect();
    assert_eq!(
        recipients,
        [
            ("a@example.com", "Hello friend"),
            ("a@example.com", "Hello Ann"),
            ("new@example.com", "Hello Ann"),
        ]
    );
    for unknown in ["B", "C"] {
        let (state, error) = send(hello(unknown));
        assert_eq!(state, RunState::Failed);
        assert!(error.contains("no address for email"), "{error}");
        assert!(error.contains("`unreachable`"), "{error}");
    }
    promoflow.assert_audit();
}

#[test]
fn p1_a_contact_keeps_its_code_whatever_key_its_events_have() {
    let (app, promoflow) = TestApp::with_codes(4);
    promoflow.add_workflows(KEEPS);
    let running = promoflow.start().unwrap();
    let code = |event: Event| {
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        promoflow.code_of(receipt.runs[0]).unwrap()
    };
    // Kept under an event's key, before contacts were in use.
    let first = code(Event::new("keeps", "ann@example.com"));
    import(
        &promoflow,
        "contact,email,phone\nA,ann@example.com,+380501234567\nB,bob@example.com,\n",
    );
    for key in ["ann@example.com", "+380501234567", "A"] {
        assert_eq!(code(Event::new("keeps", key)), first, "{key}");
    }
    // Kept under the contact from the start.
    let second = code(Event::new("keeps", "order-1").with_param("ContactId", "B"));
    assert_eq!(code(Event::new("keeps", "bob@example.com")), second);
    let used = promoflow.code(&second).unwrap().unwrap().0.used_by.unwrap();
    assert_eq!(used.contact, "B");
    // A key without a contact counts as a separate contact.
    let third = code(Event::new("keeps", "cat@example.com"));
    assert_eq!(promoflow.available_codes().len(), 1);
    assert!(![&first, &second].contains(&&third));
    promoflow.assert_audit();
    let damage = "DELETE FROM contact_alias";
    app.inspect().execute(damage, &[]).unwrap();
    let audited = promoflow.audit().unwrap();
    let p6 = audited.iter().find(|one| one.promise == "P6").unwrap();
    assert!(!p6.holds, "{p6:?}");
}

#[test]
fn p1_a_placeholder_id_never_merges_two_contacts() {
    let (_shop, promoflow) = TestApp::with_codes(20);
    promoflow.add_workflows(KEEPS);
    // The directory is enabled.
    import(
        &promoflow,
        "externalId,email,firstName\nnull,eve@example.com,Eve\nNULL,dan@example.com,Dan\n",
    );
    assert!(contact(&promoflow, "null").is_none());
    let running = promoflow.start().unwrap();
    let code = |event: Event| {
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        promoflow.code_of(receipt.runs[0]).unwrap()
    };
    for id in ["null", "NULL", "undefined", "", " ", "None"] {
        let of = |name: &str, key: &str| {
            let event = Event::new("keeps", key).with_param("externalCustomerId", id);
            event
                .with_param("PushToken", id)
                .with_param("Email", format!("{name}@example.com"))
        };
        let ann = code(of("ann", id));
        assert_ne!(ann, code(of("bob", id)), "{id:?}");
        assert_eq!(ann, code(of("ann", "")), "{id:?}");
    }
    let placeholder = Event::new("keeps", "null").with_param("externalCustomerId", "null");
    assert!(
        running
            .send(placeholder)
            .unwrap_err()
            .to_string()
            .contains("identifies no contact")
    );
    // Spellings of one name are one name.
    let first = code(Event::new("keeps", "order-1").with_param("Contact_id", 15));
    assert_eq!(
        first,
        code(Event::new("keeps", "").with_param("contactid", "15"))
    );
    promoflow.assert_audit();
}
