//! A block's description of itself: the contract's `description`, as the host stores it.
//!
//! It is stored as JSON with the block's bytes, so the field names are a stored format.

use serde::{Deserialize, Serialize};

/// A block's name, parameters and ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Its name in workflows, in kebab-case: `get-promocode`.
    pub name: String,
    /// The block's own semantic version.
    pub version: String,
    /// A title for people.
    pub title: String,
    /// A description in one or two sentences.
    pub description: String,
    /// Its parameters, written under `with`.
    pub parameters: Vec<Parameter>,
    /// Its named exits.
    pub ports: Vec<Port>,
}

/// A parameter of a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// Its name in workflows, in kebab-case.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// A description of its purpose.
    pub description: String,
    /// The type and limits of its value.
    pub kind: Kind,
    /// True if a workflow must set it.
    pub required: bool,
    /// The value without a setting.
    pub default: Option<Value>,
}

/// The type of a parameter's value. Limits are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// A text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// Minimum length in characters.
        min_length: u32,
        /// Maximum length in characters.
        max_length: u32,
    },
    /// An integer.
    Integer {
        /// The minimum.
        min: i64,
        /// The maximum.
        max: i64,
    },
    /// A number.
    Decimal {
        /// The minimum.
        min: f64,
        /// The maximum.
        max: f64,
    },
    /// `true` or `false`.
    Boolean,
    /// A duration: `90s`, `15m`, `12h`, `30d`.
    Duration,
    /// One of these alternatives.
    Choice(Vec<Alternative>),
    /// The id of a prepared message.
    Message,
    /// The name of a channel.
    Channel,
    /// Hours of the day: `09:00-21:00`.
    Hours,
    /// An IANA time zone name.
    TimeZone,
    /// Any value.
    Any,
}

/// An alternative of a choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// Its name in workflows.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// The value that follows the name.
    pub carries: Carries,
}

/// The payload of an alternative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Carries {
    /// No payload: `when-empty: fail`.
    Nothing,
    /// A text: `when-empty: { code: WELCOME }`.
    Text,
    /// A duration: `reuse: { contact: 30d }`.
    Duration,
}

/// A named exit of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its name in workflows, in kebab-case.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// A description of when the block uses it.
    pub description: String,
    /// True if the port leads to the next step of the list by default.
    pub follows: bool,
}

/// A value of a run or of a parameter: the contract's `value`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// The JSON text of a list, an object or null.
    Json(String),
}
