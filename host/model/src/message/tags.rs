//! Merge tags: `%FIRSTNAME|friend%` prints a value, `%PC_NewYear_1_7%` a promo code, and
//! `%UNSUBSCRIBE%` a URL.
//!
//! Tags are compiled into the templates of a message, so text from values is never read as a tag.

use std::fmt;

use promoflow_velocity::{MergeTag, Template};

use super::unsubscribe;
use super::values::{PARSE_OPTIONS, template_error};
use crate::pool::{CodeGroup, DEFAULT_TYPE, MAX_DISCOUNT, MAX_TYPE_CHARS, Selector};
use promoflow_document::{TemplateError, quoted};

/// Maximum length of a value's name in a tag, in characters.
const MAX_NAME_CHARS: usize = 100;
/// Prefix of tags that claim a code; case-insensitive.
const CODE_PREFIX: &str = "PC_";
/// Maximum `days` of a tag.
const MAX_DAYS: u32 = 36_500;

/// A tag that claims a promo code: `%PC_GENERAL%`, or `%PC_TYPE_DAYS_DISCOUNT%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeTag {
    /// The code to claim.
    pub selector: Selector,
    /// The text to print if no code is available; `None` if the message is not sent then.
    pub instead: Option<String>,
}

impl fmt::Display for CodeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&key(&self.selector))
    }
}

/// Returns the key of a code in a rendering, which is the same for all spellings of a tag.
pub(super) fn key(selector: &Selector) -> String {
    let Selector { code_group, days } = selector;
    format!(
        "{CODE_PREFIX}{}_{days}_{}",
        code_group.code_type, code_group.discount
    )
}

/// Parses a message template, which may contain merge tags.
pub(super) fn parse(source: &str) -> Result<Template, TemplateError> {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let template = Template::parse_with_tags(source, &PARSE_OPTIONS, &tag_key)
        .map_err(|error| hint_quotes(source, template_error(error)))?;
    for tag in template.tags() {
        check(tag).map_err(|message| TemplateError {
            hint: None,
            message,
            line: place(tag.line),
            column: place(tag.column),
        })?;
    }
    Ok(template)
}

/// Adds a hint about quotes to an error at a merge tag that is not quoted in a directive, where `%`
/// is the modulo operator.
fn hint_quotes(source: &str, mut fault: TemplateError) -> TemplateError {
    let line = source.split('\n').nth(fault.line.saturating_sub(1));
    let from = fault.column.saturating_sub(1);
    let rest: String = line.unwrap_or_default().chars().skip(from).collect();
    let tag = rest.strip_prefix('%').and_then(|rest| rest.split_once('%'));
    if let Some((inner, rest)) = tag
        && let (name, _) = inner.split_once('|').unwrap_or((inner, ""))
        && tag_key("", name, rest).is_some()
    {
        let written = quoted(&format!("\"%{inner}%\""));
        fault.message = format!("{}; put the merge tag in quotes: {written}", fault.message);
    }
    fault
}

fn check(tag: &MergeTag) -> Result<(), String> {
    if is_code(&tag.key) {
        selector(&tag.key)?;
    }
    if tag.key == unsubscribe::KEY && !tag.instead.trim().is_empty() {
        return Err(format!(
            "{} always has a value: write it without `|` and a default",
            quoted(unsubscribe::TAG)
        ));
    }
    Ok(())
}

/// Returns the first unsubscribe tag of a template.
pub(super) fn unsubscribe_tag(template: &Template) -> Option<&MergeTag> {
    let mut tags = template.tags().iter();
    tags.find(|tag| tag.key == unsubscribe::KEY)
}

/// Returns the merge tags of a text as upper-case names with line and column.
pub fn merge_tags(source: &str) -> Vec<(String, u32, u32)> {
    let template = parse(source);
    let tags = template.iter().flat_map(|template| template.tags());
    tags.map(|tag| (tag.key.to_ascii_uppercase(), tag.line, tag.column))
        .collect()
}

