//! Parses YAML text into nodes.
//!
//! Works on the parser's events instead of a ready-made tree, because nesting and aliases must be
//! bounded before they consume stack or memory.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::diagnostic::{Diagnostics, quoted};
use super::node::{Entry, Node, NodeValue, Position};
use super::reader::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_REPEATED_BYTES, count};
use super::scalar::{Origin, Scalar};
use super::source::{Comment, QUOTES, Source, is_directive};
use super::surrogate_pairs::SurrogatePairs;

/// Maximum number of bytes read again to join escapes that the parser does not understand.
const MAX_READ_AGAIN: usize = 16 * MAX_FILE_BYTES;

/// Returns one node per non-empty document, up to the first syntax error.
pub(super) fn build(text: &str, out: &mut Diagnostics) -> Vec<Node> {
    let mut text = Cow::Borrowed(text);
    let mut joined = SurrogatePairs::default();
    let mut left = MAX_READ_AGAIN;
    loop {
        let mut found = Diagnostics::new(out.file());
        let (documents, stop, escape_at) = {
            let mut builder = TreeBuilder::new(Source::new(&text), &joined);
            let stop = builder.run(&text, &mut found).err();
            let escape_at = stop.as_ref().and_then(|stop| stop.escape_at);
            let escape_at = escape_at.map(|index| builder.source.byte(index));
            (builder.documents, stop, escape_at)
        };
        if let Some(byte) = escape_at
            && let Some(rest) = left.checked_sub(text.len())
            && let Some(again) = joined.join(&text, byte)
        {
            left = rest;
            text = Cow::Owned(again);
            continue;
        }
        if let Some(ParseError {
            at, message, hint, ..
        }) = stop
        {
            found.error(at, message, hint);
        }
        out.extend(found);
        return documents;
    }
}

/// The error that ended the parsing of a file.
struct ParseError {
    at: Position,
    message: String,
    hint: Option<String>,
    /// Character index of the start of the quoted text that contains an escape the parser does not
    /// understand.
    escape_at: Option<usize>,
}

impl ParseError {
    fn new(at: Position, message: impl Into<String>, hint: Option<String>) -> ParseError {
        ParseError {
            at,
            message: message.into(),
            hint,
            escape_at: None,
        }
    }
}

/// A list or mapping that is not closed yet.
struct Open {
    at: Position,
    anchor: usize,
    content: NodeValue,
    next: NextNode,
}

/// The role of the next node in the open mapping.
enum NextNode {
    /// The node is a key.
    Key,
    /// The node is the value of this key.
    Value(String, Position),
    /// The node is the value of a rejected key.
    Ignored,
}

struct TreeBuilder<'s> {
    source: Source<'s>,
    joined: &'s SurrogatePairs,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// Anchored nodes by the parser's anchor number; 0 means no anchor.
    anchors: HashMap<usize, Node>,
    /// Anchors on plain text that no alias has used yet, with their positions.
    unused: HashMap<usize, Position>,
    nodes: usize,
    repeated_bytes: usize,
}

