//! Goals of figures.

use serde::{Deserialize, Serialize};

/// The part of a figure that a goal constrains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Quantity {
    Value,
    Ratio,
}

/// A lower or an upper bound for a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Goal {
    of: Quantity,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<f64>,
}

impl Goal {
    pub(crate) const fn ratio_at_least(least: f64) -> Goal {
        Goal {
            of: Quantity::Ratio,
            at_least: Some(least),
            at_most: None,
        }
    }

    pub(crate) const fn ratio_at_most(most: f64) -> Goal {
        Goal {
            of: Quantity::Ratio,
            at_least: None,
            at_most: Some(most),
        }
    }

    pub(crate) const fn value_at_most(most: f64) -> Goal {
        Goal {
            of: Quantity::Value,
            at_least: None,
            at_most: Some(most),
        }
    }

    /// Returns true if the goal is met. A missing or non-finite measurement does not meet it.
    pub(crate) fn met(&self, value: f64, ratio: Option<f64>) -> bool {
        let measured = match self.of {
            Quantity::Value => value,
            Quantity::Ratio => ratio.unwrap_or(f64::NAN),
        };
        measured.is_finite()
            && self.at_least.is_none_or(|least| measured >= least)
            && self.at_most.is_none_or(|most| measured <= most)
    }

    pub(crate) fn describe(&self) -> String {
        let of = match self.of {
            Quantity::Value => "value",
            Quantity::Ratio => "ratio",
        };
        match (self.at_least, self.at_most) {
            (Some(least), _) => format!("{of} ≥ {least}"),
            (None, Some(most)) => format!("{of} ≤ {most}"),
            (None, None) => String::new(),
        }
    }
}
