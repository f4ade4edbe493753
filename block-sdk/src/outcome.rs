//! Outcomes of a step, and conversions of the host's errors.

use crate::{ClaimError, CodeWait, Error, Outcome, Selector, SendError, SetError, Timer};

impl Outcome {
    /// The run takes this port.
    #[must_use]
    pub fn port(name: &str) -> Self {
        Self::Port(name.into())
    }

    /// The run continues at that time, in milliseconds since 1970, and takes this port.
    #[must_use]
    pub fn wait_until(until: i64, port: &str) -> Self {
        let port = port.into();
        Self::WaitUntil(Timer { until, port })
    }

    /// The step runs again when a matching code may be available, however long that takes.
    #[must_use]
    pub fn wait_for_code(selector: Selector) -> Self {
        Self::WaitForCode(CodeWait {
            selector,
            give_up: None,
        })
    }
}

impl From<SetError> for Error {
    fn from(error: SetError) -> Self {
        match error {
            SetError::Invalid(why) | SetError::Denied(why) => Self::Invalid(why),
            SetError::TooLarge(why) => Self::Rejected(why),
        }
    }
}

/// Blocks that wait, or that have a port for an empty pool, handle the first two themselves.
impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Exhausted => Self::Rejected("no promo code matches".into()),
            ClaimError::MustWait => Self::Unavailable("no promo code matches yet".into()),
            ClaimError::Invalid(why) | ClaimError::Denied(why) => Self::Invalid(why),
            ClaimError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::UnknownMessage(why) | SendError::Invalid(why) | SendError::Denied(why) => {
                Self::Invalid(why)
            }
            SendError::InvalidAddress(why)
            | SendError::Unreachable(why)
            | SendError::NoConsent(why)
            | SendError::Unrenderable(why) => Self::Rejected(why),
            SendError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
