//! The syntax tree of a template.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::Pos;
use crate::number::Number;
use crate::tags::Tag;

/// A sequence of nodes, printed in order.
pub(crate) type Block = Vec<Node>;

/// A node of the tree.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Box<str>),
    /// The content of `#[[ ]]#`, which is text whatever it contains.
    Raw(Box<str>),
    /// A merge tag.
    Tag(Box<Tag>),
    Output(Box<Output>),
    If(Box<If>),
    Foreach(Box<Foreach>),
    Set(Box<Set>),
    Define {
        name: Arc<str>,
        body: Arc<Block>,
    },
    Evaluate(Box<Expr>, Pos),
    Call(Box<Call>),
    /// `#break`, with the loop to end, if one is named.
    Break(Option<Box<Expr>>),
    Stop,
}

/// A reference that is printed.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) reference: Reference,
    /// An odd number of backslashes precedes it: its source is printed instead of its value.
    pub(crate) escaped: bool,
    /// Half of the backslashes before it.
    pub(crate) slashes: Box<str>,
    /// Literal `$` and `#` directly before it.
    pub(crate) before: Box<str>,
    /// Printed if there is no value.
    pub(crate) source: Box<str>,
    /// The dollar sign looks like part of the text, as in a price or a name.
    pub(crate) reads_as_text: bool,
}

impl Output {
    /// Returns true if it prints its source without a value and has no default.
    pub(crate) fn is_loud(&self) -> bool {
        !self.escaped && !self.source.is_empty() && self.reference.alternate.is_none()
    }
}

/// `$name` and what follows.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) name: Arc<str>,
    /// A word without `$` where a value is expected, or `$\!name`: it never has a value.
    pub(crate) valueless: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) alternate: Option<Expr>,
    pub(crate) pos: Pos,
}

/// A step from a value to a part of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) pos: Pos,
}

/// Kinds of [`Step`].
#[derive(Debug)]
pub(crate) enum StepKind {
    Property(Arc<str>),
    Method(Arc<str>, Vec<Expr>),
    Index(Expr),
}

/// `#if`, its `#elseif`s and `#else`.
#[derive(Debug)]
pub(crate) struct If {
    pub(crate) branches: Vec<(Expr, Block)>,
    pub(crate) otherwise: Block,
    pub(crate) pos: Pos,
}

/// `#foreach`.
#[derive(Debug)]
pub(crate) struct Foreach {
    pub(crate) variable: Arc<str>,
    pub(crate) items: Expr,
    pub(crate) body: Block,
    /// Printed if there are no items.
    pub(crate) otherwise: Block,
    pub(crate) pos: Pos,
}

/// `#set`.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) target: Reference,
    pub(crate) value: Expr,
}

/// `#name(...)` or `#@name(...) ... #end`: a macro call, or plain text if there is no such macro.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: Arc<str>,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) body: Option<Arc<Block>>,
    /// A bare word is not a valid argument, but this only matters if the macro exists.
    pub(crate) bare_word: Option<Box<str>>,
    /// The source that `range` refers to. Nested calls share it, because copies for each of them
    /// would take a hundred times its length.
    pub(crate) source: Arc<str>,
    pub(crate) range: Range<usize>,
    /// Text before and after that belongs to the source if there is no such macro.
    pub(crate) before: Box<str>,
    pub(crate) after: Box<str>,
    pub(crate) pos: Pos,
}

/// `#macro`.
#[derive(Debug)]
pub(crate) struct Macro {
    pub(crate) parameters: Vec<(Arc<str>, Option<Expr>)>,
    pub(crate) body: Block,
}

/// The macros of a template by name.
pub(crate) type Macros = HashMap<Arc<str>, Arc<Macro>>;

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    Text(Arc<str>),
    /// A text that contains references.
    Template(Arc<Block>, Pos),
    Number(Number),
    Bool(bool),
    List(Vec<Expr>, Pos),
    Map(Vec<(Expr, Expr)>, Pos),
    Range(Box<(Expr, Expr)>, Pos),
    Reference(Box<Reference>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    /// Operators of one precedence, from left to right. A list, because a tree for a long sum would
    /// be as deep as the sum is long.
    Chain(Box<Chain>),
}

/// `first op operand op operand ...`
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) first: Expr,
    pub(crate) rest: Vec<Link>,
    /// The source and the start of the first operand: `+` prints the source of an operand without a
    /// value.
    pub(crate) source: Arc<str>,
    pub(crate) start: usize,
    pub(crate) first_end: usize,
    pub(crate) pos: Pos,
}

/// An operator and its right operand.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) operator: Operator,
    pub(crate) operand: Expr,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Operators between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
}
