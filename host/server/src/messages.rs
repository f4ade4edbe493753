//! Prepared messages.

use std::collections::BTreeMap;
use std::io;

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::definitions::{read_definition, reject_errors, warnings};
use super::problem::{ErrorDetail, Kind, Problem};
use super::request::{PathParams, QueryParams, parse_json, require_media_type};
use promoflow_model::message::{Message, Parts, PreparedMessage, RenderedMessage, Values};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, apply))
        .routes(routes!(show))
        .routes(routes!(render))
}

/// A prepared message.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
struct MessageJson {
    /// Id of the message.
    message: String,
    /// Channel.
    #[schema(example = "email")]
    channel: String,
    #[serde(flatten)]
    parts: PartsJson,
    /// Language of these parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// Parts in other languages, by BCP 47 tag.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    languages: BTreeMap<String, PartsJson>,
    /// `print`: a reference without a value prints its source; if absent, it prints nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    unset: Option<&'static str>,
    /// Version, counted from 1; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// True if it differs from the previous version; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    /// Warnings, with line and column; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<ErrorDetail>>,
}

/// Parts of a message: templates or rendered texts.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageParts)]
#[serde(rename_all = "camelCase")]
struct PartsJson {
    /// Sender.
    from: Option<String>,
    /// Subject of an email.
    subject: Option<String>,
    /// Plain text.
    text: Option<String>,
    /// HTML of an email.
    html: Option<String>,
    /// Reply-To address of an email.
    reply_to: Option<String>,
    /// Preheader, which mail programs show next to the subject.
    preheader: Option<String>,
    /// Title of a push message.
    title: Option<String>,
    /// URL of an image.
    image: Option<String>,
    /// URL opened by a tap.
    link: Option<String>,
    /// Label of the button.
    button: Option<String>,
    /// Additional headers of an email, as names and values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
}

impl From<Parts> for PartsJson {
    fn from(parts: Parts) -> PartsJson {
        PartsJson {
            from: parts.from,
            subject: parts.subject,
            text: parts.text,
            html: parts.html,
            reply_to: parts.reply_to,
            preheader: parts.preheader,
            title: parts.title,
            image: parts.image,
            link: parts.link,
            button: parts.button,
            headers: Vec::new(),
        }
    }
}

impl From<RenderedMessage> for PartsJson {
    fn from(content: RenderedMessage) -> PartsJson {
        PartsJson {
            from: content.from,
            subject: content.subject,
            text: content.text,
            html: content.html,
            reply_to: content.reply_to,
            preheader: content.preheader,
            title: content.title,
            image: content.image,
            link: content.link,
            button: content.button,
            headers: content.headers,
        }
    }
}

impl From<Message> for MessageJson {
    fn from(message: Message) -> MessageJson {
        MessageJson {
            message: message.id,
            channel: message.channel.to_string(),
            parts: PartsJson {
                headers: message.headers,
                ..message.parts.into()
            },
            language: message.language,
            languages: message
                .languages
                .into_iter()
                .map(|variant| (variant.language, variant.parts.into()))
                .collect(),
            unset: (!message.unset.is_default()).then(|| message.unset.name()),
            version: None,
            changed: None,
            warnings: None,
        }
    }
}

/// List the messages.
#[utoipa::path(get, path = "/api/v1/messages", tag = "messages",
    responses((status = 200, description = "The messages.", body = Vec<MessageJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<MessageJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let messages = promoflow.messages()?.into_iter();
        Ok(Json(messages.map(MessageJson::from).collect()))
    })
    .await
}

/// Check messages and store them.
///
/// The body is a message file in YAML or JSON. It cannot refer to other files; HTML must be inline.
#[utoipa::path(post, path = "/api/v1/messages", tag = "messages",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "The stored messages.", body = Vec<MessageJson>)))]
async fn apply(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Vec<MessageJson>>, Problem> {
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
        let applied = applied.map(|((message, applied), warnings)| MessageJson {
            version: Some(applied.version),
            changed: Some(applied.changed),
            warnings: Some(warnings),
            ..message.into()
        });
        Ok(Json(applied.collect()))
    })
    .await
}

fn find(promoflow: &promoflow_installation::Promoflow, id: &str) -> Result<Message, Problem> {
    let mut all = promoflow.messages()?.into_iter();
    all.find(|message| message.id == id)
        .ok_or_else(|| Problem::not_found("message", id))
}

/// Show a message.
#[utoipa::path(get, path = "/api/v1/messages/{message}", tag = "messages",
    params(("message" = String, Path, description = "Id of the message.")),
    responses((status = 200, description = "The message.", body = MessageJson)))]
async fn show(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<Json<MessageJson>, Problem> {
    api.run_blocking(move |promoflow| Ok(Json(find(promoflow, &id)?.into())))
        .await
}

/// A rendered message.
#[derive(Serialize, ToSchema)]
struct Rendered {
    /// Id of the message.
    message: String,
    /// Channel.
    channel: String,
    #[serde(flatten)]
    parts: PartsJson,
    /// Chosen language, if the message specifies one.
    language: Option<String>,
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
        let refused = |error: promoflow_model::message::RenderError| {
            Problem::new(Kind::InvalidContent, error.to_string())
        };
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
