//! Whether a message shows a promo code.

use std::borrow::Cow;

use super::Content;

impl Content {
    /// Whether the text of a promo code stands anywhere in it: as it is, or in another writing,
    /// as templates make them: in small letters, in groups, between the tags of HTML, escaped.
    /// When in doubt it does. A code of which only a part is shown is not carried.
    pub fn shows(&self, code: &str) -> bool {
        if self.parts().any(|part| part.contains(code)) {
            return true;
        }
        let code = essence(code);
        code.is_empty()
            || self.parts().any(|part| {
                let plain = unescaped(part);
                essence(&plain).contains(&code)
                    || essence(&without_tags(&plain)).contains(&code)
                    || (plain.contains('%') && essence(&percent_decoded(&plain)).contains(&code))
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

/// What remains of a text in every writing of it: letters and digits, the letters small.
fn essence(text: &str) -> String {
    let kept = text.chars().filter(|one| one.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// A text with the characters that HTML escapes: those of a code that are written so hold
/// letters, which are none of it.
fn unescaped(text: &str) -> Cow<'_, str> {
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

/// A text without what stands between angle brackets.
fn without_tags(text: &str) -> String {
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

/// A text as a web address means it.
fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(html: &str) -> Content {
        Content {
            html: Some(html.to_owned()),
            ..Content::default()
        }
    }

    #[test]
    fn a_code_is_found_in_every_part_and_writing() {
        for written in [
            "Your code: AB-12-cd!",
            "ab 12 cd",
            "<b>AB</b><i>12</i>CD",
            "<a href='https://shop.example/?code=AB%2D12%2DCD'>go</a>",
            "AB&amp;-12-CD",
        ] {
            assert!(html(written).shows("AB-12-CD"), "{written}");
        }
        assert!(html("R&amp;D-1").shows("R&D-1"));
        assert!(html("x").shows("--"), "nothing is known of it");
        let headers = vec![("X-Code".to_owned(), "AB-12-CD".to_owned())];
        let in_header = Content {
            headers,
            ..Content::default()
        };
        assert!(in_header.shows("AB-12-CD"));
        let link = Some("https://shop.example/?c=ab12cd".to_owned());
        let in_link = Content {
            link,
            ..Content::default()
        };
        assert!(in_link.shows("AB-12-CD"));
    }

    #[test]
    fn a_message_without_it_does_not_carry_it() {
        for other in [
            "We miss you",
            "AB-12-",
            "Your code ends in CD",
            "AB 1 2",
            "",
        ] {
            assert!(!html(other).shows("AB-12-CD"), "{other}");
        }
    }
}
