//! Promo codes from the pool.

use crate::{ClaimError, Promocode, Reuse, Selector, WhenEmpty, host::promocodes as host};

/// Claims the next matching code. Staged: it belongs to the run once the segment commits, and
/// returns to the pool otherwise.
///
/// # Errors
/// Returns why no code was claimed. Blocks that do not handle the error pass it on with `?`.
pub fn claim(selector: &Selector) -> Result<Promocode, ClaimError> {
    host::claim(selector)
}

impl Selector {
    /// Selects a new code of that type and discount that stays valid for at least `days` days after
    /// today.
    #[must_use]
    pub fn new(type_: &str, discount: u8, days: u32) -> Self {
        Self {
            type_: type_.into(),
            discount,
            days,
            reuse: Reuse::Never,
            when_empty: WhenEmpty::Report,
        }
    }
}
