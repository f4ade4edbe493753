//! Rows out of JSON, in all the shapes that uploads have: an array of texts or of objects, a
//! call whose attributes hold for all of its rows, and objects one after another.

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
    /// Where the last row stands.
    place: RowPlace,
}

/// What is read next.
enum State<T: Table> {
    /// The first value of the file.
    Start,
    /// An object, after another one, or the end.
    Objects,
    /// An item of an array: the file's, or that of a call whose attributes are all known.
    Items {
        first: bool,
        call: Option<Box<Object<T>>>,
        fill: T::Stated,
        index: u64,
    },
    /// A row of a call that was put aside until its attributes were known.
    Replay(Replay, T::Stated, u64),
    /// Nothing but blanks.
    End,
}

/// An object of the file that has begun: a row, or a call once its rows are seen.
struct Object<T: Table> {
    draft: Draft<T>,
    /// A member was seen: a comma stands before the next.
    first: bool,
    is_call: bool,
    /// The call's rows, where they came before the attributes.
    spool: Option<Spool>,
    /// The line of the member that was last read.
    line: u64,
}

impl<R: Read, T: Table> JsonRows<R, T> {
    /// Begins at the beginning.
    pub(super) fn new(source: Source<R>, table: T) -> JsonRows<R, T> {
        JsonRows {
            skeleton: Skeleton::new(source),
            table,
            state: State::Start,
            place: RowPlace::line(1),
        }
    }

    /// What the rows are.
    pub(super) fn table(&self) -> &T {
        &self.table
    }

    /// Where the last row stands.
    pub(super) fn place(&self) -> RowPlace {
        self.place
    }

    /// The next row.
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
                        // A call whose attributes are known gives no row of its own.
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

    /// Reads an object to its end, or to the rows of a call if they can be handed out at once.
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

    /// The key of a call's rows was seen: what came before it must suit a call.
    fn begin_call(&mut self) -> Result<(), UploadError> {
        if self.is_call {
            let message = format!("`{}` stands twice; make two calls of it", T::ROWS);
            return Err(self.fault(T::ROWS, message));
        }
        self.is_call = true;
        self.check_call()
    }

    /// An attribute at fault is no row's, and what is one row's cannot be the call's.
    fn check_call(&self) -> Result<(), UploadError> {
        if let Some(error) = self.draft.errors().first() {
            return Err(self.fault(&error.field, error.message.clone()));
        }
        let mut own = self.draft.seen().iter();
        if let Some(column) = own.find(|column| !T::is_common(column)) {
            let name = T::name(column);
            let message = format!(
                "`{name}` stands beside `{}`; put it among the others",
                T::ROWS
            );
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

/// The place of an item of an array.
fn item(place: Place, list: &'static str, index: u64, value: &Value<'_>) -> RowPlace {
    let alone = !matches!(value, Value::Object(_));
    RowPlace::value(place.line, place.column).item(list, index, alone)
}

/// Judges an item of an array: a text alone, or an object.
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

/// Judges a key and its value.
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
