//! How many messages a channel may send per unit of time.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A number of messages per unit of time: `20/s`, `600/min`, `5000/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Rate {
    messages: NonZeroU32,
    period: Duration,
}

impl Rate {
    /// Returns the interval between two messages at an even rate.
    pub fn interval(&self) -> Duration {
        self.period / self.messages.get()
    }

    /// Returns the number of messages that may start at once: a tenth of a second's worth, so that
    /// fast channels need no wake-up per message.
    pub fn burst(&self) -> NonZeroU32 {
        let tenth = Duration::from_millis(100).as_nanos() / self.interval().as_nanos().max(1);
        let tenth = u32::try_from(tenth).unwrap_or(u32::MAX);
        NonZeroU32::new(tenth).unwrap_or(NonZeroU32::MIN)
    }
}

/// The error for a text that is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; expected messages per unit of time, such as 20/s, 600/min or 5000/h")]
pub struct ParseRateError(String);

impl FromStr for Rate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Rate, ParseRateError> {
        let read = || {
            let (messages, unit) = text.split_once('/')?;
            let messages: NonZeroU32 = messages.trim().parse().ok()?;
            let seconds = match unit.trim() {
                "s" => 1,
                "min" => 60,
                "h" => 3_600,
                _ => return None,
            };
            let period = Duration::from_secs(seconds);
            // A rate of more than a million per second is no limit.
            let rate = Rate { messages, period };
            (rate.interval() >= Duration::from_micros(1)).then_some(rate)
        };
        read().ok_or_else(|| ParseRateError(text.to_owned()))
    }
}

impl TryFrom<String> for Rate {
    type Error = ParseRateError;

    fn try_from(text: String) -> Result<Rate, ParseRateError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_rates_as_messages_per_time() {
        for (text, millis, burst) in [
            ("20/s", 50, 2),
            ("600/min", 100, 1),
            ("1 / h", 3_600_000, 1),
            ("1000/s", 1, 100),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.interval(), Duration::from_millis(millis), "{text}");
            assert_eq!(rate.burst().get(), burst, "{text}");
        }
        for text in ["", "20", "0/s", "20/day", "-1/s", "1.5/s", "4000000000/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
