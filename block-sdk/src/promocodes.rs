//! Promo codes out of the pool.

use crate::{ClaimError, Promocode, Reuse, Selector, WhenEmpty, host::promocodes as host};

/// Claims the next code that matches. Staged: it belongs to the run once the segment commits, and
/// returns to the pool if it does not.
///
/// # Errors
/// Says why there is no code. A block that has no way of its own to go on writes `?`.
pub fn claim(selector: &Selector) -> Result<Promocode, ClaimError> {
    host::claim(selector)
}

impl Selector {
    /// A new code of that type and discount that stays valid for so many days after today.
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
