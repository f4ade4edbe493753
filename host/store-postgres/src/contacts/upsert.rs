//! Creates and updates contacts from rows and events.
//!
//! Rows that have nothing to do with each other are stored together, in three round trips: look
//! their names up, read what they change, write.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::ContactOutcome;
use promoflow_store::rules::contacts::{StatedName, stated_names};

use super::names::Names;
use super::writes::{Writes, values};
use super::{ContactRow, find_id, load, suppressions};
use crate::connection::params;
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// Maximum number of rows to store together.
const MAX_TOGETHER: usize = 500;

/// The data of a row, or of an event with that key.
#[derive(Clone, Copy)]
pub(super) struct StatedRow<'n> {
    pub(super) key: Option<&'n str>,
    pub(super) new: &'n NewContact,
    pub(super) at: Timestamp,
}

/// Stores rows in order, in an exclusive transaction. `resubscribe`: they may undo an
/// unsubscription.
pub(super) fn upsert_all(
    transaction: &Transaction<'_>,
    rows: &[StatedRow<'_>],
    resubscribe: bool,
) -> Result<Vec<ContactOutcome>> {
    let mut outcomes = Vec::with_capacity(rows.len());
    let mut left = rows;
    while !left.is_empty() {
        let group = Group::first_of(transaction, left)?;
        let count = group.rows.len();
        outcomes.extend(group.store(transaction, resubscribe)?);
        left = left.get(count..).unwrap_or_default();
    }
    Ok(outcomes)
}

/// Rows that state no name in common and find no contact in common, so that storing one changes
/// nothing for the others.
struct Group<'n> {
    rows: &'n [StatedRow<'n>],
    /// The names under which the contact of each row is looked up.
    stated: Vec<Vec<StatedName>>,
    found: Names,
}

