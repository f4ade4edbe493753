//! Files that people write: YAML or JSON.
//!
//! [`read`] parses bytes into one [`Node`] per document, and every node has a [`Position`].
//! [`Fields`] reads the known keys of a mapping. Problems are collected in [`Diagnostics`], so that
//! an author sees every error of a file at once, and [`Parsed`] holds the contents of a file
//! together with its diagnostics.
//!
//! This module knows nothing about workflows or messages.

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
