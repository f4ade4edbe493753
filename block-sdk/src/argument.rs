//! Conversions from Rust types to values of parameters, for defaults and tests.

use crate::{Argument, Channel, Choice, Hours, messages::TargetEntry};

/// Defines the conversion to a case from the type of its value.
macro_rules! conversions {
    ($($type:ty => $case:ident;)*) => {$(
        impl From<$type> for Argument {
            fn from(value: $type) -> Self {
                Self::$case(value)
            }
        }
    )*};
}

conversions! {
    String => Text;
    i64 => Integer;
    f64 => Decimal;
    bool => Boolean;
    Choice => Choice;
    Channel => Channel;
    Hours => Hours;
    Vec<TargetEntry> => Targets;
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}
