//! Prepared messages: what a step sends, and over which [`ChannelKind`].
//!
//! [`parse`] reads the files that authors write and returns each [`Message`] with diagnostics;
//! [`Files`] reads the HTML files that a message refers to.

mod address;
mod channel;
mod code_usage;
mod definition;
mod files;
mod hours;
mod html_escape;
mod known_values;
mod language;
mod mailbox;
mod parse;
mod preheader;
mod references;
mod render;
mod rendered_message;
mod smoke_render;
mod tags;
mod templates;
mod text_view;
mod tool_warnings;
mod unsubscribe;
mod url;
mod values;

pub use address::check_address;
pub use channel::{ChannelKind, UnknownChannel};
pub use definition::{Message, Parts, Translation, Unset};
pub use files::{Files, Folder, MAX_HTML_BYTES};
pub use hours::{AllowedHours, ParseHoursError};
pub use known_values::{KnownValues, TemplateReference, references_of};
pub use mailbox::looks_like_mailbox;
pub use parse::parse;
pub use parse::sibling_path;
pub use references::{ValueReference, locate_reference};
pub use render::{ClaimCode, LocalizedMessage, PreparedMessage, RenderError, UnsetValue};
pub use rendered_message::RenderedMessage;
pub use smoke_render::SmokeRender;
pub use tags::{CodeTag, merge_tags};
pub use text_view::{MessageLine, message_lines};
pub use tool_warnings::ToolWarning;
pub use unsubscribe::TAG as UNSUBSCRIBE_TAG;
pub use values::LANGUAGE as LANGUAGE_PARAMS;
pub use values::{
    Values, check_part, check_template, depends_on_data, parse_template, render_constant,
};

/// The JSON Schema of a message file, for editors.
pub const SCHEMA: &str = include_str!("../../schemas/message.schema.json");
