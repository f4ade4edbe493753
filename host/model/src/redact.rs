//! Redaction of promo codes and addresses in logs and listings.

/// Redacts a promo code: shows the last four characters, fewer if the code is short.
pub fn code(code: &str) -> String {
    let chars: Vec<char> = code.chars().collect();
    let shown = (chars.len() / 2).min(4);
    let hidden = chars.len() - shown;
    let tail: String = chars[hidden..].iter().collect();
    format!("{}{tail}", "•".repeat(hidden.min(8)))
}

/// Redacts an address: shows its first character.
pub fn address(address: &str) -> String {
    let first: String = address.chars().take(1).collect();
    format!("{first}•••")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_shows_at_most_its_last_four_characters() {
        assert_eq!(code("BDAY-LH2D-7APP"), "••••••••7APP");
        assert_eq!(code("ABC123"), "•••123");
        assert_eq!(code("A"), "•");
        assert_eq!(code("ЗНИЖКА2030"), "••••••2030");
        assert_eq!(code(""), "");
    }

    #[test]
    fn address_shows_only_its_first_character() {
        assert_eq!(address("ann@example.com"), "a•••");
        assert_eq!(address("+380501234567"), "+•••");
        assert_eq!(address(""), "•••");
    }
}
