//! Tools that a context may offer, after those of the Velocity tools library.

use super::date::Date;
use super::{Answer, format, numeric_pattern};
use crate::error::Pos;
use crate::eval::{Renderer, push_html};
use crate::number::{Number, Operation};
use crate::runtime::{Text, Tool, Val};

/// Work for writing out a number that may have hundreds of digits.
const DIGITS_WORK: usize = 4_000;

impl<'c> Renderer<'c> {
    /// Calls a method of a tool. Without a value or with a wrong one it has no value.
    pub(super) fn tool_method(
        &mut self,
        tool: Tool,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        if arguments.iter().any(Val::is_null) {
            return Ok(Some(Val::Null));
        }
        match tool {
            Tool::Escape => self.escape_tool(name, arguments, pos),
            Tool::Math => self.math_tool(name, arguments, pos),
            Tool::Number => self.number_tool(name, arguments, pos),
            Tool::Date => self.date_tool(name, arguments, pos),
        }
    }

    /// Symbols that would need escaping in a template.
    pub(crate) fn tool_property(&self, tool: Tool, name: &str) -> Val<'c> {
        let symbol = match (tool, name) {
            (Tool::Escape, "d" | "dollar") => "$",
            (Tool::Escape, "h" | "hash") => "#",
            (Tool::Escape, "q" | "quote") => "\"",
            (Tool::Escape, "s" | "singleQuote") => "'",
            (Tool::Escape, "b" | "backslash") => "\\",
            (Tool::Escape, "e" | "exclamation") => "!",
            (Tool::Escape, "n" | "newline") => "\n",
            (Tool::Math, "pi") => return Val::Number(Number::Double(std::f64::consts::PI)),
            _ => return Val::Null,
        };
        Val::text(symbol)
    }

    fn escape_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let [value] = arguments else {
            return Ok(None);
        };
        let text = self.text(value, pos)?;
        // The longest replacement is six times as long.
        self.built(text.len().saturating_mul(6), pos)?;
        let mut out = String::with_capacity(text.len());
        match name {
            "raw" | "none" => return Ok(Some(Val::Markup(text))),
            "html" | "xml" => push_html(&text, &mut out),
            "url" => push_url(&text, &mut out),
            "javascript" | "java" | "json" => push_script(&text, &mut out),
            _ => return Ok(None),
        }
        Ok(Some(Val::Markup(Text::from(out))))
    }

    fn numbers(&mut self, arguments: &[Val<'c>], pos: Pos) -> super::Result<Option<Vec<Number>>> {
        let mut numbers = Vec::with_capacity(arguments.len());
        for argument in arguments {
            // The library reads a text as a double or a whole number.
            match self.number(argument, pos)? {
                Some(Number::Decimal(decimal)) => {
                    let text = self.text(argument, pos)?;
                    let whole = text.parse().map(Number::Int);
                    numbers.push(whole.unwrap_or(Number::Double(decimal.to_f64())));
                }
                Some(number) => numbers.push(number),
                None => return Ok(None),
            }
        }
        Ok(Some(numbers))
    }

    fn math_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let Some(numbers) = self.numbers(arguments, pos)? else {
            return Ok(None);
        };
        self.budget.work(DIGITS_WORK / 16, pos)?;
        let fold = |operation| {
            let mut rest = numbers.iter().copied();
            let first = rest.next()?;
            rest.try_fold(first, |a, b| a.calculate(operation, b))
        };
        let whole = |value: f64| Some(Number::Int(value as i64));
        let result = match (name, numbers.as_slice()) {
            ("add", [_, _, ..]) => fold(Operation::Add),
            ("sub", [_, _, ..]) => fold(Operation::Subtract),
            ("mul", [_, _, ..]) => fold(Operation::Multiply),
            ("div", [a, b]) if !b.is_zero() => Some(Number::Double(a.to_f64() / b.to_f64())),
            ("idiv", [a, b]) if b.to_i64() != 0 => {
                Number::Int(a.to_i64()).calculate(Operation::Divide, Number::Int(b.to_i64()))
            }
            ("mod", [a, b]) if b.to_i64() != 0 => {
                Number::Int(a.to_i64()).calculate(Operation::Modulo, Number::Int(b.to_i64()))
            }
            ("pow", [a, b]) => {
                let power = a.to_f64().powf(b.to_f64());
                let exact = matches!((a, b), (Number::Int(_), Number::Int(_)));
                if exact && power.abs() < 9e15 && power.fract() == 0.0 {
                    whole(power)
                } else {
                    Some(Number::Double(power))
                }
            }
            ("max" | "min", [first, rest @ ..]) => {
                let wanted = if name == "max" {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Less
                };
                let pick = |a: Number, b: &Number| if b.compare(a) == wanted { *b } else { a };
                Some(rest.iter().fold(*first, pick))
            }
            ("abs", [Number::Int(a)]) => {
                Number::Int(a.signum()).calculate(Operation::Multiply, Number::Int(*a))
            }
            ("abs", [a]) => Some(Number::Double(a.to_f64().abs())),
            ("ceil", [a]) => whole(a.to_f64().ceil()),
            ("floor", [a]) => whole(a.to_f64().floor()),
            ("round", [a]) => whole((a.to_f64() + 0.5).floor()),
            ("roundTo", [digits, a]) => {
                let digits = usize::try_from(digits.to_i64()).unwrap_or(0).min(100);
                half_up(a.to_f64(), digits)
            }
            ("roundToInt" | "toInteger", [a]) if name == "toInteger" => whole(a.to_f64().trunc()),
            ("roundToInt", [a]) => whole((a.to_f64() + 0.5).floor()),
            ("toDouble", [a]) => Some(Number::Double(a.to_f64())),
            ("toNumber", [a]) => Some(*a),
            _ => None,
        };
        Ok(result.map(Val::Number))
    }

    fn number_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let (pattern, value) = match (name, arguments) {
            ("format", [pattern, value]) => (self.text(pattern, pos)?.to_string(), value),
            ("format" | "number", [value]) => ("number".to_owned(), value),
            ("integer" | "percent", [value]) => (name.to_owned(), value),
            _ => return Ok(None),
        };
        let numbers = self.numbers(std::slice::from_ref(value), pos)?;
        let Some([number]) = numbers.as_deref() else {
            return Ok(None);
        };
        let pattern = match &*pattern {
            "number" | "default" => "#,##0.###",
            "integer" => "#,##0",
            "percent" => "#,##0%",
            other => other,
        };
        self.built(pattern.len().saturating_add(DIGITS_WORK), pos)?;
        let text = numeric_pattern::format(pattern, number.to_f64());
        Ok(Some(Val::text(text)))
    }

    fn date_tool(&mut self, name: &str, arguments: &[Val<'c>], pos: Pos) -> Answer<'c> {
        let ("format", [pattern, value]) = (name, arguments) else {
            return Ok(None);
        };
        let pattern = self.text(pattern, pos)?;
        let date = match value {
            Val::Number(number) => Some(Date::from_millis(number.to_i64())),
            Val::Text(text) | Val::Markup(text) => Date::parse(text),
            _ => None,
        };
        // A letter of the pattern may become the name of a month.
        self.built(pattern.len().saturating_mul(16), pos)?;
        let text = date.and_then(|date| date.format(&pattern));
        Ok(text.map(Val::text))
    }
}

/// Rounds to `digits` after the point.
fn half_up(value: f64, digits: usize) -> Option<Number> {
    format::half_up(value, digits)
        .parse()
        .ok()
        .map(Number::Double)
}

/// Appends `text` as a value of a form: a space is `+`.
fn push_url(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Appends `text` for a quoted text of JavaScript or JSON.
fn push_script(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Quotes and brackets would mean something to HTML around a script.
            '"' | '\'' | '<' | '>' | '&' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ => out.push(c),
        }
    }
}