impl<'s> TreeBuilder<'s> {
    fn new(source: Source<'s>, joined: &'s SurrogatePairs) -> TreeBuilder<'s> {
        TreeBuilder {
            source,
            joined,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            unused: HashMap::new(),
            nodes: 0,
            repeated_bytes: 0,
        }
    }

    /// Converts a parser marker to a position in the file.
    fn position(&self, marker: Marker) -> Position {
        let line = count(marker.line().max(1));
        let shift = self.joined.column_shift(line, marker.index());
        Position {
            line,
            column: count(marker.col() + 1).saturating_add(shift),
        }
    }

    fn run(&mut self, text: &str, out: &mut Diagnostics) -> Result<(), ParseError> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let at = self.position(span.start);
            match event {
                Event::DocumentStart(_) => self.anchors.clear(),
                Event::Scalar(text, style, anchor, tag) => {
                    let tagged = self.tag(tag.as_deref(), at, out);
                    let mut node = self.scalar(&text, style, tagged, span.start);
                    if anchor > 0 && style == ScalarStyle::Plain {
                        self.unused.insert(anchor, at);
                    }
                    if style == ScalarStyle::Plain && !text.is_empty() {
                        self.comment(&mut node, span.end, out);
                    }
                    self.add(node, anchor, out)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.tag(tag.as_deref(), at, out);
                    self.push(at, anchor, NodeValue::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.tag(tag.as_deref(), at, out);
                    self.push(at, anchor, NodeValue::Mapping(Vec::new()))?;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some(open) = self.open.pop() {
                        let node = Node {
                            at: open.at,
                            content: open.content,
                        };
                        self.add(node, open.anchor, out)?;
                    }
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).cloned() else {
                        let message = "this alias has no matching anchor before it";
                        return Err(ParseError::new(at, message, Some(QUOTES.to_owned())));
                    };
                    self.unused.remove(&anchor);
                    self.count_copy(&node, at)?;
                    self.add(node, 0, out)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        for at in self.unused.values() {
            let message = "the word that begins with `&` is dropped: YAML reads it as an anchor";
            out.warning(*at, message, Some(QUOTES.to_owned()));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> ParseError {
        let at = self.position(*error.marker());
        let tabs = self.source.tab_indents(at.line);
        let escape = error.info().contains("invalid Unicode character escape");
        let hint = if tabs {
            Some("indent with spaces; YAML does not allow tabs here".to_owned())
        } else if escape {
            Some("write a character beyond U+FFFF as two escapes, such as \\ud83c\\udf89, or as itself".to_owned())
        } else {
            self.source.unquoted(at.line)
        };
        ParseError {
            escape_at: escape.then(|| error.marker().index()),
            ..ParseError::new(at, format!("invalid YAML: {}", error.info()), hint)
        }
    }

    /// Returns true if the tag makes a scalar text. Other tags are not supported.
    fn tag(&self, tag: Option<&Tag>, at: Position, out: &mut Diagnostics) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema() && tag.suffix == "str" {
            return true;
        }
        let hint =
            "put text that begins with `!` in quotes; the only supported tag is `!!str`".to_owned();
        out.error(
            at,
            format!("unknown tag {}", quoted(&tag.to_string())),
            Some(hint),
        );
        false
    }

    /// Reports what YAML reads as a comment after plain text but is most likely part of that text.
    fn comment(&self, node: &mut Node, end: Marker, out: &mut Diagnostics) {
        let Some(Comment { blanks, text }) = self.source.comment(end.index()) else {
            let key = self.open.last().map(|open| &open.next);
            if let Some(NextNode::Value(_, key_at)) = key
                && let Some(indent) = self.source.comment_below(end.index(), key_at.column)
                && let NodeValue::Scalar(scalar) = &mut node.content
            {
                let mut at = self.position(end);
                at.line = at.line.saturating_add(1);
                at.column = count(indent + 1);
                scalar.set_comment_start(at);
            }
            return;
        };
        let mut at = self.position(end);
        let message = format!(
            "the text after ` #` is cut off: YAML reads {} as a comment",
            quoted(text)
        );
        let NodeValue::Scalar(scalar) = &mut node.content else {
            return;
        };
        if text.starts_with('#') && is_directive(text) {
            return out.error(at, message, Some(QUOTES.to_owned()));
        }
        at.column = at.column.saturating_add(count(blanks));
        let begins = text.chars().nth(1);
        let is_tight = begins.is_some_and(|c| !c.is_whitespace() && c != '#' && c != '!');
        if is_tight && scalar.kind() == "text" {
            out.warning(at, message, Some(QUOTES.to_owned()));
        } else if blanks == 1 {
            // Text for people may contain such a `#`; everywhere else it is a comment.
            scalar.set_comment_start(at);
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tagged: bool, start: Marker) -> Node {
        let at = self.position(start);
        let origin = match style {
            ScalarStyle::Plain => self.source.inline(text, start.index(), at, false),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                self.source.inline(text, start.index(), at, true)
            }
            ScalarStyle::Literal => Source::literal(text, at),
            ScalarStyle::Folded => Origin::Beginning(at),
        };
        let plain = style == ScalarStyle::Plain && !tagged;
        Node {
            at,
            content: NodeValue::Scalar(Scalar::new(text.to_owned(), plain, origin)),
        }
    }

    fn push(&mut self, at: Position, anchor: usize, content: NodeValue) -> Result<(), ParseError> {
        if self.open.len() == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(ParseError::new(at, message, None));
        }
        self.open.push(Open {
            at,
            anchor,
            content,
            next: NextNode::Key,
        });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, out: &mut Diagnostics) -> Result<(), ParseError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(limit_exceeded(node.at));
        }
        if anchor > 0 {
            self.count_copy(&node, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut open.content {
            NodeValue::List(items) => items.push(node),
            NodeValue::Mapping(entries) => {
                open.next = match std::mem::replace(&mut open.next, NextNode::Key) {
                    NextNode::Key => match node.content {
                        NodeValue::Scalar(key) => NextNode::Value(key.text().to_owned(), node.at),
                        _ => {
                            let message = format!("a key must be text, found {}", node.kind());
                            let hint = "put text that begins with a bracket in quotes".to_owned();
                            out.error(node.at, message, Some(hint));
                            NextNode::Ignored
                        }
                    },
                    NextNode::Value(key, key_at) => {
                        let mut node = node;
                        if let NodeValue::Scalar(scalar) = &mut node.content
                            && scalar.text().is_empty()
                            && scalar.is_null()
                            && let Some(column) = self.source.comment_after_key(key_at)
                        {
                            let line = key_at.line;
                            scalar.set_comment_start(Position { line, column });
                        }
                        entries.push(Entry {
                            key,
                            key_at,
                            value: node,
                        });
                        NextNode::Key
                    }
                    NextNode::Ignored => NextNode::Key,
                };
            }
            NodeValue::Scalar(_) => {}
        }
        Ok(())
    }

    /// Counts a copy of a node, so that a few aliases of aliases cannot exhaust memory.
    fn count_copy(&mut self, node: &Node, at: Position) -> Result<(), ParseError> {
        let (nodes, bytes) = copy_size(node);
        self.nodes += nodes;
        self.repeated_bytes += bytes;
        if self.nodes > MAX_NODES || self.repeated_bytes > MAX_REPEATED_BYTES {
            return Err(limit_exceeded(at));
        }
        Ok(())
    }
}

fn limit_exceeded(at: Position) -> ParseError {
    let message =
        format!("the file has more than {MAX_NODES} values, or its aliases repeat too much");
    ParseError::new(at, message, Some("split it into several files".into()))
}

/// Returns the number of nodes and of bytes of text in a copy of the node.
fn copy_size(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes): (usize, usize), node: &Node| {
        let (more_nodes, more_bytes) = copy_size(node);
        (nodes + more_nodes, bytes + more_bytes)
    };
    match &node.content {
        NodeValue::Scalar(scalar) => (1, scalar.text().len()),
        NodeValue::List(items) => items.iter().fold((1, 0), add),
        NodeValue::Mapping(entries) => entries.iter().fold((1, 0), |(nodes, bytes), entry| {
            add((nodes, bytes + entry.key.len()), &entry.value)
        }),
    }
}
