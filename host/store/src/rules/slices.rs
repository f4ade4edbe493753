//! How the rows of a staged upload are stored until they are added to the pool: in slices, as JSON.

use serde::{Deserialize, Serialize};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::NewCode;

/// Maximum size of the rows of a slice, in bytes.
pub const MAX_SLICE_BYTES: usize = 1 << 20;
/// The age, in milliseconds, after which slices of an upload that was not accepted are deleted: its
/// process has died.
pub const MAX_STAGE_AGE: i64 = 24 * 60 * 60 * 1_000;

/// A row in a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedRow {
    /// Its index in the upload, from 0.
    #[serde(rename = "n")]
    pub number: i64,
    /// The code.
    #[serde(rename = "c")]
    pub code: String,
    /// The type, if the row states it.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub code_type: Option<String>,
    /// The discount, if the row states it.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<u8>,
    /// The expiry, if the row states it.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Whether the code is in use, if the row states it.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,
}

impl StagedRow {
    /// Returns the row of an upload with this index.
    pub fn new(number: i64, row: &NewCode) -> StagedRow {
        StagedRow {
            number,
            code: row.code.clone(),
            code_type: row.code_type.clone(),
            discount: row.discount,
            expires: row.expires.map(|expires| expires.0),
            in_use: row.in_use,
        }
    }

    /// Returns the row of the upload. Its line is not kept.
    pub fn into_row(self) -> NewCode {
        NewCode {
            line: 0,
            code: self.code,
            code_type: self.code_type,
            discount: self.discount,
            expires: self.expires.map(Timestamp),
            in_use: self.in_use,
        }
    }

    /// Returns about how many bytes the row takes.
    pub fn size(&self) -> usize {
        64 + self.code.len() + self.code_type.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    #[test]
    fn rows_are_read_as_they_were_stored() {
        let plain = NewCode {
            line: 0,
            code: "A".into(),
            code_type: None,
            discount: None,
            expires: None,
            in_use: None,
        };
        let full = NewCode {
            code_type: Some("Birthday".into()),
            discount: Some(20),
            expires: Some(Timestamp(5)),
            in_use: Some(false),
            ..plain.clone()
        };
        for (row, json) in [
            (plain, r#"{"n":7,"c":"A"}"#),
            (
                full,
                r#"{"n":7,"c":"A","t":"Birthday","d":20,"e":5,"u":false}"#,
            ),
        ] {
            let stored = serde_json::to_string(&StagedRow::new(7, &row)).unwrap();
            assert_eq!(stored, json);
            let read: StagedRow = serde_json::from_str(&stored).unwrap();
            assert_eq!((read.number, read.into_row()), (7, row));
        }
    }
}