impl<'n> Group<'n> {
    /// Returns the longest such group that begins with the first row.
    fn first_of(transaction: &Transaction<'_>, rows: &'n [StatedRow<'n>]) -> Result<Group<'n>> {
        let mut seen = HashSet::new();
        let (mut stated, mut owned): (Vec<Vec<StatedName>>, Vec<Vec<ContactKey>>) =
            (Vec::new(), Vec::new());
        for row in rows.iter().take(MAX_TOGETHER) {
            let looked_up = stated_names(row.key, row.new);
            // All that the contact has afterwards, too.
            let has = names_of(row.new);
            let all = looked_up.iter().map(|name| &name.key).chain(&has);
            let identities: HashSet<(u8, String)> = all.map(identity).collect();
            if identities.iter().any(|one| seen.contains(one)) {
                break;
            }
            seen.extend(identities);
            stated.push(looked_up);
            owned.push(has);
        }
        let all = stated.iter().flatten().map(|name| &name.key);
        let found = Names::load(transaction, all.chain(owned.iter().flatten()))?;
        let mut contacts = HashSet::new();
        let mut count = 0;
        for (stated, owned) in stated.iter().zip(owned) {
            let mut of_row = HashSet::new();
            found.collect(stated, &mut of_row);
            of_row.extend(owned.iter().filter_map(|name| found.find(name)));
            if of_row.iter().any(|row| contacts.contains(row)) {
                break;
            }
            contacts.extend(of_row);
            count += 1;
        }
        stated.truncate(count);
        Ok(Group {
            rows: rows.get(..count).unwrap_or_default(),
            stated,
            found,
        })
    }

    fn store(
        self,
        transaction: &Transaction<'_>,
        resubscribe: bool,
    ) -> Result<Vec<ContactOutcome>> {
        let mut targets: Vec<Target> = self
            .rows
            .iter()
            .zip(&self.stated)
            .map(|(row, stated)| self.target(row.new, stated))
            .collect();
        let new = |target: &&Target| matches!(target, Target::New(_));
        let mut free = free_rows(transaction, self.rows, targets.iter().filter(new).count())?;
        for target in &mut targets {
            if let Target::New(row) = target {
                *row = free.pop().unwrap_or_default();
            }
        }
        let known = Known::load(transaction, &targets)?;
        let mut writes = Writes::default();
        for (number, (stated, target)) in self.rows.iter().zip(&targets).enumerate() {
            match target {
                Target::Conflict(_) => {}
                Target::New(row) => {
                    insert(&mut writes, number, *row, stated)?;
                    put_consent(&mut writes, number, *row, stated, resubscribe);
                }
                Target::Existing(row) => {
                    known.update(&mut writes, number, *row, stated.new)?;
                    suppressions::record_former_addresses(
                        &mut writes,
                        number,
                        *row,
                        stated.new,
                        stated.at,
                    );
                    put_addresses(&mut writes, number, *row, stated.new);
                    put_consent(&mut writes, number, *row, stated, resubscribe);
                }
            }
        }
        let changed = writes.send(transaction, self.rows.len())?;
        let outcome = |(target, changed): (&Target, bool)| match target {
            Target::Conflict(other) => Ok(ContactOutcome::Conflict {
                contact: known.id(*other)?.to_owned(),
            }),
            Target::New(_) => Ok(ContactOutcome::Inserted),
            Target::Existing(_) if changed => Ok(ContactOutcome::Updated),
            Target::Existing(_) => Ok(ContactOutcome::Unchanged),
        };
        targets.iter().zip(changed).map(outcome).collect()
    }

    fn target(&self, new: &NewContact, stated: &[StatedName]) -> Target {
        let row = self.found.find_stated(stated);
        let external_id = new.external_id.clone().map(ContactKey::ExternalId);
        match external_id.and_then(|name| self.found.find(&name)) {
            Some(other) if Some(other) != row => Target::Conflict(other),
            _ => row.map_or(Target::New(0), Target::Existing),
        }
    }
}

/// The names that a contact has after a row was stored.
fn names_of(new: &NewContact) -> Vec<ContactKey> {
    let addresses = new.addresses.iter();
    let addresses = addresses.map(|(kind, address)| ContactKey::Address(*kind, address.clone()));
    let id = new.id.clone().map(ContactKey::Id);
    let external_id = new.external_id.clone().map(ContactKey::ExternalId);
    id.into_iter().chain(external_id).chain(addresses).collect()
}

/// Returns a name in a form that is equal for all of its spellings.
fn identity(name: &ContactKey) -> (u8, String) {
    match name {
        ContactKey::Id(id) => (0, id.clone()),
        ContactKey::ExternalId(id) => (1, id.clone()),
        ContactKey::Address(kind, address) => (2, format!("{} {}", kind.name(), kind.key(address))),
        ContactKey::Any(text) => (3, text.clone()),
    }
}

/// The contact that a row is about.
enum Target {
    /// A new one, with this row.
    New(ContactRow),
    Existing(ContactRow),
    /// None: another contact has the external id.
    Conflict(ContactRow),
}

/// The present ids and fields of contacts.
struct Known(HashMap<ContactRow, (String, String)>);

impl Known {
    fn load(transaction: &Transaction<'_>, targets: &[Target]) -> Result<Known> {
        let rows = targets.iter().filter_map(|target| match target {
            Target::New(_) => None,
            Target::Existing(row) | Target::Conflict(row) => Some(*row),
        });
        let rows: Vec<i64> = rows.collect();
        if rows.is_empty() {
            return Ok(Known(HashMap::new()));
        }
        let rows = transaction.rows(
            "SELECT row, id, fields FROM contact WHERE row = ANY($1)",
            params![rows],
        )?;
        let known = rows
            .iter()
            .map(|row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))));
        Ok(Known(known.collect::<Result<_>>()?))
    }

    fn get(&self, row: ContactRow) -> Result<&(String, String)> {
        let known = self.0.get(&row);
        known.ok_or_else(|| damaged(format!("contact row {row}"), "the row is missing"))
    }

    fn id(&self, row: ContactRow) -> Result<&str> {
        Ok(&self.get(row)?.0)
    }

    fn update(
        &self,
        writes: &mut Writes,
        number: usize,
        row: ContactRow,
        new: &NewContact,
    ) -> Result<()> {
        if new.external_id.is_none()
            && new.fields.is_empty()
            && new.languages.is_none()
            && new.time_zone.is_none()
        {
            return Ok(());
        }
        let fields = &self.get(row)?.1;
        let mut merged: Map<String, Value> = serde_json::from_str(fields)
            .map_err(|error| damaged(format!("the fields of contact row {row}"), error))?;
        for (name, value) in &new.fields {
            merged.insert(name.clone(), value.clone());
        }
        let languages = match &new.languages {
            Some(languages) => Some(to_json(languages)?),
            None => None,
        };
        writes.change(
            number,
            "UPDATE contact SET external_id = coalesce($2, external_id), fields = $3,
                 languages = coalesce($4, languages), time_zone = coalesce($5, time_zone)
             WHERE row = $1 AND (external_id IS DISTINCT FROM coalesce($2, external_id)
                 OR fields <> $3 OR languages <> coalesce($4, languages)
                 OR time_zone IS DISTINCT FROM coalesce($5, time_zone))",
            values![
                row,
                new.external_id.clone(),
                to_json(&merged)?,
                languages,
                new.time_zone.map(|zone| zone.name()),
            ],
        );
        Ok(())
    }
}

