//! A template and its values, made from arbitrary bytes.

use std::borrow::Cow;

use arbitrary::{Result, Unstructured};
use promoflow_velocity::{Context, Escape, Map, ParseOptions, Value};

use super::calls;

/// Names that templates use, so that generated values are read.
const NAMES: [&str; 12] = [
    "data", "x", "y", "i", "l", "m", "name", "list", "items", "a", "b", "foreach",
];

/// Texts that are significant for some method, or for HTML.
const TEXTS: [&str; 16] = [
    "",
    "a",
    "<b>&\"'</b>",
    "Їжак 🎁",
    "0",
    "-1",
    "1e9",
    "00000000000000000000000000000000000000000001.50",
    "2017-12-31T23:59",
    "%s %1$5d %-8.3f %%",
    "(a*)*b",
    "$x#if(true)<i>#end",
    "#,##0.00",
    "true",
    "99999999999999999999999999999999999999",
    "\\u003c",
];

/// The input of one fuzzer run.
///
/// The bytes are the template, a zero, a byte of options, and the values: JSON, or bytes from which
/// values are made, or, with an option, method calls that are appended to the template. Everything
/// but the template is optional.
pub struct Input {
    pub source: String,
    pub context: Context,
    pub escape: Escape,
    pub parsing: ParseOptions,
}

impl Input {
    pub fn new(bytes: &[u8]) -> Input {
        let end = bytes.iter().position(|byte| *byte == 0);
        let (source, rest) = match end {
            Some(end) => (&bytes[..end], &bytes[end + 1..]),
            None => (bytes, &[][..]),
        };
        let (options, values) = rest.split_first().map_or((0, rest), |(o, v)| (*o, v));
        let mut source = String::from_utf8_lossy(source).into_owned();
        let mut context = if options & 8 == 0 {
            context(values)
        } else {
            source.push_str(&calls::template(values));
            context(calls::VALUES.as_bytes())
        };
        if options & 4 != 0 {
            context = context.with_tools();
        }
        Input {
            source,
            context,
            escape: match options & 3 {
                0 => Escape::None,
                1 => Escape::Url,
                _ => Escape::Html,
            },
            parsing: ParseOptions {
                spaced_calls: options & 16 != 0,
            },
        }
    }
}

fn context(values: &[u8]) -> Context {
    let json = match String::from_utf8_lossy(values) {
        Cow::Borrowed(text) if text.starts_with('{') => Value::from_json(text).ok(),
        _ => None,
    };
    let mut context = Context::new();
    if let Some(Value::Map(variables)) = json {
        for (name, value) in variables.iter() {
            context.set(name, value.clone());
        }
        return context;
    }
    let mut bytes = Unstructured::new(values);
    for _ in 0..8 {
        if bytes.is_empty() {
            break;
        }
        if let (Ok(name), Ok(value)) = (bytes.choose(&NAMES), value(&mut bytes, 0)) {
            context.set(*name, value);
        }
    }
    context
}

fn value(bytes: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let kinds = if depth < 4 { 10 } else { 8 };
    Ok(match bytes.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => Value::Bool(bytes.arbitrary()?),
        2 => Value::Int(bytes.arbitrary::<i8>()?.into()),
        3 => Value::Int(bytes.arbitrary()?),
        4 => Value::Big(bytes.arbitrary()?),
        5 => Value::Double(bytes.arbitrary()?),
        6 | 7 => Value::Str((*bytes.choose(&TEXTS)?).to_owned()),
        8 => Value::Str(bytes.arbitrary::<&str>()?.to_owned()),
        9 => {
            let mut items = Vec::new();
            for _ in 0..bytes.int_in_range(0..=5)? {
                items.push(value(bytes, depth + 1)?);
            }
            Value::List(items)
        }
        _ => {
            let mut map = Map::new();
            for _ in 0..bytes.int_in_range(0..=5)? {
                map.insert(*bytes.choose(&NAMES)?, value(bytes, depth + 1)?);
            }
            Value::Map(map)
        }
    })
}
