//! Strings with references, compiled when the file is read so that errors have a position in the
//! file.

use promoflow_velocity::{Context, Error, Escape, RenderOptions, Template};
use toml::Spanned;

use super::error::Result;
use super::toml_reader::Source;
use promoflow_document::{did_you_mean, quoted};

/// A compiled string with references to the values of a delivery.
#[derive(Debug)]
pub struct ConfigTemplate {
    template: Template,
    has_references: bool,
}

impl ConfigTemplate {
    /// Compiles a string of the file, which may read these variables.
    pub(super) fn compile(
        source: Source<'_>,
        text: &Spanned<String>,
        variables: &[&str],
    ) -> Result<ConfigTemplate> {
        let error_at = |line, column, message: &dyn std::fmt::Display| {
            let span = text.span();
            let literal = source.text.get(span.clone()).unwrap_or("");
            let at = span.start + byte_offset(literal, line, column);
            source.error_at(at..at, message)
        };
        let template = Template::parse(text.get_ref())
            .map_err(|error| error_at(error.line, error.column, &error.message))?;
        let references = template.references();
        if let Some(unknown) = references
            .iter()
            .find(|reference| !variables.contains(&reference.variable.as_str()))
        {
            let name = &unknown.variable;
            let hint = did_you_mean(name, variables.iter().copied())
                .unwrap_or_else(|| format!("expected one of {}", variables.join(", ")));
            let message = format_args!("unknown variable {}; {hint}", quoted(name));
            return Err(error_at(unknown.line, unknown.column, &message));
        }
        Ok(ConfigTemplate {
            template,
            has_references: !references.is_empty(),
        })
    }

    /// Returns true if the template has a reference.
    pub fn has_references(&self) -> bool {
        self.has_references
    }

    /// Renders the template with the values of a delivery.
    pub fn render(&self, values: &Context, escape: Escape) -> Result<String, Error> {
        let options = RenderOptions {
            escape,
            ..RenderOptions::default()
        };
        self.template.render_with(values, &options)
    }
}

/// Returns the byte of a quoted TOML string that corresponds to a position in its value: escapes
/// and line continuations are longer in the file than in the value.
fn byte_offset(quoted: &str, line: u32, column: u32) -> usize {
    let quotes = if quoted.starts_with("\"\"\"") || quoted.starts_with("'''") {
        3
    } else {
        1
    };
    let mut at = quotes;
    if quotes == 3 {
        // A line break right after the opening quotes is not part of the value.
        let rest = quoted.get(at..).unwrap_or("");
        at += ["\r\n", "\n"]
            .into_iter()
            .find(|line_break| rest.starts_with(line_break))
            .map_or(0, str::len);
    }
    let mut here = (1, 1);
    while here != (line, column) {
        let rest = quoted.get(at..).unwrap_or("");
        let Some((length, character)) = next_char(rest, quoted.starts_with('"')) else {
            break;
        };
        at += length;
        match character {
            Some('\n') => here = (here.0 + 1, 1),
            Some(_) => here.1 += 1,
            None => {}
        }
    }
    at
}

/// Returns the length of the next character in bytes, and the character; `None` as the character
/// for a line continuation.
fn next_char(rest: &str, escapes: bool) -> Option<(usize, Option<char>)> {
    let mut characters = rest.chars();
    let first = characters.next()?;
    if first == '\r' && rest.starts_with("\r\n") {
        return Some((2, Some('\n')));
    }
    if first != '\\' || !escapes {
        return Some((first.len_utf8(), Some(first)));
    }
    Some(match characters.next()? {
        'n' => (2, Some('\n')),
        'x' => (4, Some('x')),
        'u' => (6, Some('u')),
        'U' => (10, Some('U')),
        c if c.is_whitespace() => {
            let after = rest.get(1..).unwrap_or("").trim_start();
            (rest.len() - after.len(), None)
        }
        c => (1 + c.len_utf8(), Some(c)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_template_positions_to_the_file() {
        let found = |quoted: &str, line, column| {
            let at = byte_offset(quoted, line, column);
            quoted.get(at..).unwrap_or("").to_owned()
        };
        assert_eq!(found("\"ab$c\"", 1, 3), "$c\"");
        assert_eq!(found("'a\\n$c'", 1, 4), "$c'");
        assert_eq!(found(r#""\"\u00e9\n $c""#, 2, 2), "$c\"");
        assert_eq!(found("\"\"\"\na\r\n  $c\"\"\"", 2, 3), "$c\"\"\"");
        assert_eq!(found("\"\"\"a\\\n   b$c\"\"\"", 1, 3), "$c\"\"\"");
        assert_eq!(found("\"a\"", 9, 9), "");
    }
}
