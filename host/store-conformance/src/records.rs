//! Keys, stored responses, alerts and notifications.

use serde_json::Map;

use super::{Harness, NOW, code_group};
use promoflow_model::alert::{Alert, Kind, Level, Subject};
use promoflow_model::clock::Timestamp;
use promoflow_model::key::{Key, Scope};
use promoflow_store::{
    DeliveryState, NewNotification, NotificationOutcome, Reservation, Store, StoredResponse,
    ThrottledParty,
};

/// A key is revoked once, and every change raises the generation.
pub fn keys_are_added_and_revoked<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let key = Key {
        id: "k".into(),
        hash: [7; 32],
        scopes: vec![Scope::Codes, Scope::Events],
        created: NOW,
        revoked: None,
    };
    let start = store.key_generation().unwrap();
    store.add_key(&key).unwrap();
    assert_eq!(store.keys().unwrap(), [key]);
    let added = store.key_generation().unwrap();
    assert!(added > start);
    let later = Timestamp(NOW.0 + 5);
    assert!(store.revoke_key("k", NOW).unwrap());
    assert!(store.revoke_key("k", later).unwrap());
    assert_eq!(store.keys().unwrap()[0].revoked, Some(NOW));
    assert!(store.key_generation().unwrap() > added);
    assert!(!store.revoke_key("unknown", NOW).unwrap());
}

fn response(status: u16) -> StoredResponse {
    StoredResponse {
        fingerprint: [1; 32],
        status,
        content_type: Some("application/json".into()),
        location: None,
        body: b"{}".to_vec(),
    }
}

/// The response under a reserved key stays until it is too old, and is only stored once.
pub fn responses_are_stored_once<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let since = Timestamp(NOW.0 - 10);
    let reserve = |key, since| store.reserve_response(key, "i", NOW, since).unwrap();
    assert_eq!(reserve("k", since), Reservation::Reserved);
    for status in [201, 500] {
        store
            .store_response("k", "i", &response(status), NOW)
            .unwrap();
    }
    assert_eq!(reserve("k", since), Reservation::Stored(response(201)));
    // Another API key has other keys. A response is only stored under a key that is reserved.
    store
        .store_response("other", "i", &response(201), NOW)
        .unwrap();
    assert_eq!(reserve("other", since), Reservation::Reserved);
    store.cancel_reservation("other", "i").unwrap();
    store
        .store_response("other", "i", &response(201), NOW)
        .unwrap();
    assert_eq!(reserve("other", since), Reservation::Reserved);

    store.cancel_reservation("k", "i").unwrap();
    assert_eq!(reserve("k", NOW), Reservation::Stored(response(201)));
    assert_eq!(reserve("k", Timestamp(NOW.0 + 1)), Reservation::Reserved);
}

/// A key that a process has reserved is not available to another one while the process runs.
pub fn keys_are_reserved_until_their_process_ends<H: Harness>() {
    let harness = H::create();
    let since = Timestamp(NOW.0 - 10);
    let reserve = |store: &dyn Store, key| {
        let reserved = store.reserve_response("k", key, NOW, since);
        reserved.unwrap()
    };
    let other = harness.another();
    for key in ["one", "two", "three"] {
        assert_eq!(reserve(other.store(), key), Reservation::Reserved);
        assert_eq!(reserve(harness.store(), key), Reservation::InProgress);
    }
    // Its own process may have it again: the request before failed to give it up.
    assert_eq!(reserve(other.store(), "one"), Reservation::Reserved);
    // Only its process gives it up or stores a response.
    harness.store().cancel_reservation("k", "one").unwrap();
    let stored = harness
        .store()
        .store_response("k", "one", &response(200), NOW);
    stored.unwrap();
    assert_eq!(reserve(harness.store(), "one"), Reservation::InProgress);
    other.store().cancel_reservation("k", "one").unwrap();
    assert_eq!(reserve(harness.store(), "one"), Reservation::Reserved);
    let stored = other
        .store()
        .store_response("k", "two", &response(200), NOW);
    stored.unwrap();
    drop(other);
    assert_eq!(
        reserve(harness.store(), "two"),
        Reservation::Stored(response(200))
    );
    assert_eq!(reserve(harness.store(), "three"), Reservation::Reserved);
    let harness = harness.reopen();
    assert_eq!(reserve(harness.store(), "three"), Reservation::Reserved);
}

/// An alert and its notifications are stored together; a notification is attempted until an attempt
/// ends it, and the end of an earlier attempt changes nothing.
pub fn alerts_and_notifications<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let mut alert = Alert {
        subject: Subject {
            kind: Kind::Available,
            code_group: code_group(10),
            level: Level::Warning,
        },
        raised: true,
        sequence: 1,
        notified: false,
        params: Map::new(),
        at: NOW,
    };
    let notification = NewNotification {
        webhook: "ops".into(),
        event: "{}".into(),
    };
    let save = |alert: &Alert, previous: Option<&Alert>| {
        let notifications = std::slice::from_ref(&notification);
        store.save_alert(alert, previous, notifications).unwrap()
    };
    assert!(save(&alert, None));
    assert_eq!(store.alerts().unwrap(), std::slice::from_ref(&alert));
    let raised = alert.clone();
    alert.raised = false;
    assert!(save(&alert, Some(&raised)));
    assert_eq!(store.alerts().unwrap(), std::slice::from_ref(&alert));
    // As from a process that read the alert before it was changed.
    let again = Alert {
        sequence: 2,
        ..raised.clone()
    };
    for previous in [None, Some(&raised)] {
        assert!(!save(&again, previous));
    }
    assert_eq!(store.alerts().unwrap(), [alert]);

    let due = |now| store.due_notifications("ops", now, 10).unwrap();
    let (one, two) = (due(NOW)[0].id, due(NOW)[1].id);
    assert!(
        store
            .due_notifications("other", NOW, 10)
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.begin_notification_attempt(one).unwrap(), Some(1));
    let later = Timestamp(NOW.0 + 50);
    let failed = NotificationOutcome::RetryableFailure {
        due: later,
        error: "busy".into(),
    };
    let paused = Some((ThrottledParty::Webhook("ops"), later));
    store
        .end_notification_attempt(one, 1, &failed, paused)
        .unwrap();
    let until = store.throttled_until(ThrottledParty::Webhook("ops"));
    assert_eq!(until.unwrap(), Some(later));
    assert_eq!(due(NOW).len(), 1);
    assert_eq!(store.begin_notification_attempt(one).unwrap(), Some(2));
    let delivered = NotificationOutcome::Delivered;
    store
        .end_notification_attempt(one, 1, &delivered, None)
        .unwrap();
    let pending = store.notifications(Some(DeliveryState::Pending), None, 10);
    assert_eq!(pending.unwrap().len(), 2);
    store
        .end_notification_attempt(one, 2, &delivered, None)
        .unwrap();
    assert_eq!(store.begin_notification_attempt(one).unwrap(), None);
    let listed = store.notifications(None, Some(two), 10).unwrap();
    assert_eq!(
        (listed[0].id, listed[0].state),
        (one, DeliveryState::Delivered)
    );
}