/// Returns the codes that a template claims, each once.
pub(super) fn code_tags(template: &Template) -> Vec<CodeTag> {
    let mut codes: Vec<CodeTag> = Vec::new();
    for tag in template.tags() {
        let Some(code) = code_tag(&tag.key, &tag.instead) else {
            continue;
        };
        add_code(&mut codes, code);
    }
    codes
}

/// Returns the tags of a template that print a value and have no default.
pub(super) fn without_default(template: &Template) -> impl Iterator<Item = &MergeTag> {
    let tags = template.tags().iter();
    tags.filter(|tag| tag.instead.trim().is_empty() && prints_value(tag))
}

/// Returns true if a tag prints a value, not a code or a URL.
pub(super) fn prints_value(tag: &MergeTag) -> bool {
    !is_code(&tag.key) && tag.key != unsubscribe::KEY
}

/// Adds a code unless it is in the list. A code is optional only if each of its tags has a default.
pub(super) fn add_code(codes: &mut Vec<CodeTag>, code: CodeTag) {
    match codes.iter_mut().find(|one| one.selector == code.selector) {
        Some(one) if code.instead.is_none() => one.instead = None,
        Some(_) => {}
        None => codes.push(code),
    }
}

/// Returns the code that the tag claims, if it is a code tag.
pub(super) fn code_tag(key: &str, instead: &str) -> Option<CodeTag> {
    if !is_code(key) {
        return None;
    }
    let instead = instead.trim();
    Some(CodeTag {
        selector: selector(key).ok()?,
        instead: (!instead.is_empty()).then(|| instead.to_owned()),
    })
}

fn is_code(name: &str) -> bool {
    name.get(..CODE_PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(CODE_PREFIX))
}

/// Returns the key of the tag between two percent signs, or `None` if it is not a tag.
fn tag_key(before: &str, name: &str, rest: &str) -> Option<String> {
    if is_code(name) {
        // Invalid code tags are tags as well, so that the author gets an error.
        let known = selector(name).map(|selector| key(&selector));
        return Some(known.unwrap_or_else(|_| name.to_owned()));
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_name = (2..=MAX_NAME_CHARS).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(letters)
        && !is_percent_encoded(name, rest)
        && !is_between_percentages(before, name);
    is_name.then(|| name.to_ascii_lowercase())
}

/// Returns true if the percent signs belong to numbers, as in `10%or20%`, or the first one does, as
/// in `10%off%`.
fn is_between_percentages(before: &str, name: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit();
    before.ends_with(digit)
        && (name.ends_with(digit) || !name.contains(|c: char| c.is_ascii_uppercase()))
}

/// Returns true if the percent signs are part of percent-encoding, as in `%D0%BA` or
/// `%C3%BCber%20`, where two hexadecimal digits follow each of them.
fn is_percent_encoded(name: &str, rest: &str) -> bool {
    let byte = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let digit = name.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    byte(name) && (name.len() == 2 || digit || byte(rest))
}

/// Parses the selector of a tag from the right, because the type may contain underscores.
fn selector(name: &str) -> Result<Selector, String> {
    let wrong = |why: &str| {
        let tag = quoted(&format!("%{name}%"));
        format!(
            "{tag} is not a promo code tag: {why}; write %PC_TYPE_DAYS_DISCOUNT%, such as \
             %PC_NewYear_1_7%, or %PC_{}%",
            DEFAULT_TYPE.to_ascii_uppercase()
        )
    };
    let text = name.get(CODE_PREFIX.len()..).unwrap_or_default();
    if text.eq_ignore_ascii_case(DEFAULT_TYPE) {
        return Ok(Selector {
            code_group: CodeGroup {
                code_type: DEFAULT_TYPE.to_owned(),
                discount: 0,
            },
            days: 0,
        });
    }
    let mut parts = text.rsplitn(3, '_');
    let (Some(discount), Some(days), Some(code_type)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong("days and discount are missing"));
    };
    let discount = number(discount)
        .and_then(|number| u8::try_from(number).ok())
        .filter(|number| *number <= MAX_DISCOUNT)
        .ok_or_else(|| wrong("the discount must be a number from 0 to 99"))?;
    let days = number(days)
        .filter(|number| *number <= MAX_DAYS)
        .ok_or_else(|| wrong("the days must be a number from 0 to 36500"))?;
    let chars = code_type.chars().count();
    if chars == 0 || chars > MAX_TYPE_CHARS {
        return Err(wrong("the type must have 1 to 100 characters"));
    }
    let code_type = code_type.to_owned();
    Ok(Selector {
        code_group: CodeGroup {
            code_type,
            discount,
        },
        days,
    })
}

