//! How a step ends, and what each of the host's refusals means for it.

use crate::{ClaimError, CodeWait, Error, Outcome, Selector, SendError, SetError, Timer};

impl Outcome {
    /// The run leaves by this port.
    #[must_use]
    pub fn port(name: &str) -> Self {
        Self::Port(name.into())
    }

    /// The run goes on at that moment, in milliseconds since 1970, and leaves by this port.
    #[must_use]
    pub fn wait_until(until: i64, port: &str) -> Self {
        let port = port.into();
        Self::WaitUntil(Timer { until, port })
    }

    /// The step runs again when a code that matches may be there, however long that takes.
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

/// A block that asks to wait, or that has a port for an empty pool, handles these two itself.
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
