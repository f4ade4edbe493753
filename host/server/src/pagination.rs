//! Pagination: a JSON array, and a `Link` to the next page (RFC 8288) if there is one.

use std::fmt::Write;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::{Kind, Problem};

/// Default number of items in a page.
pub(super) const DEFAULT_ITEMS: usize = 100;
/// Maximum number of items in a page, to keep responses small.
pub(super) const MAX_ITEMS: usize = 1_000;

/// Validates the requested number of items.
pub(super) fn parse_limit(requested: Option<usize>) -> Result<usize, Problem> {
    match requested {
        None => Ok(DEFAULT_ITEMS),
        Some(limit @ 1..=MAX_ITEMS) => Ok(limit),
        Some(_) => {
            let detail = format!("the query: limit: expected a number from 1 to {MAX_ITEMS}");
            Err(Problem::new(Kind::InvalidRequest, detail).field("limit"))
        }
    }
}

/// Parses a numeric cursor.
pub(super) fn parse_cursor<T: std::str::FromStr>(
    after: Option<&str>,
) -> Result<Option<T>, Problem> {
    let wrong = |_| {
        let detail = "the query: after: expected the value from the Link of the previous page";
        Problem::new(Kind::InvalidRequest, detail).field("after")
    };
    after.map(|text| text.parse().map_err(wrong)).transpose()
}

/// Builds a page response. `rows` holds one row more than `limit` if there is a next page, which
/// begins after the row whose cursor `key` returns. `query` lists the query parameters other than
/// `after`.
pub(super) fn paginate<R, T: Serialize>(
    path: &str,
    query: &[(&str, Option<String>)],
    limit: usize,
    mut rows: Vec<R>,
    key: impl Fn(&R) -> String,
    show: impl Fn(R) -> T,
) -> Response {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let link = rows.last().filter(|_| more).map(|last| {
        let mut link = format!("<{path}?");
        for (name, value) in query {
            if let Some(value) = value {
                let _infallible = write!(link, "{name}={}&", percent_encode(value));
            }
        }
        let _infallible = write!(link, "after={}>; rel=\"next\"", percent_encode(&key(last)));
        link
    });
    let items: Vec<T> = rows.into_iter().map(show).collect();
    let mut response = Json(items).into_response();
    if let Some(link) = link.and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// Returns the `limit` parameter for the link to the next page.
pub(super) fn limit_param(limit: usize) -> (&'static str, Option<String>) {
    ("limit", Some(limit.to_string()))
}

/// Returns the serialized name of an enum value, such as a state.
pub(super) fn serialized_name(value: impl Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Some(name),
        _ => None,
    }
}

/// Percent-encodes a text for a query or path.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _infallible = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_next_page_only_if_there_is_one() {
        let query = [
            ("type", Some("a&b".to_owned())),
            ("state", None),
            limit_param(2),
        ];
        let link = |rows: Vec<u32>| {
            let response = paginate("/x", &query, 2, rows, u32::to_string, |row| row);
            let link = response.headers().get(header::LINK)?;
            Some(link.to_str().unwrap().to_owned())
        };
        assert_eq!(link(vec![1, 2]), None);
        assert_eq!(
            link(vec![1, 2, 3]).as_deref(),
            Some("</x?type=a%26b&limit=2&after=2>; rel=\"next\"")
        );
    }
}
