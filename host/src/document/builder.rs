//! From text to nodes.
//!
//! Works on the parser's events and not on a tree that it builds, because only so can nesting
//! and aliases be bounded before they cost a stack or a memory.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use super::diagnostic::{Diagnostics, shown};
use super::node::{Content, Entry, Node, Position};
use super::reader::{MAX_DEPTH, MAX_NODES, MAX_REPEATED_BYTES, count};
use super::scalar::{Origin, Scalar};
use super::source::Source;

/// One node for each document that is not empty, up to the first place that is no YAML.
pub(super) fn build(text: &str, out: &mut Diagnostics) -> Vec<Node> {
    let mut builder = Builder::new(Source::new(text));
    if let Err(Stop { at, message, hint }) = builder.run(text, out) {
        out.error(at, message, hint);
    }
    builder.documents
}

fn position(marker: Marker) -> Position {
    Position {
        line: count(marker.line().max(1)),
        column: count(marker.col() + 1),
    }
}

/// Why reading ends before the file does.
struct Stop {
    at: Position,
    message: String,
    hint: Option<String>,
}

/// A list or mapping that is not closed yet.
struct Open {
    at: Position,
    anchor: usize,
    content: Content,
    key: Key,
}

/// What the open mapping makes of the next node.
enum Key {
    /// It is a key.
    Expected,
    /// It is the value of this key.
    Held(String, Position),
    /// It is the value of a key that was refused.
    Refused,
}

struct Builder<'s> {
    source: Source<'s>,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// By the parser's number; 0 stands for no anchor.
    anchors: HashMap<usize, Node>,
    nodes: usize,
    repeated_bytes: usize,
}

impl<'s> Builder<'s> {
    fn new(source: Source<'s>) -> Builder<'s> {
        Builder {
            source,
            documents: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            repeated_bytes: 0,
        }
    }

    fn run(&mut self, text: &str, out: &mut Diagnostics) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let at = position(span.start);
            match event {
                Event::DocumentStart(_) => self.anchors.clear(),
                Event::Scalar(text, style, anchor, tag) => {
                    let tagged = self.tag(tag.as_deref(), at, out);
                    let node = self.scalar(&text, style, tagged, span.start);
                    if style == ScalarStyle::Plain && self.source.hides_directive(span.end.index())
                    {
                        let message =
                            "what stands after ` #` is cut off: YAML takes it for a comment";
                        let hint = "put the text in quotes, or write it below `|`".to_owned();
                        out.error(position(span.end), message, Some(hint));
                    }
                    self.add(node, anchor, out)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.tag(tag.as_deref(), at, out);
                    self.push(at, anchor, Content::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.tag(tag.as_deref(), at, out);
                    self.push(at, anchor, Content::Mapping(Vec::new()))?;
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
                        let message = "this alias names nothing that stands before it".to_owned();
                        return Err(Stop {
                            at,
                            message,
                            hint: None,
                        });
                    };
                    self.charge(&node, at)?;
                    self.add(node, 0, out)?;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        let at = position(*error.marker());
        let hint = self
            .source
            .tab_indents(at.line)
            .then(|| "indent with spaces; YAML takes no tabs there".to_owned());
        Stop {
            at,
            message: format!("this is not YAML: {}", error.info()),
            hint,
        }
    }

    /// Whether a tag makes a scalar a text. Other tags have no meaning here.
    fn tag(&self, tag: Option<&Tag>, at: Position, out: &mut Diagnostics) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema() && tag.suffix == "str" {
            return true;
        }
        let hint = "leave the tag out; `!!str` is the only one that is read".to_owned();
        out.error(
            at,
            format!("unknown tag {}", shown(&tag.to_string())),
            Some(hint),
        );
        false
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tagged: bool, start: Marker) -> Node {
        let at = position(start);
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
            content: Content::Scalar(Scalar::new(text.to_owned(), plain, origin)),
        }
    }

    fn push(&mut self, at: Position, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.open.len() == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} deep");
            return Err(Stop {
                at,
                message,
                hint: None,
            });
        }
        self.open.push(Open {
            at,
            anchor,
            content,
            key: Key::Expected,
        });
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize, out: &mut Diagnostics) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(too_much(node.at));
        }
        if anchor > 0 {
            self.charge(&node, node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Mapping(entries) => {
                open.key = match std::mem::replace(&mut open.key, Key::Expected) {
                    Key::Expected => match node.content {
                        Content::Scalar(key) => Key::Held(key.text().to_owned(), node.at),
                        _ => {
                            let message = format!("a key must be a text, found {}", node.kind());
                            let hint = "put text that begins with a bracket in quotes".to_owned();
                            out.error(node.at, message, Some(hint));
                            Key::Refused
                        }
                    },
                    Key::Held(key, key_at) => {
                        entries.push(Entry {
                            key,
                            key_at,
                            value: node,
                        });
                        Key::Expected
                    }
                    Key::Refused => Key::Expected,
                };
            }
            Content::Scalar(_) => {}
        }
        Ok(())
    }

    /// Counts a copy of a node, so that a few aliases of aliases cannot fill the memory.
    fn charge(&mut self, node: &Node, at: Position) -> Result<(), Stop> {
        let (nodes, bytes) = weight(node);
        self.nodes += nodes;
        self.repeated_bytes += bytes;
        if self.nodes > MAX_NODES || self.repeated_bytes > MAX_REPEATED_BYTES {
            return Err(too_much(at));
        }
        Ok(())
    }
}

fn too_much(at: Position) -> Stop {
    let message =
        format!("the file holds more than {MAX_NODES} values, or aliases repeat too much");
    Stop {
        at,
        message,
        hint: Some("split it into several files".into()),
    }
}

/// How many nodes and bytes of text a copy of the node holds.
fn weight(node: &Node) -> (usize, usize) {
    let add = |(nodes, bytes): (usize, usize), node: &Node| {
        let (more_nodes, more_bytes) = weight(node);
        (nodes + more_nodes, bytes + more_bytes)
    };
    match &node.content {
        Content::Scalar(scalar) => (1, scalar.text().len()),
        Content::List(items) => items.iter().fold((1, 0), add),
        Content::Mapping(entries) => entries.iter().fold((1, 0), |(nodes, bytes), entry| {
            add((nodes, bytes + entry.key.len()), &entry.value)
        }),
    }
}
