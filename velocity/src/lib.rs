//! The Velocity template language (VTL) for messages, without Java.
//!
//! A [`Template`] is parsed once and rendered many times, each time with a [`Context`] of
//! [`Value`]s; what goes wrong is an [`Error`] with its line and column. [`RenderOptions`] cap
//! what a template may take and say whether values are escaped; a [`Reference`] is a value that
//! a template needs.
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
//! The language is that of Velocity 2.3, and where this crate differs its README says so.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod ast;
mod context;
mod error;
mod eval;
mod json;
mod lexer;
mod limits;
mod methods;
mod number;
mod options;
mod parser;
mod references;
mod runtime;
mod tags;
mod template;
mod value;

pub use context::Context;
pub use error::Error;
pub use limits::{
    Limits, MAX_DEPTH, MAX_LOOP_TURNS, MAX_MACRO_DEPTH, MAX_OUTPUT_BYTES, MAX_SOURCE_BYTES,
    MAX_SOURCE_DEPTH, MAX_SOURCE_TOKENS, MAX_WORK,
};
pub use options::{Escape, RenderOptions};
pub use references::Reference;
pub use tags::{IsTag, MergeTag, TagValues};
pub use template::Template;
pub use value::{Map, Value};
