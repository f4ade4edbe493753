//! Blocks available to workflows.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::Problem;
use super::request::PathParams;
use promoflow_api_model::Block;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
}

/// List the blocks available to workflows.
#[utoipa::path(get, path = "/api/v1/blocks", tag = "blocks",
    responses((status = 200, description = "The blocks.", body = Vec<Block>)))]
async fn list(State(api): State<Api>) -> Result<Json<Vec<Block>>, Problem> {
    api.run_blocking(|promoflow| {
        let blocks = promoflow.blocks()?.iter();
        Ok(Json(blocks.map(|(_, block)| block.into()).collect()))
    })
    .await
}

/// Show a block with its parameters and ports.
#[utoipa::path(get, path = "/api/v1/blocks/{block}", tag = "blocks",
    params(("block" = String, Path, description = "Name of the block.")),
    responses((status = 200, description = "The block.", body = Block)))]
async fn show(
    State(api): State<Api>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Block>, Problem> {
    api.run_blocking(move |promoflow| {
        let blocks = promoflow.blocks()?;
        let known = blocks
            .get(&name)
            .ok_or_else(|| Problem::not_found("block", &name))?;
        Ok(Json(Block::with_details(known)))
    })
    .await
}
