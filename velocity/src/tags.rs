//! Merge tags: `%NAME%` and `%NAME|default%` in the text of a template, and in the quoted texts of
//! its directives and methods.
//!
//! They are not part of Velocity. The caller decides which names are tags, because a percent sign
//! is usually just a percent sign.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ast::{Block, Expr, Node, Reference, StepKind};
use crate::error::Pos;
use crate::parser::Parsed;

/// The maximum length of a tag in bytes, including percent signs.
const MAX_TAG_BYTES: usize = 500;

/// Decides which names are tags. Receives the text before the first percent sign, the text between
/// the percent signs up to the bar, and the text after the tag; returns the key by which rendering
/// looks up the value, or `None` if this is not a tag.
pub type IsTag<'t> = dyn Fn(&str, &str, &str) -> Option<String> + 't;

/// Returns the value of a tag by its key and its default. Called when a tag is printed, so not for
/// tags in branches that are not taken.
///
/// Inside a web address the value is percent-encoded as its place requires, unless it is the tag
/// itself, `%key%`, as in a preview.
pub type TagValues<'t> = dyn Fn(&str, &str) -> Option<String> + 't;

/// A merge tag of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeTag {
    /// The key by which rendering looks up the value.
    pub key: String,
    /// Printed if there is no value.
    pub instead: String,
    /// The line of the tag, from 1.
    pub line: u32,
    /// The character in the line at which the tag starts, from 1.
    pub column: u32,
}

/// A tag in the syntax tree.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) key: Box<str>,
    pub(crate) instead: Box<str>,
    pub(crate) pos: Pos,
}

impl Tag {
    /// Returns true if a value is the tag as written.
    pub(crate) fn is(&self, value: &str) -> bool {
        let inner = value
            .strip_prefix('%')
            .and_then(|rest| rest.strip_suffix('%'));
        inner == Some(&*self.key)
    }
}

/// Replaces tags in the text of a template by nodes, and returns them.
pub(crate) fn compile(parsed: &mut Parsed, source: &str, is_tag: &IsTag<'_>) -> Vec<MergeTag> {
    let mut compiler = Compiler {
        is_tag,
        places: places(source, is_tag),
        last: Pos::START,
        found: Vec::new(),
    };
    compiler.block(&mut parsed.block);
    let mut macros: Vec<_> = parsed.macros.iter_mut().collect();
    macros.sort_by(|a, b| a.0.cmp(b.0));
    for defined in macros.into_iter().filter_map(|(_, m)| Arc::get_mut(m)) {
        let defaults = defined.parameters.iter_mut();
        for default in defaults.filter_map(|(_, default)| default.as_mut()) {
            compiler.expr(default);
        }
        compiler.block(&mut defined.body);
    }
    let mut found = compiler.found;
    found.sort_by_key(|tag| (tag.line, tag.column));
    found
}

/// Returns the positions of each tag in the source, by its text. Text nodes have no exact
/// positions, because white space and comments are left out of them.
fn places<'s>(source: &'s str, is_tag: &IsTag<'_>) -> HashMap<&'s str, VecDeque<Pos>> {
    let mut places: HashMap<&str, VecDeque<Pos>> = HashMap::new();
    let mut pos = Pos::START;
    let mut chars = source.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '%'
            && let Some((inner, rest)) = source.get(at + 1..).and_then(inside)
            && let (name, _) = inner.split_once('|').unwrap_or((inner, ""))
            && is_tag(source.get(..at).unwrap_or(""), name, rest).is_some()
        {
            let tag = source.get(at..at + inner.len() + 2).unwrap_or("");
            places.entry(tag).or_default().push_back(pos);
        }
        if c == '\n' || (c == '\r' && chars.peek().is_none_or(|(_, next)| *next != '\n')) {
            pos.line += 1;
            pos.column = 1;
        } else {
            pos.column += 1;
        }
    }
    places
}

struct Compiler<'c> {
    is_tag: &'c IsTag<'c>,
    places: HashMap<&'c str, VecDeque<Pos>>,
    /// The position of the last tag; also that of the next one if it contains a comment.
    last: Pos,
    found: Vec<MergeTag>,
}

