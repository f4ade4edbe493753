//! Renders JSON lines: `{"template": …, "data": {…}, "context": {…}}` on standard input, one
//! line `{"output": …}` or `{"error": {"message", "line", "column"}}` each on standard output.
//!
//! `data` is the map behind `$data`; `context` holds further top-level variables and may be left
//! out. Lines end with LF only.

use std::io::{self, BufRead, Write};

use promoflow_velocity::{Context, Error, Template, Value};
use serde_json::json;

fn render(line: &str) -> Result<String, Error> {
    let case = match Value::from_json(line)? {
        Value::Map(case) => case,
        _ => Default::default(),
    };
    let mut context = Context::new();
    context.set("data", case.get("data").cloned().unwrap_or_default());
    if let Some(Value::Map(variables)) = case.get("context") {
        for (name, value) in variables.iter() {
            context.set(name, value.clone());
        }
    }
    let source = match case.get("template") {
        Some(Value::Str(source)) => source,
        _ => "",
    };
    Template::parse(source)?.render(&context)
}

fn main() -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if line.trim().is_empty() {
            continue;
        }
        let answer = match render(&line) {
            Ok(text) => json!({ "output": text }),
            Err(error) => json!({ "error": {
                "message": error.message,
                "line": error.line,
                "column": error.column,
            }}),
        };
        writeln!(output, "{answer}")?;
    }
    Ok(())
}
