//! The preheader: a line that mail programs show beside the subject.

use super::markup::escaped;

/// Where the visible part of a document begins.
const BODY: &str = "<body";

/// Puts the line, hidden, at the beginning of what an HTML document shows. It is a stranger's text
/// like every other, so it is escaped.
pub(super) fn put(html: String, preheader: &str) -> String {
    let hidden = format!(
        "<div style=\"display:none;max-height:0;overflow:hidden\">{}</div>",
        escaped(preheader)
    );
    let at = body_begins(&html).unwrap_or(0);
    let (before, after) = html.split_at(at);
    format!("{before}{hidden}{after}")
}

/// The place behind the tag `body`.
fn body_begins(html: &str) -> Option<usize> {
    let at = html.to_ascii_lowercase().find(BODY)?;
    let end = html[at..].find('>')?;
    Some(at + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_hidden_and_escaped_where_the_document_begins_to_show() {
        let html = put(
            "<html><BODY class=\"x\"><p>Hi</p></BODY></html>".into(),
            "5 < 6 & \"so\"",
        );
        assert_eq!(
            html,
            "<html><BODY class=\"x\"><div style=\"display:none;max-height:0;overflow:hidden\">\
             5 &lt; 6 &amp; &quot;so&quot;</div><p>Hi</p></BODY></html>"
        );
        assert!(put("<p>Hi</p>".into(), "x").ends_with("x</div><p>Hi</p>"));
    }
}
