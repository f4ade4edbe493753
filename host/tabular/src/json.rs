//! Reads rows from JSON in all shapes that uploads have: an array of texts or objects, a call whose
//! attributes apply to all of its rows, and a sequence of objects.

use std::io::Read;

use super::skeleton::{Place, Skeleton, parse};
use super::source::Source;
use super::spool::{Replay, Spool};
use super::table::{Draft, Table};
use super::value::Value;
use super::{Row, RowPlace, UploadError, shorten, trim};

/// The rows of a JSON file.
pub(super) struct JsonRows<R, T: Table> {
    skeleton: Skeleton<R>,
    table: T,
    state: State<T>,
    /// The location of the last row.
    place: RowPlace,
}

/// The parser's state: what comes next.
enum State<T: Table> {
    /// The first value of the file.
    Start,
    /// Another object, or the end of the file.
    Objects,
    /// An item of an array: the top-level one, or that of a call whose attributes are all known.
    Items {
        first: bool,
        call: Option<Box<Object<T>>>,
        fill: T::Stated,
        index: u64,
    },
    /// A row of a call that was buffered until the attributes were known.
    Replay(Replay, T::Stated, u64),
    /// Only whitespace may follow.
    End,
}

/// An object that is being read: a row, or a call as soon as its rows are seen.
struct Object<T: Table> {
    draft: Draft<T>,
    /// True until the first member was read; a comma precedes every later one.
    first: bool,
    is_call: bool,
    /// The rows of the call, if they precede the attributes.
    spool: Option<Spool>,
    /// The line of the last member.
    line: u64,
}

impl<R: Read, T: Table> JsonRows<R, T> {
    /// Creates a reader at the start of the file.
    pub(super) fn new(source: Source<R>, table: T) -> JsonRows<R, T> {
        JsonRows {
            skeleton: Skeleton::new(source),
            table,
            state: State::Start,
            place: RowPlace::line(1),
        }
    }

    /// Returns the schema of the rows.
    pub(super) fn table(&self) -> &T {
        &self.table
    }

    /// Returns the location of the last row.
    pub(super) fn place(&self) -> RowPlace {
        self.place
    }

