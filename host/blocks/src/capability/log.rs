//! `log`: entries in the run's history. Texts are untrusted: they are cut, counted and stripped of
//! control characters.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::promoflow::workflow::log;
use crate::bindings::promoflow::workflow::log::{Host, Level};
use crate::boundary::{read_panic, sanitize};
use crate::sandbox::StepState;
use crate::types::{HostFunctions, LogLevel};

pub(super) fn link<H: HostFunctions>(linker: &mut Linker<StepState<H>>) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<StepState<H>>>(linker, |state| state)
}

impl<H: HostFunctions> Host for StepState<H> {
    fn write(&mut self, level: Level, text: String) -> wasmtime::Result<()> {
        if let Some(panic) = read_panic(level, &text) {
            self.used.panic = Some(panic);
        }
        let bounds = self.bounds;
        let used = self.used.notes;
        let host = self.enter()?;
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        if used < bounds.notes {
            host.log(level, &sanitize(&text, bounds.note_chars));
        } else if used == bounds.notes {
            host.log(
                LogLevel::Warn,
                "further log entries of this step are dropped",
            );
        }
        self.used.notes = used.saturating_add(1);
        Ok(())
    }
}
