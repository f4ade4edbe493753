//! Look-ups of contacts by their names, many at once.

use std::collections::{HashMap, HashSet};

use promoflow_model::contact::ContactKey;
use promoflow_store::rules::contacts::StatedName;

use super::ContactRow;
use crate::connection::params;
use crate::errors::Result;
use crate::transaction::Transaction;

/// The contacts that have some names.
#[derive(Default)]
pub(super) struct Names {
    ids: HashMap<String, ContactRow>,
    external_ids: HashMap<String, ContactRow>,
    /// By the kind and the key of the address.
    addresses: HashMap<(String, String), AtAddress>,
}

/// The contacts that have an address.
struct AtAddress {
    /// The oldest one.
    first: ContactRow,
    /// The oldest one without an external id.
    anonymous: Option<ContactRow>,
}

impl Names {
    /// Looks names up, in one round trip.
    pub(super) fn load<'n>(
        transaction: &Transaction<'_>,
        names: impl IntoIterator<Item = &'n ContactKey>,
    ) -> Result<Names> {
        let (mut ids, mut external_ids) = (Vec::new(), Vec::new());
        let (mut kinds, mut addresses) = (Vec::new(), Vec::new());
        for name in names {
            match name {
                ContactKey::Id(id) => ids.push(id.as_str()),
                ContactKey::ExternalId(id) => external_ids.push(id.as_str()),
                ContactKey::Address(kind, address) => {
                    kinds.push(kind.name());
                    addresses.push(kind.key(address));
                }
                ContactKey::Any(_) => {}
            }
        }
        let answers = transaction.pipeline(&[
            (
                "SELECT id, row FROM contact WHERE id = ANY($1)",
                params![ids],
            ),
            (
                "SELECT external_id, row FROM contact WHERE external_id = ANY($1)",
                params![external_ids],
            ),
            // Very many contacts may share an address, so only the first of each kind are read.
            (
                "SELECT stated.kind, stated.address_key,
                    (SELECT contact FROM contact_address AS one
                     WHERE one.kind = stated.kind AND one.address_key = stated.address_key
                     ORDER BY contact LIMIT 1),
                    (SELECT contact FROM contact_address AS one JOIN contact ON row = one.contact
                     WHERE one.kind = stated.kind AND one.address_key = stated.address_key
                         AND external_id IS NULL
                     ORDER BY one.contact LIMIT 1)
                 FROM unnest($1::text[], $2::text[]) AS stated (kind, address_key)",
                params![kinds, addresses],
            ),
        ])?;
        let mut names = Names::default();
        let [ids, external_ids, addresses] = &answers[..] else {
            return Ok(names);
        };
        for row in &ids.rows {
            names.ids.insert(row.get(0)?, row.get(1)?);
        }
        for row in &external_ids.rows {
            names.external_ids.insert(row.get(0)?, row.get(1)?);
        }
        for row in &addresses.rows {
            if let Some(first) = row.get(2)? {
                let anonymous = row.get(3)?;
                let address = (row.get(0)?, row.get(1)?);
                let at_address = AtAddress { first, anonymous };
                names.addresses.insert(address, at_address);
            }
        }
        Ok(names)
    }

    /// Returns the contact with that name.
    pub(super) fn find(&self, name: &ContactKey) -> Option<ContactRow> {
        match name {
            ContactKey::Id(id) => self.ids.get(id).copied(),
            ContactKey::ExternalId(id) => self.external_ids.get(id).copied(),
            ContactKey::Address(..) => Some(self.at_address(name)?.first),
            ContactKey::Any(_) => None,
        }
    }

    /// Returns the contact that is found by the first of these names that finds one.
    pub(super) fn find_stated(&self, names: &[StatedName]) -> Option<ContactRow> {
        names.iter().find_map(|name| match name.anonymous {
            true => self.at_address(&name.key)?.anonymous,
            false => self.find(&name.key),
        })
    }

    /// Adds all contacts that any of these names finds.
    pub(super) fn collect(&self, names: &[StatedName], rows: &mut HashSet<ContactRow>) {
        for name in names {
            rows.extend(self.find(&name.key));
            rows.extend(self.at_address(&name.key).and_then(|at| at.anonymous));
        }
    }

    fn at_address(&self, name: &ContactKey) -> Option<&AtAddress> {
        match name {
            ContactKey::Address(kind, address) => {
                let address = (kind.name().to_owned(), kind.key(address));
                self.addresses.get(&address)
            }
            _ => None,
        }
    }
}
