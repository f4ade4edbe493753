//! Invariants that hold for any untrusted input.
//!
//! The fuzzers call these functions with generated inputs, and `host/tests/fuzz.rs` with variations
//! of a few inputs. `cargo xtask fuzz` builds and runs the fuzzers.

use std::io;
use std::sync::{Arc, OnceLock};

use promoflow_block_host::{Block, Bounds, Grants, SandboxPool, check_structure};
use promoflow_channels as channel;
use promoflow_document::{Diagnostic, Severity};
use promoflow_model::contact::ContactReader;
use promoflow_model::event::Event;
use promoflow_model::message::{self, ChannelKind};
use promoflow_model::pool::{
    Calendar, Format, MAX_CODE_CHARS, MAX_DISCOUNT, NewCode, Row, UploadOptions, UploadReader,
};
use promoflow_model::workflow::{self, Catalog, CatalogBlock, CatalogMessage, MessageNeeds};

/// Uploads of codes and contacts as CSV: accepted codes are printable and within their limits.
pub fn uploads_as_csv(bytes: &[u8]) {
    uploads(bytes, Format::Csv);
}

/// Uploads of codes and contacts as JSON.
pub fn uploads_as_json(bytes: &[u8]) {
    uploads(bytes, Format::Json);
}

fn uploads(bytes: &[u8], format: Format) {
    let options = UploadOptions {
        format: Some(format),
        ..UploadOptions::default()
    };
    let mut rows = 0;
    if let Ok(mut reader) = UploadReader::new(
        bytes,
        options,
        Calendar::new("Europe/Kyiv".parse().expect("a time zone")),
    ) {
        while let Ok(Some(row)) = reader.next_row() {
            match row {
                Row::Accepted(code) => assert_valid_code(&code),
                Row::Rejected(errors) => assert!(!errors.is_empty()),
            }
            rows += 1;
        }
    }
    assert!(rows <= bytes.len(), "{rows} rows");
    if let Ok(mut reader) = ContactReader::new(bytes, Some(format)) {
        while let Ok(Some(row)) = reader.next_row() {
            if let promoflow_tabular::Row::Rejected(errors) = row {
                assert!(!errors.is_empty());
            }
        }
    }
}

fn assert_valid_code(row: &NewCode) {
    let code = &row.code;
    assert!(!code.is_empty() && code.trim() == code, "{code:?}");
    assert!(code.chars().count() <= MAX_CODE_CHARS);
    assert!(!code.chars().any(char::is_control), "{code:?}");
    let invisible = ['\u{200b}', '\u{feff}', '\u{2060}', '\u{ad}', '\u{200e}'];
    assert!(!code.contains(invisible), "{code:?}");
    assert!(row.discount.unwrap_or(0) <= MAX_DISCOUNT);
}

/// Messages and workflows as YAML or JSON: every error has a position in the file.
pub fn documents(bytes: &[u8]) {
    let lines = bytes
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\r'))
        .count()
        + 2;
    let no_files = |_: &str| Err(io::ErrorKind::NotFound.into());
    let messages = message::parse("file.yaml", bytes, &no_files, &message::check_part);
    assert_positions(&messages.diagnostics, lines);
    let workflows = workflow::parse("file.yaml", bytes, &EmptyCatalog, &message::check_part);
    assert_positions(&workflows.diagnostics, lines);
    let has_errors = |diagnostics: &[Diagnostic]| {
        let mut severities = diagnostics.iter().map(|diagnostic| diagnostic.severity);
        severities.any(|severity| severity == Severity::Error)
    };
    assert!(
        has_errors(&messages.diagnostics) || has_errors(&workflows.diagnostics),
        "a file cannot hold both messages and workflows"
    );
}

fn assert_positions(diagnostics: &[Diagnostic], lines: usize) {
    for diagnostic in diagnostics {
        let line = diagnostic.line as usize;
        assert!((1..=lines).contains(&line), "{diagnostic}");
        assert!(diagnostic.column > 0, "{diagnostic}");
    }
}

/// A catalog without blocks and messages.
struct EmptyCatalog;

impl Catalog for EmptyCatalog {
    fn block(&self, _: &str) -> Option<CatalogBlock<'_>> {
        None
    }

    fn block_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn message(&self, _: &str) -> Option<CatalogMessage> {
        Some(CatalogMessage {
            channel: ChannelKind::Email,
        })
    }

    fn message_needs(&self, _: &str) -> Option<MessageNeeds> {
        None
    }

    fn message_ids(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Events as JSON: an accepted event is accepted again and is equal to itself.
pub fn events(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let Ok(event) = Event::from_json(text) else {
        return;
    };
    let fingerprint = event.fingerprint();
    match event.clone().into_inner().checked() {
        Ok(again) => assert_eq!(again.fingerprint(), fingerprint),
        Err(error) => panic!("{error}: {event:?}"),
    }
}

/// Replies of a mail server: each one has a code and a meaning, and is not empty.
pub fn smtp_replies(bytes: &[u8]) {
    let replies = channel::read_replies(bytes);
    // Three digits and a line break.
    assert!(replies <= bytes.len() / 4, "{replies}");
}

/// Components: whatever loads can describe itself within the limits of a call. Bytes that do not
/// start like a component are wrapped in one as a module.
pub fn components(bytes: &[u8]) {
    let wrapped = (!bytes.starts_with(b"\0asm\x0d")).then(|| component_of(bytes));
    let bytes = wrapped.as_deref().unwrap_or(bytes);
    if check_structure(bytes).is_err() {
        return;
    }
    static SANDBOXES: OnceLock<Option<Arc<SandboxPool>>> = OnceLock::new();
    let sandboxes = SANDBOXES.get_or_init(|| SandboxPool::new(Bounds::default(), None).ok());
    let sandboxes = sandboxes.as_ref().expect("sandboxes can be made");
    if let Ok(block) = Block::load(sandboxes, bytes, &Grants::all()) {
        // The call may fail, within its limits.
        let _described = block.describe();
    }
}

/// Wraps these bytes in a component as its only module.
pub fn component_of(module: &[u8]) -> Vec<u8> {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(1);
    let mut length = module.len();
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        component.push(byte | if length == 0 { 0 } else { 0x80 });
        if length == 0 {
            break;
        }
    }
    component.extend_from_slice(module);
    component
}
