//! HTTP requests: of `type = "http"`, which sends messages to a provider, and of `[webhook.NAME]`,
//! which receives alerts.

use std::ops::Range;
use std::time::Duration;

use ::url::Url;
use http::header::HeaderName;
use serde::Deserialize;
use toml::Spanned;

use super::Secret;
use super::error::Result;
use super::request_body::{JsonTemplate, RequestBody, form};
use super::response_rule::ResponseRule;
use super::template::ConfigTemplate;
use super::toml_reader::{Source, Table};
use super::url;
use promoflow_document::quoted;
use promoflow_model::message::{ChannelKind, UnknownChannel};

/// The values of a delivery that templates can read.
pub(super) const DELIVERY_VARIABLES: [&str; 15] = [
    "address",
    "button",
    "channel",
    "delivery",
    "from",
    "html",
    "image",
    "language",
    "link",
    "preheader",
    "replyTo",
    "subject",
    "text",
    "title",
    "unsubscribe",
];

/// The values of an alert's event that templates can read.
const EVENT_VARIABLES: [&str; 15] = [
    "actualCount",
    "alertLevel",
    "alertTrackingSourceName",
    "alertTrackingSourceType",
    "count",
    "daysLeft",
    "delivery",
    "discount",
    "event",
    "kind",
    "level",
    "text",
    "threshold",
    "type",
    "withinDays",
];

/// Returns the names of all values that templates can read.
pub fn template_variables() -> impl Iterator<Item = &'static str> {
    DELIVERY_VARIABLES.into_iter().chain(EVENT_VARIABLES)
}

/// The source of the values in a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Deliveries of a channel.
    Deliveries,
    /// Alert events of a webhook.
    Events,
}

/// Headers that the host sets itself.
const RESERVED_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// The requests to a provider or a webhook.
#[derive(Debug)]
pub struct HttpConfig {
    /// The kinds of messages that the channel supports; empty for a webhook.
    pub takes: Vec<ChannelKind>,
    /// The method of the request.
    pub method: Method,
    /// The URL with a sample value for each reference; every request has its origin.
    pub sample_url: Url,
    /// The URL.
    pub url: ConfigTemplate,
    /// Additional headers.
    pub headers: Vec<(HeaderName, ConfigTemplate)>,
    /// User name and password.
    pub login: Option<(ConfigTemplate, Secret)>,
    /// The body of the request.
    pub body: RequestBody,
    /// Secret variables of the templates.
    pub secrets: Vec<(String, Secret)>,
    /// The secrets that sign requests; several while a secret is being replaced.
    pub signing_secrets: Vec<Secret>,
    /// The header that holds the idempotency key of the delivery.
    pub idempotency_header: HeaderName,
    /// The rules that classify responses; the first match applies.
    pub response_rules: Vec<ResponseRule>,
    /// Maximum number of open connections, and of concurrent attempts.
    pub connections: usize,
    /// Maximum time for a response.
    pub timeout: Duration,
}

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "names of RFC 9110 and RFC 5789")]
pub enum Method {
    Get,
    #[default]
    Post,
    Put,
    Patch,
}

/// The keys that are neither templates nor tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawHttp {
    takes: Option<Spanned<Vec<Spanned<String>>>>,
    url: Spanned<String>,
    #[serde(default)]
    method: Method,
    username: Option<Spanned<String>>,
    password: Option<Secret>,
    #[serde(default)]
    signing_secrets: Vec<Secret>,
    idempotency_header: Option<Spanned<String>>,
    connections: Option<Spanned<usize>>,
    timeout_seconds: Option<Spanned<u64>>,
}

/// The keys of a channel. A webhook has no use for the last four: the kinds of messages, and their
/// rate.
const KEYS: [&str; 16] = [
    "url",
    "method",
    "headers",
    "username",
    "password",
    "json",
    "form",
    "secrets",
    "signing-secrets",
    "idempotency-header",
    "timeout-seconds",
    "response",
    "takes",
    "connections",
    "rate",
    "type",
];
/// The number of these keys that a webhook has.
const WEBHOOK_KEY_COUNT: usize = 12;

