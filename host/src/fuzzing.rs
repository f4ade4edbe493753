//! Invariants that hold for any untrusted input.
//!
//! The fuzzers in `host/fuzz` call these functions with generated inputs; the tests below call them
//! with variations of a few inputs. Compiled only for these two.

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
fn component_of(module: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A fuzz target and its seed inputs.
    type Case = (fn(&[u8]), &'static [&'static str]);

    const CASES: [Case; 5] = [
        (
            uploads_as_csv,
            &[
                "code,expirationDate,discount,type,inUse\nA-1,2040-12-31,10,birthday,false\n",
                "code;discount\r\n\"A;1\";10\r\nA2;x\r\n",
                "A-1\nA-2\n",
                "contact,email,firstName,consent.email\nC-1,ann@example.com,Ann,true\n",
            ],
        ),
        (
            uploads_as_json,
            &[
                "[{\"code\": \"A-1\", \"expirationDate\": \"2040-12-31\", \"discount\": 10}]",
                "{\"promocodes\": [\"A\", \"B\"], \"discount\": 1, \"expirationDate\": \"2040-12-31\"}",
                "[{\"contact\": \"C-1\", \"email\": \"ann@example.com\", \"age\": 7}]",
            ],
        ),
        (
            documents,
            &[
                "message: m\nchannel: email\nfrom: s@example.com\nsubject: x\ntext: |\n  $!data.get('a')\n",
                "workflow: w\nstart: { event: e, where: [{ param: a, is: set }] }\nsteps:\n  - { id: m, block: b }\n",
                "{\"message\": \"m\", \"channel\": \"sms\", \"text\": \"\\ud83c\\udf89 %NAME|x%\"}",
                "a: &a [x, x]\nb: [*a, *a]\n---\n- ? {k: v}\n",
            ],
        ),
        (
            events,
            &[
                "{\"eventTypeKey\": \"e\", \"keyValue\": \"k\", \"params\": [{\"name\": \"Email\", \"value\": \"a@b.c\"}]}",
                "{\"eventTypeKey\": \"e\", \"params\": {\"ContactId\": 7, \"x\": {\"y\": [1, null]}}, \"id\": \"1\"}",
            ],
        ),
        (
            smtp_replies,
            &[
                "220 mail.example.com ESMTP\r\n250-mail.example.com\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n",
                "550 5.1.1 <ann@example.com>: no such mailbox\r\n421\r\n",
                "250-a\r\n250-b\n250 c\r\n354 go on\r\n452-4.2.2 full\r\n452 4.2.2 later\r\n",
            ],
        ),
    ];

    /// A deterministic pseudo-random generator (xorshift).
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % end.max(1) as u64) as usize
        }
    }

    /// Mutates an input: deletes, repeats, inserts, or copies bytes from another input.
    fn mutate(seed: &[u8], other: &[u8], numbers: &mut Rng) -> Vec<u8> {
        const SIGNS: &[u8] = b"\"',;:{}[]\\\n\r\t #&*|%$\xef\xbb\xbf\x00\xff-0";
        let mut bytes = seed.to_vec();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(bytes.len() + 1);
            let end = (at + numbers.below(12)).min(bytes.len());
            match numbers.below(4) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                2 => bytes.insert(at, SIGNS[numbers.below(SIGNS.len())]),
                _ => {
                    let from = numbers.below(other.len());
                    let to = (from + numbers.below(20)).min(other.len());
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
            }
        }
        bytes
    }

    /// A module with one function, which loops and branches.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x06\x01\x60\x01\x7f\x01\x7f\x03\x02\x01\0\x05\x03\x01\0\x01\
        \x07\x05\x01\x01f\0\0\x0a\x14\x01\x12\x01\x01\x7f\x03\x40\x20\0\x41\x01\x6b\x22\0\x0d\0\x0b\x20\x01\x0b";

    #[test]
    fn mutated_components_load_or_fail_cleanly() {
        assert!(check_structure(&component_of(MODULE)).is_ok());
        let mut numbers = Rng(1);
        for _ in 0..500 {
            components(&mutate(MODULE, MODULE, &mut numbers));
        }
    }

    #[test]
    fn mutated_inputs_keep_the_invariants() {
        for (target, seeds) in CASES {
            for (number, seed) in seeds.iter().enumerate() {
                let mut numbers = Rng(number as u64 + 1);
                for _ in 0..500 {
                    let other = seeds[numbers.below(seeds.len())];
                    target(&mutate(seed.as_bytes(), other.as_bytes(), &mut numbers));
                }
                target(seed.as_bytes());
            }
        }
    }
}
