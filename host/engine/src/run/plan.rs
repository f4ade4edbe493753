//! A plan: a workflow version that is ready to run, with compiled blocks and parsed templates.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use promoflow_velocity::Template;
use serde_json::Value as Json;

use super::segment_context::SegmentContext;
use super::workflow_cache::LoadError;
use crate::metrics::BlockMetrics;
use promoflow_block_host::LinkedBlock;
use promoflow_model::block::{Description, Kind, Value};
use promoflow_model::message::{PreparedMessage, depends_on_data, parse_template, render_constant};
use promoflow_model::workflow::{Condition, ParamValue, Target, Workflow, coerce};
use promoflow_store::{StartRule, WorkflowVersionId};

/// A block that runs on the context of a segment.
pub(super) type StepBlock = LinkedBlock<SegmentContext>;

/// A workflow version that is ready to run.
pub(super) struct Plan {
    pub(super) workflow: WorkflowVersionId,
    pub(super) condition: Option<Condition>,
    pub(super) rule: Option<Arc<StartRule>>,
    pub(super) steps: Vec<PlannedStep>,
    /// The messages of this configuration, by id.
    pub(super) messages: HashMap<String, Arc<PreparedMessage>>,
    /// The reason why the workflow cannot run. Its runs are retried, because the cause may go away.
    pub(super) broken: Option<String>,
}

pub(super) struct PlannedStep {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) block: Arc<StepBlock>,
    pub(super) params: Vec<PlannedParam>,
    pub(super) ports: Vec<(String, Target)>,
    /// Metrics of the block's calls, looked up on the first call.
    pub(super) meter: OnceLock<BlockMetrics>,
}

/// A parameter of a step.
pub(super) struct PlannedParam {
    pub(super) name: String,
    pub(super) value: PlannedValue,
}

pub(super) enum PlannedValue {
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
pub(super) type FindBlock<'f> =
    dyn FnMut(&str) -> Result<(Arc<StepBlock>, Description), LoadError> + 'f;

/// The reason why an applied workflow cannot run: its parts no longer fit together.
#[derive(Debug, thiserror::Error)]
#[error("workflow `{workflow}`: {why}")]
pub(super) struct PlanError {
    workflow: String,
    why: String,
}

impl Plan {
    pub(super) fn new(
        workflow: WorkflowVersionId,
        definition: &Workflow,
        messages: HashMap<String, Arc<PreparedMessage>>,
        block: &mut FindBlock<'_>,
    ) -> Result<Plan, PlanError> {
        let error = |why: String| PlanError {
            workflow: definition.id.clone(),
            why,
        };
        let mut steps = Vec::with_capacity(definition.steps.len());
        for step in &definition.steps {
            let (block, description) = block(&step.digest)
                .map_err(|cause| error(format!("block `{}`: {cause}", step.block)))?;
            let mut params = Vec::new();
            for parameter in &description.parameters {
                let given = step.with.iter().find(|(name, _)| *name == parameter.name);
                let value = match given {
                    Some((_, value)) => compile_param(value, &parameter.kind),
                    None => match &parameter.default {
                        Some(default) => Ok(PlannedValue::Constant(default.clone())),
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
            rule: StartRule::for_workflow(definition).map(Arc::new),
            steps,
            messages,
            broken: None,
        })
    }

    /// Creates the plan of a workflow that cannot run.
    pub(super) fn broken(workflow: WorkflowVersionId, definition: &Workflow, why: String) -> Plan {
        Plan {
            workflow,
            condition: definition.start.condition.clone(),
            rule: StartRule::for_workflow(definition).map(Arc::new),
            steps: Vec::new(),
            messages: HashMap::new(),
            broken: Some(why),
        }
    }
}

fn compile_param(value: &ParamValue, kind: &Kind) -> Result<PlannedValue, String> {
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
        return Ok(PlannedValue::Evaluated {
            value: value.clone(),
            templates,
            kind: kind.clone(),
        });
    }
    coerce(kind, &constant)
        .map(PlannedValue::Constant)
        .map_err(|unfit| unfit.to_string())
}
