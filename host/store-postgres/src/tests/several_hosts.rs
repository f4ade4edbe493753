//! Readings that must not depend on the order of ids: hosts take them in blocks, and commit in any
//! order.

use serde_json::json;

use promoflow_model::contact::ContactKey;
use promoflow_model::event::Event;
use promoflow_store::{CommitStore, ContactStore, Directory, StatisticsStore};
use promoflow_store_conformance::{Fixture, Harness, NOW, code_group, segment};

use super::Postgres;

#[test]
fn claims_of_several_hosts_are_counted_once() {
    let fixture = Fixture::<Postgres>::new();
    fixture.add_codes(&["A", "B", "C", "D"]);
    let first = &fixture.harness.store;
    let other = fixture.harness.another();
    let claim = |store: &dyn CommitStore| {
        let claims = vec![fixture.claim_first()];
        let unit = fixture.accept(None, Some(segment(None, claims)));
        store.commit(&[unit], &NOW).unwrap();
    };
    claim(first);
    claim(&other.store);
    let mark = first.claim_mark().unwrap();
    assert_eq!(other.store.claim_mark().unwrap(), mark);
    // Its id is lower than the other host's last one.
    claim(first);
    let claimed = first.claimed_after(&mark).unwrap();
    assert_eq!(claimed.code_groups[&code_group(0)], 1);
    claim(&other.store);
    drop(other);
    let after = first.claimed_after(&claimed.mark).unwrap();
    assert_eq!(after.code_groups[&code_group(0)], 1);
    assert_eq!(
        first.claimed_after(&mark).unwrap().code_groups[&code_group(0)],
        2
    );
    assert_eq!(first.run_statistics().unwrap().completed, 4);
    let statistics = first.pool_statistics(NOW, NOW).unwrap();
    assert_eq!(
        (statistics.code_groups[0].used, statistics.mark),
        (4, after.mark)
    );
    fixture.audit();
}

#[test]
fn an_event_with_a_lower_id_adds_its_contact() {
    let fixture = Fixture::<Postgres>::new();
    let first = &fixture.harness.store;
    let other = fixture.harness.another();
    let send = |store: &dyn CommitStore, name: &str| {
        let mut event = Event::new("birthday", name);
        let address = format!("{name}@example.com");
        event.params.insert("email".into(), json!(address));
        let unit = fixture.accept_event(event, None, None);
        store.commit(&[unit], &NOW).unwrap();
    };
    let is_known = |directory: &dyn Directory, name: &str| {
        let name = ContactKey::Any(format!("{name}@example.com"));
        directory.contact(name).unwrap().is_some()
    };
    send(first, "ann");
    send(&other.store, "bob");
    let overlay = first.contact_overlay().unwrap();
    assert!(is_known(&*overlay, "ann") && is_known(&*overlay, "bob"));
    send(first, "cid");
    let overlay = first.contact_overlay().unwrap();
    assert!(is_known(&*overlay, "cid"));
    assert!(!is_known(first, "ann"));
    other.store.enable_contacts().unwrap();
    for name in ["ann", "bob", "cid"] {
        assert!(is_known(first, name), "{name}");
    }
    first.enable_contacts().unwrap();
}

/// A process that fills the directory may end: another one begins again.
#[test]
fn filling_of_the_directory_is_taken_over() {
    let fixture = Fixture::<Postgres>::new();
    let mut event = Event::new("birthday", "ann");
    event
        .params
        .insert("email".into(), json!("ann@example.com"));
    fixture.commit(&[fixture.accept_event(event, None, None)]);
    let store = &fixture.harness.store;
    let connection = store.pool.connect(None).unwrap();
    connection
        .run_script("UPDATE setting SET value = '9' WHERE name = 'contacts-last-event'")
        .unwrap();
    store.enable_contacts().unwrap();
    assert!(store.contacts_enabled().unwrap());
    let ann = ContactKey::Any("ann@example.com".into());
    assert!(store.contact(ann).unwrap().is_some());
}
