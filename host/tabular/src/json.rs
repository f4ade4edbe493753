//! Reads rows from JSON in all shapes that uploads have: an array of texts or objects, a call whose
//! attributes apply to all of its rows, and a sequence of objects.

use std::io::Read;

use super::json_scanner::{JsonScanner, Position, parse};
use super::row_buffer::{Replay, RowBuffer};
use super::schema::{RowBuilder, RowSchema};
use super::source::Source;
use super::value::Value;
use super::{Row, RowLocation, UploadError, shorten, trim};

/// The rows of a JSON file.
pub(super) struct JsonRows<R, T: RowSchema> {
    json_scanner: JsonScanner<R>,
    table: T,
    state: State<T>,
    /// The location of the last row.
    place: RowLocation,
}

/// The parser's state: what comes next.
enum State<T: RowSchema> {
    /// The first value of the file.
    Start,
    /// Another object, or the end of the file.
    Objects,
    /// An item of an array: the top-level one, or that of a call whose attributes are all known.
    Items {
        first: bool,
        call: Option<Box<Object<T>>>,
        defaults: T::PartialRow,
        index: u64,
    },
    /// A row of a call that was buffered until the attributes were known.
    Replay(Replay, T::PartialRow, u64),
    /// Only whitespace may follow.
    End,
}

/// An object that is being read: a row, or a call as soon as its rows are seen.
struct Object<T: RowSchema> {
    row_builder: RowBuilder<T>,
    /// True until the first member was read; a comma precedes every later one.
    first: bool,
    is_call: bool,
    /// The rows of the call, if they precede the attributes.
    row_buffer: Option<RowBuffer>,
    /// The line of the last member.
    line: u64,
}

impl<R: Read, T: RowSchema> JsonRows<R, T> {
    /// Creates a reader at the start of the file.
    pub(super) fn new(source: Source<R>, table: T) -> JsonRows<R, T> {
        JsonRows {
            json_scanner: JsonScanner::new(source),
            table,
            state: State::Start,
            place: RowLocation::line(1),
        }
    }

    /// Returns the schema of the rows.
    pub(super) fn table(&self) -> &T {
        &self.table
    }

    /// Returns the location of the last row.
    pub(super) fn place(&self) -> RowLocation {
        self.place
    }

