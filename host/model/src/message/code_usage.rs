//! Detection of promo codes in rendered messages.

use std::borrow::Cow;

use super::RenderedMessage;

impl RenderedMessage {
    /// Returns true if any part contains the promo code, as it is or as a template may transform
    /// it: in lower case, in groups, split by HTML tags, or escaped. Errs towards true. Part of a
    /// code does not count as the code.
    pub fn contains_code(&self, code: &str) -> bool {
        if self.parts().any(|part| part.contains(code)) {
            return true;
        }
        let code = normalize(code);
        code.is_empty()
            || self.parts().any(|part| {
                let plain = unescape_html(part);
                normalize(&plain).contains(&code)
                    || normalize(&strip_tags(&plain)).contains(&code)
                    || (plain.contains('%') && normalize(&percent_decode(&plain)).contains(&code))
            })
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        let texts = [
            &self.text,
            &self.html,
            &self.subject,
            &self.title,
            &self.link,
            &self.button,
            &self.image,
            &self.preheader,
            &self.from,
            &self.reply_to,
        ];
        let headers = self.headers.iter().map(|(_, value)| value.as_str());
        texts
            .into_iter()
            .filter_map(|text| text.as_deref())
            .chain(headers)
    }
}

/// Reduces a text to what all its spellings have in common: lower-case letters and digits.
fn normalize(text: &str) -> String {
    let kept = text.chars().filter(|one| one.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Decodes the HTML entities that escaping produces. Otherwise the letters of an entity would
/// count as letters of the code.
fn unescape_html(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = text.to_owned();
    for (escaped, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        plain = plain.replace(escaped, character);
    }
    Cow::Owned(plain)
}

/// Removes everything between angle brackets.
fn strip_tags(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .filter(|one| {
            let was_inside = inside;
            inside = match one {
                '<' => true,
                '>' => false,
                _ => inside,
            };
            !was_inside && !inside
        })
        .collect()
}

/// Decodes percent-encoding.
fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(html: &str) -> RenderedMessage {
        RenderedMessage {
            html: Some(html.to_owned()),
            ..RenderedMessage::default()
        }
    }

    #[test]
    fn finds_a_code_in_every_part_and_spelling() {
        for written in [
            "Your code: AB-12-cd!",
            "ab 12 cd",
            "<b>AB</b><i>12</i>CD",
            "<a href='https://shop.example/?code=AB%2D12%2DCD'>go</a>",
            "AB&amp;-12-CD",
        ] {
            assert!(html(written).contains_code("AB-12-CD"), "{written}");
        }
        assert!(html("R&amp;D-1").contains_code("R&D-1"));
        assert!(
            html("x").contains_code("--"),
            "a code without letters and digits always counts as contained"
        );
        let headers = vec![("X-Code".to_owned(), "AB-12-CD".to_owned())];
        let in_header = RenderedMessage {
            headers,
            ..RenderedMessage::default()
        };
        assert!(in_header.contains_code("AB-12-CD"));
        let link = Some("https://shop.example/?c=ab12cd".to_owned());
        let in_link = RenderedMessage {
            link,
            ..RenderedMessage::default()
        };
        assert!(in_link.contains_code("AB-12-CD"));
    }

    #[test]
    fn finds_no_code_in_a_message_without_it() {
        for other in [
            "We miss you",
            "AB-12-",
            "Your code ends in CD",
            "AB 1 2",
            "",
        ] {
            assert!(!html(other).contains_code("AB-12-CD"), "{other}");
        }
    }
}
