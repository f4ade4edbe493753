//! Tokens of a template and the lexer states in which they are read.

use crate::error::Pos;

/// A lexer state. It determines how the next characters are read: after `$name` a dot may continue
/// the reference, in plain text it is a dot. States are named after what was just read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Plain text.
    Text,
    /// After `$`, before the name.
    Dollar,
    /// After the name, where `.`, `[`, `|` and `}` may follow.
    Name,
    /// After the dot of a property or method.
    Property,
    /// Inside the parentheses of a method call.
    Call,
    /// After the closing parenthesis of a method call.
    CallEnd,
    /// Inside the brackets of an index.
    Index,
    /// After the `|` of a default value.
    Alternate,
    /// After `#`, before the name of a directive.
    Hash,
    /// Inside the arguments of a directive.
    Directive,
    /// Inside `#[[ ]]#`.
    Raw,
    /// Inside `#** *#`.
    FormalComment,
    /// Inside `#* *#`.
    BlockComment,
    /// After `##`, up to the end of the line.
    LineComment,
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    EndOfFile,
    /// `$` or `#` at the very end.
    LoneSymbol,
    /// The mark that ends the source.
    EndMark,
    IndexOpen,
    IndexClose,
    OrAfterName,
    Pipe,
    ListOpen,
    ListClose,
    Comma,
    Range,
    Colon,
    MapOpen,
    MapClose,
    ParenOpen,
    ParenClose,
    CallClose,
    EscapedDirective,
    Set,
    LineComment,
    LineCommentEnd,
    BlockComment,
    Raw,
    Whitespace,
    Newline,
    /// `$` or `#` before the end of a line.
    SymbolAtLineEnd,
    Str,
    True,
    False,
    Minus,
    Plus,
    Times,
    Divide,
    Modulo,
    And,
    Or,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    Not,
    Assign,
    End,
    If,
    ElseIf,
    Else,
    Integer,
    Float,
    Word,
    BracedWord,
    Name,
    Dot,
    CurlyOpen,
    CurlyClose,
    DoubleEscape,
    Escape,
    TextLines,
    InlineText,
    EmptyIndex,
}

impl Kind {
    /// Returns the description of the token in error messages.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Kind::EndOfFile | Kind::EndMark => "the end of the template",
            Kind::LoneSymbol | Kind::SymbolAtLineEnd => "a lone symbol",
            Kind::Newline | Kind::LineCommentEnd => "the end of the line",
            Kind::Whitespace => "white space",
            Kind::LineComment | Kind::BlockComment => "a comment",
            Kind::Raw => "a raw block",
            Kind::Str => "a quoted text",
            Kind::Integer | Kind::Float => "a number",
            Kind::Word | Kind::BracedWord | Kind::Name => "a word",
            Kind::TextLines | Kind::InlineText => "plain text",
            Kind::End => "#end",
            Kind::If => "#if",
            Kind::ElseIf => "#elseif",
            Kind::Else => "#else",
            Kind::Set => "#set",
            Kind::ParenOpen => "'('",
            Kind::ParenClose | Kind::CallClose => "')'",
            Kind::IndexOpen | Kind::ListOpen => "'['",
            Kind::IndexClose | Kind::ListClose => "']'",
            Kind::MapOpen | Kind::CurlyOpen => "'{'",
            Kind::MapClose | Kind::CurlyClose => "'}'",
            Kind::Comma => "','",
            Kind::Colon => "':'",
            Kind::Range => "'..'",
            Kind::Dot => "'.'",
            Kind::Pipe => "'|'",
            Kind::Assign => "'='",
            Kind::True => "'true'",
            Kind::False => "'false'",
            Kind::Escape | Kind::DoubleEscape | Kind::EscapedDirective => "'\\'",
            Kind::EmptyIndex => "'$['",
            _ => "an operator",
        }
    }
}

/// A token: its kind and the part of the source that is its text.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Literal `$` and `#` directly before this token.
    pub(crate) stray: Box<str>,
    pub(crate) pos: Pos,
}
