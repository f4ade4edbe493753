//! Renders JSON lines: `{"template": …, "data": {…}, "context": {…}}` on standard input, and for
//! each one a line `{"output": …}` or `{"error": {"message", "line", "column"}}` on standard
//! output.
//!
//! `data` becomes `$data`; `context` holds further top-level variables. Both are optional, and
//! other members are ignored. Lines end with LF only, and blank lines are skipped. A line that is
//! not such an object produces an error with its position in that line, and the next line is read.

use std::io::{self, BufRead, Write};
use std::str;

use promoflow_velocity::{Context, Error, Map, Template, Value};
use serde_json::json;

/// The reason why there is no output.
enum Refused {
    /// The template is invalid, at this position.
    Template(Error),
    /// The line is invalid, at this column.
    Line(String, u32),
}

fn case(line: &[u8]) -> Result<Map, Refused> {
    let text = str::from_utf8(line).map_err(|error| {
        let before = String::from_utf8_lossy(line.get(..error.valid_up_to()).unwrap_or(&[]));
        let column = u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX);
        Refused::Line("is not UTF-8".to_owned(), column)
    })?;
    match Value::from_json(text) {
        Ok(Value::Map(case)) => Ok(case),
        Ok(_) => Err(Refused::Line("expected a JSON object".to_owned(), 1)),
        Err(error) => {
            let message = format!("is not JSON: {}", error.message);
            Err(Refused::Line(message, error.column))
        }
    }
}

fn render(line: &[u8]) -> Result<String, Refused> {
    let case = case(line)?;
    let wrong = |message: &str| Err(Refused::Line(message.to_owned(), 1));
    let Some(Value::Str(source)) = case.get("template") else {
        return wrong("expected a text as `template`");
    };
    let mut context = Context::new();
    context.set("data", case.get("data").cloned().unwrap_or_default());
    match case.get("context") {
        Some(Value::Map(variables)) => {
            for (name, value) in variables.iter() {
                context.set(name, value.clone());
            }
        }
        None | Some(Value::Null) => {}
        Some(_) => return wrong("expected an object as `context`"),
    }
    let template = Template::parse(source).map_err(Refused::Template)?;
    template.render(&context).map_err(Refused::Template)
}

/// Answers each line of `input`.
pub(crate) fn answer(input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    for (number, line) in (1..).zip(input.split(b'\n')) {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let (message, line, column) = match render(&line) {
            Ok(text) => {
                writeln!(output, "{}", json!({ "output": text }))?;
                continue;
            }
            Err(Refused::Template(error)) => (error.message, error.line, error.column),
            Err(Refused::Line(message, column)) => {
                (format!("line {number} of the input: {message}"), 1, column)
            }
        };
        let error = json!({ "message": message, "line": line, "column": column });
        writeln!(output, "{}", json!({ "error": error }))?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    answer(io::stdin().lock(), io::stdout().lock())
}
