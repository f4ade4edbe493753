//! Invariants that hold for any template and any values.
//!
//! The fuzzers in `velocity/fuzz` call these functions with generated inputs, and `tests/fuzz.rs`
//! calls them with mutations of the recorded cases.

mod calls;
mod input;
pub mod measure;

use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use promoflow_velocity::{Context, Error, Escape, Limits, Locale, RenderOptions, Template, Value};

pub use input::Input;
use measure::Spent;

/// Limits that are low enough to be reached in a moment.
pub const LIMITS: Limits = Limits {
    loop_iterations: 1_000,
    output_bytes: 100_000,
    depth: promoflow_velocity::MAX_DEPTH,
    work: 500_000,
};

/// Processor time for parsing or rendering. A unit of work takes some nanoseconds; coverage and
/// debug checks multiply that.
const TIME: Duration = Duration::from_millis(400);

/// Maximum number of bytes of a parsed template per byte of its source.
const BYTES_PER_BYTE: usize = 2_000;

/// Maximum memory of a rendering, except for what the template's own work pays for: built values
/// and compiled patterns.
const RENDER_BYTES: usize = 8 << 20;

fn is_tag(_: &str, name: &str, _: &str) -> Option<String> {
    let upper = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
    upper.then(|| name.to_owned())
}

fn tag_value(key: &str, _: &str) -> Option<String> {
    (key.len() < 4).then(|| format!("<{key}&\"'>"))
}

fn parse(input: &Input) -> Result<Template, Error> {
    let source = input.source.as_str();
    let (result, spent) = Spent::by(|| Template::parse_with_tags(source, &input.parsing, &is_tag));
    let most = (64 << 10) + source.len() * BYTES_PER_BYTE;
    assert!(spent.bytes <= most, "parsing takes {} bytes", spent.bytes);
    assert!(spent.time <= TIME, "parsing takes {:?}", spent.time);
    if let Err(error) = &result {
        assert_within(error, source);
    }
    result
}

fn render(template: &Template, context: &Context, escape: Escape) -> Result<String, Error> {
    // The time is fixed, because a template that prints it must be deterministic.
    let now = DateTime::from_timestamp_millis(0).map(|now| now.with_timezone(&Tz::UTC));
    let options = RenderOptions {
        limits: LIMITS,
        escape,
        now,
        ..RenderOptions::default()
    };
    let (result, spent) = Spent::by(|| template.render_with_tags(context, &options, &tag_value));
    assert!(
        spent.bytes <= RENDER_BYTES,
        "rendering takes {} bytes",
        spent.bytes
    );
    assert!(spent.time <= TIME, "rendering takes {:?}", spent.time);
    if let Ok(output) = &result {
        assert!(output.len() <= LIMITS.output_bytes, "the output limit");
    }
    result
}

/// Checks that an error has a short message and a position in the source.
fn assert_within(error: &Error, source: &str) {
    assert!(
        !error.message.is_empty() && error.message.len() < 1_000,
        "{error}"
    );
    let lines = source.replace("\r\n", "\n").replace('\r', "\n");
    let line = lines.split('\n').nth((error.line as usize).wrapping_sub(1));
    let columns = line.map(|line| line.chars().count() + 1);
    let inside = columns.is_some_and(|last| (1..=last).contains(&(error.column as usize)));
    assert!(inside, "no such place: {error}");
}

/// Any text either parses or is rejected, and either renders or fails, within the limits of time
/// and memory.
pub fn renders_within_limits(bytes: &[u8]) {
    let input = Input::new(bytes);
    let Ok(template) = parse(&input) else {
        return;
    };
    for tag in template.tags() {
        assert!(is_tag("", &tag.key, "").is_some(), "{tag:?}");
    }
    template.references();
    let (faults, spent) = Spent::by(|| {
        let mut faults = template.certain_errors();
        faults.extend(template.tool_errors());
        faults.extend(template.tool_warnings(Locale::default()));
        faults
    });
    assert!(spent.time <= TIME, "faults take {:?}", spent.time);
    for fault in faults {
        assert_within(&fault, &input.source);
    }
    if let Err(error) = render(&template, &input.context, input.escape) {
        assert_within(&error, &input.source);
    }
}

/// Rendering is deterministic, and significant characters in the output come from the template's
/// own text, not from values.
pub fn escapes_values(bytes: &[u8]) {
    let input = Input::new(bytes);
    let source = input.source.as_str();
    let (first, second) = (parse(&input), parse(&input));
    let (Ok(first), Ok(second)) = (first, second) else {
        return;
    };
    assert_eq!(first.tags(), second.tags());
    assert_eq!(first.references(), second.references());
    let escape = match input.escape {
        Escape::Url => Escape::Url,
        _ => Escape::Html,
    };
    let output = render(&first, &input.context, escape);
    assert_eq!(output, render(&first, &input.context, escape));
    assert_eq!(output, render(&second, &input.context, escape));
    // Templates may explicitly print a value unescaped.
    let opts_out = ["raw", "none"].iter().any(|name| source.contains(name));
    let (Ok(output), false) = (output, opts_out) else {
        return;
    };
    for sign in ['<', '>', '"', '\''] {
        let own = source.contains(sign);
        assert!(own || !output.contains(sign), "{sign} in {output:?}");
    }
    if !source.contains('&') {
        for (at, _) in output.match_indices('&') {
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            let entity = entities
                .iter()
                .any(|entity| output[at..].starts_with(entity));
            assert!(entity, "& in {output:?}");
        }
    }
}

/// Any text is JSON or is rejected with a position, and is parsed like `serde_json` does.
pub fn reads_json(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (actual, spent) = Spent::by(|| Value::from_json(&text));
    assert!(spent.time <= TIME, "reading takes {:?}", spent.time);
    let most = (64 << 10) + text.len() * 200;
    assert!(spent.bytes <= most, "reading takes {} bytes", spent.bytes);
    if let Err(error) = &actual {
        assert_within(error, &text.replace('\r', " "));
    }
    // Both read at most 128 levels, but may differ in where exactly they stop and in numbers beyond
    // 64 bits.
    let Ok(expected) = serde_json::from_str::<serde_json::Value>(&text) else {
        return;
    };
    match actual {
        Ok(actual) => assert!(alike(&actual, &expected), "{actual:?} is not {expected:?}"),
        Err(error) => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let levels = text.bytes().filter(|byte| b"[{".contains(byte)).count();
            assert!(
                digits > 38 || levels > 126,
                "{error}, but serde_json reads it"
            );
        }
    }
}

fn alike(actual: &Value, expected: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (actual, expected) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Int(a), Json::Number(b)) if b.is_i64() => b.as_i64() == Some(*a),
        (Value::Int(_) | Value::Big(_), Json::Number(b)) => !b.is_i64(),
        (Value::Double(a), Json::Number(b)) => b.as_f64().is_some_and(|b| near(*a, b)),
        (Value::Str(a), Json::String(b)) => a == b,
        (Value::List(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Map(a), Json::Object(b)) => {
            let mut pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.all(|(a, b)| a.0 == b.0 && alike(a.1, b.1))
        }
        _ => false,
    }
}

/// Unless configured otherwise, `serde_json` rounds the last digit differently.
fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= a.abs() * 1e-12
}
