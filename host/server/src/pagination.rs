//! Pagination: a JSON array, and a `Link` to the next page (RFC 8288) if there is one.

use std::fmt::Write;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use super::problem::{Kind, Problem};

/// Default number of items in a page.
const DEFAULT_ITEMS: usize = 100;
/// Maximum number of items in a page, to keep responses small.
const MAX_ITEMS: usize = 1_000;

/// A page of a listing.
pub(super) struct Page {
    path: &'static str,
    limit: usize,
    /// The query parameters for the link to the next page, other than `limit` and `after`.
    filters: Vec<(&'static str, String)>,
}

impl Page {
    /// Creates a page of the listing at this path; `limit`: the requested number of items.
    pub(super) fn new(path: &'static str, limit: Option<usize>) -> Result<Page, Problem> {
        let limit = match limit {
            None => DEFAULT_ITEMS,
            Some(limit @ 1..=MAX_ITEMS) => limit,
            Some(_) => {
                let detail = format!("the query: limit: expected a number from 1 to {MAX_ITEMS}");
                return Err(Problem::new(Kind::InvalidRequest, detail).field("limit"));
            }
        };
        Ok(Page {
            path,
            limit,
            filters: Vec::new(),
        })
    }

    /// Adds a query parameter that the next page has as well.
    pub(super) fn filter(mut self, name: &'static str, value: Option<impl Serialize>) -> Page {
        let text = match value.map(serde_json::to_value) {
            Some(Ok(Value::String(text))) => Some(text),
            Some(Ok(value)) => Some(value.to_string()),
            None | Some(Err(_)) => None,
        };
        self.filters.extend(text.map(|text| (name, text)));
        self
    }

    /// Returns the number of rows to read: one more than the page has, to see whether there is a
    /// next page.
    pub(super) fn rows(&self) -> usize {
        self.limit + 1
    }

    /// Builds the response. The next page begins after the row whose cursor `key` returns.
    pub(super) fn respond<R, T: Serialize>(
        self,
        rows: Vec<R>,
        key: impl Fn(&R) -> String,
        show: impl Fn(R) -> T,
    ) -> Response {
        let limit = self.limit;
        self.respond_with(limit, rows, key, show)
    }

    /// Builds a response of at most `most` items.
    pub(super) fn respond_with<R, T: Serialize>(
        self,
        most: usize,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> String,
        show: impl Fn(R) -> T,
    ) -> Response {
        let more = rows.len() > most;
        rows.truncate(most);
        let last = rows.last().filter(|_| more).map(key);
        let link = last.map(|last| {
            let mut link = format!("<{}?", self.path);
            for (name, value) in &self.filters {
                let _infallible = write!(link, "{name}={}&", percent_encode(value));
            }
            let (limit, last) = (self.limit, percent_encode(&last));
            let _infallible = write!(link, "limit={limit}&after={last}>; rel=\"next\"");
            link
        });
        let items: Vec<T> = rows.into_iter().map(show).collect();
        let mut response = Json(items).into_response();
        if let Some(link) = link.and_then(|link| link.parse().ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
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
        let link = |rows: Vec<u32>| {
            let page = Page::new("/x", Some(2)).unwrap();
            let page = page.filter("type", Some("a&b")).filter("inUse", Some(true));
            let page = page.filter("state", None::<&str>);
            let response = page.respond(rows, u32::to_string, |row| row);
            let link = response.headers().get(header::LINK)?;
            Some(link.to_str().unwrap().to_owned())
        };
        assert_eq!(link(vec![1, 2]), None);
        assert_eq!(
            link(vec![1, 2, 3]).as_deref(),
            Some("</x?type=a%26b&inUse=true&limit=2&after=2>; rel=\"next\"")
        );
    }
}
