//! Rows out of JSON, in all the shapes that uploads have: an array of codes or of objects, a
//! call whose attributes hold for all of its codes, and objects one after another.

use std::io::Read;

use super::fields::{Draft, Judge, Stated};
use super::header::{Column, hint, shorten};
use super::skeleton::{Skeleton, parse};
use super::source::Source;
use super::spool::{Replay, Spool};
use super::value::Value;
use super::{Row, UploadError};

/// The key of a call's codes.
const CODES: &str = "promocodes";

/// The rows of a JSON file.
pub(super) struct JsonRows<R> {
    skeleton: Skeleton<R>,
    judge: Judge,
    state: State,
}

/// What is read next.
enum State {
    /// The first value of the file.
    Start,
    /// An object, after another one, or the end.
    Objects,
    /// An item of an array: the file's, or that of a call whose attributes are all known.
    Items {
        first: bool,
        call: Option<Box<Object>>,
        fill: Stated,
    },
    /// A row of a call that was put aside until its attributes were known.
    Replay(Replay, Stated),
    /// Nothing but blanks.
    End,
}

/// An object of the file that has begun: a row, or a call once its codes are seen.
struct Object {
    draft: Draft,
    seen: Vec<Column>,
    /// A member was seen: a comma stands before the next.
    first: bool,
    is_call: bool,
    /// The call's codes, where they came before the attributes.
    spool: Option<Spool>,
    /// The line of the member that was last read.
    line: u64,
}

impl<R: Read> JsonRows<R> {
    /// Begins at the beginning.
    pub(super) fn new(source: Source<R>, judge: Judge) -> JsonRows<R> {
        JsonRows {
            skeleton: Skeleton::new(source),
            judge,
            state: State::Start,
        }
    }

    /// The next row.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, UploadError> {
        loop {
            match &mut self.state {
                State::Start | State::Objects => {
                    let Some(byte) = self.skeleton.peek()? else {
                        return Ok(None);
                    };
                    let line = self.skeleton.place().line;
                    if byte == b'{' {
                        self.skeleton.expect(byte)?;
                        let row = self.read_object(Box::new(Object::new(line)))?;
                        if row.is_some() {
                            return Ok(row);
                        }
                    } else if byte == b'[' && matches!(self.state, State::Start) {
                        self.skeleton.expect(byte)?;
                        let fill = self.judge.fill.clone();
                        self.state = State::Items {
                            first: true,
                            call: None,
                            fill,
                        };
                    } else if matches!(self.state, State::Start) {
                        return Err(self.skeleton.unexpected("`[` or `{`"));
                    } else {
                        return Err(self.skeleton.unexpected("`{` or the end of the file"));
                    }
                }
                State::Items { first, call, fill } => {
                    if self.skeleton.next_item(first, b']')? {
                        let (place, text) = self.skeleton.text()?;
                        let value = parse(place, text)?;
                        return Ok(Some(read_row(&mut self.judge, place.line, &value, fill)));
                    }
                    match call.take() {
                        // A call whose attributes are known gives no row of its own.
                        Some(object) => drop(self.read_object(object)?),
                        None => self.state = State::End,
                    }
                }
                State::Replay(replay, fill) => match replay.next()? {
                    Some((place, text)) => {
                        let value = parse(place, text)?;
                        return Ok(Some(read_row(&mut self.judge, place.line, &value, fill)));
                    }
                    None => self.state = State::Objects,
                },
                State::End => {
                    return match self.skeleton.peek()? {
                        None => Ok(None),
                        Some(_) => Err(self.skeleton.unexpected("the end of the file")),
                    };
                }
            }
        }
    }

    /// Reads an object to its end, or to the codes of a call if they can be handed out at once.
    fn read_object(&mut self, mut object: Box<Object>) -> Result<Option<Row>, UploadError> {
        while self.skeleton.next_item(&mut object.first, b'}')? {
            let (place, key) = self.skeleton.key()?;
            object.line = place.line;
            if key == CODES {
                object.begin_call()?;
                self.skeleton.expect(b'[')?;
                let stated = object.draft.stated();
                if stated.is_complete() {
                    let (fill, call) = (stated.clone(), Some(object));
                    self.state = State::Items {
                        first: true,
                        call,
                        fill,
                    };
                    return Ok(None);
                }
                object.spool = Some(self.put_aside()?);
                continue;
            }
            let (place, text) = self.skeleton.text()?;
            let value = parse(place, text)?;
            read_member(
                &mut self.judge,
                &mut object.draft,
                &mut object.seen,
                &key,
                &value,
                &[CODES],
            );
            if object.is_call {
                object.check_call()?;
            }
        }
        self.state = State::Objects;
        if !object.is_call {
            return Ok(Some(object.draft.finish(&self.judge.fill)));
        }
        if let Some(spool) = object.spool {
            let fill = object.draft.stated().clone().or(&self.judge.fill);
            self.state = State::Replay(spool.replay()?, fill);
        }
        Ok(None)
    }

    /// Puts the items of an array aside, through its closing bracket.
    fn put_aside(&mut self) -> Result<Spool, UploadError> {
        let mut spool = Spool::new();
        let mut first = true;
        while self.skeleton.next_item(&mut first, b']')? {
            let (place, text) = self.skeleton.text()?;
            spool.push(place, text)?;
        }
        Ok(spool)
    }
}

