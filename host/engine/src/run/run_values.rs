//! The values of a run, as its steps and templates read and set them.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chrono::DateTime;
use chrono_tz::Tz;
use promoflow_velocity::{Allowance, MAX_WORK};
use serde_json::{Map, Value as Json};

use promoflow_block_host::SetError;
use promoflow_document::value::check_depth;
use promoflow_model::block::Value;
use promoflow_model::message::Values;

/// Maximum number of values of a run.
const MAX_VALUES: usize = 200;
/// Maximum size of all values of a run together, in bytes.
const MAX_VALUE_BYTES: usize = 256 * 1024;
/// Maximum length of a value's name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The values of a run and its event key.
pub(super) struct RunValues {
    key: String,
    data: Map<String, Json>,
    /// The names of the values that steps of the run have set.
    set: BTreeSet<String>,
    /// The values in the form that templates read; computed on first use.
    for_templates: OnceCell<Values>,
    /// The work limit that all templates of the current step share.
    allowance: Arc<Allowance>,
    interrupt: Option<Arc<AtomicBool>>,
    /// The current time in the installation's time zone, the same for all templates of a segment,
    /// so that a message that prints it twice prints the same time.
    now: Option<DateTime<Tz>>,
}

impl RunValues {
    /// Creates the values of a run. `set` are the names of those that its steps have set; templates
    /// stop when `interrupt` is set.
    pub(super) fn new(
        key: String,
        data: Map<String, Json>,
        set: BTreeSet<String>,
        now: Option<DateTime<Tz>>,
        interrupt: Option<Arc<AtomicBool>>,
    ) -> RunValues {
        RunValues {
            key,
            data,
            set,
            for_templates: OnceCell::new(),
            allowance: Arc::new(Allowance::new(0, None)),
            interrupt,
            now,
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn data(&self) -> &Map<String, Json> {
        &self.data
    }

    /// Starts the work limit of a step, shared by all templates that it renders.
    pub(super) fn start_work_limit(&mut self) {
        self.allowance = Arc::new(Allowance::new(MAX_WORK, self.interrupt.clone()));
        if let Some(values) = self.for_templates.get_mut() {
            values.set_allowance(Arc::clone(&self.allowance));
        }
    }

    /// Returns the values for templates. They are computed once and then updated, because most
    /// steps read values and few set any.
    pub(super) fn for_templates(&self) -> &Values {
        self.for_templates.get_or_init(|| self.build(&self.data))
    }

    /// Takes the values for templates out for changes; the next call of
    /// [`for_templates`](Self::for_templates) computes them again.
    pub(super) fn take_for_templates(&mut self) -> Values {
        let made = self.for_templates.take();
        made.unwrap_or_else(|| self.build(&self.data))
    }

    /// Returns true if no step of the run has set a value yet.
    pub(super) fn are_of_event(&self) -> bool {
        self.set.is_empty()
    }

    /// Returns the values for templates without those that steps of the run have set.
    pub(super) fn of_event(&self) -> Values {
        let came = |(name, _): &(&String, &Json)| !self.set.contains(*name);
        let came = self.data.iter().filter(came);
        let came = came.map(|(name, value)| (name.clone(), value.clone()));
        self.build(&came.collect())
    }

    fn build(&self, data: &Map<String, Json>) -> Values {
        let mut values = Values::new(data, &self.key).with_now(self.now);
        values.set_allowance(Arc::clone(&self.allowance));
        values
    }

    /// Sets a value and returns it in the form in which it is stored.
    pub(super) fn set(&mut self, name: &str, value: Value) -> Result<Json, SetError> {
        let chars = name.chars().count();
        if chars == 0 || chars > MAX_NAME_CHARS || name.chars().any(char::is_control) {
            let text = format!("a value's name has 1 to {MAX_NAME_CHARS} printable characters");
            return Err(SetError::Invalid(text));
        }
        let value = to_json(value)?;
        let others = self.data.iter().filter(|(other, _)| *other != name);
        let (count, bytes) = others.fold(
            (1, value_size(name, &value)),
            |(count, bytes), (name, value)| (count + 1, bytes + value_size(name, value)),
        );
        if count > MAX_VALUES || bytes > MAX_VALUE_BYTES {
            return Err(SetError::TooLarge(format!(
                "a run holds at most {MAX_VALUES} values of {MAX_VALUE_BYTES} bytes in all"
            )));
        }
        if let Some(values) = self.for_templates.get_mut() {
            values.set(name, &value);
        }
        self.set.insert(name.to_owned());
        self.data.insert(name.to_owned(), value.clone());
        Ok(value)
    }
}

fn value_size(name: &str, value: &Json) -> usize {
    let value = match value {
        Json::String(text) => text.len(),
        other => other.to_string().len(),
    };
    name.len() + value
}

pub(super) fn to_value(json: &Json) -> Value {
    match json {
        Json::String(text) => Value::Text(text.clone()),
        Json::Bool(flag) => Value::Boolean(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Decimal(number.as_f64().unwrap_or(f64::NAN)),
        },
        other => Value::Json(other.to_string()),
    }
}

fn to_json(value: Value) -> Result<Json, SetError> {
    Ok(match value {
        Value::Text(text) => Json::String(text),
        Value::Boolean(flag) => Json::Bool(flag),
        Value::Integer(number) => Json::from(number),
        Value::Decimal(number) => serde_json::Number::from_f64(number)
            .map(Json::Number)
            .ok_or_else(|| SetError::Invalid("a number must be finite".into()))?,
        Value::Json(text) => {
            let value = serde_json::from_str(&text)
                .map_err(|error| SetError::Invalid(format!("not JSON: {error}")))?;
            check_depth(&value).map_err(SetError::Invalid)?;
            value
        }
    })
}

#[cfg(test)]
mod tests {
    use promoflow_document::MAX_VALUE_DEPTH;
    use promoflow_store::StepRecord;

    use super::*;
    use promoflow_model::clock::Timestamp;

    fn nested(depth: usize) -> Value {
        Value::Json(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)))
    }

    #[test]
    fn values_that_are_set_can_be_read_back_from_the_database() {
        let mut values = RunValues::new(String::new(), Map::new(), BTreeSet::new(), None, None);
        assert!(values.set("deep", nested(MAX_VALUE_DEPTH + 1)).is_err());
        assert!(values.set("nan", Value::Decimal(f64::NAN)).is_err());
        for (name, value) in [
            ("deep", nested(MAX_VALUE_DEPTH)),
            ("small", Value::Decimal(f64::MIN_POSITIVE)),
            ("large", Value::Decimal(f64::MAX)),
            ("text", Value::Text("\u{0}\u{7f}\u{2028}\u{10ffff}".into())),
        ] {
            assert!(values.set(name, value).is_ok(), "{name}");
        }
        let records = vec![StepRecord {
            step: "a".into(),
            block: "b".into(),
            port: None,
            started_at: Timestamp(0),
            finished_at: Timestamp(0),
            data: values.data().clone(),
            log: Vec::new(),
            error: None,
        }];
        let stored = serde_json::to_string(&records).unwrap();
        let read: Vec<StepRecord> = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, records);
    }
}
