//! Builds the HTTP request of a message.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use promoflow_velocity::{Context, Error, Escape};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::Value;

use super::Http;
use crate::{ChannelError, OutboundMessage};
use promoflow_config as config;
use promoflow_config::RequestBody;
use promoflow_model::alert::summary;

/// The parameters of an alert event.
const VALUES: [&str; 12] = [
    "actualCount",
    "alertLevel",
    "alertTrackingSourceName",
    "alertTrackingSourceType",
    "count",
    "daysLeft",
    "discount",
    "kind",
    "level",
    "threshold",
    "type",
    "withinDays",
];

/// The reason why a request cannot be built.
pub(super) enum RequestError {
    /// The values of this message give an invalid part of the request; retrying does not help.
    Message(String),
    /// The configuration is invalid for every message; an operator must fix it.
    Configuration(String),
}

/// Creates the error of a template that cannot be rendered. The engine's error text is left out,
/// because it may contain a value.
fn template_error(part: &str, error: &Error) -> RequestError {
    RequestError::Configuration(format!(
        "the template of {part} cannot be rendered (line {}, column {})",
        error.line, error.column
    ))
}

impl Http {
    /// Builds the request from values. `id` is the idempotency key; `event` is the body unless the
    /// configuration defines one.
    pub(super) fn request(
        &self,
        id: &str,
        values: &Context,
        event: &str,
    ) -> Result<Request, RequestError> {
        let config = &self.config;
        let method = match config.method {
            config::Method::Get => Method::GET,
            config::Method::Post => Method::POST,
            config::Method::Put => Method::PUT,
            config::Method::Patch => Method::PATCH,
        };
        let mut request = Request::new(method, self.url(values)?);
        let body = self.body(values, event)?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match config.body {
            RequestBody::None => None,
            RequestBody::Json(_) | RequestBody::Event => Some("application/json"),
            RequestBody::Form(_) => Some("application/x-www-form-urlencoded"),
        }
        .map(|kind| headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind)));
        self.headers(values, headers)?;
        set(headers, config.idempotency_header.clone(), id)?;
        let seconds = self.clock.now().0 / 1000;
        if let Some(signature) = self.signer.sign(id, seconds, &body) {
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let signed = [id.to_owned(), seconds.to_string(), signature];
            for (name, value) in names.into_iter().zip(signed) {
                set(headers, HeaderName::from_static(name), &value)?;
            }
        }
        if !matches!(config.body, RequestBody::None) {
            *request.body_mut() = Some(body.into());
        }
        Ok(request)
    }

    /// Returns the values of every template: the configuration's secrets and the delivery id.
    fn values(&self, id: &str) -> Context {
        self.with_secrets(Context::new().with("delivery", id))
    }

    fn with_secrets(&self, values: Context) -> Context {
        let secrets = self.secrets.iter();
        secrets.fold(values, |values, (name, secret)| {
            values.with(name, secret.as_str())
        })
    }

    /// Builds a request from the secrets and harmless values. If that fails, the configuration or a
    /// secret is invalid and every message would fail.
    pub(super) fn check_secrets(&self) -> Result<(), ChannelError> {
        let values = config::template_variables();
        let values = values.fold(Context::new(), |values, name| values.with(name, "x"));
        match self.request("x", &self.with_secrets(values), "") {
            // A template may fail only for the test values.
            Ok(_) | Err(RequestError::Configuration(_)) => Ok(()),
            Err(RequestError::Message(part)) => {
                let host = self.config.sample_url.host_str().unwrap_or_default();
                Err(ChannelError::InvalidRequest {
                    host: host.to_owned(),
                    part,
                })
            }
        }
    }

    /// Returns the template values of an alert event. Missing values are empty.
    pub(super) fn event_values(&self, id: &str, event: &Value) -> Context {
        let mut values = self.values(id);
        for name in VALUES {
            values.set(name, text(&event["params"][name]));
        }
        let summary = event["params"].as_object().map(summary);
        values
            .with("event", text(&event["eventTypeKey"]))
            .with("text", summary.unwrap_or_default())
    }

    /// Returns the template values of a message. Missing values are empty.
    pub(super) fn message_values(&self, id: &str, outbound: &OutboundMessage<'_>) -> Context {
        let content = outbound.content;
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        self.values(id)
            .with("address", outbound.address)
            .with("button", or_empty(&content.button))
            .with("channel", outbound.kind.name())
            .with("from", or_empty(&content.from))
            .with("html", or_empty(&content.html))
            .with("image", or_empty(&content.image))
            .with("language", or_empty(&content.language))
            .with("link", or_empty(&content.link))
            .with("preheader", or_empty(&content.preheader))
            .with("replyTo", or_empty(&content.reply_to))
            .with("subject", or_empty(&content.subject))
            .with("text", or_empty(&content.text))
            .with("title", or_empty(&content.title))
            .with("unsubscribe", outbound.unsubscribe.unwrap_or_default())
    }

    fn url(&self, values: &Context) -> Result<Url, RequestError> {
        let rendered = self.config.url.render(values, Escape::Url);
        let rendered = rendered.map_err(|error| template_error("`url`", &error))?;
        let invalid = || RequestError::Message("URL".to_owned());
        let url = Url::parse(&rendered).map_err(|_| invalid())?;
        // Values are escaped, but a value of `..` would leave the configured path.
        let path = rendered.split(['?', '#']).next().unwrap_or_default();
        let leaves_path = path.split('/').any(|part| matches!(part, "." | ".."));
        if leaves_path || url.origin() != self.config.sample_url.origin() {
            return Err(invalid());
        }
        Ok(url)
    }

    fn headers(&self, values: &Context, headers: &mut HeaderMap) -> Result<(), RequestError> {
        if let (Some((name, _)), Some(password)) = (&self.config.login, &self.password) {
            let name = name.render(values, Escape::None);
            let name = name.map_err(|error| template_error("`username`", &error))?;
            let login = BASE64_STANDARD.encode(format!("{name}:{password}"));
            set(headers, AUTHORIZATION, &format!("Basic {login}"))?;
        }
        for (name, value) in &self.config.headers {
            let value = value.render(values, Escape::None);
            let value =
                value.map_err(|error| template_error(&format!("the header {name}"), &error))?;
            if !value.is_empty() {
                set(headers, name.clone(), &value)?;
            }
        }
        Ok(())
    }

    fn body(&self, values: &Context, event: &str) -> Result<Vec<u8>, RequestError> {
        match &self.config.body {
            RequestBody::None => Ok(Vec::new()),
            RequestBody::Event => Ok(event.as_bytes().to_vec()),
            RequestBody::Json(json) => {
                let json = json
                    .render(values)
                    .map_err(|error| template_error("`json`", &error))?;
                Ok(json.to_string().into_bytes())
            }
            RequestBody::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, template) in fields {
                    let value = template.render(values, Escape::None);
                    let value = value.map_err(|error| template_error("`form`", &error))?;
                    if !value.is_empty() || !template.has_references() {
                        form.append_pair(name, &value);
                    }
                }
                Ok(form.finish().into_bytes())
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Sets a header. Rejects values with line breaks, which could inject another header.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), RequestError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| RequestError::Message(format!("header {name}")))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}
