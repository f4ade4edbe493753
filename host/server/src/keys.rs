//! Administration of API keys.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::{Kind, Problem};
use super::request::{PathParams, parse_object, require_media_type};
use promoflow_api_model::{Key, NewKeyBody};
use promoflow_model::key::{EmptyScopesError, Scope};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// List the API keys, without their secrets.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys",
    responses((status = 200, description = "The API keys.", body = Vec<Key>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<Key>>, Problem> {
    api.run_blocking(|promoflow| {
        let keys = promoflow.keys()?;
        Ok(Json(keys.iter().map(Key::from).collect()))
    })
    .await
}

/// Create an API key. Its secret is shown only once.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = NewKeyBody,
    responses((status = 201, description = "The key with its secret.", body = Key)))]
async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &["application/json"])?;
    let asked: NewKeyBody = parse_object(&api.read_body(body).await?)?;
    let scopes: Vec<Scope> = match asked.scopes {
        Some(names) if names.is_empty() => {
            return Err(
                Problem::new(Kind::InvalidRequest, EmptyScopesError.to_string()).field("scopes"),
            );
        }
        Some(scopes) => scopes,
        None => Scope::DEFAULT.to_vec(),
    };
    let api_clone = api.clone();
    let made = api
        .run_blocking(move |promoflow| {
            let made = promoflow.create_key(&scopes)?;
            api_clone.keys.refresh(promoflow)?;
            Ok(made)
        })
        .await?;
    let shown = Key {
        secret: Some(made.secret),
        ..Key::from(&made.key)
    };
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Revoke an API key permanently, effective immediately.
#[utoipa::path(delete, path = "/api/v1/keys/{key}", tag = "keys",
    params(("key" = String, Path, description = "Id of the key.")),
    responses((status = 204, description = "The key is revoked.")))]
async fn revoke(
    State(api): State<Api>,
    PathParams(id): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let api_clone = api.clone();
    api.run_blocking(move |promoflow| {
        if !promoflow.revoke_key(&id)? {
            return Err(Problem::not_found("API key", &id));
        }
        api_clone.keys.refresh(promoflow)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
