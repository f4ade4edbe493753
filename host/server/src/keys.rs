//! Administration of API keys.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::{Kind, Problem};
use super::request::{PathParams, parse_object, require_media_type};
use promoflow_model::key::{EmptyScopesError, Key, Scope};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// Scope of an API key.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ScopeName {
    Codes,
    Events,
    Contacts,
    Workflows,
    Read,
    Metrics,
    Admin,
}

impl From<Scope> for ScopeName {
    fn from(scope: Scope) -> ScopeName {
        match scope {
            Scope::Codes => ScopeName::Codes,
            Scope::Events => ScopeName::Events,
            Scope::Contacts => ScopeName::Contacts,
            Scope::Workflows => ScopeName::Workflows,
            Scope::Read => ScopeName::Read,
            Scope::Metrics => ScopeName::Metrics,
            Scope::Admin => ScopeName::Admin,
        }
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Scope {
        match name {
            ScopeName::Codes => Scope::Codes,
            ScopeName::Events => Scope::Events,
            ScopeName::Contacts => Scope::Contacts,
            ScopeName::Workflows => Scope::Workflows,
            ScopeName::Read => Scope::Read,
            ScopeName::Metrics => Scope::Metrics,
            ScopeName::Admin => Scope::Admin,
        }
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
#[serde(rename_all = "camelCase")]
struct KeyJson {
    /// Public id of the key.
    key: String,
    /// Scopes of the key.
    scopes: Vec<ScopeName>,
    /// Creation time, RFC 3339.
    created_at: String,
    /// Time of revocation, RFC 3339; null if the key is valid.
    revoked_at: Option<String>,
    /// The key itself; only in the response that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<&Key> for KeyJson {
    fn from(key: &Key) -> KeyJson {
        KeyJson {
            key: key.id.clone(),
            scopes: key.scopes.iter().map(|scope| (*scope).into()).collect(),
            created_at: key.created.to_string(),
            revoked_at: key.revoked.map(|at| at.to_string()),
            secret: None,
        }
    }
}

/// The API key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKeyBody {
    /// Scopes of the key (default: all except `admin`).
    #[serde(default, deserialize_with = "deserialize_non_null")]
    #[schema(value_type = Vec<ScopeName>, required = false, min_items = 1)]
    scopes: Option<Vec<ScopeName>>,
}

/// Rejects null, which would otherwise grant the default scopes.
fn deserialize_non_null<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<ScopeName>>, D::Error> {
    Vec::deserialize(from).map(Some)
}

/// List the API keys, without their secrets.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys",
    responses((status = 200, description = "The API keys.", body = Vec<KeyJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<KeyJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let keys = promoflow.keys()?;
        Ok(Json(keys.iter().map(KeyJson::from).collect()))
    })
    .await
}

/// Create an API key. Its secret is shown only once.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = NewKeyBody,
    responses((status = 201, description = "The key with its secret.", body = KeyJson)))]
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
        Some(names) => names.into_iter().map(Scope::from).collect(),
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
    let shown = KeyJson {
        secret: Some(made.secret),
        ..KeyJson::from(&made.key)
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
