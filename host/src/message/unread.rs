//! Merge tags that an author wrote where none is read: within `#set(…)` and other directives. They
//! would reach the contact as they stand.

use promoflow_velocity::Template;

use super::tags;

/// Stands for a tag, to learn whether a directive reads what stands there.
const PROBE: &str = "unreadTag";
/// Tags that are looked at: each costs a reading of the template.
const MOST: usize = 50;

/// A tag that is not read.
pub(super) struct Unread {
    /// As it stands, with its percent signs.
    pub(super) tag: String,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// The tags of a template that stand within directives. What `#[[ ]]#`, comments and plain quotes
/// hold is no tag, and nobody takes it for one.
pub(super) fn unread(source: &str) -> Vec<Unread> {
    let Ok(template) = tags::parse(source) else {
        return Vec::new();
    };
    let read = template.tags().len();
    let written = tags::written(source);
    if written.len() <= read {
        return Vec::new();
    }
    let unread = written.into_iter().take(MOST).filter(|(start, tag)| {
        let (before, after) = (&source[..*start], &source[start + tag.len()..]);
        let probe = tags::parse(&format!("{before}${{{PROBE}}}{after}"));
        probe.is_ok_and(|probe| probe.tags().len() == read && reads_probe(&probe))
    });
    let unread = unread.map(|(start, tag)| {
        let before = &source[..start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Unread {
            tag: tag.to_owned(),
            line: number(before.matches('\n').count()),
            column: number(line.chars().count()),
        }
    });
    unread.collect()
}

fn reads_probe(template: &Template) -> bool {
    let mut references = template.references().into_iter();
    references.any(|reference| reference.variable == PROBE)
}

fn number(before: usize) -> u32 {
    u32::try_from(before).map_or(u32::MAX, |before| before.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_within_a_directive_is_found_and_one_that_is_none_is_not() {
        let source = "%FIRSTNAME% #set($x = \"Dear %FIRSTNAME|friend%\")\n #if(\"%PC_a_1_7%\" == \"\") \
                      %LASTNAME% #[[%LIKE%]]# #end ## %THIS%\n#set($y = '%PLAIN%') 50% off %20x%20";
        let unread = unread(source);
        let told: Vec<_> = unread
            .iter()
            .map(|one| (one.tag.as_str(), one.line, one.column))
            .collect();
        assert_eq!(told, [("%FIRSTNAME|friend%", 1, 29), ("%PC_a_1_7%", 2, 7)]);
        assert!(super::unread("%FIRSTNAME% #define($n)%LASTNAME%#end").is_empty());
    }
}
