//! Workflows as they are stored and run. The field names are a stored format.

use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// One version of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// The id that commands and other workflows refer to.
    pub id: String,
    /// The display name; defaults to the id.
    pub name: String,
    /// The start condition.
    pub start: Start,
    /// The event that ends a run before its last step.
    pub stop: Option<Stop>,
    /// The steps; a run begins with the first one.
    pub steps: Vec<Step>,
}

/// The start condition of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The type of the event, its `eventTypeKey`.
    pub event: String,
    /// The condition on the event's parameters; `None` accepts every event.
    pub condition: Option<Condition>,
    /// The number of starts for one event key.
    pub repeat: Repeat,
    /// True if an event starts no run while a run for the same event key is active.
    pub skip_if_running: bool,
}

/// The number of times that a workflow starts for one event key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repeat {
    /// Starts for every event.
    EveryTime,
    /// Starts for the first event only.
    Once,
    /// Starts once in a period that begins with the last start.
    Every {
        /// The length of the period, in seconds.
        seconds: u64,
    },
}

/// The event that ends a run before its last step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The type of the event.
    pub event: String,
}

/// A block with parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The step's id within the workflow.
    pub id: String,
    /// The block's name.
    pub block: String,
    /// The SHA-256 of the block's component, in hexadecimal. It pins the component that the
    /// workflow was checked against.
    pub digest: String,
    /// The parameters in the author's order, without defaults.
    pub with: Vec<(String, ParamValue)>,
    /// The target of each of the block's ports, in the order of its description.
    pub ports: Vec<(String, Target)>,
}

impl Step {
    /// Returns the target of a port, or `None` if the block has no such port.
    pub fn target(&self, port: &str) -> Option<Target> {
        self.ports
            .iter()
            .find(|(name, _)| name == port)
            .map(|(_, target)| *target)
    }
}

/// The target of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// The step with this index, counted from 0.
    Step(usize),
    /// The end of the run.
    End,
    /// The port is not connected; a run that takes it fails.
    Unconnected,
}

/// A parameter as the author wrote it. Every text in it, at any depth, is a template that is
/// evaluated with the run's data when the step starts. [`coerce`](super::coerce) then converts
/// the result to the type that the block expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A template.
    Text(String),
    /// A number, `true` or `false`, or a list or an object that may contain templates.
    Json(serde_json::Value),
}

impl From<serde_json::Value> for ParamValue {
    fn from(value: serde_json::Value) -> ParamValue {
        match value {
            serde_json::Value::String(text) => ParamValue::Text(text),
            other => ParamValue::Json(other),
        }
    }
}

impl ParamValue {
    /// Returns the value with each text replaced by the result of `render`. Keys of objects are not
    /// templates.
    pub fn render<E>(
        &self,
        render: &mut dyn FnMut(&str) -> Result<String, E>,
    ) -> Result<serde_json::Value, E> {
        match self {
            ParamValue::Text(text) => render(text).map(serde_json::Value::String),
            ParamValue::Json(value) => render_leaves(value, render),
        }
    }
}

fn render_leaves<E>(
    value: &serde_json::Value,
    render: &mut dyn FnMut(&str) -> Result<String, E>,
) -> Result<serde_json::Value, E> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => Value::String(render(text)?),
        Value::Array(items) => items
            .iter()
            .map(|item| render_leaves(item, render))
            .collect::<Result<_, E>>()?,
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), render_leaves(item, render)?)))
                .collect::<Result<_, E>>()?,
        ),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_the_stored_format() {
        let workflow = Workflow {
            id: "w".into(),
            name: "W".into(),
            start: Start {
                event: "birthday".into(),
                condition: None,
                repeat: Repeat::Every { seconds: 60 },
                skip_if_running: false,
            },
            stop: Some(Stop {
                event: "left".into(),
            }),
            steps: vec![Step {
                id: "code".into(),
                block: "get-promocode".into(),
                digest: "ab".into(),
                with: vec![
                    ("type".into(), ParamValue::Text("x".into())),
                    ("days".into(), ParamValue::Json(json!(7))),
                ],
                ports: vec![
                    ("next".into(), Target::Step(1)),
                    ("exhausted".into(), Target::End),
                    ("other".into(), Target::Unconnected),
                ],
            }],
        };
        let stored = json!({
            "id": "w",
            "name": "W",
            "start": {
                "event": "birthday",
                "condition": null,
                "repeat": { "every": { "seconds": 60 } },
                "skipIfRunning": false
            },
            "stop": { "event": "left" },
            "steps": [{
                "id": "code",
                "block": "get-promocode",
                "digest": "ab",
                "with": [["type", "x"], ["days", 7]],
                "ports": [["next", { "step": 1 }], ["exhausted", "end"], ["other", "unconnected"]]
            }]
        });
        assert_eq!(serde_json::to_value(&workflow).unwrap(), stored);
        assert_eq!(
            serde_json::from_value::<Workflow>(stored).unwrap(),
            workflow
        );
        assert_eq!(workflow.steps[0].target("exhausted"), Some(Target::End));
        assert_eq!(workflow.steps[0].target("nxt"), None);
    }

    #[test]
    fn renders_only_the_texts_of_a_parameter() {
        let value = ParamValue::from(json!({ "a": ["x", 1, { "b": "y" }], "c": true }));
        let mut render = |text: &str| Ok::<_, ()>(format!("<{text}>"));
        let rendered = value.render(&mut render).unwrap();
        assert_eq!(
            rendered,
            json!({ "a": ["<x>", 1, { "b": "<y>" }], "c": true })
        );
        assert_eq!(
            ParamValue::from(json!("x")).render(&mut render).unwrap(),
            json!("<x>")
        );
        let fails = ParamValue::from(json!(["x"])).render(&mut |_| Err("no"));
        assert_eq!(fails, Err("no"));
    }
}
