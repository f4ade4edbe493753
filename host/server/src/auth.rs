//! Authentication, scopes and rate limits.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::connections::ConnectionState;
use super::cross_site::{is_browser, reject_cross_site};
use super::media::MediaTypes;
use super::problem::{Kind, Problem};
use super::query_params::KnownQueryParams;
use super::request::{drain, drain_unauthenticated, reject_content_encoding};
use super::{Api, Limits};
use promoflow_installation::{Error, Promoflow};
use promoflow_model::key::{Key, Scope};

/// Interval between checks for keys created or revoked by other processes.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_millis(250);

/// The API key that authenticated the request.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) Arc<Key>);

/// The installation's API keys, kept in memory so that no request waits for the database.
#[derive(Default)]
pub(super) struct Keys {
    cache: RwLock<KeyCache>,
}

#[derive(Default)]
struct KeyCache {
    generation: Option<u64>,
    by_id: HashMap<String, Arc<Key>>,
}

impl Keys {
    /// Reloads the keys if one was created or revoked.
    pub(super) fn refresh(&self, promoflow: &Promoflow) -> Result<(), Error> {
        let generation = Some(promoflow.key_generation()?);
        if self.read().generation == generation {
            return Ok(());
        }
        let keys = promoflow.keys()?.into_iter();
        let valid = keys.filter(|key| key.revoked.is_none());
        let by_id = valid.map(|key| (key.id.clone(), Arc::new(key))).collect();
        *self.cache.write().unwrap_or_else(PoisonError::into_inner) =
            KeyCache { generation, by_id };
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, KeyCache> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        // A browser that gets a Basic challenge prompts the user, keeps the password, and sends it
        // with every later request.
        let scheme = match is_browser(headers) {
            true => "Bearer realm=\"promoflow\"",
            false => "Basic realm=\"promoflow\", charset=\"UTF-8\"",
        };
        let refused = |why: &str| {
            Problem::new(Kind::Unauthenticated, why)
                .header(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme))
        };
        let cache = self.read();
        if cache.by_id.is_empty() {
            return Err(refused(
                "no API key exists yet; create one with `promoflow key create` on the server",
            ));
        }
        let Some(presented) = presented_key(headers) else {
            return Err(refused(
                "send the API key as the password of HTTP Basic with any user name, or as a \
                 Bearer token",
            ));
        };
        Key::parse_id(&presented)
            .and_then(|id| cache.by_id.get(id))
            .filter(|key| key.matches(&presented))
            .map(|key| Caller(Arc::clone(key)))
            .ok_or_else(|| refused("the API key is unknown or was revoked"))
    }
}

/// Returns the password of HTTP Basic or the Bearer token.
fn presented_key(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

/// The rate limit that applies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    Events,
    Others,
}

/// Rate limiters for each key.
pub(super) struct Rates {
    events: DefaultKeyedRateLimiter<String>,
    others: DefaultKeyedRateLimiter<String>,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Rates {
        let limiter = |number: u32| {
            RateLimiter::keyed(Quota::per_second(
                NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN),
            ))
        };
        Rates {
            events: limiter(limits.events_per_second),
            others: limiter(limits.requests_per_second),
        }
    }

    fn check(&self, rate: Rate, key: &Key) -> Result<(), Problem> {
        let limiter = match rate {
            Rate::Events => &self.events,
            Rate::Others => &self.others,
        };
        limiter.check_key(&key.id).map_err(|not_until| {
            too_many(
                not_until.wait_time_from(DefaultClock::default().now()),
                "rate limit exceeded: this API key sent too many requests in one second; retry \
                 after the time in Retry-After",
            )
        })
    }

    /// Counts the further events of a batch; the first was counted with the request.
    pub(super) fn check_further_events(&self, key: &Key, further: usize) -> Result<(), Problem> {
        let Some(number) = u32::try_from(further).ok().and_then(NonZeroU32::new) else {
            return Ok(());
        };
        let detail = "rate limit exceeded: this API key sent too many events in one second; send the \
                    batch again after the time in Retry-After";
        match self.events.check_key_n(&key.id, number) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(too_many(wait, detail))
            }
            Err(exceeds_capacity) => Err(Problem::internal(exceeds_capacity)),
        }
    }
}

fn too_many(wait: Duration, detail: &str) -> Problem {
    // Rounded up, so that a client that waits this long succeeds.
    Problem::new(Kind::TooManyRequests, detail).retry_after(wait.as_secs() + 1)
}

/// Access rules of a group of routes.
#[derive(Clone)]
pub(super) struct AccessRules {
    pub(super) api: Api,
    /// The scope required for changes. Reading requires this scope or `read`.
    pub(super) scope: Scope,
    pub(super) rate: Rate,
    pub(super) query_params: KnownQueryParams,
    pub(super) media: MediaTypes,
}

/// Returns true if the scope `read` allows this request.
pub(super) fn allows_read_scope(is_read: bool, scope: Scope) -> bool {
    is_read && scope != Scope::Admin
}

/// Authenticates and authorizes a request, and adds the [`Caller`] for the handler.
pub(super) async fn authorize(
    State(auth): State<AccessRules>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller =
        reject_cross_site(&request).and_then(|()| auth.api.keys.authenticate(request.headers()));
    let admitted = match caller {
        Ok(caller) => {
            let request_guard = request.extensions().get::<ConnectInfo<ConnectionState>>();
            let request_guard = request_guard.map(|ConnectInfo(state)| state.begin_request());
            (
                auth.check_access(&caller, &request).map(|()| caller),
                request_guard,
            )
        }
        Err(problem) => (Err(problem), None),
    };
    match admitted {
        (Ok(caller), _request_guard) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        (Err(problem), request_guard) => {
            // A client that sent `Expect: 100-continue` has not sent its body yet.
            if !request.headers().contains_key(header::EXPECT) {
                match request_guard {
                    Some(_) => drain(request.body_mut(), auth.api.limits.body_timeout).await,
                    None => drain_unauthenticated(request.body_mut()).await,
                }
            }
            problem.into_response()
        }
    }
}

impl AccessRules {
    fn check_access(&self, caller: &Caller, request: &Request) -> Result<(), Problem> {
        let key = &caller.0;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let read_suffices = allows_read_scope(is_read, self.scope);
        let allowed = key.allows(self.scope) || (read_suffices && key.allows(Scope::Read));
        if !allowed {
            let or_read = if read_suffices { " or `read`" } else { "" };
            return Err(Problem::new(
                Kind::InsufficientScope,
                format!("the API key needs the scope `{}`{or_read}", self.scope),
            ));
        }
        self.api.rates.check(self.rate, key)?;
        self.query_params.check(request)?;
        self.media.check(request)?;
        if *request.method() == Method::POST {
            reject_content_encoding(request.headers())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        presented_key(&headers)
    }

    #[test]
    fn reads_the_key_from_basic_and_bearer() {
        assert_eq!(presented("Bearer pf_a_b").as_deref(), Some("pf_a_b"));
        assert_eq!(presented("bearer  pf_a_b ").as_deref(), Some("pf_a_b"));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(presented(&basic("any:pf_a_b")).as_deref(), Some("pf_a_b"));
        assert_eq!(presented(&basic(":a:b")).as_deref(), Some("a:b"));
        assert_eq!(presented(&basic("nothing")), None);
        assert_eq!(presented("Basic %%%"), None);
        assert_eq!(presented("Digest x"), None);
    }
}
