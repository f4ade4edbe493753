//! Prepared messages: what a step sends, and over which [`ChannelKind`].
//!
//! [`parse`] reads the files that authors write and returns each [`Message`] with diagnostics;
//! [`Files`] reads the HTML files that a message refers to.

mod address;
mod carried;
mod channel;
mod content;
mod definition;
mod files;
mod hours;
mod known;
mod language;
mod lines;
mod mailbox;
mod markup;
mod parse;
mod preheader;
mod reads;
mod render;
mod tags;
mod templates;
mod tool_warnings;
mod trial;
mod unsubscribe;
mod values;
mod web_address;

pub use address::check_address;
pub use channel::{ChannelKind, UnknownChannel};
pub use content::Content;
pub use definition::{Message, Parts, Unset, Variant};
pub use files::{Files, Folder, MAX_HTML_BYTES};
pub use hours::{AllowedHours, ParseHoursError};
pub use known::{KnownValues, Want, wants_of};
pub use lines::{Line, lines};
pub use mailbox::looks_like_mailbox;
pub use parse::beside;
pub use parse::parse;
pub use reads::{Read, place};
pub use render::{Chosen, Prepared, RenderError, TakeCode, UnsetValue};
pub use tags::{CodeTag, merge_tags};
pub use tool_warnings::ToolWarning;
pub use trial::Trial;
pub use unsubscribe::TAG as UNSUBSCRIBE_TAG;
pub use values::LANGUAGE as LANGUAGE_PARAMS;
pub use values::{
    Values, check_part, check_template, depends_on_data, parse_template, render_constant,
};

/// The JSON Schema of a message file, for editors.
pub const SCHEMA: &str = include_str!("../../schemas/message.schema.json");
