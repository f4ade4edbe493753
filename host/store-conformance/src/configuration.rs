//! Messages, blocks and workflows.

use serde_json::json;

use super::fixture::workflow;
use super::{Harness, NOW};
use promoflow_model::block::Description;
use promoflow_model::message::{ChannelKind, Message};
use promoflow_store::{NewNotification, StoredBlock, WorkflowState};

fn message(text: &str) -> Message {
    serde_json::from_value(json!({
        "id": "m", "channel": ChannelKind::Sms, "text": text,
    }))
    .unwrap()
}

/// A change of a message or workflow makes a version and raises the configuration; saving the same
/// again does neither.
pub fn each_change_is_a_version<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let saved = store.save_message(&message("one"), NOW).unwrap();
    assert_eq!((saved.version, saved.changed), (1, true));
    let first = store.config().unwrap();
    let again = store.save_message(&message("one"), NOW).unwrap();
    assert_eq!((again.version, again.changed), (1, false));
    assert_eq!(store.config().unwrap(), first);
    let changed = store.save_message(&message("two"), NOW).unwrap();
    assert_eq!((changed.version, changed.changed), (2, true));
    assert!(store.config().unwrap() > first);
    assert_eq!(store.messages().unwrap(), [message("two")]);
    let then = store.message_at("m", first).unwrap();
    assert_eq!(then, Some((1, message("one"))));

    let one = workflow("w");
    store.save_workflow(&one, NOW).unwrap();
    let mut two = one.clone();
    two.name = "Second".into();
    store.save_workflow(&two, NOW).unwrap();
    let current = store.workflows().unwrap();
    assert_eq!((current[0].version, &current[0].workflow), (2, &two));
    let names = store.workflow_names().unwrap();
    assert_eq!(names[&current[0].row], ("w".to_owned(), 2));
    let (old, _) = names.iter().find(|(_, name)| name.1 == 1).unwrap();
    let old = store.workflow_version(*old).unwrap().unwrap();
    assert_eq!(old.workflow, one);
}

/// A paused workflow keeps the reason until it is resumed.
pub fn workflows_are_paused_and_resumed<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    store.save_workflow(&workflow("w"), NOW).unwrap();
    let before = store.config().unwrap();
    let notification = NewNotification {
        webhook: "ops".into(),
        event: "{}".into(),
    };
    store
        .pause_workflow("w", "it trapped", &[notification], NOW)
        .unwrap();
    let paused = store.workflows().unwrap().remove(0);
    assert_eq!(paused.state, WorkflowState::Paused);
    assert_eq!(paused.reason.as_deref(), Some("it trapped"));
    assert_eq!(store.notifications(None, None, 10).unwrap().len(), 1);
    assert!(store.config().unwrap() > before);
    assert!(
        store
            .set_workflow_state("w", WorkflowState::Active)
            .unwrap()
    );
    let resumed = store.workflows().unwrap().remove(0);
    assert_eq!(
        (resumed.state, resumed.reason),
        (WorkflowState::Active, None)
    );
    let unknown = store.set_workflow_state("x", WorkflowState::Active);
    assert!(!unknown.unwrap());
}

/// A block is found by its digest, which keeps its first contents.
pub fn blocks_are_stored_by_digest<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let block = StoredBlock {
        digest: "d1".into(),
        description: Description {
            name: "b".into(),
            version: "1.0.0".into(),
            title: "B".into(),
            description: "A block.".into(),
            parameters: Vec::new(),
            ports: Vec::new(),
        },
        bytes: vec![0, 1, 2],
    };
    store.save_block(&block).unwrap();
    store.save_block(&block).unwrap();
    assert_eq!(store.block("d1").unwrap(), Some(block));
    assert_eq!(store.block("d2").unwrap(), None);
}
