//! The preheader: preview text that mail programs show next to the subject.

use super::html_escape::escape_html;

/// Elements whose content is text, even if it looks like a tag.
const TEXT_ONLY: [&str; 4] = ["script", "style", "textarea", "title"];

/// Inserts the hidden preheader before the first visible content of an HTML document. The text is
/// escaped, because values in it are untrusted.
pub(super) fn insert(html: String, preheader: &str) -> String {
    let hidden = format!(
        "<div style=\"display:none;max-height:0;overflow:hidden\">{}</div>",
        escape_html(preheader)
    );
    let (before, after) = html.split_at(visible_start(&html));
    format!("{before}{hidden}{after}")
}

/// Returns the offset of the visible content: the start of the body, or without a body tag the end
/// of the head, of the root tag or of the doctype, which must stay first.
fn visible_start(html: &str) -> usize {
    let (mut doctype, mut root, mut head) = (None, None, None);
    for (name, end) in (Tags { html, at: 0 }) {
        match name.as_str() {
            "body" => return end,
            "/head" => head = head.or(Some(end)),
            "html" => root = root.or(Some(end)),
            "!doctype" => doctype = doctype.or(Some(end)),
            _ => {}
        }
    }
    head.or(root).or(doctype).unwrap_or(0)
}

/// Iterates over the tags of a document with their lower-case names and end offsets. Skips
/// comments.
struct Tags<'h> {
    html: &'h str,
    at: usize,
}

impl Iterator for Tags<'_> {
    type Item = (String, usize);

    fn next(&mut self) -> Option<(String, usize)> {
        loop {
            let rest = self.html.get(self.at..)?;
            let rest = rest.get(rest.find('<')?..)?;
            let start = self.html.len() - rest.len();
            if rest.starts_with("<!--") {
                // `<!-->` is a complete comment: its end may overlap its start.
                let dashes = start + "<!".len();
                let end = self.html.get(dashes..)?.find("-->")?;
                self.at = dashes + end + "-->".len();
                continue;
            }
            let inner = rest.get(1..)?;
            let length = inner.find(|c: char| c.is_whitespace() || matches!(c, '>' | '<'))?;
            let name = inner.get(..length)?.trim_end_matches('/');
            let begins = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?');
            if !name.starts_with(begins) {
                self.at = start + 1;
                continue;
            }
            let name = name.to_ascii_lowercase();
            let end = start + end_of_tag(rest)?;
            self.at = end;
            if TEXT_ONLY.contains(&name.as_str()) {
                self.at = end + closing_tag(self.html.get(end..)?, &name)?;
            }
            return Some((name, end));
        }
    }
}

/// Returns the end of a tag: the first `>` outside quotes.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// Returns the start of an element's closing tag.
fn closing_tag(text: &str, name: &str) -> Option<usize> {
    let starts = text.match_indices("</").map(|(at, _)| at);
    let mut starts = starts.filter(|at| {
        let after = text.get(at + 2..at + 2 + name.len());
        after.is_some_and(|after| after.eq_ignore_ascii_case(name))
    });
    starts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: &str = "<div style=\"display:none;max-height:0;overflow:hidden\">x</div>";

    #[test]
    fn inserts_hidden_escaped_text_before_the_visible_content() {
        let html = insert(
            "<html><BODY class=\"x\"><p>Hi</p></BODY></html>".into(),
            "5 < 6 & \"so\"",
        );
        assert_eq!(
            html,
            "<html><BODY class=\"x\"><div style=\"display:none;max-height:0;overflow:hidden\">\
             5 &lt; 6 &amp; &quot;so&quot;</div><p>Hi</p></BODY></html>"
        );
    }

    #[test]
    fn inserts_into_the_body_or_where_it_would_start() {
        // `|` marks the expected position.
        for html in [
            "|<p>Hi</p>",
            "|Hi",
            "<!DOCTYPE html>|\n<p>Hi</p>",
            "<!doctype html><html lang=uk>|<p>Hi</p></html>",
            "<?xml version='1.0'?><!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0//EN\">|<p>Hi</p>",
            "<!DOCTYPE html><html><head><title>x</title></head>|<p>Hi</p>",
            "<!DOCTYPE html><html>\n<HEAD></HEAD >|<p>Hi</p>",
            "<html><head></head>\n<body>|<p>Hi</p>",
            "<body\n  title=\"a > b\" data-x='<body>'>|<p>Hi</p>",
            "<!-- <body> --><html><body>|<p>Hi</p>",
            "<!--[if mso]><body class=\"mso\"><![endif]--><body>|<p>Hi</p>",
            "<!--[if !mso]><!--><body>|<!--<![endif]--><p>Hi</p>",
            "<!--><body>|-->",
            "<!---><body>|-->",
            "|<p>Hi</p><!-- no <body>",
            "|<bodyfoo>Hi</bodyfoo>",
            "<html><head><style>/* <body> */</style><title></head> & <body></title></head><body>|Hi",
            "<html>|<script>'<body>'",
            "|5 < 6 <p title=\"",
        ] {
            let (without, expected) = (html.replace('|', ""), html.replace('|', HIDDEN));
            assert_eq!(insert(without, "x"), expected, "{html}");
        }
    }
}
