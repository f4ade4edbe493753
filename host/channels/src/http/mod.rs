//! `http`: sends messages through a provider's HTTP API, and alert notifications to webhooks.
//!
//! A message becomes one request, built from the configuration's templates ([`request`]). It
//! carries an idempotency key that is the same in every attempt, and a signature if secrets are
//! configured ([`sign`]). The response is classified by the configuration's rules, and by its
//! status if no rule matches ([`classify`]).

mod classify;
mod client;
mod request;
mod sign;

use std::sync::Arc;

use reqwest::Request;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use self::classify::{Classification, ResponseBody};
use self::request::RequestError;
use self::sign::Signer;
use super::log_throttle::LogThrottle;
use super::{Channel, ChannelError, DeliveryOutcome, Limits, Notifier, OutboundMessage};
use promoflow_config::{HttpConfig, ResponseOutcome};
use promoflow_model::clock::Clock;
use promoflow_model::message::ChannelKind;
use promoflow_net::{HttpClient, HttpReply};

/// Sends messages through one provider, over persistent connections.
pub struct Http {
    config: Arc<HttpConfig>,
    client: HttpClient,
    /// The configuration's secrets, by their names in templates.
    secrets: Vec<(String, String)>,
    password: Option<String>,
    signer: Signer,
    log_throttle: LogThrottle,
    clock: Arc<dyn Clock>,
}

impl Http {
    /// Creates a channel and reads its secrets. It connects with the first message.
    pub fn new(config: &Arc<HttpConfig>, clock: Arc<dyn Clock>) -> Result<Http, ChannelError> {
        let config = Arc::clone(config);
        let secrets = config.secrets.iter();
        let secrets = secrets.map(|(name, secret)| Ok((name.clone(), secret.read()?)));
        let password = config.login.as_ref();
        let http = Http {
            client: client::new_client(&config)?,
            secrets: secrets.collect::<Result<_, ChannelError>>()?,
            password: password.map(|(_, secret)| secret.read()).transpose()?,
            signer: Signer::new(&config.signing_secrets)?,
            log_throttle: LogThrottle::default(),
            clock,
            config,
        };
        http.check_secrets()?;
        Ok(http)
    }

    fn send(&self, request: Result<Request, RequestError>) -> DeliveryOutcome {
        let request = match request {
            Ok(request) => request,
            Err(RequestError::Message(part)) => {
                let error = format!("the values of this message give an invalid {part}");
                return DeliveryOutcome::PermanentFailure { error };
            }
            Err(RequestError::Configuration(error)) => {
                self.log_misconfiguration(&error);
                return DeliveryOutcome::RetryableFailure {
                    error,
                    after: None,
                    ambiguous: false,
                };
            }
        };
        match self.client.execute(request) {
            Ok(reply) => self.classify(reply),
            Err(error) => DeliveryOutcome::RetryableFailure {
                error: client::describe_error(&error),
                after: None,
                ambiguous: !error.is_connect(),
            },
        }
    }

    fn classify(&self, reply: HttpReply) -> DeliveryOutcome {
        let body = match reply.body {
            Ok(body) => {
                serde_json::from_slice(&body).map_or(ResponseBody::NotJson, ResponseBody::Json)
            }
            Err(error) => ResponseBody::Broken(client::describe_body_error(error)),
        };
        let Classification {
            outcome,
            error,
            mut after,
            ambiguous,
        } = classify::classify(&self.config.response_rules, reply.status, &body);
        if after.is_none() {
            after = self.retry_after(&reply.headers);
        }
        match outcome {
            ResponseOutcome::Delivered => DeliveryOutcome::Delivered,
            ResponseOutcome::Permanent => DeliveryOutcome::PermanentFailure { error },
            ResponseOutcome::Retryable | ResponseOutcome::Misconfigured => {
                if outcome == ResponseOutcome::Misconfigured {
                    self.log_misconfiguration(&error);
                }
                DeliveryOutcome::RetryableFailure {
                    error,
                    after,
                    ambiguous,
                }
            }
        }
    }

    /// Returns the delay that the provider requested, by the provider's clock if it sent the date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<std::time::Duration> {
        let text = |name| headers.get(name)?.to_str().ok();
        classify::retry_after(text(RETRY_AFTER)?, text(DATE), self.clock.now())
    }

    /// Logs an error that affects every message and that an operator must fix.
    fn log_misconfiguration(&self, error: &str) {
        let host = self.config.sample_url.host_str().unwrap_or_default();
        let complaint = format!("the provider {host} refuses this installation: {error}");
        self.log_throttle.log(complaint);
    }
}

impl Channel for Http {
    fn supports(&self, kind: ChannelKind) -> bool {
        self.config.takes.contains(&kind)
    }

    fn limits(&self) -> Limits {
        Limits {
            concurrency: self.config.connections,
            rate: None,
        }
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        let id = format!("{}-{}", outbound.installation, outbound.id);
        let values = self.message_values(&id, outbound);
        self.send(self.request(&id, &values, ""))
    }
}

impl Notifier for Http {
    fn send_event(&self, id: &str, event: &str) -> DeliveryOutcome {
        let value = serde_json::from_str(event).unwrap_or_default();
        let values = self.event_values(id, &value);
        self.send(self.request(id, &values, event))
    }
}
