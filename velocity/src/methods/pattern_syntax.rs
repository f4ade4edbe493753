//! Translates Java patterns to the syntax of the `regex` crate.

/// Returns the members of Java's `\d`, `\w` and `\s`, which are ASCII only.
fn class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r" \t\n\x0B\f\r",
        'h' => r" \t\xA0\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}",
        _ => return None,
    })
}

/// Translates a Java pattern to the syntax of the `regex` crate.
pub(super) fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut depth = 0_u32;
    let dot_matches_all = pattern.contains("(?s");
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let mut quoted = String::new();
                    while let Some(next) = chars.next() {
                        if next == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        quoted.push(next);
                    }
                    out.push_str(&regex::escape(&quoted));
                }
                Some(letter) => escape(letter, depth > 0, &mut chars, &mut out),
                None => out.push('\\'),
            },
            '[' => {
                depth += 1;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
            }
            ']' if depth > 0 => {
                depth -= 1;
                out.push(']');
            }
            '&' if depth > 0 && chars.peek() == Some(&'&') => {
                chars.next();
                out.push_str("&&");
            }
            '~' | '-' if depth > 0 && chars.peek() == Some(&c) => {
                out.push('\\');
                out.push(c);
            }
            '.' if depth == 0 && !dot_matches_all => {
                out.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]");
            }
            _ => out.push(c),
        }
    }
    out
}

/// Translates the escape `letter`.
fn escape(
    letter: char,
    in_class: bool,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) {
    let push = |out: &mut String, text: &str| out.push_str(text);
    if let Some(members) = class(letter) {
        if in_class {
            push(out, members);
        } else {
            push(out, &format!("[{members}]"));
        }
        return;
    }
    if let Some(members) = class(letter.to_ascii_lowercase()) {
        push(out, &format!("[^{members}]"));
        return;
    }
    match letter {
        'R' => push(out, r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])"),
        'v' => push(
            out,
            if in_class {
                r"\n\x0B\f\r\x{85}\x{2028}\x{2029}"
            } else {
                r"[\n\x0B\f\r\x{85}\x{2028}\x{2029}]"
            },
        ),
        'e' => push(out, r"\x1B"),
        'Z' => push(out, r"(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z"),
        'p' | 'P' => {
            out.push('\\');
            out.push(letter);
            if chars.peek() == Some(&'{') {
                let name: String = chars.by_ref().take_while(|c| *c != '}').skip(1).collect();
                push(out, &format!("{{{}}}", property(&name)));
            }
        }
        _ if letter.is_ascii_alphanumeric() => {
            out.push('\\');
            out.push(letter);
        }
        _ => push(out, &regex::escape(&letter.to_string())),
    }
}

/// Returns the `regex` crate's name of a Unicode property.
fn property(name: &str) -> &str {
    match name {
        "Lower" => "Ll",
        "Upper" => "Lu",
        "Alpha" | "IsAlphabetic" => "L",
        "Digit" | "IsDigit" => "Nd",
        "Punct" | "IsPunctuation" => "P",
        "Space" | "IsWhite_Space" => "White_Space",
        "javaLetter" => "L",
        _ => name
            .strip_prefix("Is")
            .or_else(|| name.strip_prefix("In"))
            .unwrap_or(name),
    }
}
