//! Contacts and events: the contact that an event is about, and filling the directory from events.
//!
//! The directory is disabled until it is first used. It is then filled from the earlier events, and
//! after that by each event, in the event's own commit.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, NewContact};
use promoflow_store::StoreError;
use promoflow_store::rules::contacts::stated_names;

use super::event_scan::{EventPage, EventScan};
use super::load;
use super::names::Names;
use super::upsert::{StatedRow, upsert_all};
use crate::PostgresStore;
use crate::errors::{Error, Result, skip_damaged};
use crate::settings::{number_setting, raise_setting, set_setting};
use crate::transaction::Transaction;

/// How long to wait for another process that fills the directory, and adds no events.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// The time between two looks at how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Returns true if the directory is enabled.
pub(crate) fn are_enabled(transaction: &Transaction<'_>) -> Result<bool> {
    Ok(number_setting(transaction, "contacts-enabled")? != 0)
}

/// How far the filling of the directory is.
enum Filling {
    /// The directory covers every event.
    Done,
    /// Another process has filled it up to this event.
    Elsewhere(i64),
    /// This process is here.
    Here(EventScan),
}

/// Enables the directory: fills it from all earlier events, and from each event from now on.
///
/// One process fills it, and the others wait. If that one has ended, another one begins again: only
/// whoever reads all events knows which ids had none yet.
pub(super) fn enable(store: &PostgresStore) -> Result<()> {
    let mut scan = EventScan::default();
    let (mut elsewhere, mut since) = (None, Instant::now());
    loop {
        let is_ours = since.elapsed() >= MAX_PAUSE;
        match store.write(|transaction| fill(transaction, &scan, is_ours))? {
            Filling::Done => return Ok(()),
            Filling::Here(next) => scan = next,
            Filling::Elsewhere(last) => {
                if elsewhere != Some(last) {
                    (elsewhere, since) = (Some(last), Instant::now());
                }
                std::thread::sleep(POLL_INTERVAL);
                continue;
            }
        }
        (elsewhere, since) = (None, Instant::now());
    }
}

/// Adds a page of events. `is_ours`: whoever has filled the directory so far has ended.
fn fill(transaction: &Transaction<'_>, scan: &EventScan, is_ours: bool) -> Result<Filling> {
    if are_enabled(transaction)? {
        return Ok(Filling::Done);
    }
    let last = number_setting(transaction, "contacts-last-event")?;
    let mut scan = match last == scan.last() {
        true => scan.clone(),
        false if is_ours => EventScan::default(),
        false => return Ok(Filling::Elsewhere(last)),
    };
    // Nobody else writes, so a last page really is the last one.
    let page = scan.next(transaction)?;
    add_events(transaction, &page)?;
    if page.is_end {
        set_setting(transaction, "contacts-enabled", "1")?;
        // The executor caches the state of the directory as part of the configuration.
        raise_setting(transaction, "config-version")?;
        return Ok(Filling::Done);
    }
    set_setting(transaction, "contacts-last-event", &scan.last().to_string())?;
    Ok(Filling::Here(scan))
}

/// Creates or updates contacts from events.
pub(super) fn add_events(transaction: &Transaction<'_>, page: &EventPage) -> Result<()> {
    let stated = page.events.iter();
    let stated: Vec<NewContact> = stated
        .map(|event| NewContact::from_params(&event.params))
        .collect();
    let rows: Vec<StatedRow<'_>> = page
        .events
        .iter()
        .zip(&stated)
        .filter(|(_, new)| new.is_identified())
        .map(|(event, new)| StatedRow {
            key: Some(&event.key),
            new,
            at: event.at,
        })
        .collect();
    add_all(transaction, &rows)
}

/// Creates or updates a contact from an event. In an exclusive transaction.
pub(crate) fn add_from_event(
    transaction: &Transaction<'_>,
    key: &str,
    params: &Map<String, Value>,
    at: Timestamp,
) -> Result<()> {
    let new = &NewContact::from_params(params);
    if !new.is_identified() {
        return Ok(());
    }
    let key = Some(key);
    add_all(transaction, &[StatedRow { key, new, at }])
}

/// Stores the contacts of events. If an external id belongs to another contact, or a contact cannot
/// be read, that event changes no contact.
fn add_all(transaction: &Transaction<'_>, rows: &[StatedRow<'_>]) -> Result<()> {
    match upsert_all(transaction, rows, false) {
        // One of them cannot be read. Those that are stored already do not change again.
        Err(Error::Store(StoreError::Damaged { .. })) => rows
            .iter()
            .try_for_each(|row| skip_damaged(upsert_all(transaction, &[*row], false)).map(|_| ())),
        stored => stored.map(|_| ()),
    }
}

/// Returns the contact that an event is about.
pub(super) fn contact_of_event(
    transaction: &Transaction<'_>,
    key: &str,
    stated: &NewContact,
) -> Result<Option<Contact>> {
    let stated = stated_names(Some(key), stated);
    let found = Names::load(transaction, stated.iter().map(|name| &name.key))?;
    match found.find_stated(&stated) {
        Some(row) => load(transaction, row),
        None => Ok(None),
    }
}
