//! Test runs: what an event would do.

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::events::{EventV2, read, refused};
use super::problem::Problem;
use super::runs::StepJson;
use promoflow_engine::run::{Rehearsed, WouldWait};
use promoflow_model::message::{ChannelKind, Content};
use promoflow_store::{Alternative, StagedDelivery};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(test))
}

/// What an event would do.
#[derive(Serialize, ToSchema)]
struct Rehearsal {
    /// Its id, where it has one.
    event: Option<String>,
    /// `test`: nothing was done.
    #[schema(example = "test")]
    status: &'static str,
    /// Each workflow that it would start.
    would: Vec<WouldRun>,
}

/// What a workflow would do.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WouldRun {
    /// The workflow.
    workflow: Option<String>,
    /// The steps, in order.
    steps: Vec<StepJson>,
    /// The first promo code that it would take. It stays free.
    code: Option<String>,
    /// All that it would take.
    codes: Vec<String>,
    /// What it would send.
    deliveries: Vec<WouldSend>,
    /// The moments that it would wait for; the test goes on at once.
    waits: Vec<WouldWaitJson>,
    /// What it would wait for, without an end that could be foreseen.
    waits_for: Option<String>,
    /// Until when it would wait for that, RFC 3339; none: without an end.
    waits_until: Option<String>,
    /// Why it would not start; nothing else is known then.
    held_off: Option<&'static str>,
    /// Why it would fail.
    error: Option<String>,
}

/// A wait for a moment.
#[derive(Serialize, ToSchema)]
#[schema(as = WouldWait)]
struct WouldWaitJson {
    /// The step that waits.
    step: String,
    /// Until when, RFC 3339.
    until: String,
}

impl From<WouldWait> for WouldWaitJson {
    fn from(wait: WouldWait) -> WouldWaitJson {
        WouldWaitJson {
            step: wait.step,
            until: wait.until.to_string(),
        }
    }
}

/// What would be sent.
#[derive(Serialize, ToSchema)]
struct WouldSend {
    #[serde(flatten)]
    way: Way,
    /// The ways that are tried where the one before was refused for good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Way>,
    /// The hours in which it may leave, with their time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<String>,
    /// From when on it may leave, where hours say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
}

/// One way to reach a contact, with the message.
#[derive(Serialize, ToSchema)]
struct Way {
    /// How.
    #[schema(example = "email")]
    channel: String,
    /// To whom.
    address: String,
    /// The prepared message.
    message: String,
    /// The sender.
    from: Option<String>,
    /// The subject.
    subject: Option<String>,
    /// The plain text.
    text: Option<String>,
    /// The HTML.
    html: Option<String>,
}

impl Way {
    fn new(channel: ChannelKind, address: String, message: String, content: Content) -> Way {
        Way {
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

impl From<Alternative> for Way {
    fn from(way: Alternative) -> Way {
        Way::new(way.channel, way.address, way.message, way.content)
    }
}

impl From<StagedDelivery> for WouldSend {
    fn from(staged: StagedDelivery) -> WouldSend {
        let (channel, address) = (staged.channel, staged.address);
        WouldSend {
            way: Way::new(channel, address, staged.message, staged.content),
            others: staged.others.into_iter().map(Way::from).collect(),
            hours: staged.hours.map(|hours| hours.to_string()),
            due: staged.hours.map(|_| staged.due.to_string()),
        }
    }
}

impl WouldRun {
    fn new(run: Rehearsed, workflow: Option<String>) -> WouldRun {
        WouldRun {
            workflow,
            steps: run.steps.into_iter().map(StepJson::from).collect(),
            code: run.codes.first().cloned(),
            codes: run.codes,
            deliveries: run.deliveries.into_iter().map(WouldSend::from).collect(),
            waits: run.waits.into_iter().map(WouldWaitJson::from).collect(),
            waits_for: run.waits_for,
            waits_until: run.waits_until.map(|until| until.to_string()),
            held_off: run.held_off,
            error: run.error,
        }
    }
}

/// Test an event: tell what it would do.
///
/// The workflows run through, and nothing of it is kept: no code is taken, nothing is sent, and the
/// event is not stored.
#[utoipa::path(post, path = "/api/v1/event/test", tag = "workflows",
    request_body = EventV2,
    responses((status = 200, description = "What it would do.", body = Rehearsal)))]
async fn test(State(api): State<Api>, request: Request) -> Result<Json<Rehearsal>, Problem> {
    let event = read(&api, request).await?;
    api.call(move |promoflow| {
        let id = event.id.clone();
        let would = promoflow.rehearse(event).map_err(refused)?;
        let names = promoflow.workflow_names()?;
        let would = would.into_iter().map(|run| {
            let name = names.get(&run.workflow).map(|(id, _)| id.clone());
            WouldRun::new(run, name)
        });
        Ok(Json(Rehearsal {
            event: id,
            status: "test",
            would: would.collect(),
        }))
    })
    .await
}
