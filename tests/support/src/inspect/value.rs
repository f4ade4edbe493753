//! Values of rows, and their conversions.

use super::InspectError;

/// A value of a row. Truth values are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A number.
    Integer(i64),
    /// Text.
    Text(String),
    /// Text that is not UTF-8. An engine that cannot store it returns an error.
    InvalidText(Vec<u8>),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Bytes(bytes)
    }
}

/// A type that a value converts to.
pub trait FromValue: Sized {
    /// Converts the value.
    fn from_value(value: Value) -> Result<Self, InspectError>;
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Value, InspectError> {
        Ok(value)
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<String, InspectError> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(unexpected(&other, "text")),
        }
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Result<Vec<u8>, InspectError> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected(&other, "bytes")),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<i64, InspectError> {
        match value {
            Value::Integer(number) => Ok(number),
            other => Err(unexpected(&other, "a number")),
        }
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<bool, InspectError> {
        match value {
            Value::Integer(0) => Ok(false),
            Value::Integer(1) => Ok(true),
            other => Err(unexpected(&other, "0 or 1")),
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Option<T>, InspectError> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A type that a row converts to: that of its only value, or a tuple.
pub trait FromRow: Sized {
    /// Converts the row.
    fn from_row(row: Vec<Value>) -> Result<Self, InspectError>;
}

impl<T: FromValue> FromRow for T {
    fn from_row(row: Vec<Value>) -> Result<T, InspectError> {
        let [value] = values(row)?;
        T::from_value(value)
    }
}

macro_rules! tuple {
    ($($type:ident $value:ident),+) => {
        impl<$($type: FromValue),+> FromRow for ($($type,)+) {
            fn from_row(row: Vec<Value>) -> Result<Self, InspectError> {
                let [$($value),+] = values(row)?;
                Ok(($($type::from_value($value)?,)+))
            }
        }
    };
}

tuple!(A a, B b);
tuple!(A a, B b, C c);
tuple!(A a, B b, C c, D d);
tuple!(A a, B b, C c, D d, E e);

fn values<const N: usize>(row: Vec<Value>) -> Result<[Value; N], InspectError> {
    row.try_into().map_err(|row: Vec<Value>| {
        InspectError(format!("{} columns instead of {N}: {row:?}", row.len()))
    })
}

fn unexpected(value: &Value, expected: &str) -> InspectError {
    InspectError(format!("{value:?} is not {expected}"))
}
