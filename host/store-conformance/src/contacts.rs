//! Contacts: names, rows of uploads, consent.

use serde_json::json;

use super::fixture::delivery;
use super::{Fixture, Harness, NOW, segment};
use promoflow_model::contact::{AddressKind, Contact, ContactKey, NewContact};
use promoflow_model::event::Event;
use promoflow_model::message::ChannelKind;
use promoflow_store::{
    AttemptBatch, CommitReply, ContactOutcome, DeliveryId, DeliveryState, Directory, Store,
};

fn row() -> NewContact {
    NewContact::default()
}

/// Builds rows of an upload, attribute by attribute.
trait Row: Sized {
    fn id(self, id: &str) -> NewContact;
    fn external(self, id: &str) -> NewContact;
    fn at(self, kind: AddressKind, address: &str) -> NewContact;
    fn email(self, address: &str) -> NewContact;
    fn phone(self, address: &str) -> NewContact;
    fn field(self, name: &str, value: &str) -> NewContact;
    fn says(self, channel: ChannelKind, given: bool) -> NewContact;
}

impl Row for NewContact {
    fn id(mut self, id: &str) -> NewContact {
        self.id = Some(id.into());
        self
    }

    fn external(mut self, id: &str) -> NewContact {
        self.external_id = Some(id.into());
        self
    }

    fn at(mut self, kind: AddressKind, address: &str) -> NewContact {
        self.addresses.insert(kind, kind.check(address).unwrap());
        self
    }

    fn email(self, address: &str) -> NewContact {
        self.at(AddressKind::Email, address)
    }

    fn phone(self, address: &str) -> NewContact {
        self.at(AddressKind::Phone, address)
    }

    fn field(mut self, name: &str, value: &str) -> NewContact {
        self.fields.insert(name.into(), value.into());
        self
    }

    fn says(mut self, channel: ChannelKind, given: bool) -> NewContact {
        self.consent.insert(channel, given);
        self
    }
}

fn put_with(store: &dyn Store, rows: &[NewContact], resubscribe: bool) -> Vec<ContactOutcome> {
    let mut session = store.begin_contacts(false, resubscribe, NOW).unwrap();
    let outcomes = session.batch(rows).unwrap();
    session.finish().unwrap();
    outcomes
}

fn upsert(store: &dyn Store, rows: &[NewContact]) -> Vec<ContactOutcome> {
    put_with(store, rows, false)
}

fn any(store: &dyn Store, name: &str) -> Option<Contact> {
    store.contact(ContactKey::Any(name.into())).unwrap()
}

fn ids(store: &dyn Store, after: Option<&str>) -> Vec<String> {
    let contacts = store.contacts(after, 100).unwrap().into_iter();
    contacts.map(|contact| contact.id).collect()
}

/// Ids, external ids and addresses are names of a contact.
pub fn finds_a_contact_by_each_of_its_names<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let ann = row()
        .id("A-1")
        .external("shop-7")
        .email("Ann@Example.com")
        .phone("+38 050 123-45-67")
        .at(AddressKind::Telegram, "tg-1")
        .field("firstName", "Ann");
    assert_eq!(upsert(store, &[ann]), [ContactOutcome::Inserted]);
    for name in [
        "A-1",
        "shop-7",
        "ann@example.com",
        "380501234567",
        "+380501234567",
        "tg-1",
    ] {
        let found = any(store, name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(found.id, "A-1");
    }
    let ann = any(store, "A-1").unwrap();
    assert_eq!(ann.address(ChannelKind::Email), Some("Ann@Example.com"));
    assert_eq!(ann.address(ChannelKind::Viber), Some("+380501234567"));
    assert_eq!(ann.address(ChannelKind::WebPush), None);
    assert_eq!(ann.fields["firstName"], "Ann");
    for nobody in ["a-1", "bob@example.com", "380501234568", ""] {
        assert_eq!(any(store, nobody), None, "{nobody}");
    }
    let token = ContactKey::Address(AddressKind::WebPush, "tg-1".into());
    assert_eq!(store.contact(token).unwrap(), None);
}

