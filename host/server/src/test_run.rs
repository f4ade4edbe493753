//! Test runs: what an event would do.

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::events::{EventV2, read_event, send_problem};
use super::problem::Problem;
use super::runs::StepJson;
use promoflow_engine::run::{TestRunReport, TestRunWait};
use promoflow_model::message::{ChannelKind, RenderedMessage};
use promoflow_store::{Alternative, StagedDelivery};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(test))
}

/// Result of a test run.
#[derive(Serialize, ToSchema)]
struct TestRun {
    /// Id of the event, if it has one.
    event: Option<String>,
    /// Always `test`: nothing was changed.
    #[schema(example = "test")]
    status: &'static str,
    /// The runs that the event would start.
    plan: Vec<PlannedRun>,
}

/// A run that would be started.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlannedRun {
    /// Id of the workflow.
    workflow: Option<String>,
    /// Steps, in order.
    steps: Vec<StepJson>,
    /// The first promo code that it would claim. The code stays available.
    code: Option<String>,
    /// All promo codes that it would claim.
    codes: Vec<String>,
    /// Messages that it would send.
    deliveries: Vec<PlannedDelivery>,
    /// Times that it would wait for; the test run continues immediately.
    waits: Vec<TestRunWaitJson>,
    /// The event or condition that it would wait for, if the end of the wait cannot be predicted.
    waiting_for: Option<String>,
    /// Timeout of that wait, RFC 3339; null: no timeout.
    waiting_until: Option<String>,
    /// Reason why it would not start; the other fields are then empty.
    blocked_by: Option<&'static str>,
    /// Error with which it would fail.
    error: Option<String>,
}

/// A wait until a time.
#[derive(Serialize, ToSchema)]
#[schema(as = TestRunWait)]
struct TestRunWaitJson {
    /// Id of the step that waits.
    step: String,
    /// End of the wait, RFC 3339.
    until: String,
}

impl From<TestRunWait> for TestRunWaitJson {
    fn from(wait: TestRunWait) -> TestRunWaitJson {
        TestRunWaitJson {
            step: wait.step,
            until: wait.until.to_string(),
        }
    }
}

/// A message that would be sent.
#[derive(Serialize, ToSchema)]
struct PlannedDelivery {
    #[serde(flatten)]
    alternative: TestRunAlternative,
    /// Alternatives that are tried after a permanent failure of the one before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternatives: Vec<TestRunAlternative>,
    /// Allowed hours for sending, with their time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<String>,
    /// Earliest time of sending, if limited by allowed hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
}

/// One alternative: channel, address and message.
#[derive(Serialize, ToSchema)]
struct TestRunAlternative {
    /// Channel.
    #[schema(example = "email")]
    channel: String,
    /// Address.
    address: String,
    /// Id of the message.
    message: String,
    /// Sender.
    from: Option<String>,
    /// Subject.
    subject: Option<String>,
    /// Plain text.
    text: Option<String>,
    /// HTML.
    html: Option<String>,
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
            steps: run.steps.into_iter().map(StepJson::from).collect(),
            code: run.codes.first().cloned(),
            codes: run.codes,
            deliveries: run
                .deliveries
                .into_iter()
                .map(PlannedDelivery::from)
                .collect(),
            waits: run.waits.into_iter().map(TestRunWaitJson::from).collect(),
            waiting_for: run.waiting_for,
            waiting_until: run.waiting_until.map(|until| until.to_string()),
            blocked_by: run.blocked_by,
            error: run.error,
        }
    }
}

/// Test an event without side effects.
///
/// The workflows run, but nothing is stored or sent: no code is claimed, and the event is not
/// recorded.
#[utoipa::path(post, path = "/api/v1/event/test", tag = "workflows",
    request_body = EventV2,
    responses((status = 200, description = "The runs that the event would start.",
        body = TestRun)))]
async fn test(State(api): State<Api>, request: Request) -> Result<Json<TestRun>, Problem> {
    let event = read_event(&api, request).await?;
    api.run_blocking(move |promoflow| {
        let id = event.id.clone();
        let plan = promoflow.test_run(event).map_err(send_problem)?;
        let names = promoflow.workflow_names()?;
        let plan = plan.into_iter().map(|run| {
            let name = names.get(&run.workflow).map(|(id, _)| id.clone());
            PlannedRun::new(run, name)
        });
        Ok(Json(TestRun {
            event: id,
            status: "test",
            plan: plan.collect(),
        }))
    })
    .await
}
