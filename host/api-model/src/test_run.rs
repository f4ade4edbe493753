//! Test runs: what an event would do.

use promoflow_engine::run::{self, TestRunReport};
use promoflow_model::message::{ChannelKind, RenderedMessage};
use promoflow_store::{Alternative, StagedDelivery};
use serde::Serialize;

use crate::{RunStep, WorkflowNames};

/// Result of a test run.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestRun {
    /// Id of the event, if it has one.
    pub event: Option<String>,
    /// Always `test`: nothing was changed.
    #[cfg_attr(feature = "schema", schema(example = "test"))]
    pub status: &'static str,
    /// The runs that the event would start.
    pub plan: Vec<PlannedRun>,
}

impl TestRun {
    /// Creates the result for the event with this id.
    pub fn new(event: Option<String>, plan: Vec<TestRunReport>, names: &WorkflowNames) -> TestRun {
        let plan = plan.into_iter().map(|run| {
            let name = names.get(&run.workflow).map(|(id, _)| id.clone());
            PlannedRun::new(run, name)
        });
        TestRun {
            event,
            status: "test",
            plan: plan.collect(),
        }
    }
}

/// A run that would be started.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlannedRun {
    /// Id of the workflow.
    pub workflow: Option<String>,
    /// Steps, in order.
    pub steps: Vec<RunStep>,
    /// The first promo code that it would claim. The code stays available.
    pub code: Option<String>,
    /// All promo codes that it would claim.
    pub codes: Vec<String>,
    /// Messages that it would send.
    pub deliveries: Vec<PlannedDelivery>,
    /// Times that it would wait for; the test run continues immediately.
    pub waits: Vec<TestRunWait>,
    /// The event or condition that it would wait for, if the end of the wait cannot be predicted.
    pub waiting_for: Option<String>,
    /// Timeout of that wait, RFC 3339; null: no timeout.
    pub waiting_until: Option<String>,
    /// Reason why it would not start; the other fields are then empty.
    pub blocked_by: Option<&'static str>,
    /// Error with which it would fail.
    pub error: Option<String>,
}

/// A wait until a time.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestRunWait {
    /// Id of the step that waits.
    pub step: String,
    /// End of the wait, RFC 3339.
    pub until: String,
}

impl From<run::TestRunWait> for TestRunWait {
    fn from(wait: run::TestRunWait) -> TestRunWait {
        TestRunWait {
            step: wait.step,
            until: wait.until.to_string(),
        }
    }
}

/// A message that would be sent.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PlannedDelivery {
    /// The first channel, address and message.
    #[serde(flatten)]
    pub alternative: TestRunAlternative,
    /// Alternatives that are tried after a permanent failure of the one before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<TestRunAlternative>,
    /// Allowed hours for sending, with their time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// Earliest time of sending, if limited by allowed hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// One alternative: channel, address and message.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TestRunAlternative {
    /// Channel.
    #[cfg_attr(feature = "schema", schema(example = "email"))]
    pub channel: String,
    /// Address.
    pub address: String,
    /// Id of the message.
    pub message: String,
    /// Sender.
    pub from: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML.
    pub html: Option<String>,
}

impl TestRunAlternative {
    fn new(
        channel: ChannelKind,
        address: String,
        message: String,
        content: RenderedMessage,
    ) -> TestRunAlternative {
        TestRunAlternative {
            channel: channel.to_string(),
            address,
            message,
            from: content.from,
            subject: content.subject,
            text: content.text,
            html: content.html,
        }
    }
}

impl From<Alternative> for TestRunAlternative {
    fn from(alternative: Alternative) -> TestRunAlternative {
        TestRunAlternative::new(
            alternative.channel,
            alternative.address,
            alternative.message,
            alternative.content,
        )
    }
}

impl From<StagedDelivery> for PlannedDelivery {
    fn from(staged: StagedDelivery) -> PlannedDelivery {
        let (channel, address) = (staged.channel, staged.address);
        PlannedDelivery {
            alternative: TestRunAlternative::new(channel, address, staged.message, staged.content),
            alternatives: staged
                .alternatives
                .into_iter()
                .map(TestRunAlternative::from)
                .collect(),
            hours: staged.hours.map(|hours| hours.to_string()),
            due: staged.hours.map(|_| staged.due.to_string()),
        }
    }
}

impl PlannedRun {
    fn new(run: TestRunReport, workflow: Option<String>) -> PlannedRun {
        PlannedRun {
            workflow,
            steps: run.steps.into_iter().map(RunStep::from).collect(),
            code: run.codes.first().cloned(),
            codes: run.codes,
            deliveries: run
                .deliveries
                .into_iter()
                .map(PlannedDelivery::from)
                .collect(),
            waits: run.waits.into_iter().map(TestRunWait::from).collect(),
            waiting_for: run.waiting_for,
            waiting_until: run.waiting_until.map(|until| until.to_string()),
            blocked_by: run.blocked_by,
            error: run.error,
        }
    }
}
