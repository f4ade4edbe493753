//! Caps that keep a stranger's template from hanging or exhausting the host.

use crate::error::{Error, Pos, Result, excerpt};

/// Longest source that [`Template::parse`](crate::Template::parse) takes, in bytes.
///
/// Mail clients clip messages far below this; positions also have to fit 32 bits.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// Most words and signs of the language in a source, a line of plain text counting as one.
///
/// A message has hundreds. Each takes some hundred bytes once it is parsed, so that without this
/// the longest source would take gigabytes.
pub const MAX_SOURCE_TOKENS: u32 = 500_000;

/// Deepest nesting of blocks, parentheses, lists and strings within strings in a source.
///
/// The parser calls itself once a level, and 100 levels leave room in a 2 MiB stack, the
/// smallest that Rust gives a thread, even without optimisation.
pub const MAX_SOURCE_DEPTH: u32 = 100;

/// Turns of `#foreach` in one rendering, over all loops together.
///
/// A long order has hundreds of lines; a range of a billion would hang the host.
pub const MAX_LOOP_TURNS: u64 = 100_000;

/// Longest output of one rendering, and longest text within it, in bytes.
///
/// Twenty times the largest message that mail providers show in full.
pub const MAX_OUTPUT_BYTES: usize = 8 << 20;

/// Deepest nesting of blocks, macro calls and evaluations while rendering.
///
/// It exceeds [`MAX_SOURCE_DEPTH`], because a macro's body starts below its call, and fits the
/// same 2 MiB stack.
pub const MAX_DEPTH: u32 = 150;

/// Deepest nesting of macro calls, the default of Velocity's `velocimacro.max.depth`.
pub const MAX_MACRO_DEPTH: u32 = 20;

/// Work in one rendering: a unit for a byte built, and as many for anything else as it takes
/// longer.
///
/// At some nanoseconds a unit the whole takes about a second at worst, and it bounds memory too,
/// since whatever is built is paid for.
pub const MAX_WORK: u64 = 64 << 20;

/// Work for a node, a reference, a step or an operator: each takes some hundred nanoseconds.
pub(crate) const NODE_WORK: usize = 32;

/// The caps on one rendering. A template that reaches one gets an error with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Turns of all loops together; see [`MAX_LOOP_TURNS`].
    pub loop_turns: u64,
    /// Bytes of output; see [`MAX_OUTPUT_BYTES`].
    pub output_bytes: usize,
    /// Levels of nesting while rendering; see [`MAX_DEPTH`]. A higher one is taken as that.
    pub depth: u32,
    /// Units of work; see [`MAX_WORK`].
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            loop_turns: MAX_LOOP_TURNS,
            output_bytes: MAX_OUTPUT_BYTES,
            depth: MAX_DEPTH,
            work: MAX_WORK,
        }
    }
}

/// What one rendering has left of its [`Limits`].
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    turns: u64,
    work: u64,
    depth: u32,
    macros: u32,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Budget {
        Budget {
            limits,
            turns: 0,
            work: 0,
            depth: 0,
            macros: 0,
        }
    }

    pub(crate) fn turn(&mut self, pos: Pos) -> Result<()> {
        self.turns += 1;
        if self.turns > self.limits.loop_turns {
            let cap = self.limits.loop_turns;
            return Err(Error::new(
                pos,
                format!("more than {cap} loop turns in one message"),
            ));
        }
        self.work(NODE_WORK, pos)
    }

    /// Pays for `units` of work before it is done.
    pub(crate) fn work(&mut self, units: usize, pos: Pos) -> Result<()> {
        self.work = self.work.saturating_add(units as u64);
        if self.work > self.limits.work {
            return Err(Error::new(
                pos,
                "the template does more work than one message may",
            ));
        }
        Ok(())
    }

    pub(crate) fn output(&self, bytes: usize, pos: Pos) -> Result<()> {
        if bytes > self.limits.output_bytes {
            let cap = self.limits.output_bytes;
            return Err(Error::new(
                pos,
                format!("the output is longer than {cap} bytes"),
            ));
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self, pos: Pos) -> Result<()> {
        if self.depth >= self.limits.depth.min(MAX_DEPTH) {
            let cap = self.limits.depth.min(MAX_DEPTH);
            return Err(Error::new(pos, format!("nested deeper than {cap} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    pub(crate) fn enter_macro(&mut self, name: &str, pos: Pos) -> Result<()> {
        if self.macros >= MAX_MACRO_DEPTH {
            return Err(Error::new(
                pos,
                format!(
                    "macro calls nested deeper than {MAX_MACRO_DEPTH} at #{}",
                    excerpt(name)
                ),
            ));
        }
        self.macros += 1;
        Ok(())
    }

    pub(crate) fn leave_macro(&mut self) {
        self.macros = self.macros.saturating_sub(1);
    }
}
