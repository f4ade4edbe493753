//! Requests over HTTP: of `type = "http"`, which hands letters to a provider, and of `[webhook.NAME]`,
//! which is told of alerts.

use std::ops::Range;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;
use toml::Spanned;

use super::Secret;
use super::answer::Answer;
use super::body::{Body, Json, form};
use super::file::{Source, Table};
use super::template::Templated;
use super::url;
use promoflow_document::shown;
use promoflow_model::message::{ChannelKind, UnknownChannel};

/// The values of a letter that templates read.
pub(super) const VARIABLES: [&str; 15] = [
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

/// The values of the event of an alert that templates read.
const OF_EVENTS: [&str; 11] = [
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

/// The names of all values that templates read.
pub fn letter_and_event_values() -> impl Iterator<Item = &'static str> {
    VARIABLES.into_iter().chain(OF_EVENTS)
}

/// What requests are made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Letters, by a channel.
    Letters,
    /// Events of alerts, by a webhook.
    Events,
}

/// Headers that the host sets itself.
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// How to hand letters to a provider over HTTP.
#[derive(Debug)]
pub struct HttpConfig {
    /// The kinds of letters that go there; none of a webhook.
    pub takes: Vec<ChannelKind>,
    /// The method of the request.
    pub method: Method,
    /// The URL with a value for each reference: its origin is that of every request.
    pub sample: Url,
    /// The URL.
    pub url: Templated,
    /// Further headers.
    pub headers: Vec<(HeaderName, Templated)>,
    /// Who logs in, and with what.
    pub login: Option<(Templated, Secret)>,
    /// What is sent.
    pub body: Body,
    /// Variables of the templates whose values are secret.
    pub secrets: Vec<(String, Secret)>,
    /// With what requests are signed; several while one replaces another.
    pub sign: Vec<Secret>,
    /// The header that holds the delivery's identity.
    pub idempotency_header: HeaderName,
    /// What answers mean; the first that fits decides.
    pub answers: Vec<Answer>,
    /// Connections that are open, and letters that are handed over, at one time.
    pub connections: usize,
    /// How long the provider may take for an answer.
    pub timeout: Duration,
}

/// A request's method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "as RFC 9110 and RFC 5789 call them")]
pub enum Method {
    Get,
    #[default]
    Post,
    Put,
    Patch,
}

/// The keys that hold neither templates nor tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Plain {
    takes: Option<Spanned<Vec<Spanned<String>>>>,
    url: Spanned<String>,
    #[serde(default)]
    method: Method,
    username: Option<Spanned<String>>,
    password: Option<Secret>,
    #[serde(default)]
    sign: Vec<Secret>,
    idempotency_header: Option<Spanned<String>>,
    connections: Option<Spanned<usize>>,
    timeout_seconds: Option<Spanned<u64>>,
}

/// The keys of a channel. The last four say what a webhook does not: which letters go there, and
/// how many at a time.
const KEYS: [&str; 16] = [
    "url",
    "method",
    "headers",
    "username",
    "password",
    "json",
    "form",
    "secrets",
    "sign",
    "idempotency-header",
    "timeout-seconds",
    "answer",
    "takes",
    "connections",
    "rate",
    "type",
];
/// How many of them a webhook has.
const KEYS_OF_WEBHOOKS: usize = 12;

