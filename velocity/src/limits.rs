//! Caps that keep a stranger's template from hanging or exhausting the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

/// Work that several renderings share, each bounded by its own [`Limits`] besides; see
/// [`Context::set_allowance`](crate::Context::set_allowance).
#[derive(Debug)]
pub struct Allowance {
    left: AtomicU64,
    interrupt: Option<Arc<AtomicBool>>,
}

impl Allowance {
    /// So many units for all renderings together; see [`MAX_WORK`] for what a unit is. Once
    /// `interrupt` is set, a rendering ends soon, with an error.
    #[must_use]
    pub fn new(work: u64, interrupt: Option<Arc<AtomicBool>>) -> Allowance {
        Allowance {
            left: AtomicU64::new(work),
            interrupt,
        }
    }

    fn is_interrupted(&self) -> bool {
        let interrupt = self.interrupt.as_ref();
        interrupt.is_some_and(|interrupt| interrupt.load(Ordering::Relaxed))
    }
}

/// Units of work after which a rendering looks whether it is interrupted: about a millisecond.
const INTERRUPT_CHECK: u64 = 1 << 16;

/// What one rendering has left of its [`Limits`].
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    turns: u64,
    work: u64,
    /// The work at which to look whether it may go on.
    check_at: u64,
    /// What is left for this rendering and others.
    shared: Option<Arc<Allowance>>,
    depth: u32,
    macros: u32,
}

impl Drop for Budget {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let left = shared.left.load(Ordering::Relaxed);
            shared
                .left
                .store(left.saturating_sub(self.work), Ordering::Relaxed);
        }
    }
}

impl Budget {
    pub(crate) fn new(limits: Limits, shared: Option<Arc<Allowance>>) -> Budget {
        let mut budget = Budget {
            limits,
            turns: 0,
            work: 0,
            check_at: 0,
            shared,
            depth: 0,
            macros: 0,
        };
        budget.check_at = match budget.shared {
            Some(_) => budget.most_work().min(INTERRUPT_CHECK),
            None => limits.work,
        };
        budget
    }

    /// The work that this rendering may do.
    fn most_work(&self) -> u64 {
        let shared = self.shared.as_ref();
        let left = shared.map_or(u64::MAX, |shared| shared.left.load(Ordering::Relaxed));
        left.min(self.limits.work)
    }

    /// Whether more than `check_at` may be done.
    #[cold]
    fn go_on(&mut self, pos: Pos) -> Result<()> {
        let most = self.most_work();
        if self.work > self.limits.work {
            return Err(Error::new(
                pos,
                "the template does more work than one message may",
            ));
        }
        if self.work > most {
            return Err(Error::new(
                pos,
                "the templates do more work than they may together",
            ));
        }
        if self
            .shared
            .as_ref()
            .is_some_and(|shared| shared.is_interrupted())
        {
            return Err(Error::new(pos, "interrupted, as the host is stopping"));
        }
        self.check_at = most.min(self.work.saturating_add(INTERRUPT_CHECK));
        Ok(())
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
        match self.work > self.check_at {
            true => self.go_on(pos),
            false => Ok(()),
        }
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