fn number(text: &str) -> Option<u32> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(source: &str) -> Vec<String> {
        let template = parse(source).unwrap();
        template.tags().iter().map(|tag| tag.key.clone()).collect()
    }

    #[test]
    fn recognizes_tags_but_not_percentages_or_encoded_urls() {
        for (source, tags) in [
            (
                "Hi %FIRSTNAME%, %LastName|friend%!",
                ["firstname", "lastname"].as_slice(),
            ),
            ("https://a.b/?to=%EMAIL%&x=%ADDRESS%", &["email", "address"]),
            ("100% off, 20% more", &[]),
            ("width:100%;height:50%", &[]),
            ("%%FIRSTNAME%%", &[]),
            ("https://a.b/%D0%BA%D1%83?%C3%BCber%20x%2Fy%A9", &[]),
            ("%20FIRSTNAME%20", &[]),
            ("%x%", &[]),
            ("10%or20%", &[]),
            ("from 5%OR10% to 10%off%", &[]),
            ("50% off 20%", &[]),
            ("10%or20%FIRSTNAME%", &["firstname"]),
            ("Order 7%FIRSTNAME%", &["firstname"]),
            (
                "#set($g = \"Dear %FIRSTNAME%\") #if('%CITY%' == 'Kyiv')a#end",
                &["firstname", "city"],
            ),
            ("%two words%", &[]),
        ] {
            assert_eq!(keys(source), tags, "{source}");
        }
    }

    #[test]
    fn parses_type_days_and_discount_from_the_right() {
        for (tag, code_type, days, discount) in [
            ("%PC_NewYear_1_7%", "NewYear", 1, 7),
            ("%pc_New_Year_2026_01_07%", "New_Year_2026", 1, 7),
            ("%PC_Чорна п'ятниця_0_50%", "Чорна п'ятниця", 0, 50),
            ("%PC_GENERAL%", "General", 0, 0),
            ("%PC_General_0_0%", "General", 0, 0),
        ] {
            let codes = code_tags(&parse(tag).unwrap());
            let [code] = codes.as_slice() else {
                panic!("{tag}: {codes:?}")
            };
            let code_group = &code.selector.code_group;
            assert_eq!(
                (
                    code_group.code_type.as_str(),
                    code.selector.days,
                    code_group.discount
                ),
                (code_type, days, discount),
                "{tag}"
            );
        }
    }

    #[test]
    fn claims_one_code_per_selector() {
        let codes = |source: &str| code_tags(&parse(source).unwrap());
        let source = "%PC_GENERAL|WELCOME% %PC_General_0_0% %PC_x_1_7|A% %PC_x_1_7|B%";
        let [general, x] = codes(source).try_into().unwrap();
        assert_eq!(general.instead, None);
        assert_eq!(x.instead.as_deref(), Some("A"));
        assert_eq!(x.to_string(), "PC_x_1_7");
    }

    #[test]
    fn reports_invalid_code_tags_with_position() {
        for (tag, why) in [
            ("%PC_NewYear%", "days and discount are missing"),
            ("%PC_NewYear_1_100%", "the discount must be a number"),
            ("%PC_NewYear_x_7%", "the days must be a number"),
            ("%PC__1_7%", "the type must have"),
            ("%unsubscribe|here%", "write it without `|`"),
        ] {
            let fault = parse(&format!("a\n b {tag}")).unwrap_err();
            assert_eq!((fault.line, fault.column), (2, 4), "{tag}");
            assert!(fault.message.contains(why), "{}", fault.message);
        }
    }
}