/// What a row leaves out stays as it is.
pub fn row_updates_only_what_it_states_of_its_contact<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    upsert(
        store,
        &[row().email("ann@example.com").field("city", "Kyiv")],
    );
    let again = row()
        .email("ANN@example.com")
        .phone("+380501234567")
        .field("name", "Ann");
    assert_eq!(
        upsert(store, std::slice::from_ref(&again)),
        [ContactOutcome::Updated]
    );
    assert_eq!(upsert(store, &[again]), [ContactOutcome::Unchanged]);
    let ann = any(store, "+380501234567").unwrap();
    assert_eq!(json!(ann.fields), json!({ "city": "Kyiv", "name": "Ann" }));
    assert_eq!(ann.address(ChannelKind::Email), Some("ANN@example.com"));

    // An external id turns an anonymous contact into a known one, and keeps two contacts apart.
    upsert(store, &[row().external("7").email("ann@example.com")]);
    assert_eq!(any(store, "7").unwrap().id, ann.id);
    let other = row().external("8").email("ann@example.com");
    assert_eq!(upsert(store, &[other]), [ContactOutcome::Inserted]);
    assert_ne!(any(store, "8").unwrap().id, ann.id);
    assert_eq!(any(store, "ann@example.com").unwrap().id, ann.id);
}

/// No two contacts share an id or an external id.
pub fn ids_and_external_ids_are_unique<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    upsert(store, &[row().id("2").email("two@example.com")]);
    upsert(
        store,
        &[row().email("one@example.com"), row().email("x@example.com")],
    );
    let all = ids(store, None);
    assert_eq!(all.len(), 3);
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), 3, "{all:?}");
    assert_eq!(ids(store, Some(&all[0])), all[1..]);
    assert_eq!(ids(store, Some("nobody")), Vec::<String>::new());

    upsert(store, &[row().id("A").external("7")]);
    let clash = upsert(store, &[row().id("B").external("7").email("b@example.com")]);
    assert_eq!(
        clash,
        [ContactOutcome::Conflict {
            contact: "A".into()
        }]
    );
    assert_eq!(any(store, "B"), None);
}

/// An unsubscription outlasts uploads.
pub fn rows_undo_unsubscriptions_only_if_asked_to<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let says = |given| row().id("A").says(ChannelKind::Email, given);
    upsert(store, &[says(true)]);
    assert!(
        !any(store, "A")
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    );
    let refused = store.set_consent("A", &[ChannelKind::Email], false, NOW);
    assert!(
        refused
            .unwrap()
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    );
    assert_eq!(upsert(store, &[says(true)]), [ContactOutcome::Unchanged]);
    assert!(
        any(store, "A")
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    );
    assert!(!any(store, "A").unwrap().has_unsubscribed(ChannelKind::Sms));
    let outcomes = put_with(store, &[says(true)], true);
    assert_eq!(outcomes, [ContactOutcome::Updated]);
    assert!(
        !any(store, "A")
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    );
    assert_eq!(upsert(store, &[says(false)]), [ContactOutcome::Updated]);
    assert!(
        any(store, "A")
            .unwrap()
            .has_unsubscribed(ChannelKind::Email)
    );
    let nobody = store.set_consent("B", &[ChannelKind::Email], false, NOW);
    assert_eq!(nobody.unwrap(), None);
}

/// An atomic upload that does not finish leaves nothing.
pub fn rolled_back_atomic_upload_leaves_nothing<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let mut session = store.begin_contacts(true, false, NOW).unwrap();
    session.batch(&[row().id("A")]).unwrap();
    session.roll_back().unwrap();
    let session = store.begin_contacts(true, false, NOW).unwrap();
    drop(session);
    assert_eq!(ids(store, None), Vec::<String>::new());
    let mut session = store.begin_contacts(true, false, NOW).unwrap();
    session.batch(&[row().id("B")]).unwrap();
    session.finish().unwrap();
    assert_eq!(ids(store, None), ["B"]);
}

/// Commits an event about `key` with these parameters, which starts a run.
fn send_event<H: Harness>(fixture: &Fixture<H>, key: &str, params: &[(&str, &str)]) {
    let mut event = Event::new("birthday", key);
    for (name, value) in params {
        event.params.insert((*name).into(), json!(value));
    }
    let replies = fixture.commit(&[fixture.accept_event(event, None, None)]);
    assert!(
        matches!(replies[0], CommitReply::Accepted { .. }),
        "{replies:?}"
    );
}

