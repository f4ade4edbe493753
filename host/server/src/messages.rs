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
use super::files::{read, sound, warnings};
use super::problem::{Fault, Kind, Problem};
use super::request::{Params, Place, json, must_be};
use promoflow_model::message::{Content, Message, Parts, Prepared, Values};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, apply))
        .routes(routes!(one))
        .routes(routes!(render))
}

/// A prepared message.
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
struct MessageJson {
    /// Its id.
    message: String,
    /// How it reaches an address.
    #[schema(example = "email")]
    channel: String,
    #[serde(flatten)]
    parts: PartsJson,
    /// The language of these parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// What it says in other languages, by BCP 47 tag.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    languages: BTreeMap<String, PartsJson>,
    /// `print`: a reference without a value prints its source; without it, it prints nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    unset: Option<&'static str>,
    /// What was applied: its version, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// What was applied: whether it differs from the version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<bool>,
    /// What was applied: what is odd about it, with line and column.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<Vec<Fault>>,
}

/// What a message says: templates, or what they print.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageParts)]
#[serde(rename_all = "camelCase")]
struct PartsJson {
    /// The sender.
    from: Option<String>,
    /// The subject of an email.
    subject: Option<String>,
    /// The plain text.
    text: Option<String>,
    /// The HTML of an email.
    html: Option<String>,
    /// Where answers to an email go.
    reply_to: Option<String>,
    /// What mail programs show beside the subject.
    preheader: Option<String>,
    /// The line above the text of a push.
    title: Option<String>,
    /// The address of a picture.
    image: Option<String>,
    /// Where a tap leads.
    link: Option<String>,
    /// What stands on the button.
    button: Option<String>,
    /// Further headers of an email, name and value.
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

impl From<Content> for PartsJson {
    fn from(content: Content) -> PartsJson {
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
    api.call(|promoflow| {
        let messages = promoflow.messages()?.into_iter();
        Ok(Json(messages.map(MessageJson::from).collect()))
    })
    .await
}

/// Check messages and store them.
///
/// The body is a message file in YAML or JSON. It cannot name other files: HTML stands in it.
#[utoipa::path(post, path = "/api/v1/messages", tag = "messages",
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses((status = 200, description = "What was stored.", body = Vec<MessageJson>)))]
async fn apply(
    State(api): State<Api>,
    request: Request,
) -> Result<Json<Vec<MessageJson>>, Problem> {
    let (name, source) = read(&api, request).await?;
    api.call(move |promoflow| {
        let no_files = |_: &str| {
            let why = "a message that is sent here names no files; write `html` instead";
            Err(io::Error::other(why))
        };
        let file = promoflow.apply_messages(name, &source, &no_files)?;
        sound(&file, "message")?;
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
        .ok_or_else(|| Problem::unknown("message", id))
}

/// Show a message.
#[utoipa::path(get, path = "/api/v1/messages/{message}", tag = "messages",
    params(("message" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The message.", body = MessageJson)))]
async fn one(
    State(api): State<Api>,
    Place(id): Place<String>,
) -> Result<Json<MessageJson>, Problem> {
    api.call(move |promoflow| Ok(Json(find(promoflow, &id)?.into())))
        .await
}

/// What a contact would get.
#[derive(Serialize, ToSchema)]
struct Rendered {
    /// The message.
    message: String,
    /// How it would reach an address.
    channel: String,
    #[serde(flatten)]
    parts: PartsJson,
    /// The language that was chosen, where the message names it.
    language: Option<String>,
}

/// How to show a message.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RenderQuery {
    /// The language to show it in, such as `uk`; without it, the one that the values prefer.
    language: Option<String>,
}

/// Show what a contact would get, without sending it.
///
/// The body is an object of values; `key` among them is the event's key.
#[utoipa::path(post, path = "/api/v1/messages/{message}/render", tag = "messages",
    params(("message" = String, Path, description = "Its id."), RenderQuery),
    request_body(content_type = "application/json", content = Object),
    responses((status = 200, description = "What a contact would get.", body = Rendered)))]
async fn render(
    State(api): State<Api>,
    Place(id): Place<String>,
    Params(query): Params<RenderQuery>,
    request: Request,
) -> Result<Json<Rendered>, Problem> {
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &["application/json"])?;
    let body = api.body(body).await?;
    let turn = api.document_turn().await?;
    api.call(move |promoflow| {
        let _turn = turn;
        let values: Map<String, Value> = json(&body)?;
        let message = find(promoflow, &id)?;
        let refused = |error: promoflow_model::message::RenderError| {
            Problem::new(Kind::RefusedContent, error.to_string())
        };
        let key = values
            .get("key")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let values = Values::new(&values, &key).at(promoflow.present()?);
        let prepared = Prepared::new(message).map_err(refused)?;
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