    /// Returns the next row, or `None` at the end of the file.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
        loop {
            match &mut self.state {
                State::Start | State::Objects => {
                    let Some(byte) = self.skeleton.peek()? else {
                        return Ok(None);
                    };
                    let place = self.skeleton.place();
                    if byte == b'{' {
                        self.place = RowPlace::value(place.line, place.column);
                        self.skeleton.expect(byte)?;
                        let row = self.read_object(Box::new(Object::new(place)))?;
                        if row.is_some() {
                            return Ok(row);
                        }
                    } else if byte == b'[' && matches!(self.state, State::Start) {
                        self.skeleton.expect(byte)?;
                        let fill = self.table.fill().clone();
                        self.state = State::Items {
                            first: true,
                            call: None,
                            fill,
                            index: 0,
                        };
                    } else if matches!(self.state, State::Start) {
                        return Err(self.skeleton.unexpected("`[` or `{`"));
                    } else {
                        return Err(self.skeleton.unexpected("`{` or the end of the file"));
                    }
                }
                State::Items {
                    first,
                    call,
                    fill,
                    index,
                } => {
                    if self.skeleton.next_item(first, b']')? {
                        let (place, text) = self.skeleton.text()?;
                        let value = parse(place, text)?;
                        let list = if call.is_some() { T::ROWS } else { "" };
                        self.place = item(place, list, *index, &value);
                        *index += 1;
                        return Ok(Some(read_row(&mut self.table, self.place, &value, fill)));
                    }
                    match call.take() {
                        // A call whose attributes are known returns no row of its own.
                        Some(object) => drop(self.read_object(object)?),
                        None => self.state = State::End,
                    }
                }
                State::Replay(replay, fill, index) => match replay.next()? {
                    Some((place, text)) => {
                        let value = parse(place, text)?;
                        self.place = item(place, T::ROWS, *index, &value);
                        *index += 1;
                        return Ok(Some(read_row(&mut self.table, self.place, &value, fill)));
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

    /// Reads an object to its end, or up to the rows of a call if they can be returned at once.
    fn read_object(
        &mut self,
        mut object: Box<Object<T>>,
    ) -> Result<Option<Row<T::Row>>, UploadError> {
        while self.skeleton.next_item(&mut object.first, b'}')? {
            let (place, key) = self.skeleton.key()?;
            object.line = place.line;
            if key == T::ROWS {
                object.begin_call()?;
                self.skeleton.expect(b'[')?;
                let stated = object.draft.stated();
                if T::is_complete(stated) {
                    let (fill, call) = (stated.clone(), Some(object));
                    self.state = State::Items {
                        first: true,
                        call,
                        fill,
                        index: 0,
                    };
                    return Ok(None);
                }
                object.spool = Some(self.put_aside()?);
                continue;
            }
            let (place, text) = self.skeleton.text()?;
            let value = parse(place, text)?;
            read_member(&mut self.table, &mut object.draft, &key, &value, &[T::ROWS]);
            if object.is_call {
                object.check_call()?;
            }
        }
        self.state = State::Objects;
        if !object.is_call {
            return Ok(Some(object.draft.finish(&self.table, self.table.fill())));
        }
        if let Some(spool) = object.spool {
            let fill = T::or(object.draft.stated().clone(), self.table.fill());
            self.state = State::Replay(spool.replay()?, fill, 0);
        }
        Ok(None)
    }

    /// Buffers the items of an array, through its closing bracket.
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

impl<T: Table> Object<T> {
    fn new(Place { line, column }: Place) -> Object<T> {
        Object {
            draft: Draft::new(RowPlace::value(line, column)),
            first: true,
            is_call: false,
            spool: None,
            line,
        }
    }

    /// Starts a call when the key of its rows is seen, and checks the members before it.
    fn begin_call(&mut self) -> Result<(), UploadError> {
        if self.is_call {
            let message = format!("`{}` appears twice; split it into two calls", T::ROWS);
            return Err(self.fault(T::ROWS, message));
        }
        self.is_call = true;
        self.check_call()
    }

    /// Checks the attributes of a call: they must be valid and apply to all rows.
    fn check_call(&self) -> Result<(), UploadError> {
        if let Some(error) = self.draft.errors().first() {
            return Err(self.fault(&error.field, error.message.clone()));
        }
        let mut own = self.draft.seen().iter();
        if let Some(column) = own.find(|column| !T::is_common(column)) {
            let name = T::name(column);
            let message = format!("`{name}` is next to `{}`; move it into the list", T::ROWS);
            return Err(self.fault(name, message));
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

/// Returns the location of an array item.
fn item(place: Place, list: &'static str, index: u64, value: &Value<'_>) -> RowPlace {
    let alone = !matches!(value, Value::Object(_));
    RowPlace::value(place.line, place.column).item(list, index, alone)
}

/// Reads an array item: a bare text or an object.
fn read_row<T: Table>(
    table: &mut T,
    place: RowPlace,
    value: &Value<'_>,
    fill: &T::Stated,
) -> Row<T::Row> {
    let mut draft = Draft::new(place);
    match (value, table.alone()) {
        (Value::Text(text), Some(column)) => draft.read(table, &column, trim(text)),
        (Value::Object(members), _) => {
            for (key, value) in members {
                read_member(table, &mut draft, key, value, &[]);
            }
        }
        (other, _) => {
            let found = other.described();
            draft.reject("", format!("{found} is not {}", T::ITEM));
        }
    }
    draft.finish(table, fill)
}

/// Reads a key and its value.
fn read_member<T: Table>(
    table: &mut T,
    draft: &mut Draft<T>,
    key: &str,
    value: &Value<'_>,
    other_keys: &[&'static str],
) {
    match table.column(key) {
        Some(column) => draft.read_value(table, column, value),
        None => {
            let short = shorten(key);
            let message = format!("`{short}` is not a field; {}", table.hint(key, other_keys));
            draft.reject(&short, message);
        }
    }
}
