//! The preheader: a line that mail programs show beside the subject.

use super::markup::escaped;

/// Elements whose content is text, whatever looks like a tag in it.
const TEXT_ONLY: [&str; 4] = ["script", "style", "textarea", "title"];

/// Puts the line, hidden, at the beginning of what an HTML document shows. It is a stranger's text
/// like every other, so it is escaped.
pub(super) fn put(html: String, preheader: &str) -> String {
    let hidden = format!(
        "<div style=\"display:none;max-height:0;overflow:hidden\">{}</div>",
        escaped(preheader)
    );
    let (before, after) = html.split_at(shows_from(&html));
    format!("{before}{hidden}{after}")
}

/// Where a document begins to show: in its body. One without the tag begins behind its head, or
/// behind what else stands at its beginning: nothing may stand before a doctype.
fn shows_from(html: &str) -> usize {
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

/// The tags of a document: their names in small letters, and where they end. Comments are none.
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
                // `<!-->` is a whole one: its end may be made of the signs that begin it.
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
                self.at = end + closing(self.html.get(end..)?, &name)?;
            }
            return Some((name, end));
        }
    }
}

/// Where a tag ends: at the first `>` that stands in no quotes.
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

/// Where the closing tag of an element begins.
fn closing(text: &str, name: &str) -> Option<usize> {
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
    }

    #[test]
    fn it_stands_in_the_body_or_as_near_to_where_one_would_be() {
        // `|` is where it belongs.
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
            assert_eq!(put(without, "x"), expected, "{html}");
        }
    }
}
