//! Workflows: the events that start runs, and the steps of a run.
//!
//! [`parse`] reads the files that authors write, checks them against a [`Catalog`] of the available
//! blocks and messages, and returns each [`Workflow`] in the form that is stored and run.
//! [`Condition`] decides whether an event starts a run, [`conform`] converts parameters to the
//! types that blocks expect, and [`graph()`] draws a workflow.

mod catalog;
mod condition;
mod definition;
mod duration;
mod flow;
mod graph;
mod kinds;
mod parse;
mod sendings;
mod ways;

pub use catalog::{Catalog, CatalogBlock, CatalogMessage, Uses};
pub use condition::{Condition, Test};
pub use definition::{ParamValue, Repeat, Start, Step, Stop, Target, Workflow};
pub use duration::{ParseDurationError, parse_duration};
pub use graph::graph;
pub use kinds::{Unfit, conform, expected};
pub use parse::{MAX_STEPS, parse};
pub use sendings::{Doubt, Reading, Sending, brought, sendings, usual_values};

/// The JSON Schema of a workflow file, for editors.
pub const SCHEMA: &str = include_str!("../../schemas/workflow.schema.json");