/// The contact that an event identifies is found or created in the commit of the event, once the
/// directory is enabled. It then knows the earlier events too.
pub fn events_add_contacts<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    assert!(!store.contacts_enabled().unwrap());
    send_event(&fixture, "ann", &[("email", "ann@example.com")]);
    assert_eq!(any(store, "ann@example.com"), None);
    // As for a test run, which enables nothing.
    let overlay = store.contact_overlay().unwrap();
    let ann = |directory: &dyn Directory| {
        let by_name = directory.contact(ContactKey::Any("ann@example.com".into()));
        let of_event = directory.contact_of("ann", &row().email("ann@example.com"));
        let (by_name, of_event) = (by_name.unwrap(), of_event.unwrap());
        assert_eq!(by_name, of_event);
        by_name.unwrap()
    };
    assert_eq!(
        ann(&*overlay).address(ChannelKind::Email),
        Some("ann@example.com")
    );
    assert!(
        !overlay
            .is_suppressed(ChannelKind::Email, "ann@example.com")
            .unwrap()
    );
    assert!(!store.contacts_enabled().unwrap());

    let config = fixture.config();
    store.enable_contacts().unwrap();
    assert!(store.contacts_enabled().unwrap());
    assert!(fixture.config() > config);
    let first = ann(store).id;

    let phone = [("email", "ANN@example.com"), ("phone", "+380501234567")];
    send_event(&fixture, "ann", &phone);
    let found = any(store, "+380501234567").unwrap();
    assert_eq!(found.id, first, "the contact is found by its address");
    send_event(&fixture, "bob", &[("externalCustomerId", "7")]);
    assert_eq!(any(store, "7").unwrap().external_id.as_deref(), Some("7"));
    send_event(&fixture, "nobody", &[("city", "Kyiv")]);
    assert_eq!(ids(store, None).len(), 2);
    let of_event = store.contact_of("x", &row().phone("+380501234567"));
    assert_eq!(of_event.unwrap().map(|contact| contact.id), Some(first));
    assert_eq!(store.contact_of("x", &row()).unwrap(), None);

    // Also for the next process; an event that is stored already adds nothing.
    let fixture = fixture.reopen();
    assert!(fixture.store().contacts_enabled().unwrap());
    assert_eq!(ids(fixture.store(), None).len(), 2);
    fixture.audit();
}

/// The recipient of a delivery unsubscribes from its channel at that address, and gets no further
/// attempt.
pub fn recipients_unsubscribe<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let store = fixture.store();
    store.enable_contacts().unwrap();
    let mut staged = segment(None, Vec::new());
    staged.deliveries = vec![delivery("Hello")];
    fixture.start(Some(staged));
    let id = fixture.only_delivery();
    let is_suppressed = |channel, address| store.is_suppressed(channel, address).unwrap();
    assert!(!is_suppressed(ChannelKind::Email, "ann@example.com"));
    assert!(!store.record_unsubscribe(DeliveryId(id.0 + 1), NOW).unwrap());
    assert!(store.record_unsubscribe(id, NOW).unwrap());
    assert!(is_suppressed(ChannelKind::Email, "Ann@Example.com"));
    assert!(!is_suppressed(ChannelKind::Email, "bob@example.com"));
    assert!(!is_suppressed(ChannelKind::Sms, "ann@example.com"));
    let ann = any(store, "ann@example.com").unwrap();
    assert!(ann.has_unsubscribed(ChannelKind::Email));
    let started = fixture.attempts(AttemptBatch {
        starts: vec![id],
        ..AttemptBatch::default()
    });
    assert_eq!(started, CommitReply::Started(Vec::new()));
    let state = store.delivery(id).unwrap().unwrap().state;
    assert_eq!(state, DeliveryState::Cancelled);
    store
        .set_consent(&ann.id, &[ChannelKind::Email], true, NOW)
        .unwrap();
    assert!(!is_suppressed(ChannelKind::Email, "ann@example.com"));
}