impl Compiler<'_> {
    fn block(&mut self, block: &mut Block) {
        for mut node in std::mem::take(block) {
            match &mut node {
                Node::Text(text) => {
                    self.text(text, block);
                    continue;
                }
                Node::If(branches) => {
                    for (condition, body) in &mut branches.branches {
                        self.expr(condition);
                        self.block(body);
                    }
                    self.block(&mut branches.otherwise);
                }
                Node::Foreach(foreach) => {
                    self.expr(&mut foreach.items);
                    self.block(&mut foreach.body);
                    self.block(&mut foreach.otherwise);
                }
                Node::Define { body, .. } => self.shared(body),
                Node::Output(output) if !output.escaped => self.reference(&mut output.reference),
                Node::Set(set) => {
                    self.reference(&mut set.target);
                    self.expr(&mut set.value);
                }
                Node::Evaluate(value, _) | Node::Break(Some(value)) => self.expr(value),
                Node::Call(call) => {
                    call.arguments.iter_mut().for_each(|one| self.expr(one));
                    if let Some(body) = &mut call.body {
                        self.shared(body);
                    }
                }
                _ => {}
            }
            block.push(node);
        }
    }

    fn reference(&mut self, reference: &mut Reference) {
        for step in &mut reference.steps {
            match &mut step.kind {
                StepKind::Property(_) => {}
                StepKind::Method(_, arguments) => {
                    arguments.iter_mut().for_each(|one| self.expr(one));
                }
                StepKind::Index(index) => self.expr(index),
            }
        }
        if let Some(alternate) = &mut reference.alternate {
            self.expr(alternate);
        }
    }

    /// Converts a quoted text with a tag to a template.
    fn expr(&mut self, value: &mut Expr) {
        match value {
            Expr::Text(text) => {
                let before = self.found.len();
                let mut block = Block::new();
                self.text(&text.clone(), &mut block);
                if self.found.len() > before {
                    *value = Expr::Template(Arc::new(block), self.last);
                }
            }
            Expr::Template(block, _) => self.shared(block),
            Expr::Number(_) | Expr::Bool(_) => {}
            Expr::List(items, _) => items.iter_mut().for_each(|item| self.expr(item)),
            Expr::Map(entries, _) => {
                for (key, value) in entries {
                    self.expr(key);
                    self.expr(value);
                }
            }
            Expr::Range(ends, _) => {
                self.expr(&mut ends.0);
                self.expr(&mut ends.1);
            }
            Expr::Reference(reference) => self.reference(reference),
            Expr::Not(inner) | Expr::Negate(inner) => self.expr(inner),
            Expr::Chain(chain) => {
                self.expr(&mut chain.first);
                for link in &mut chain.rest {
                    self.expr(&mut link.operand);
                }
            }
        }
    }

    /// Before rendering, no block is shared.
    fn shared(&mut self, block: &mut Arc<Block>) {
        if let Some(block) = Arc::get_mut(block) {
            self.block(block);
        }
    }

    fn text(&mut self, text: &str, block: &mut Block) {
        let mut from = 0;
        let mut look = 0;
        while let Some(start) = text.get(look..).and_then(|rest| rest.find('%')) {
            let start = look + start;
            let after = text.get(start + 1..).unwrap_or("");
            if after.starts_with('%') {
                // `%%` is text and starts no tag.
                look = start + 2;
                continue;
            }
            let Some((inner, rest)) = inside(after) else {
                look = start + 1;
                continue;
            };
            let (name, instead) = inner.split_once('|').unwrap_or((inner, ""));
            let Some(key) = (self.is_tag)(text.get(..start).unwrap_or(""), name, rest) else {
                look = start + 1;
                continue;
            };
            let end = start + inner.len() + 2;
            push(block, text.get(from..start).unwrap_or(""));
            let pos = self.place(text.get(start..end).unwrap_or(""));
            self.found.push(MergeTag {
                key: key.clone(),
                instead: instead.to_owned(),
                line: pos.line,
                column: pos.column,
            });
            block.push(Node::Tag(Box::new(Tag {
                key: key.into(),
                instead: instead.into(),
                pos,
            })));
            (from, look) = (end, end);
        }
        push(block, text.get(from..).unwrap_or(""));
    }

    /// Returns the position of the next tag with this text.
    fn place(&mut self, tag: &str) -> Pos {
        let place = self.places.get_mut(tag).and_then(VecDeque::pop_front);
        self.last = place.unwrap_or(self.last);
        self.last
    }
}

