//! Languages: BCP 47 tags, and the choice of a message's language for a contact.

/// Maximum length of a tag, in characters. Longer tags distinguish nothing that messages differ in.
const MAX_TAG_CHARS: usize = 35;

/// Returns true if the text is a well-formed BCP 47 tag: `uk`, `pt-BR`, `zh-Hant-TW`.
pub(super) fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= MAX_TAG_CHARS
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Returns the index of the available language that best matches the preferred ones. The first
/// preferred language with any match decides: `uk-UA` matches itself, then `uk`, then a more
/// specific tag such as `uk-Latn`.
pub(super) fn choose_language<'l>(
    available: impl Iterator<Item = Option<&'l str>> + Clone,
    preferred: &[String],
) -> Option<usize> {
    preferred.iter().find_map(|wanted| {
        // Systems without BCP 47 write `uk_UA`.
        let wanted = wanted.trim().replace('_', "-").to_ascii_lowercase();
        lookup(available.clone(), &wanted)
    })
}

/// RFC 4647, 3.4: shortens the tag from its end until it matches.
fn lookup<'l>(
    available: impl Iterator<Item = Option<&'l str>> + Clone,
    wanted: &str,
) -> Option<usize> {
    let position = |fits: &dyn Fn(&str) -> bool| {
        available
            .clone()
            .position(|tag| tag.is_some_and(|tag| fits(&tag.to_ascii_lowercase())))
    };
    if !is_language_tag(wanted) {
        return None;
    }
    let mut range = wanted;
    loop {
        if let Some(found) = position(&|tag| tag == range) {
            return Some(found);
        }
        let Some((shorter, _)) = range.rsplit_once('-') else {
            break;
        };
        // A single letter is a prefix of the subtag after it.
        range = match shorter.rsplit_once('-') {
            Some((shortest, single)) if single.len() == 1 => shortest,
            _ => shorter,
        };
    }
    let near = format!("{wanted}-");
    position(&|tag| tag.starts_with(&near))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(available: &[&str], preferred: &[&str]) -> Option<usize> {
        let preferred: Vec<String> = preferred.iter().map(|one| (*one).to_owned()).collect();
        choose_language(available.iter().map(|tag| Some(*tag)), &preferred)
    }

    #[test]
    fn recognizes_language_tags() {
        for tag in ["uk", "pt-BR", "zh-Hant-TW", "sl-rozaj-1994", "de-1996"] {
            assert!(is_language_tag(tag), "{tag}");
        }
        for text in [
            "",
            "u",
            "uk_UA",
            "uk-",
            "-uk",
            "english language",
            "уkр",
            "12",
            "toolongname",
        ] {
            assert!(!is_language_tag(text), "{text}");
        }
    }

    #[test]
    fn prefers_the_first_language_with_a_match() {
        let available = ["en", "uk", "pt-BR", "zh-Hant"];
        for (preferred, number) in [
            (&["uk"][..], Some(1)),
            (&["uk-UA"], Some(1)),
            (&["UK_ua"], Some(1)),
            (&["fr", "uk-UA", "en"], Some(1)),
            (&["en-GB", "uk"], Some(0)),
            (&["pt"], Some(2)),
            (&["pt-PT"], None),
            (&["zh-Hant-TW"], Some(3)),
            (&["zh-Hans"], None),
            (&["ukr"], None),
            (&["fr", ""], None),
            (&[], None),
        ] {
            assert_eq!(chosen(&available, preferred), number, "{preferred:?}");
        }
    }
}
