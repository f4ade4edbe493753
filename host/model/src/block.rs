//! What a block says of itself: the contract's `description`, as the host keeps it.
//!
//! Stored as JSON beside the block's bytes, so the names of the fields are a stored format.

use serde::{Deserialize, Serialize};

/// A block's name, parameters and ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its name in workflows, in kebab-case: `get-promocode`.
    pub name: String,
    /// Its own version, as semantic versioning has it.
    pub version: String,
    /// For people.
    pub title: String,
    /// What it does, in a sentence or two.
    pub description: String,
    /// What it takes under `with`.
    pub parameters: Vec<Parameter>,
    /// The named ways out of it.
    pub ports: Vec<Port>,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// As authors write it, in kebab-case.
    pub name: String,
    /// For people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// What it takes.
    pub kind: Kind,
    /// Whether a workflow without it is refused.
    pub required: bool,
    /// What the block gets where the step gives nothing.
    pub default: Option<Value>,
}

/// What a parameter takes. Bounds are included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A text of so many characters.
    #[serde(rename_all = "camelCase")]
    Text {
        /// The fewest characters.
        min_length: u32,
        /// The most characters.
        max_length: u32,
    },
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number.
    Decimal {
        /// The least.
        min: f64,
        /// The greatest.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// A length of time: `90s`, `15m`, `12h`, `30d`.
    Duration,
    /// One of these.
    Choice(Vec<Alternative>),
    /// The id of a prepared message.
    Message,
    /// A channel's name.
    Channel,
    /// Hours of the day: `09:00-21:00`.
    Hours,
    /// An IANA time zone name.
    TimeZone,
    /// Anything.
    Any,
}

/// One of the answers that a choice takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// As authors write it.
    pub name: String,
    /// For people.
    pub title: String,
    /// What stands beside the name.
    pub carries: Carries,
}

/// What an alternative carries beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Carries {
    /// Nothing: `when-empty: fail`.
    Nothing,
    /// A text: `when-empty: { code: WELCOME }`.
    Text,
    /// A length of time: `reuse: { contact: 30d }`.
    Duration,
}

/// A named way out of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// As authors write it, in kebab-case.
    pub name: String,
    /// For people.
    pub title: String,
    /// When the block takes it.
    pub description: String,
    /// Whether the next step of the list follows where the workflow says nothing else.
    pub follows: bool,
}

/// A value of a run or of a parameter: the contract's `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// The JSON text of a list, an object or null.
    Json(String),
}
