//! Events, as Yespo's API and as CloudEvents.

use std::collections::BTreeMap;

#[cfg(feature = "schema")]
use promoflow_model::event::{MAX_ID_CHARS, MAX_KEY_CHARS, MAX_PARAM_NAME_CHARS, MAX_TYPE_CHARS};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
#[cfg(feature = "schema")]
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

/// Event of API version 1: values are text.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventV1 {
    /// Event type. An unknown type is created.
    #[cfg_attr(feature = "schema", schema(schema_with = event_type_key))]
    pub event_type_key: String,
    /// Event key: the contact that the event is about.
    #[cfg_attr(feature = "schema", schema(schema_with = key_value))]
    pub key_value: Option<String>,
    /// Parameters; names are unique.
    pub params: Option<ParamsV1>,
    /// Id that identifies repeated events.
    #[cfg_attr(feature = "schema", schema(schema_with = event_id))]
    pub id: Option<String>,
}

/// Schema of a text, or a whole number that is read as text.
#[cfg(feature = "schema")]
fn text_schema(max_chars: usize, example: &str, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
        .min_length(Some(1))
        .max_length(Some(max_chars))
        .examples([example])
        .description(Some(description))
}

/// Pattern of keys; see [`Event::checked`].
#[cfg(feature = "schema")]
const PATTERN: &str = "^[^<;\u{2019}\\\\/|\"`'^?!,>]+$";

#[cfg(feature = "schema")]
fn event_type_key() -> ObjectBuilder {
    let description = "Event type. An unknown type is created.";
    text_schema(MAX_TYPE_CHARS, "birthday", description).pattern(Some(PATTERN))
}

#[cfg(feature = "schema")]
fn key_value() -> ObjectBuilder {
    text_schema(
        MAX_KEY_CHARS,
        "ann@example.com",
        "Event key: the contact that the event is about. If absent, a parameter identifies the \
         contact: its id, external id, email address, phone number or token.",
    )
    .schema_type(SchemaType::from_iter([
        Type::String,
        Type::Integer,
        Type::Null,
    ]))
    .min_length(None)
}

#[cfg(feature = "schema")]
fn param_name() -> ObjectBuilder {
    text_schema(
        MAX_PARAM_NAME_CHARS,
        "EmailAddress",
        "Name of the parameter.",
    )
}

#[cfg(feature = "schema")]
fn event_id() -> ObjectBuilder {
    text_schema(
        MAX_ID_CHARS,
        "e-1",
        "Id that identifies repeated events; the header Idempotency-Key may be used instead.",
    )
    .schema_type(SchemaType::from_iter([
        Type::String,
        Type::Integer,
        Type::Null,
    ]))
}

/// Parameters with text values.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ParamsV1 {
    /// A list of names and values.
    List(Vec<ParamV1>),
    /// An object of values by name.
    Object(BTreeMap<String, Scalar>),
}

/// Parameters with values of any type.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ParamsV2 {
    /// A list of names and values.
    List(Vec<ParamV2>),
    /// An object of values by name.
    Object(BTreeMap<String, Value>),
}

/// A text, or a value that is converted to text.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Truth(bool),
}

/// A parameter with a text value.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ParamV1 {
    /// Name of the parameter.
    #[cfg_attr(feature = "schema", schema(schema_with = param_name))]
    pub name: String,
    /// Value of the parameter.
    pub value: Scalar,
}

/// Event of API version 2: values of any type.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventV2 {
    /// Event type. An unknown type is created.
    #[cfg_attr(feature = "schema", schema(schema_with = event_type_key))]
    pub event_type_key: String,
    /// Event key: the contact that the event is about.
    #[cfg_attr(feature = "schema", schema(schema_with = key_value))]
    pub key_value: Option<String>,
    /// Parameters; names are unique.
    pub params: Option<ParamsV2>,
    /// Id that identifies repeated events.
    #[cfg_attr(feature = "schema", schema(schema_with = event_id))]
    pub id: Option<String>,
}

/// A parameter with a value of any type.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ParamV2 {
    /// Name of the parameter.
    #[cfg_attr(feature = "schema", schema(schema_with = param_name))]
    pub name: String,
    /// Value: text, number, boolean, list or object; null if absent.
    pub value: Option<Value>,
}

/// Acknowledgement of a stored event.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Accepted {
    /// Id of the event, or its number if it was sent without an id.
    #[cfg_attr(feature = "schema", schema(example = "e-1"))]
    pub event: String,
    /// `accepted`, or `duplicate` if the event was accepted before.
    #[cfg_attr(
        feature = "schema",
        schema(example = "accepted", pattern = "^(accepted|duplicate)$")
    )]
    pub status: &'static str,
    /// Ids of the runs that it started.
    #[cfg_attr(feature = "schema", schema(example = json!(["1"])))]
    pub runs: Vec<String>,
}

/// A CloudEvent in structured mode.
#[derive(Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CloudEvent {
    /// CloudEvents version.
    #[cfg_attr(feature = "schema", schema(pattern = "^1\\.0$", example = "1.0"))]
    pub specversion: String,
    /// Id, unique for its source.
    #[cfg_attr(feature = "schema", schema(min_length = 1))]
    pub id: String,
    /// Source of the event: a URI reference.
    #[cfg_attr(
        feature = "schema",
        schema(min_length = 1, pattern = "^\\S+$", example = "/shop")
    )]
    pub source: String,
    /// Type of the event (`eventTypeKey`).
    #[cfg_attr(
        feature = "schema",
        schema(min_length = 1, max_length = 100, example = "birthday")
    )]
    pub r#type: String,
    /// Event key (`keyValue`).
    #[cfg_attr(
        feature = "schema",
        schema(max_length = 300, example = "ann@example.com")
    )]
    pub subject: Option<String>,
    /// Parameters of the event.
    pub data: Option<Map<String, Value>>,
}
