//! Arguments of commands that a person copies into a shell.

/// Quotes an argument for a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_arguments_for_a_shell() {
        assert_eq!(quoted("promoflow-demo/shop.db"), "promoflow-demo/shop.db");
        assert_eq!(quoted("my demo/it's"), r"'my demo/it'\''s'");
    }
}