/// Returns rows for new contacts. No contact has one of the ids that are made of them.
fn free_rows(
    transaction: &Transaction<'_>,
    stated: &[StatedRow<'_>],
    count: usize,
) -> Result<Vec<ContactRow>> {
    let mut free = Vec::with_capacity(count);
    while free.len() < count {
        let missing = i32::try_from(count - free.len()).unwrap_or(i32::MAX);
        let rows = transaction.rows(
            "SELECT next.row FROM (
                 SELECT nextval(pg_get_serial_sequence('contact', 'row')) AS row
                 FROM generate_series(1, $1)) AS next
             WHERE NOT EXISTS (SELECT 1 FROM contact WHERE id = 'c' || next.row)",
            params![missing],
        )?;
        for row in rows {
            let row = row.get(0)?;
            let id = assigned_id(row);
            if !stated.iter().any(|one| one.new.id.as_ref() == Some(&id)) {
                free.push(row);
            }
        }
    }
    // Taken from the end.
    free.sort_unstable_by(|a, b| b.cmp(a));
    Ok(free)
}

/// Returns the id of a contact for which none was stated. The prefix distinguishes it from numeric
/// ids of the user's own, such as event keys.
fn assigned_id(row: ContactRow) -> String {
    format!("c{row}")
}

/// Creates a contact with its addresses, in an exclusive transaction.
pub(super) fn insert_one(
    transaction: &Transaction<'_>,
    new: &NewContact,
    at: Timestamp,
) -> Result<ContactRow> {
    let stated = StatedRow { key: None, new, at };
    let row = free_rows(transaction, &[stated], 1)?.pop();
    let row = row.ok_or_else(|| damaged("the rows of contacts", "none is free"))?;
    let mut writes = Writes::default();
    insert(&mut writes, 0, row, &stated)?;
    writes.send(transaction, 1)?;
    Ok(row)
}

fn insert(
    writes: &mut Writes,
    number: usize,
    row: ContactRow,
    stated: &StatedRow<'_>,
) -> Result<()> {
    let new = stated.new;
    writes.change(
        number,
        "INSERT INTO contact (row, id, external_id, fields, languages, time_zone, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values![
            row,
            new.id.clone().unwrap_or_else(|| assigned_id(row)),
            new.external_id.clone(),
            to_json(&new.fields)?,
            to_json(new.languages.as_deref().unwrap_or_default())?,
            new.time_zone.map(|zone| zone.name()),
            stated.at.0,
        ],
    );
    put_addresses(writes, number, row, new);
    Ok(())
}

fn put_addresses(writes: &mut Writes, number: usize, row: ContactRow, new: &NewContact) {
    for (kind, address) in &new.addresses {
        writes.change(
            number,
            "INSERT INTO contact_address (contact, kind, address, address_key)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (contact, kind) DO UPDATE
             SET address = excluded.address, address_key = excluded.address_key
             WHERE contact_address.address <> excluded.address",
            values![row, kind.name(), address.clone(), kind.key(address)],
        );
    }
}

fn put_consent(
    writes: &mut Writes,
    number: usize,
    row: ContactRow,
    stated: &StatedRow<'_>,
    resubscribe: bool,
) {
    for (channel, given) in &stated.new.consent {
        record_consent(
            writes,
            number,
            row,
            *channel,
            *given,
            resubscribe,
            stated.at,
        );
    }
}

/// Records a contact's consent for a channel, and applies it to the contact's address. Does not
/// undo an unsubscription unless `resubscribe` is set.
pub(super) fn record_consent(
    writes: &mut Writes,
    number: usize,
    row: ContactRow,
    channel: ChannelKind,
    given: bool,
    resubscribe: bool,
    at: Timestamp,
) {
    writes.change(
        number,
        "INSERT INTO consent (contact, channel, given, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (contact, channel) DO UPDATE
         SET given = excluded.given, changed_at = excluded.changed_at
         WHERE consent.given <> excluded.given AND ($5 OR excluded.given = 0)",
        values![row, channel.name(), i32::from(given), at.0, resubscribe],
    );
    match given {
        false => suppressions::add_suppressions(writes, number, row, channel, at),
        true if resubscribe => suppressions::remove_suppressions(writes, number, row, channel),
        true => {}
    }
}

/// Records consent of the contact with that id for these channels.
pub(super) fn set_consent(
    transaction: &Transaction<'_>,
    id: &str,
    channels: &[ChannelKind],
    given: bool,
    at: Timestamp,
) -> Result<Option<Contact>> {
    let Some(row) = find_id(transaction, id)? else {
        return Ok(None);
    };
    let mut writes = Writes::default();
    for channel in channels {
        record_consent(&mut writes, 0, row, *channel, given, true, at);
    }
    writes.send(transaction, 1)?;
    load(transaction, row)
}

fn to_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| damaged("the fields of a contact", error))
}