/// Returns the text before the next percent sign on the line, and the text after it.
fn inside(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .take(MAX_TAG_BYTES)
        .position(|byte| matches!(byte, b'%' | b'\n' | b'\r'))?;
    let (inner, rest) = (text.get(..end)?, text.get(end..)?);
    Some((inner, rest.strip_prefix('%')?))
}

fn push(block: &mut Block, text: &str) {
    if !text.is_empty() {
        block.push(Node::Text(text.into()));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Context, Escape, ParseOptions, RenderOptions, Template};

    fn is_tag(_: &str, name: &str, rest: &str) -> Option<String> {
        let upper = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
        (upper && !rest.starts_with('~')).then(|| name.to_lowercase())
    }

    fn value(key: &str, _: &str) -> Option<String> {
        match key {
            "name" => Some("Ann & <Co>".into()),
            "blank" => Some("  ".into()),
            _ => None,
        }
    }

    fn parse(source: &str) -> Template {
        let options = ParseOptions::default();
        Template::parse_with_tags(source, &options, &is_tag).expect("a template")
    }

    fn print(source: &str, escape: Escape) -> String {
        let template = parse(source);
        let options = RenderOptions {
            escape,
            ..RenderOptions::default()
        };
        template
            .render_with_tags(&Context::new(), &options, &value)
            .expect("it renders")
    }

    #[test]
    fn tags_print_their_value_or_default() {
        for (source, printed) in [
            ("Hi %NAME%!", "Hi Ann & <Co>!"),
            ("Hi %NAME|friend%!", "Hi Ann & <Co>!"),
            ("Hi %OTHER|my friend & all%!", "Hi my friend & all!"),
            ("Hi %BLANK|friend%!", "Hi friend!"),
            ("Hi %OTHER%!", "Hi !"),
            ("100%NAME%", "100Ann & <Co>"),
            ("$%NAME%", "$Ann & <Co>"),
            ("%x%NAME%", "%xAnn & <Co>"),
        ] {
            assert_eq!(print(source, Escape::None), printed, "{source}");
        }
        assert_eq!(
            print("%NAME% %OTHER|<b>you</b>%", Escape::Html),
            "Ann &amp; &lt;Co&gt; <b>you</b>"
        );
    }

    #[test]
    fn leaves_other_percent_signs_unchanged() {
        for source in [
            "%",
            "%%",
            "%%NAME%%",
            "50% and 20%",
            "%name%",
            "%NAME",
            "%NAME\n%",
            "%NAME%~",
            "#[[%NAME%]]#",
        ] {
            let printed = source.replace("#[[", "").replace("]]#", "");
            assert_eq!(print(source, Escape::None), printed, "{source}");
        }
    }

    #[test]
    fn tags_work_wherever_text_does() {
        let source = "#if(true)%NAME|a%#else%OTHER|b%#end#foreach($i in [1..2])%OTHER|c%#end\
                      #define($d)%OTHER|d%#end$d#macro(m)%OTHER|e%#end#m()";
        assert_eq!(print(source, Escape::None), "Ann & <Co>ccde");
    }

    #[test]
    fn lists_tags_with_positions() {
        let source = "Hi %NAME%\r\n## a comment\n  #set($x = 1)\n é%OTHER|x% %NAME%";
        let template = parse(source);
        let places: Vec<_> = template
            .tags()
            .iter()
            .map(|tag| (tag.key.as_str(), tag.instead.as_str(), tag.line, tag.column))
            .collect();
        assert_eq!(
            places,
            [
                ("name", "", 1, 4),
                ("other", "x", 4, 3),
                ("name", "", 4, 13)
            ]
        );
    }
}
