//! A call of a block, with typed access to its parameters.

use crate::bindings::exports::promoflow::workflow::block as contract;
use crate::{Channel, Choice, Error, Hours, Resumption, Value, hours, json};

/// One call of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// The step's parameters: checked against the description, with defaults filled in and
    /// references evaluated.
    pub params: Params,
    /// The reason for a repeated call; `None` on the first call.
    pub resumed: Option<Resumption>,
}

impl From<contract::Call> for Call {
    fn from(call: contract::Call) -> Self {
        let params = call
            .params
            .into_iter()
            .map(|entry| (entry.name, entry.value));
        Self {
            params: Params(params.collect()),
            resumed: call.resumed,
        }
    }
}

/// A step's parameters.
///
/// Getters without `_opt` require the parameter. Every error is [`Error::Invalid`] and names the
/// parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(Vec<(String, Value)>);

/// Defines the required and the optional getter of a type.
macro_rules! getters {
    ($($what:literal $name:ident $name_opt:ident -> $type:ty = $take:expr;)*) => {$(
        #[doc = concat!("Returns the parameter as ", $what, ".")]
        ///
        /// # Errors
        /// Fails if the parameter is missing or has another type.
        pub fn $name(&self, name: &str) -> Result<$type, Error> {
            self.$name_opt(name)?.ok_or_else(|| invalid(name, "is missing"))
        }

        #[doc = concat!("Returns the parameter as ", $what, ", or `None` if the step does not set it.")]
        ///
        /// # Errors
        /// Fails if the parameter has another type.
        pub fn $name_opt(&self, name: &str) -> Result<Option<$type>, Error> {
            let take: fn(&Value) -> Option<$type> = $take;
            match self.get(name) {
                None => Ok(None),
                Some(value) => match take(value) {
                    Some(taken) => Ok(Some(taken)),
                    None => Err(invalid(name, concat!("must be ", $what))),
                },
            }
        }
    )*};
}

impl Params {
    /// Returns the parameter's value without conversion.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(given, _)| given == name);
        found.map(|(_, value)| value)
    }

    getters! {
        "text" text text_opt -> &str = |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        };
        "an integer" integer integer_opt -> i64 = |value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        };
        "a number" decimal decimal_opt -> f64 = |value| match value {
            Value::Decimal(number) => Some(*number),
            // All bounds of a description are far below 2^53, up to which this is exact.
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        };
        "true or false" boolean boolean_opt -> bool = |value| match value {
            Value::Boolean(yes) => Some(*yes),
            _ => None,
        };
        "a duration" duration duration_opt -> u64 = |value| match value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok(),
            _ => None,
        };
        "one of its alternatives" choice choice_opt -> Choice = Choice::read;
        "a channel" channel channel_opt -> Channel = |value| match value {
            Value::Text(name) => Channel::from_name(name),
            _ => None,
        };
        "hours such as 09:00-21:00" hours hours_opt -> Hours = |value| match value {
            Value::Text(text) => hours::read(text),
            _ => None,
        };
        "a list of mappings" records records_opt -> Vec<Params> = |value| match value {
            Value::Json(text) => {
                json::parse_records(text).map(|records| records.into_iter().map(Params).collect())
            }
            _ => None,
        };
    }
}

impl<N: Into<String>, V: Into<Value>> FromIterator<(N, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(given: I) -> Self {
        let pairs = given.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

/// Creates the error for an invalid parameter.
pub(crate) fn invalid(name: &str, what: &str) -> Error {
    Error::Invalid(format!("{name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_parameter_that_is_wrong() {
        let params = Params::from_iter([("days", "seven")]);
        assert_eq!(
            params.integer("days"),
            Err(Error::Invalid("days must be an integer".into()))
        );
        assert_eq!(
            params.text("type"),
            Err(Error::Invalid("type is missing".into()))
        );
        assert_eq!(params.text_opt("type"), Ok(None));
    }

    #[test]
    fn rejects_negative_durations() {
        let params = Params::from_iter([("for", -1_i64)]);
        assert!(params.duration("for").is_err());
    }

    #[test]
    fn reads_an_integer_as_a_decimal() {
        let params = Params::from_iter([("share", 2_i64)]);
        assert_eq!(params.decimal("share"), Ok(2.0));
    }
}
