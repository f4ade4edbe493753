//! Files that people write: YAML or JSON.
//!
//! [`read`] parses bytes into one [`Node`] per document, and every node has a [`Position`].
//! [`Fields`] reads the known keys of a mapping. Problems are collected in [`Diagnostics`], so that
//! an author sees every error of a file at once, and [`Parsed`] holds the contents of a file
//! together with its diagnostics.
//!
//! This crate knows nothing about workflows or messages.
//!
//! | module | contents |
//! | --- | --- |
//! | `reader`, `yaml`, `json`, `source`, `surrogate_pairs` | parsing, with positions and limits |
//! | `node`, `scalar`, `mapping`, `id` | nodes, and reading them as known keys |
//! | `diagnostic`, `suggest`, `causes` | errors: positions, suggestions, causes |
//! | [`value`] | what values may contain to be stored |
//! | `template` | the interface to the template engine |
//! | `sanitize` | untrusted text on terminals and in logs |
//!
//! ```
//! use promoflow_document::{did_you_mean, quoted};
//!
//! let hint = did_you_mean("birthdy", ["birthday", "welcome"]).expect("a similar name");
//! assert!(hint.contains(&quoted("birthday")), "{hint}");
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod causes;
mod diagnostic;
mod id;
mod json;
mod mapping;
mod node;
mod reader;
mod sanitize;
mod scalar;
mod source;
mod suggest;
mod surrogate_pairs;
mod template;
pub mod value;
mod yaml;

pub use causes::with_causes;
pub use diagnostic::{Diagnostic, Diagnostics, Parsed, Severity, quoted};
pub use id::{MAX_ID_CHARS, check_id};
pub use mapping::{Fields, entries, items, text};
pub use node::{Entry, Node, NodeValue, Position};
pub use reader::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, read};
pub use sanitize::{is_unsafe, sanitize, sanitize_json, sanitize_json_text, sanitize_line};
pub use scalar::Scalar;
pub use suggest::{closest, did_you_mean};
pub use template::{TemplateCheck, TemplateError, check_template};
pub use value::MAX_VALUE_DEPTH;
