//! Prepared messages.

use std::io;

use axum::Json;
use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::definitions::{read_definition, reject_errors, warnings};
use super::problem::{Kind, Problem};
use super::request::{PathParams, QueryParams, parse_json, require_media_type};
use promoflow_api_model::{Message, Rendered};
use promoflow_model::message::{self, PreparedMessage, Values};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, apply))
        .routes(routes!(show))
        .routes(routes!(render))
}

/// List the messages.
#[utoipa::path(get, path = "/api/v1/messages", tag = "messages",
    responses((status = 200, description = "The messages.", body = Vec<Message>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<Message>>, Problem> {
    api.run_blocking(|promoflow| {
        let messages = promoflow.messages()?.into_iter();
        Ok(Json(messages.map(Message::from).collect()))
    })
    .await
}

/// Check messages and store them.
///
/// The body is a message file in YAML or JSON. It cannot refer to other files; HTML must be inline.
#[utoipa::path(post, path = "/api/v1/messages", tag = "messages",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "The stored messages.", body = Vec<Message>)))]
async fn apply(State(api): State<Api>, request: Request) -> Result<Json<Vec<Message>>, Problem> {
    let (name, source) = read_definition(&api, request).await?;
    api.run_blocking(move |promoflow| {
        let no_files = |_: &str| {
            let why = "messages sent to the API cannot refer to files; use `html`";
            Err(io::Error::other(why))
        };
        let file = promoflow.apply_messages(name, &source, &no_files)?;
        reject_errors(&file, "message")?;
        let warnings = warnings(name, &source, &file.diagnostics);
        let applied = file.applied.into_iter().zip(warnings);
        let applied = applied.map(|((message, applied), warnings)| Message {
            version: Some(applied.version),
            changed: Some(applied.changed),
            warnings: Some(warnings),
            ..message.into()
        });
        Ok(Json(applied.collect()))
    })
    .await
}

fn find(
    promoflow: &promoflow_installation::Promoflow,
    id: &str,
) -> Result<message::Message, Problem> {
    let mut all = promoflow.messages()?.into_iter();
    all.find(|message| message.id == id)
        .ok_or_else(|| Problem::not_found("message", id))
}

/// Show a message.
#[utoipa::path(get, path = "/api/v1/messages/{message}", tag = "messages",
    params(("message" = String, Path, description = "Id of the message.")),
    responses((status = 200, description = "The message.", body = Message)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<Message>, Problem> {
    api.run_blocking(move |promoflow| Ok(Json(find(promoflow, &id)?.into())))
        .await
}

/// Query parameters of rendering.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RenderQuery {
    /// Language, such as `uk`. By default, the one that the values prefer.
    language: Option<String>,
}

/// Render a message without sending it.
///
/// The body is an object of values; `key` is the event key.
#[utoipa::path(post, path = "/api/v1/messages/{message}/render", tag = "messages",
    params(("message" = String, Path, description = "Id of the message."), RenderQuery),
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, description = "The rendered message.", body = Rendered)))]
async fn render(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
    QueryParams(query): QueryParams<RenderQuery>,
    request: Request,
) -> Result<Json<Rendered>, Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &["application/json"])?;
    let body = api.read_body(body).await?;
    let permit = api.acquire_document_permit().await?;
    api.run_blocking(move |promoflow| {
        let _permit = permit;
        let values: Map<String, Value> = parse_json(&body)?;
        let message = find(promoflow, &id)?;
        let refused =
            |error: message::RenderError| Problem::new(Kind::InvalidContent, error.to_string());
        let key = values
            .get("key")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let values = Values::new(&values, &key).with_now(promoflow.local_time()?);
        let prepared = PreparedMessage::new(message).map_err(refused)?;
        let content = prepared
            .preview(values, query.language.as_deref())
            .map_err(refused)?;
        Ok(Json(Rendered {
            message: id,
            channel: prepared.channel().to_string(),
            language: content.language.clone(),
            parts: content.into(),
        }))
    })
    .await
}
