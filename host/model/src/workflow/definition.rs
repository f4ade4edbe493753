//! A workflow as it is stored and run. The names of the fields are a stored format.

use serde::{Deserialize, Serialize};

use super::condition::Condition;

/// One version of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// What commands and other workflows call it by.
    pub id: String,
    /// For people; the id where the author gives none.
    pub name: String,
    /// When a run starts.
    pub start: Start,
    /// When a run ends before its last step.
    pub stop: Option<Stop>,
    /// The steps; a run begins with the first.
    pub steps: Vec<Step>,
}

/// When a run starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The type of the event: its `eventTypeKey`.
    pub event: String,
    /// What the event's parameters must be; `None`: anything.
    pub condition: Option<Condition>,
    /// How often for one event key.
    pub repeat: Repeat,
    /// Whether an event starts nothing while a run for its key goes on.
    pub skip_if_running: bool,
}

/// How often a workflow starts for one event key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Repeat {
    /// For each event.
    EveryTime,
    /// For the first event alone.
    Once,
    /// Once in a period that begins with the last start.
    Every {
        /// The period's length.
        seconds: u64,
    },
}

/// When a run ends before its last step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The type of the event that ends it.
    pub event: String,
}

/// A block placed with parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name within the workflow.
    pub id: String,
    /// The block's name.
    pub block: String,
    /// The SHA-256 of the block's component, in hexadecimal digits: the bytes that run are those
    /// that the workflow was checked against.
    pub digest: String,
    /// The parameters that the author gave, in that order. Defaults are not among them.
    pub with: Vec<(String, ParamValue)>,
    /// Where each of the block's ports leads, in the order of its description.
    pub ports: Vec<(String, Target)>,
}

impl Step {
    /// Where a port leads; `None`: the block described no such port.
    pub fn target(&self, port: &str) -> Option<Target> {
        self.ports
            .iter()
            .find(|(name, _)| name == port)
            .map(|(_, target)| *target)
    }
}

/// Where a port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// To the step of this number, counted from 0.
    Step(usize),
    /// To the end of the run.
    End,
    /// The workflow leads it nowhere: a run that takes it fails.
    Nowhere,
}

/// A parameter as the author wrote it. Every text in it, at any depth, is a template that is
/// evaluated from the run's data when the step starts; [`conform`](super::conform) then makes of
/// the value what the block gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// A template.
    Text(String),
    /// A number, `true` or `false`, or a list or an object whose texts are templates.
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
    /// The value with each text replaced by what `render` makes of it. The keys of objects are
    /// no templates.
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
    fn the_stored_form_stays_what_it_is() {
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
                    ("other".into(), Target::Nowhere),
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
                "ports": [["next", { "step": 1 }], ["exhausted", "end"], ["other", "nowhere"]]
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
    fn every_text_of_a_parameter_is_rendered_and_nothing_else() {
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
