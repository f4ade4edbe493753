//! Workflows: the events that start runs, and the steps of a run.
//!
//! [`parse`] reads the files that authors write, checks them against a [`Catalog`] of the available
//! blocks and messages, and returns each [`Workflow`] in the form that is stored and run.
//! [`Condition`] decides whether an event starts a run, [`coerce`] converts parameters to the
//! types that blocks expect, and [`flowchart()`] draws a workflow.

mod catalog;
mod condition;
mod definition;
mod diagram;
mod duration;
mod graph_checks;
mod message_references;
mod parameter_types;
mod parse;
mod targets;

pub use catalog::{Catalog, CatalogBlock, CatalogMessage, MessageNeeds};
pub use condition::{Condition, Test};
pub use definition::{ParamValue, Repeat, Start, Step, Stop, Target, Workflow};
pub use diagram::flowchart;
pub use duration::{ParseDurationError, parse_duration};
pub use message_references::{
    MessageUse, ReadWarning, ValueUse, available_values, common_values, message_uses,
};
pub use parameter_types::{TypeMismatch, coerce, describe_kind};
pub use parse::{MAX_STEPS, parse};

/// The JSON Schema of a workflow file, for editors.
pub const SCHEMA: &str = include_str!("../../schemas/workflow.schema.json");
