//! Blocks available to workflows.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;
use super::request::PathParams;
use promoflow_block_host::LibraryBlock;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// A block.
#[derive(Serialize, ToSchema)]
#[schema(as = Block)]
struct BlockJson {
    /// Name of the block.
    block: String,
    /// Version of the block.
    version: String,
    /// SHA-256 of its component, in hexadecimal.
    sha256: String,
    /// Host interfaces that it imports.
    imports: Vec<String>,
    /// Host interfaces that it is granted.
    grants: Vec<String>,
    /// Display name.
    title: String,
    /// Description; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Parameters; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    /// Ports; not in listings.
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Value>,
}

impl From<&LibraryBlock> for BlockJson {
    fn from(known: &LibraryBlock) -> BlockJson {
        let imports = known.block.imports().iter();
        let imports: Vec<String> = imports.map(|one| one.name().to_owned()).collect();
        BlockJson {
            block: known.description.name.clone(),
            version: known.description.version.clone(),
            sha256: known.block.digest().to_owned(),
            grants: imports.clone(),
            imports,
            title: known.description.title.clone(),
            description: None,
            parameters: None,
            ports: None,
        }
    }
}

/// List the blocks available to workflows.
#[utoipa::path(get, path = "/api/v1/blocks", tag = "blocks",
    responses((status = 200, description = "The blocks.", body = Vec<BlockJson>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<BlockJson>>, Problem> {
    api.run_blocking(|promoflow| {
        let blocks = promoflow.blocks()?.iter();
        Ok(Json(blocks.map(|(_, block)| block.into()).collect()))
    })
    .await
}

/// Show a block with its parameters and ports.
#[utoipa::path(get, path = "/api/v1/blocks/{block}", tag = "blocks",
    params(("block" = String, Path, description = "Name of the block.")),
    responses((status = 200, description = "The block.", body = BlockJson)))]
async fn show(
    State(api): State<Api>,
    PathParams(name): PathParams<String>,
) -> Result<Json<BlockJson>, Problem> {
    api.run_blocking(move |promoflow| {
        let blocks = promoflow.blocks()?;
        let known = blocks
            .get(&name)
            .ok_or_else(|| Problem::not_found("block", &name))?;
        Ok(Json(BlockJson {
            description: Some(known.description.description.clone()),
            parameters: Some(json!(known.description.parameters)),
            ports: Some(json!(known.description.ports)),
            ..known.into()
        }))
    })
    .await
}
