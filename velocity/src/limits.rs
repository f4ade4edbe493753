//! Limits that keep an untrusted template from hanging or exhausting the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Pos, Result, excerpt};

/// Maximum size of a source for [`Template::parse`](crate::Template::parse), in bytes.
///
/// Mail clients clip messages far below this; positions also have to fit into 32 bits.
pub const MAX_SOURCE_BYTES: usize = 8 << 20;

/// Maximum number of tokens in a source; a line of plain text counts as one.
///
/// A message has hundreds. Each takes some hundred bytes once parsed, so without this limit the
/// longest source would take gigabytes.
pub const MAX_SOURCE_TOKENS: u32 = 500_000;

/// Maximum nesting of blocks, parentheses, lists and strings in a source.
///
/// The parser recurses once per level, and 100 levels fit into a 2 MiB stack, the default of Rust
/// threads, even without optimisation.
pub const MAX_SOURCE_DEPTH: u32 = 100;

/// Maximum number of `#foreach` iterations in a rendering, over all loops together.
///
/// A long order has hundreds of lines; a range of a billion would hang the host.
pub const MAX_LOOP_ITERATIONS: u64 = 100_000;

/// Maximum size of the output of a rendering, and of any text in it, in bytes.
///
/// Twenty times the largest message that mail providers show in full.
pub const MAX_OUTPUT_BYTES: usize = 8 << 20;

/// Maximum nesting of blocks, macro calls and evaluations during rendering.
///
/// It exceeds [`MAX_SOURCE_DEPTH`], because the body of a macro starts below its call, and fits
/// into the same 2 MiB stack.
pub const MAX_DEPTH: u32 = 150;

/// Maximum nesting of macro calls, the default of Velocity's `velocimacro.max.depth`.
pub const MAX_MACRO_DEPTH: u32 = 20;

/// Maximum work of a rendering: one unit per byte built, and proportionally more for slower
/// operations.
///
/// At some nanoseconds per unit, the limit is about a second at worst. It bounds memory too,
/// because everything that is built is paid for.
pub const MAX_WORK: u64 = 64 << 20;

/// Work for a node, a reference, a step or an operator: each takes some hundred nanoseconds.
pub(crate) const NODE_WORK: usize = 32;

/// The limits of a rendering. A template that exceeds one fails with an error at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of iterations of all loops; see [`MAX_LOOP_ITERATIONS`].
    pub loop_iterations: u64,
    /// Maximum size of the output in bytes; see [`MAX_OUTPUT_BYTES`].
    pub output_bytes: usize,
    /// Maximum nesting during rendering; see [`MAX_DEPTH`], which is also the maximum value.
    pub depth: u32,
    /// Maximum units of work; see [`MAX_WORK`].
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            loop_iterations: MAX_LOOP_ITERATIONS,
            output_bytes: MAX_OUTPUT_BYTES,
            depth: MAX_DEPTH,
            work: MAX_WORK,
        }
    }
}

/// Work that several renderings share, in addition to their own [`Limits`]; see
/// [`Context::set_allowance`](crate::Context::set_allowance).
#[derive(Debug)]
pub struct Allowance {
    left: AtomicU64,
    interrupt: Option<Arc<AtomicBool>>,
}

impl Allowance {
    /// Creates an allowance of `work` units for all renderings; see [`MAX_WORK`] for the unit. Soon
    /// after `interrupt` is set, a rendering ends with an error.
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

/// Units of work between checks for an interrupt: about a millisecond.
const INTERRUPT_CHECK: u64 = 1 << 16;

/// The remaining [`Limits`] of a rendering.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    iterations: u64,
    work: u64,
    /// The amount of work after which to check the limits again.
    check_at: u64,
    /// The allowance shared with other renderings.
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
            iterations: 0,
            work: 0,
            check_at: 0,
            shared,
            depth: 0,
            macros: 0,
        };
        budget.check_at = match budget.shared {
            Some(_) => budget.work_limit().min(INTERRUPT_CHECK),
            None => limits.work,
        };
        budget
    }

    /// Returns the work that this rendering may do.
    fn work_limit(&self) -> u64 {
        let shared = self.shared.as_ref();
        let left = shared.map_or(u64::MAX, |shared| shared.left.load(Ordering::Relaxed));
        left.min(self.limits.work)
    }

    /// Checks the limits, and sets the next `check_at`.
    #[cold]
    fn check_limits(&mut self, pos: Pos) -> Result<()> {
        let most = self.work_limit();
        if self.work > self.limits.work {
            return Err(Error::new(
                pos,
                "the template exceeds the work limit of one message",
            ));
        }
        if self.work > most {
            return Err(Error::new(
                pos,
                "the templates together exceed their work limit",
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

    pub(crate) fn count_iteration(&mut self, pos: Pos) -> Result<()> {
        self.iterations += 1;
        if self.iterations > self.limits.loop_iterations {
            let limit = self.limits.loop_iterations;
            return Err(Error::new(
                pos,
                format!("more than {limit} loop iterations in one message"),
            ));
        }
        self.work(NODE_WORK, pos)
    }

    /// Pays for `units` of work before it is done.
    pub(crate) fn work(&mut self, units: usize, pos: Pos) -> Result<()> {
        self.work = self.work.saturating_add(units as u64);
        match self.work > self.check_at {
            true => self.check_limits(pos),
            false => Ok(()),
        }
    }

    pub(crate) fn output(&self, bytes: usize, pos: Pos) -> Result<()> {
        if bytes > self.limits.output_bytes {
            let limit = self.limits.output_bytes;
            return Err(Error::new(
                pos,
                format!("the output is longer than {limit} bytes"),
            ));
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self, pos: Pos) -> Result<()> {
        if self.depth >= self.limits.depth.min(MAX_DEPTH) {
            let limit = self.limits.depth.min(MAX_DEPTH);
            return Err(Error::new(
                pos,
                format!("nested deeper than {limit} levels"),
            ));
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
