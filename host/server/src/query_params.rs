//! Rejects unknown query parameters, which are usually typos. The known ones come from each
//! operation's OpenAPI description.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::problem::{Kind, Problem};
use promoflow_tabular::shorten;

/// Known query parameters of a group of routes.
#[derive(Clone)]
pub(super) struct KnownQueryParams(Arc<HashMap<(Method, String), BTreeSet<String>>>);

impl KnownQueryParams {
    /// Collects the parameters of these routes.
    pub(super) fn from_routes(routes: &OpenApiRouter<Api>) -> KnownQueryParams {
        let mut known = HashMap::new();
        for (path, item) in &routes.get_openapi().paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    known.insert((method, path.clone()), parameters(operation));
                }
            }
        }
        KnownQueryParams(Arc::new(known))
    }

    /// Rejects a request with an unknown query parameter.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let Some(query) = request.uri().query() else {
            return Ok(());
        };
        let method = match *request.method() {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map_or(String::new(), |path| path.as_str().to_owned());
        // The fallback answers methods that are not allowed.
        let Some(names) = self.0.get(&(method, path)) else {
            return Ok(());
        };
        let mut given = form_urlencoded::parse(query.as_bytes());
        let Some((name, _)) = given.find(|(name, _)| !names.contains(name.as_ref())) else {
            return Ok(());
        };
        let name = shorten(&name);
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let expected = match names.as_slice() {
            [] => "none, because this request has no parameters".to_owned(),
            names => names.join(", "),
        };
        let detail = format!("the query: unknown parameter `{name}`; expected {expected}");
        Err(Problem::new(Kind::InvalidRequest, detail).field(name))
    }
}

fn parameters(operation: &Operation) -> BTreeSet<String> {
    let all = operation.parameters.iter().flatten();
    let of_query = all.filter_map(|one| match one {
        RefOr::T(one) if one.parameter_in == ParameterIn::Query => Some(one.name.clone()),
        _ => None,
    });
    of_query.collect()
}
