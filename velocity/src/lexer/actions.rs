//! The state changes that tokens cause.

use super::{Kind, Lexer, State};

impl Lexer {
    pub(super) fn on_dollar(&mut self) {
        if matches!(self.state, State::Name | State::Dollar) {
            self.pop();
        }
        self.push_unless_pending();
        self.state = State::Dollar;
    }

    pub(super) fn on_hash(&mut self) {
        if matches!(self.state, State::Name | State::Dollar | State::Property) {
            self.pop();
        }
        if self.state == State::CallEnd {
            self.state = State::Text;
        }
        self.push_unless_pending();
        self.state = State::Hash;
    }

    pub(super) fn hide(&mut self, state: State) {
        self.hidden = true;
        self.push_unless_pending();
        self.state = state;
    }

    fn push_unless_pending(&mut self) {
        if !matches!(self.state, State::Dollar | State::Hash) {
            self.push();
        }
    }

    /// Applies the state change of a token that starts at `from`.
    pub(super) fn act(&mut self, kind: Kind, from: usize) {
        match kind {
            Kind::LoneSymbol
            | Kind::OrAfterName
            | Kind::IndexClose
            | Kind::SymbolAtLineEnd
            | Kind::End
            | Kind::Else => {
                self.pop();
            }
            Kind::IndexOpen => {
                self.push();
                self.state = State::Index;
            }
            Kind::Pipe if self.curly == 1 => self.state = State::Alternate,
            Kind::Pipe => {
                self.pop();
            }
            Kind::MapOpen | Kind::CurlyOpen => self.curly += 1,
            Kind::MapClose => {
                self.curly -= 1;
                if self.state == State::Alternate && self.curly == 0 {
                    self.pop();
                }
            }
            Kind::CurlyClose => self.on_curly_close(),
            Kind::ParenOpen => {
                self.open += 1;
                if self.state == State::Property {
                    self.state = State::Call;
                }
            }
            Kind::ParenClose => self.on_paren_close(),
            Kind::CallClose => self.state = State::CallEnd,
            Kind::Set => {
                self.push();
                self.in_set = true;
                self.state = State::Directive;
                self.open += 1;
            }
            Kind::LineComment => {
                if matches!(self.state, State::Name | State::Dollar) {
                    self.pop();
                }
                self.hidden = true;
                self.push();
                self.state = State::LineComment;
            }
            Kind::Newline => self.in_set = false,
            Kind::If | Kind::ElseIf => self.state = State::Directive,
            Kind::Str if self.state == State::Directive => self.end_bare_argument(),
            Kind::Integer => {
                if self
                    .source
                    .get(from..self.at)
                    .is_some_and(|t| t.ends_with(".."))
                {
                    self.at -= 2;
                }
                if !matches!(self.state, State::Call | State::Index | State::Alternate) {
                    self.end_bare_argument();
                }
            }
            Kind::Float if !matches!(self.state, State::Call | State::Alternate) => {
                self.end_bare_argument();
            }
            Kind::Name if self.state == State::Dollar => self.state = State::Name,
            Kind::Dot => {
                // The rule included the letter after the dot.
                self.at -= 1;
                self.state = State::Property;
            }
            _ => {}
        }
    }

    /// Outside parentheses a literal is plain text: `#1`.
    fn end_bare_argument(&mut self) {
        if self.open == 0 && !self.in_set {
            self.pop();
        }
    }

    fn on_curly_close(&mut self) {
        while self.curly == 0 && self.state != State::Text {
            self.pop();
        }
        if !matches!(self.state, State::Text | State::Directive | State::Call) {
            self.pop();
        }
    }

    /// Leaves the innermost state with an open parenthesis.
    fn on_paren_close(&mut self) {
        loop {
            if self.open > 0 {
                if self.open == self.closed + 1 {
                    self.pop();
                } else {
                    self.closed += 1;
                }
                return;
            }
            if !self.pop() {
                return;
            }
        }
    }
}
