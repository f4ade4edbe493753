//! Did you mean …?

use super::diagnostic::shown;

/// The longest name that is compared, in characters: the comparison is quadratic.
const MAX_COMPARED_CHARS: usize = 100;

/// The candidate that the name is most likely a slip of.
pub fn closest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let length = name.chars().count();
    if length > MAX_COMPARED_CHARS {
        return None;
    }
    let allowed = (length / 3).max(1);
    let name = plain(name);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count() <= MAX_COMPARED_CHARS)
        .map(|candidate| (strsim::osa_distance(&name, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint that names it.
pub fn did_you_mean<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean {}?", shown(candidate)))
}

/// Case and the kind of dash are no difference worth counting.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let names = ["get-promocode", "send-message", "end"];
        assert_eq!(closest("get-promcode", names), Some("get-promocode"));
        assert_eq!(closest("Get_Promocode", names), Some("get-promocode"));
        assert_eq!(closest("emd", names), Some("end"));
        assert_eq!(closest("wait", names), None);
        assert_eq!(closest(&"e".repeat(5000), names), None);
        assert_eq!(closest("", names), None);
    }
}
