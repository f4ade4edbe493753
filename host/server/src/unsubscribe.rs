//! Unsubscribing with the token of a message (RFC 8058). No API key is required: the token
//! authenticates the contact.

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::Html;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::{Kind, Problem};
use super::request::PathParams;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show_page, unsubscribe))
}

/// Content-Security-Policy of the page: it may only submit its own form.
const OWN_FORM: &str =
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// A page with one sentence or button and no external resources.
type Page = ([(HeaderName, &'static str); 1], Html<String>);

fn page(body: &str) -> Page {
    let page = Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Unsubscribe</title><body>{body}</body></html>"
    ));
    ([(header::CONTENT_SECURITY_POLICY, OWN_FORM)], page)
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound, "no message with this token")
}

/// Show a page that asks whether to unsubscribe.
///
/// Changes nothing, because mail scanners follow every link.
#[utoipa::path(get, path = "/u/{token}", tag = "unsubscribe", security(()),
    params(("token" = String, Path, description = "Unsubscribe token of a message.")),
    responses((status = 200, description = "A page with a button.", body = String,
        content_type = "text/html")))]
async fn show_page(
    State(api): State<Api>,
    PathParams(token): PathParams<String>,
) -> Result<Page, Problem> {
    let known = api.run_blocking(move |promoflow| Ok(promoflow.is_unsubscribe_token(&token)?));
    if !known.await? {
        return Err(unknown());
    }
    Ok(page(
        "<form method=\"post\"><p>Do you want no more of these messages?</p><button \
         name=\"List-Unsubscribe\" value=\"One-Click\">Unsubscribe</button></form>",
    ))
}

/// Unsubscribe the recipient of a message from its channel.
///
/// Mail programs send `List-Unsubscribe=One-Click`; the body is ignored.
#[utoipa::path(post, path = "/u/{token}", tag = "unsubscribe", security(()),
    params(("token" = String, Path, description = "Unsubscribe token of a message.")),
    responses((status = 200, description = "The recipient is unsubscribed.", body = String,
        content_type = "text/html")))]
async fn unsubscribe(
    State(api): State<Api>,
    PathParams(token): PathParams<String>,
) -> Result<Page, Problem> {
    let noted = api.run_blocking(move |promoflow| Ok(promoflow.unsubscribe_by_token(&token)?));
    if !noted.await? {
        return Err(unknown());
    }
    Ok(page("<p>You get no more of these messages.</p>"))
}