    /// Returns the next row, or `None` at the end of the file.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<T::Row>>, UploadError> {
        loop {
            match &mut self.state {
                State::Start | State::Objects => {
                    let Some(byte) = self.json_scanner.peek()? else {
                        return Ok(None);
                    };
                    let place = self.json_scanner.place();
                    if byte == b'{' {
                        self.place = RowLocation::value(place.line, place.column);
                        self.json_scanner.expect(byte)?;
                        let row = self.read_object(Box::new(Object::new(place)))?;
                        if row.is_some() {
                            return Ok(row);
                        }
                    } else if byte == b'[' && matches!(self.state, State::Start) {
                        self.json_scanner.expect(byte)?;
                        let defaults = self.table.defaults().clone();
                        self.state = State::Items {
                            first: true,
                            call: None,
                            defaults,
                            index: 0,
                        };
                    } else if matches!(self.state, State::Start) {
                        return Err(self.json_scanner.unexpected("`[` or `{`"));
                    } else {
                        return Err(self.json_scanner.unexpected("`{` or the end of the file"));
                    }
                }
                State::Items {
                    first,
                    call,
                    defaults,
                    index,
                } => {
                    if self.json_scanner.next_item(first, b']')? {
                        let (place, text) = self.json_scanner.text()?;
                        let value = parse(place, text)?;
                        let list = if call.is_some() { T::ROWS } else { "" };
                        self.place = item(place, list, *index, &value);
                        *index += 1;
                        return Ok(Some(read_row(
                            &mut self.table,
                            self.place,
                            &value,
                            defaults,
                        )));
                    }
                    match call.take() {
                        // A call whose attributes are known returns no row of its own.
                        Some(object) => drop(self.read_object(object)?),
                        None => self.state = State::End,
                    }
                }
                State::Replay(replay, defaults, index) => match replay.next()? {
                    Some((place, text)) => {
                        let value = parse(place, text)?;
                        self.place = item(place, T::ROWS, *index, &value);
                        *index += 1;
                        return Ok(Some(read_row(
                            &mut self.table,
                            self.place,
                            &value,
                            defaults,
                        )));
                    }
                    None => self.state = State::Objects,
                },
                State::End => {
                    return match self.json_scanner.peek()? {
                        None => Ok(None),
                        Some(_) => Err(self.json_scanner.unexpected("the end of the file")),
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
        while self.json_scanner.next_item(&mut object.first, b'}')? {
            let (place, key) = self.json_scanner.key()?;
            object.line = place.line;
            if key == T::ROWS {
                object.begin_call()?;
                self.json_scanner.expect(b'[')?;
                let stated = object.row_builder.stated();
                if T::is_complete(stated) {
                    let (defaults, call) = (stated.clone(), Some(object));
                    self.state = State::Items {
                        first: true,
                        call,
                        defaults,
                        index: 0,
                    };
                    return Ok(None);
                }
                object.row_buffer = Some(self.buffer_items()?);
                continue;
            }
            let (place, text) = self.json_scanner.text()?;
            let value = parse(place, text)?;
            read_member(
                &mut self.table,
                &mut object.row_builder,
                &key,
                &value,
                &[T::ROWS],
            );
            if object.is_call {
                object.check_call()?;
            }
        }
        self.state = State::Objects;
        if !object.is_call {
            return Ok(Some(
                object
                    .row_builder
                    .finish(&self.table, self.table.defaults()),
            ));
        }
        if let Some(row_buffer) = object.row_buffer {
            let defaults = T::merge(object.row_builder.stated().clone(), self.table.defaults());
            self.state = State::Replay(row_buffer.replay()?, defaults, 0);
        }
        Ok(None)
    }

    /// Buffers the items of an array, through its closing bracket.
    fn buffer_items(&mut self) -> Result<RowBuffer, UploadError> {
        let mut row_buffer = RowBuffer::new();
        let mut first = true;
        while self.json_scanner.next_item(&mut first, b']')? {
            let (place, text) = self.json_scanner.text()?;
            row_buffer.push(place, text)?;
        }
        Ok(row_buffer)
    }
}

impl<T: RowSchema> Object<T> {
    fn new(Position { line, column }: Position) -> Object<T> {
        Object {
            row_builder: RowBuilder::new(RowLocation::value(line, column)),
            first: true,
            is_call: false,
            row_buffer: None,
            line,
        }
    }

    /// Starts a call when the key of its rows is seen, and checks the members before it.
    fn begin_call(&mut self) -> Result<(), UploadError> {
        if self.is_call {
            let message = format!("`{}` appears twice; split it into two calls", T::ROWS);
            return Err(self.call_error(T::ROWS, message));
        }
        self.is_call = true;
        self.check_call()
    }

    /// Checks the attributes of a call: they must be valid and apply to all rows.
    fn check_call(&self) -> Result<(), UploadError> {
        if let Some(error) = self.row_builder.errors().first() {
            return Err(self.call_error(&error.field, error.message.clone()));
        }
        let mut own = self.row_builder.seen().iter();
        if let Some(column) = own.find(|column| !T::is_common(column)) {
            let name = T::name(column);
            let message = format!("`{name}` is next to `{}`; move it into the list", T::ROWS);
            return Err(self.call_error(name, message));
        }
        Ok(())
    }

    fn call_error(&self, field: &str, message: String) -> UploadError {
        UploadError::Call {
            line: self.line,
            field: field.to_owned(),
            message,
        }
    }
}

/// Returns the location of an array item.
fn item(place: Position, list: &'static str, index: u64, value: &Value<'_>) -> RowLocation {
    let alone = !matches!(value, Value::Object(_));
    RowLocation::value(place.line, place.column).item(list, index, alone)
}

/// Reads an array item: a bare text or an object.
fn read_row<T: RowSchema>(
    table: &mut T,
    place: RowLocation,
    value: &Value<'_>,
    defaults: &T::PartialRow,
) -> Row<T::Row> {
    let mut row_builder = RowBuilder::new(place);
    match (value, table.bare_column()) {
        (Value::Text(text), Some(column)) => row_builder.read(table, &column, trim(text)),
        (Value::Object(members), _) => {
            for (key, value) in members {
                read_member(table, &mut row_builder, key, value, &[]);
            }
        }
        (other, _) => {
            let found = other.described();
            row_builder.reject("", format!("{found} is not {}", T::ITEM));
        }
    }
    row_builder.finish(table, defaults)
}

/// Reads a key and its value.
fn read_member<T: RowSchema>(
    table: &mut T,
    row_builder: &mut RowBuilder<T>,
    key: &str,
    value: &Value<'_>,
    other_keys: &[&'static str],
) {
    match table.column(key) {
        Some(column) => row_builder.read_value(table, column, value),
        None => {
            let short = shorten(key);
            let message = format!("`{short}` is not a field; {}", table.hint(key, other_keys));
            row_builder.reject(&short, message);
        }
    }
}
