//! Languages: BCP 47 tags, and which of a message's languages a contact gets.

/// The longest tag, in characters: longer ones tell what no message differs by.
const MAX_TAG_CHARS: usize = 35;

/// Whether a text is a BCP 47 tag, as far as its form tells: `uk`, `pt-BR`, `zh-Hant-TW`.
pub(super) fn is_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    text.len() <= MAX_TAG_CHARS
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// The number of the language that fits the preferred ones best. The first preferred language
/// that any fits decides: `uk-UA` is that itself, else `uk`, else a nearer kind of it, `uk-Latn`.
pub(super) fn choose<'l>(
    there: impl Iterator<Item = Option<&'l str>> + Clone,
    preferred: &[String],
) -> Option<usize> {
    preferred.iter().find_map(|wanted| {
        // Systems that know no BCP 47 write `uk_UA`.
        let wanted = wanted.trim().replace('_', "-").to_ascii_lowercase();
        lookup(there.clone(), &wanted)
    })
}

/// RFC 4647, 3.4: the tag is shortened from its end until one is found.
fn lookup<'l>(there: impl Iterator<Item = Option<&'l str>> + Clone, wanted: &str) -> Option<usize> {
    let position = |fits: &dyn Fn(&str) -> bool| {
        there
            .clone()
            .position(|tag| tag.is_some_and(|tag| fits(&tag.to_ascii_lowercase())))
    };
    if !is_tag(wanted) {
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
        // A single letter only leads what follows it.
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

    fn chosen(there: &[&str], preferred: &[&str]) -> Option<usize> {
        let preferred: Vec<String> = preferred.iter().map(|one| (*one).to_owned()).collect();
        choose(there.iter().map(|tag| Some(*tag)), &preferred)
    }

    #[test]
    fn tags_are_told_from_other_texts() {
        for tag in ["uk", "pt-BR", "zh-Hant-TW", "sl-rozaj-1994", "de-1996"] {
            assert!(is_tag(tag), "{tag}");
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
            assert!(!is_tag(text), "{text}");
        }
    }

    #[test]
    fn the_first_preferred_language_that_fits_decides() {
        let there = ["en", "uk", "pt-BR", "zh-Hant"];
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
            assert_eq!(chosen(&there, preferred), number, "{preferred:?}");
        }
    }
}