impl HttpConfig {
    pub(super) fn read(mut table: Table<'_>, kind: RequestKind) -> Result<HttpConfig> {
        let (keys, values) = match kind {
            RequestKind::Deliveries => (&KEYS[..], &DELIVERY_VARIABLES[..]),
            RequestKind::Events => (&KEYS[..WEBHOOK_KEY_COUNT], &EVENT_VARIABLES[..]),
        };
        table.reject_unknown(keys)?;
        let source = table.source;
        let at = table.at.clone();
        let secrets = secrets(source, table.take_table("secrets")?, values)?;
        let mut variables = values.to_vec();
        variables.extend(secrets.iter().map(|(name, _)| name.as_str()));
        let mut body = body(&mut table, &variables)?;
        if kind == RequestKind::Events && matches!(body, RequestBody::None) {
            body = RequestBody::Event;
        }
        let headers = headers(source, table.take_table("headers")?, &variables)?;
        let response_rules = table
            .take_tables("response")?
            .into_iter()
            .map(ResponseRule::read);
        let response_rules = response_rules.collect::<Result<_, _>>()?;
        let plain: RawHttp = table.into()?;
        let login = match (&plain.username, plain.password) {
            (Some(name), Some(password)) => {
                Some((ConfigTemplate::compile(source, name, &variables)?, password))
            }
            (None, None) => None,
            _ => return Err(source.error_at(at, "`username` and `password` must be set together")),
        };
        let timeout = plain.timeout_seconds.unwrap_or(Spanned::new(0..0, 30));
        if !(1..=600).contains(timeout.get_ref()) {
            return Err(source.error_at(timeout.span(), "`timeout-seconds` must be 1 to 600"));
        }
        let connections = plain.connections.unwrap_or(Spanned::new(0..0, 4));
        if !(1..=64).contains(connections.get_ref()) {
            return Err(source.error_at(connections.span(), "`connections` must be 1 to 64"));
        }
        let (sample_url, url) = url::read(source, &plain.url, &variables)?;
        let idempotency_header = match plain.idempotency_header {
            Some(name) => header_name(source, name.span(), name.get_ref())?,
            None => HeaderName::from_static("idempotency-key"),
        };
        if headers.iter().any(|(name, _)| *name == idempotency_header) {
            let message = "the idempotency header is set by the host";
            return Err(source.error_at(at, message));
        }
        Ok(HttpConfig {
            takes: match (plain.takes, kind) {
                (Some(names), _) => takes(source, &names)?,
                (None, RequestKind::Deliveries) => {
                    return Err(source.error_at(at, "missing field `takes`"));
                }
                (None, RequestKind::Events) => Vec::new(),
            },
            method: plain.method,
            sample_url,
            url,
            headers,
            login,
            body,
            secrets,
            signing_secrets: plain.signing_secrets,
            idempotency_header,
            response_rules,
            connections: connections.into_inner(),
            timeout: Duration::from_secs(timeout.into_inner()),
        })
    }
}

fn takes(source: Source<'_>, names: &Spanned<Vec<Spanned<String>>>) -> Result<Vec<ChannelKind>> {
    if names.get_ref().is_empty() {
        let message = format_args!(
            "expected at least one of {}",
            ChannelKind::ALL.map(ChannelKind::name).join(", ")
        );
        return Err(source.error_at(names.span(), message));
    }
    let kinds = names.get_ref().iter().map(|name| {
        name.get_ref().parse().map_err(|error: UnknownChannel| {
            source.error_at(name.span(), format_args!("{error}; {}", error.hint))
        })
    });
    kinds.collect()
}

/// Reads the secrets and the names by which templates read them.
fn secrets(
    source: Source<'_>,
    table: Option<Table<'_>>,
    values: &[&str],
) -> Result<Vec<(String, Secret)>> {
    let entries = table.map_or_else(Vec::new, Table::into_entries).into_iter();
    let secrets = entries.map(|(name, value)| {
        let at = value.span();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(letters) {
            let message = format_args!(
                "templates cannot read {}; expected a name of letters, digits and `_`",
                quoted(&name)
            );
            return Err(source.error_at(at, message));
        }
        if values.contains(&name.as_str()) {
            let message = format_args!(
                "{} is the name of a message value; choose another name",
                quoted(&name)
            );
            return Err(source.error_at(at, message));
        }
        Ok((name, source.read(value)?))
    });
    secrets.collect()
}

fn body(table: &mut Table<'_>, variables: &[&str]) -> Result<RequestBody> {
    let source = table.source;
    Ok(
        match (table.take_value("json"), table.take_table("form")?) {
            (None, None) => RequestBody::None,
            (Some(json), None) => {
                RequestBody::Json(JsonTemplate::compile(source, json, variables)?)
            }
            (None, Some(fields)) => RequestBody::Form(form(fields, variables)?),
            (Some(json), Some(_)) => {
                return Err(source.error_at(json.span(), "expected either `json` or `form`"));
            }
        },
    )
}

fn headers(
    source: Source<'_>,
    table: Option<Table<'_>>,
    variables: &[&str],
) -> Result<Vec<(HeaderName, ConfigTemplate)>> {
    let entries = table.map_or_else(Vec::new, Table::into_entries).into_iter();
    let headers = entries.map(|(name, value)| {
        let name = header_name(source, value.span(), &name)?;
        let value: Spanned<String> = source.read(value)?;
        Ok((name, ConfigTemplate::compile(source, &value, variables)?))
    });
    headers.collect()
}

/// Parses the name of a header that the host does not set itself.
pub(super) fn header_name(source: Source<'_>, at: Range<usize>, name: &str) -> Result<HeaderName> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        source.error_at(
            at.clone(),
            format_args!("{}: invalid header name", quoted(name)),
        )
    })?;
    if RESERVED_HEADERS.contains(&header.as_str()) {
        let message = format_args!("the header {} is set by the host", quoted(name));
        return Err(source.error_at(at, message));
    }
    Ok(header)
}
