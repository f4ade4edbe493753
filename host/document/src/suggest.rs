//! "Did you mean …?" suggestions.

use super::diagnostic::quoted;

/// Maximum length of a compared name, in characters: the comparison is quadratic.
const MAX_COMPARED_CHARS: usize = 100;

/// Returns the candidate closest to a misspelled name.
pub fn closest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = name.chars().count();
    if length > MAX_COMPARED_CHARS {
        return None;
    }
    let allowed = (length / 3).max(1);
    let name = normalize(name);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count() <= MAX_COMPARED_CHARS)
        .map(|candidate| {
            (
                strsim::osa_distance(&name, &normalize(candidate)),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns a hint with the closest candidate.
pub fn did_you_mean<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean {}?", quoted(candidate)))
}

/// Normalises case and kinds of dashes.
fn normalize(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_names_only_for_likely_typos() {
        let names = ["get-promocode", "send-message", "end"];
        assert_eq!(closest("get-promcode", names), Some("get-promocode"));
        assert_eq!(closest("Get_Promocode", names), Some("get-promocode"));
        assert_eq!(closest("emd", names), Some("end"));
        assert_eq!(closest("wait", names), None);
        assert_eq!(closest(&"e".repeat(5000), names), None);
        assert_eq!(closest("", names), None);
    }
}
