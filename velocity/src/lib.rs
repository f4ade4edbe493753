//! The Velocity template language (VTL) for messages, without Java.
//!
//! A [`Template`] is parsed once and rendered many times, each time with a [`Context`] of
//! [`Value`]s; an [`Error`] has a line and column. [`RenderOptions`] set limits and the escaping of
//! values; a [`Reference`] is a value that a template needs.
//!
//! ```
//! use promoflow_velocity::{Context, Map, Template};
//!
//! let template = Template::parse("Hi $!data.get('name')#if($data.vip), our guest#end!")?;
//! let mut data = Map::new();
//! data.insert("name", "Olena");
//! data.insert("vip", true);
//! let context = Context::new().with("data", data);
//! assert_eq!(template.render(&context)?, "Hi Olena, our guest!");
//! # Ok::<(), promoflow_velocity::Error>(())
//! ```
//!
//! The language is that of Velocity 2.3; the README lists the differences.
//!
//! # Map
//!
//! | module | contents |
//! | --- | --- |
//! | `lexer`, `parser`, `ast`, `template` | from source to a parsed template |
//! | `eval`, `runtime`, `number`, `locale` | rendering: values, arithmetic, formats by language |
//! | `methods` | the methods of values |
//! | `value`, `context`, `json` | input values |
//! | `references`, `certain_errors`, `walk` | what a template needs, and errors known before rendering |
//! | `tags`, `links` | merge tags `%NAME%`, and their values in web addresses |
//! | `options`, `limits`, `report`, `error` | options, limits, results |
//!
//! # Untrusted input
//!
//! Neither templates nor values need to be trusted. No source causes a panic or a stack overflow in
//! a 2 MiB stack; [`Limits`] bound loop iterations, output, nesting, time and memory of a
//! rendering, and the constants next to it bound the source. With [`Escape::Html`] no value is
//! printed as markup unless the template asks for it.
//!
//! # Features
//!
//! `serde_json` adds `From<serde_json::Value>` for [`Value`] and `From<serde_json::Map>` for
//! [`Map`]. [`Value::from_json`] is always available and keeps numbers as they were written.

#![forbid(unsafe_code)]
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable
)]
#![cfg_attr(test, allow(clippy::expect_used, clippy::panic))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod ast;
mod certain_errors;
mod context;
mod error;
mod eval;
mod json;
mod lexer;
mod limits;
mod links;
mod locale;
mod methods;
mod number;
mod options;
mod parser;
mod references;
mod report;
mod runtime;
mod tags;
mod template;
mod value;
mod walk;

pub use context::Context;
pub use error::Error;
pub use limits::{
    Allowance, Limits, MAX_DEPTH, MAX_LOOP_ITERATIONS, MAX_MACRO_DEPTH, MAX_OUTPUT_BYTES,
    MAX_SOURCE_BYTES, MAX_SOURCE_DEPTH, MAX_SOURCE_TOKENS, MAX_WORK,
};
pub use locale::Locale;
pub use options::{Escape, ParseOptions, RenderOptions, Unset};
pub use references::{Reference, Usage};
pub use report::{Rendered, UnsetReference};
pub use tags::{IsTag, MergeTag, TagValues};
pub use template::Template;
pub use value::{Map, Value};
