//! Text of strangers on a terminal.

/// The text without what could play tricks on a terminal: control characters other than line
/// ends and tabs, and marks that change the direction of writing.
pub fn tame(text: &str) -> String {
    let tricks = |c: char| {
        c.is_control() && c != '\n' && c != '\t'
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.replace(tricks, "\u{fffd}")
}

/// The same on one line.
pub fn tame_line(text: &str) -> String {
    tame(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(tame("a\u{1b}[2J\nb\u{202e}"), "a\u{fffd}[2J\nb\u{fffd}");
        assert_eq!(tame_line("a\nb\tc"), "a b c");
    }
}