impl HttpConfig {
    pub(super) fn read(mut table: Table<'_>, of: Of) -> anyhow::Result<HttpConfig> {
        let (keys, values) = match of {
            Of::Letters => (&KEYS[..], &VARIABLES[..]),
            Of::Events => (&KEYS[..KEYS_OF_WEBHOOKS], &OF_EVENTS[..]),
        };
        table.refuse_unknown(keys)?;
        let source = table.source;
        let at = table.at.clone();
        let secrets = secrets(source, table.take_table("secrets")?, values)?;
        let mut variables = values.to_vec();
        variables.extend(secrets.iter().map(|(name, _)| name.as_str()));
        let mut body = body(&mut table, &variables)?;
        if of == Of::Events && matches!(body, Body::None) {
            body = Body::Event;
        }
        let headers = headers(source, table.take_table("headers")?, &variables)?;
        let answers = table.take_tables("answer")?.into_iter().map(Answer::read);
        let answers = answers.collect::<Result<_, _>>()?;
        let plain: Plain = table.into()?;
        let login = match (&plain.username, plain.password) {
            (Some(name), Some(password)) => {
                Some((Templated::compile(source, name, &variables)?, password))
            }
            (None, None) => None,
            _ => return Err(source.fault(at, "`username` and `password` go together")),
        };
        let timeout = plain.timeout_seconds.unwrap_or(Spanned::new(0..0, 30));
        if !(1..=600).contains(timeout.get_ref()) {
            return Err(source.fault(timeout.span(), "`timeout-seconds` must be 1 to 600"));
        }
        let connections = plain.connections.unwrap_or(Spanned::new(0..0, 4));
        if !(1..=64).contains(connections.get_ref()) {
            return Err(source.fault(connections.span(), "`connections` must be 1 to 64"));
        }
        let (sample, url) = url::read(source, &plain.url, &variables)?;
        let idempotency_header = match plain.idempotency_header {
            Some(name) => header_name(source, name.span(), name.get_ref())?,
            None => HeaderName::from_static("idempotency-key"),
        };
        if headers.iter().any(|(name, _)| *name == idempotency_header) {
            let message = "the header with the delivery's identity is set by the host";
            return Err(source.fault(at, message));
        }
        Ok(HttpConfig {
            takes: match (plain.takes, of) {
                (Some(names), _) => takes(source, &names)?,
                (None, Of::Letters) => return Err(source.fault(at, "missing field `takes`")),
                (None, Of::Events) => Vec::new(),
            },
            method: plain.method,
            sample,
            url,
            headers,
            login,
            body,
            secrets,
            sign: plain.sign,
            idempotency_header,
            answers,
            connections: connections.into_inner(),
            timeout: Duration::from_secs(timeout.into_inner()),
        })
    }
}

fn takes(
    source: Source<'_>,
    names: &Spanned<Vec<Spanned<String>>>,
) -> anyhow::Result<Vec<ChannelKind>> {
    if names.get_ref().is_empty() {
        let message = format_args!(
            "expected some of {}",
            ChannelKind::ALL.map(ChannelKind::name).join(", ")
        );
        return Err(source.fault(names.span(), message));
    }
    let kinds = names.get_ref().iter().map(|name| {
        name.get_ref().parse().map_err(|error: UnknownChannel| {
            source.fault(name.span(), format_args!("{error}; {}", error.hint))
        })
    });
    kinds.collect()
}

/// The secrets by the names under which templates read them.
fn secrets(
    source: Source<'_>,
    table: Option<Table<'_>>,
    values: &[&str],
) -> anyhow::Result<Vec<(String, Secret)>> {
    let entries = table.map_or_else(Vec::new, Table::into_entries).into_iter();
    let secrets = entries.map(|(name, value)| {
        let at = value.span();
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(letters) {
            let message = format_args!(
                "templates cannot read {}; expected a name of letters, digits and `_`",
                shown(&name)
            );
            return Err(source.fault(at, message));
        }
        if values.contains(&name.as_str()) {
            let message = format_args!(
                "{} is a value of what is sent; expected another name",
                shown(&name)
            );
            return Err(source.fault(at, message));
        }
        Ok((name, source.read(value)?))
    });
    secrets.collect()
}

fn body(table: &mut Table<'_>, variables: &[&str]) -> anyhow::Result<Body> {
    let source = table.source;
    Ok(
        match (table.take_value("json"), table.take_table("form")?) {
            (None, None) => Body::None,
            (Some(json), None) => Body::Json(Json::compile(source, json, variables)?),
            (None, Some(fields)) => Body::Form(form(fields, variables)?),
            (Some(json), Some(_)) => {
                return Err(source.fault(json.span(), "expected one of `json` and `form`"));
            }
        },
    )
}

fn headers(
    source: Source<'_>,
    table: Option<Table<'_>>,
    variables: &[&str],
) -> anyhow::Result<Vec<(HeaderName, Templated)>> {
    let entries = table.map_or_else(Vec::new, Table::into_entries).into_iter();
    let headers = entries.map(|(name, value)| {
        let name = header_name(source, value.span(), &name)?;
        let value: Spanned<String> = source.read(value)?;
        Ok((name, Templated::compile(source, &value, variables)?))
    });
    headers.collect()
}

/// The name of a header that the host does not set itself.
pub(super) fn header_name(
    source: Source<'_>,
    at: Range<usize>,
    name: &str,
) -> anyhow::Result<HeaderName> {
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        source.fault(
            at.clone(),
            format_args!("{} is not the name of a header", shown(name)),
        )
    })?;
    if OWN_HEADERS.contains(&header.as_str()) {
        let message = format_args!("the header {} is set by the host", shown(name));
        return Err(source.fault(at, message));
    }
    Ok(header)
}
