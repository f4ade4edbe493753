//! Values of parameters of the kind `choice`.

use crate::{Choice, Payload};

/// Mirrors the constructors of [`Alternative`](crate::Alternative), for defaults and tests.
impl Choice {
    /// Chooses an alternative that has only a name: `when-empty: fail`.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self {
            name: name.into(),
            payload: None,
        }
    }

    /// Chooses an alternative with text: `when-empty: { code: WELCOME }`.
    #[must_use]
    pub fn text(name: &str, text: &str) -> Self {
        Self {
            payload: Some(Payload::Text(text.into())),
            ..Self::plain(name)
        }
    }

    /// Chooses an alternative with a duration in seconds: `reuse: { contact: 30d }`.
    #[must_use]
    pub fn duration(name: &str, seconds: u64) -> Self {
        Self {
            payload: Some(Payload::Duration(seconds)),
            ..Self::plain(name)
        }
    }
}