impl Object {
    fn new(line: u64) -> Object {
        Object {
            draft: Draft::new(line),
            seen: Vec::new(),
            first: true,
            is_call: false,
            spool: None,
            line,
        }
    }

    /// The key of a call's codes was seen: what came before it must suit a call.
    fn begin_call(&mut self) -> Result<(), UploadError> {
        if self.is_call {
            return Err(self.fault(
                CODES,
                "`promocodes` stands twice; make two calls of it".to_owned(),
            ));
        }
        self.is_call = true;
        self.check_call()
    }

    /// An attribute at fault is no row's, and a call has no code of its own.
    fn check_call(&self) -> Result<(), UploadError> {
        if let Some(error) = self.draft.errors().first() {
            return Err(self.fault(&error.field, error.message.clone()));
        }
        if self.seen.contains(&Column::Code) {
            let message = "`code` stands beside `promocodes`; put the code among the others";
            return Err(self.fault(Column::Code.name(), message.to_owned()));
        }
        Ok(())
    }

    fn fault(&self, field: &str, message: String) -> UploadError {
        UploadError::Call {
            line: self.line,
            field: field.to_owned(),
            message,
        }
    }
}

/// Judges an item of an array: a code alone, or an object.
fn read_row(judge: &mut Judge, line: u64, value: &Value<'_>, fill: &Stated) -> Row {
    let mut draft = Draft::new(line);
    match value {
        Value::Text(code) => judge.read(&mut draft, Column::Code, code.trim()),
        Value::Object(members) => {
            let mut seen = Vec::with_capacity(members.len().min(8));
            for (key, value) in members {
                read_member(judge, &mut draft, &mut seen, key, value, &[]);
            }
        }
        other => {
            let found = other.described();
            draft.reject(
                "",
                format!("{found} is not a code; expected a text in quotes or an object"),
            );
        }
    }
    draft.finish(fill)
}

/// Judges a key and its value; null states nothing.
fn read_member(
    judge: &mut Judge,
    draft: &mut Draft,
    seen: &mut Vec<Column>,
    key: &str,
    value: &Value<'_>,
    other_keys: &[&'static str],
) {
    let Some(column) = Column::named(key) else {
        let short = shorten(key);
        let message = format!("`{short}` is not a field; {}", hint(key, other_keys));
        return draft.reject(&short, message);
    };
    if seen.contains(&column) {
        let name = column.name();
        return draft.reject(name, format!("`{name}` stands twice; keep one of them"));
    }
    seen.push(column);
    let is_text = matches!(column, Column::Code | Column::Type);
    match value {
        Value::Null => {}
        Value::Text(text) => judge.read(draft, column, text.trim()),
        Value::Word(word) if !is_text => judge.read(draft, column, word),
        other => {
            let found = other.described();
            let expected = if is_text {
                "a text in quotes"
            } else {
                "a single value"
            };
            draft.reject(column.name(), format!("found {found}; expected {expected}"));
        }
    }
}
