//! References: `$name`, `$!{name.property.method(1)[2]|'default'}`.

use super::Parser;
use crate::ast::{Output, Reference, Step, StepKind};
use crate::error::Result;
use crate::lexer::{Kind, Token};

/// The characters before the name of a reference.
#[derive(Debug, Default)]
struct Sigil {
    slashes: Box<str>,
    escaped: bool,
    before: Box<str>,
    quiet: bool,
    valueless: bool,
    /// The start of the reference itself in the source.
    start: usize,
    /// The text that `$\!name` prints.
    instead: Option<Box<str>>,
}

impl Parser {
    /// Returns true if a reference starts here; a brace starts one only before a name.
    pub(super) fn at_reference(&mut self, first: Kind) -> Result<bool> {
        Ok(match first {
            Kind::Name => {
                self.peek(2)?;
                true
            }
            Kind::CurlyOpen => self.peek(2)? == Kind::Name,
            _ => false,
        })
    }

    /// Parses a reference in text.
    pub(super) fn output(&mut self) -> Result<Output> {
        self.reference()
    }

    /// Parses a reference, including the text that it prints without a value.
    pub(super) fn reference(&mut self) -> Result<Output> {
        self.enter()?;
        let first = self.expect(&[Kind::Name, Kind::CurlyOpen], "a reference such as $name")?;
        let formal = first.kind == Kind::CurlyOpen;
        let sigil = self.sigil(&first);
        // All characters before the name are ASCII.
        let pos = self.shifted(first.pos, sigil.start.saturating_sub(first.start));
        let name = if formal {
            let token = self.expect(&[Kind::Name], "a name after '${'")?;
            self.text(&token).to_owned()
        } else {
            let text = self.slice(sigil.start, first.end);
            text.trim_start_matches(['$', '!']).to_owned()
        };
        let steps = self.steps()?;
        let mut alternate = None;
        if formal {
            if self.accept(Kind::Pipe)? {
                alternate = Some(self.expression()?);
            }
            self.expect(&[Kind::CurlyClose, Kind::MapClose], "'}' of the reference")?;
        }
        self.leave();
        let source = match &sigil.instead {
            Some(text) => text.clone(),
            None if sigil.quiet && !sigil.escaped => "".into(),
            None => self.slice(sigil.start, self.last_end).into(),
        };
        Ok(Output {
            reference: Reference {
                name: name.into(),
                valueless: sigil.valueless,
                steps,
                alternate,
                pos,
            },
            escaped: sigil.escaped,
            slashes: sigil.slashes,
            before: format!("{}{}", first.stray, sigil.before).into(),
            source,
            reads_as_text: false,
        })
    }

    /// Splits the characters before the name into backslashes, literal `$` and `#`, and `!`.
    fn sigil(&self, token: &Token) -> Sigil {
        let image = self.text(token);
        let mut sigil = Sigil {
            start: token.start,
            ..Sigil::default()
        };
        if let Some(at) = image.find("\\!") {
            // In `$\!name` one backslash is dropped, and the rest is not a reference.
            let mut text = image.to_owned();
            text.remove(at);
            sigil.instead = Some(text.into());
            sigil.valueless = true;
            return sigil;
        }
        let count = image.len() - image.trim_start_matches('\\').len();
        sigil.escaped = count % 2 == 1;
        sigil.slashes = "\\".repeat(count / 2).into();
        let image = image.get(count..).unwrap_or("");
        let brace = image.rfind('{').unwrap_or(image.len());
        let at = image.get(..brace).and_then(|text| text.rfind('$'));
        let at = at.unwrap_or(0);
        sigil.before = image.get(..at).unwrap_or("").into();
        sigil.start = token.start + count + at;
        let image = image.get(at..).unwrap_or("");
        sigil.quiet = image.starts_with("$!");
        sigil.valueless = !image.starts_with('$');
        sigil
    }

    fn steps(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        self.indexes(&mut steps)?;
        while self.peek(1)? == Kind::Dot && self.peek(2)? == Kind::Name {
            self.take()?;
            let call = self.peek(2)? == Kind::ParenOpen && self.call_follows()?;
            let token = self.take()?;
            let name = self.text(&token).into();
            let kind = if call {
                self.take()?;
                let arguments = self.call_arguments()?;
                StepKind::Method(name, arguments)
            } else {
                StepKind::Property(name)
            };
            steps.push(Step {
                kind,
                pos: token.pos,
            });
            self.indexes(&mut steps)?;
        }
        Ok(steps)
    }

    /// Returns true if the token after the parenthesis starts an argument or closes the call.
    fn call_follows(&mut self) -> Result<bool> {
        Ok(matches!(
            self.peek(3)?,
            Kind::CallClose
                | Kind::Whitespace
                | Kind::Newline
                | Kind::Not
                | Kind::Minus
                | Kind::Str
                | Kind::Name
                | Kind::CurlyOpen
                | Kind::Integer
                | Kind::Float
                | Kind::ListOpen
                | Kind::MapOpen
                | Kind::True
                | Kind::False
                | Kind::ParenOpen
        ))
    }

    fn call_arguments(&mut self) -> Result<Vec<crate::ast::Expr>> {
        let mut arguments = Vec::new();
        if self.accept(Kind::CallClose)? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if !self.accept(Kind::Comma)? {
                break;
            }
        }
        self.expect(
            &[Kind::CallClose],
            "',' or ')' after an argument of the method",
        )?;
        Ok(arguments)
    }

    fn indexes(&mut self, steps: &mut Vec<Step>) -> Result<()> {
        while self.peek(1)? == Kind::IndexOpen {
            let pos = self.take()?.pos;
            self.skip_white_space()?;
            let index = self.expression()?;
            self.skip_white_space()?;
            self.expect(&[Kind::IndexClose], "']' after the index")?;
            steps.push(Step {
                kind: StepKind::Index(index),
                pos,
            });
        }
        Ok(())
    }
}
