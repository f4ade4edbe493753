//! A plan: a workflow version that is ready to run, with compiled blocks and parsed templates.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use promoflow_velocity::Template;
use serde_json::Value as Json;

use crate::metrics::BlockMeter;
use promoflow_block_host::Block;
use promoflow_model::block::{Description, Kind, Value};
use promoflow_model::message::{Prepared, depends_on_data, parse_template, render_constant};
use promoflow_model::workflow::{Condition, ParamValue, Target, Workflow, conform};
use promoflow_store::{StartRule, WorkflowRow};

/// A workflow version that is ready to run.
pub(super) struct Plan {
    pub(super) workflow: WorkflowRow,
    pub(super) condition: Option<Condition>,
    pub(super) rule: Option<Arc<StartRule>>,
    pub(super) steps: Vec<PlannedStep>,
    /// The messages of this configuration, by id.
    pub(super) messages: HashMap<String, Arc<Prepared>>,
    /// The reason why the workflow cannot run. Its runs are retried, because the cause may go away.
    pub(super) broken: Option<String>,
}

pub(super) struct PlannedStep {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) block: Arc<Block>,
    pub(super) params: Vec<PlannedParam>,
    pub(super) ports: Vec<(String, Target)>,
    /// Metrics of the block's calls, looked up on the first call.
    pub(super) meter: OnceLock<BlockMeter>,
}

/// A parameter of a step.
pub(super) struct PlannedParam {
    pub(super) name: String,
    pub(super) value: Planned,
}

pub(super) enum Planned {
    /// The same value for every run.
    Constant(Value),
    /// Evaluated from the run's values when the step starts.
    Evaluated {
        value: ParamValue,
        templates: HashMap<String, Template>,
        kind: Kind,
    },
}

/// Returns a compiled block by its digest.
pub(super) type FindBlock<'f> = dyn FnMut(&str) -> anyhow::Result<(Arc<Block>, Description)> + 'f;

/// The reason why an applied workflow cannot run: its parts no longer fit together.
#[derive(Debug, thiserror::Error)]
#[error("workflow `{workflow}`: {why}")]
pub(super) struct PlanError {
    workflow: String,
    why: String,
}

impl Plan {
    pub(super) fn new(
        workflow: WorkflowRow,
        definition: &Workflow,
        messages: HashMap<String, Arc<Prepared>>,
        block: &mut FindBlock<'_>,
    ) -> Result<Plan, PlanError> {
        let error = |why: String| PlanError {
            workflow: definition.id.clone(),
            why,
        };
        let mut steps = Vec::with_capacity(definition.steps.len());
        for step in &definition.steps {
            let (block, description) = block(&step.digest)
                .map_err(|cause| error(format!("block `{}`: {cause:#}", step.block)))?;
            let mut params = Vec::new();
            for parameter in &description.parameters {
                let given = step.with.iter().find(|(name, _)| *name == parameter.name);
                let value = match given {
                    Some((_, value)) => plan_param(value, &parameter.kind),
                    None => match &parameter.default {
                        Some(default) => Ok(Planned::Constant(default.clone())),
                        None => continue,
                    },
                };
                let value = value.map_err(|why| {
                    error(format!(
                        "step `{}`, parameter `{}`: {why}",
                        step.id, parameter.name
                    ))
                })?;
                params.push(PlannedParam {
                    name: parameter.name.clone(),
                    value,
                });
            }
            steps.push(PlannedStep {
                id: step.id.clone(),
                name: step.block.clone(),
                block,
                params,
                ports: step.ports.clone(),
                meter: OnceLock::new(),
            });
        }
        let condition = definition.start.condition.clone();
        Ok(Plan {
            workflow,
            condition,
            rule: StartRule::of(definition).map(Arc::new),
            steps,
            messages,
            broken: None,
        })
    }

    /// Creates the plan of a workflow that cannot run.
    pub(super) fn broken(workflow: WorkflowRow, definition: &Workflow, why: String) -> Plan {
        Plan {
            workflow,
            condition: definition.start.condition.clone(),
            rule: StartRule::of(definition).map(Arc::new),
            steps: Vec::new(),
            messages: HashMap::new(),
            broken: Some(why),
        }
    }
}

fn plan_param(value: &ParamValue, kind: &Kind) -> Result<Planned, String> {
    let mut templates = HashMap::new();
    let mut dynamic = false;
    let constant: Result<Json, String> = value.render(&mut |text| {
        let template = parse_template(text).map_err(|error| error.to_string())?;
        dynamic |= depends_on_data(&template);
        let literal = render_constant(&template).unwrap_or_default();
        templates.insert(text.to_owned(), template);
        Ok(literal)
    });
    let constant = constant?;
    if dynamic {
        return Ok(Planned::Evaluated {
            value: value.clone(),
            templates,
            kind: kind.clone(),
        });
    }
    conform(kind, &constant)
        .map(Planned::Constant)
        .map_err(|unfit| unfit.to_string())
}
