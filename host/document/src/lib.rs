//! Files that people write: YAML, or JSON.
//!
//! [`read`] turns bytes into one [`Node`] for each document, every node with the [`Position`]
//! that it stands at. [`Fields`] takes the known keys out of a mapping. What is wrong goes to
//! [`Diagnostics`], so that an author sees every fault of a file at once, and [`Parsed`] hands
//! over what a file holds together with them.
//!
//! Nothing here knows what a workflow or a message is.
#![forbid(unsafe_code)]

mod builder;
mod diagnostic;
mod fields;
mod id;
mod joined;
mod json;
pub mod nesting;
mod node;
mod reader;
mod scalar;
mod source;
mod suggest;
mod tame;
mod template;

pub use diagnostic::{Diagnostic, Diagnostics, Parsed, Severity, shown};
pub use fields::{Fields, entries, items, text};
pub use id::{MAX_ID_CHARS, check_id};
pub use nesting::MAX_VALUE_DEPTH;
pub use node::{Content, Entry, Node, Position};
pub use reader::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, read};
pub use scalar::Scalar;
pub use suggest::{closest, did_you_mean};
pub use tame::{is_unsafe, tame, tame_json, tame_json_text, tame_line};
pub use template::{TemplateCheck, TemplateFault, check_template};
