//! A block's description of itself: the contract's `description`, as the host stores it.
//!
//! It is stored as JSON with the block's bytes, so the field names are a stored format.

use serde::{Deserialize, Serialize};

use crate::message::ChannelKind;

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
    pub default: Option<Argument>,
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
    /// Alternatives of a message.
    Targets,
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
    /// The type of its payload; `None` if it has only a name: `when-empty: fail`.
    pub payload: Option<PayloadType>,
}

/// The type of the value that an alternative has in addition to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PayloadType {
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
    pub falls_through: bool,
}

/// The value of a parameter: the contract's `argument`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Argument {
    /// A text, the id of a message, or the name of a time zone.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number.
    Decimal(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A duration in seconds.
    Duration(u64),
    /// The chosen alternative.
    Choice(Choice),
    /// A channel.
    Channel(ChannelKind),
    /// Hours of the day.
    Hours(Hours),
    /// Alternatives of a message.
    Targets(Vec<TargetEntry>),
    /// The JSON text of a list or an object.
    Json(String),
}

/// A chosen alternative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The alternative's name.
    pub name: String,
    /// Its payload; `None` if it has only a name.
    pub payload: Option<Payload>,
}

/// The value of an alternative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Payload {
    /// A text.
    Text(String),
    /// A duration in seconds.
    Duration(u64),
}

/// Hours of the day, in minutes after midnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hours {
    /// The first minute.
    pub from: u16,
    /// The minute after the last one. If it is less than `from`, the hours span midnight.
    pub until: u16,
    /// The name of an IANA time zone.
    pub time_zone: Option<String>,
}

impl Hours {
    /// Returns true if both are minutes of a day, and different.
    pub fn is_valid(&self) -> bool {
        const MINUTES_PER_DAY: u16 = 24 * 60;
        self.from < MINUTES_PER_DAY
            && (1..=MINUTES_PER_DAY).contains(&self.until)
            && self.from != self.until
    }
}

/// An alternative of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetEntry {
    /// The channel.
    pub channel: ChannelKind,
    /// The id of a prepared message.
    pub message: String,
    /// The address as the workflow states it.
    pub to: Option<String>,
}

impl TargetEntry {
    /// Maximum number of alternatives: together with the step's own target, as many as a delivery
    /// supports.
    pub const MAX: usize = 5;
}

/// A value of a run: the contract's `value`.
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
