//! The rows of an upload of contacts: columns and checks of values.

use std::io::Read;

use serde_json::Value as Json;

use super::{
    AddressKind, MAX_EXTERNAL_ID_CHARS, MAX_FIELD_NAME_CHARS, MAX_FIELDS, MAX_ID_CHARS,
    MAX_LANGUAGES, NewContact, is_placeholder,
};
use crate::message::ChannelKind;
use crate::zone;
use promoflow_document::value::check_value;
use promoflow_tabular::{
    CsvOptions, Format, INEXACT, Reader, Row, RowSchema, UploadError, Value, clean_exact, fold,
    is_inexact, is_scientific, parse_bool, shorten, trim,
};

/// An example header for error messages.
const HEADER: &str = "contact,externalId,email,phone,languages,timeZone,consent.email,firstName";
/// Maximum length of the text of a field, in characters.
const MAX_FIELD_CHARS: usize = 4_000;

/// Reads the rows of an upload of contacts.
pub struct ContactReader<R: Read>(Reader<R, ContactSchema>);

impl<R: Read> ContactReader<R> {
    /// Opens an upload. Without a format, it is detected from the first character.
    ///
    /// # Errors
    ///
    /// Fails if the beginning already shows that the file cannot be read.
    pub fn new(reader: R, format: Option<Format>) -> Result<ContactReader<R>, UploadError> {
        open(reader, format, &CsvOptions::default()).map(ContactReader)
    }

    /// Returns the next row, or `None` after the last one.
    pub fn next_row(&mut self) -> Result<Option<Row<NewContact>>, UploadError> {
        self.0.next_row()
    }
}

/// Opens an upload; fails like [`ContactReader::new`].
pub fn open<R: Read>(
    reader: R,
    format: Option<Format>,
    csv: &CsvOptions,
) -> Result<Reader<R, ContactSchema>, UploadError> {
    Reader::new(reader, format, csv, ContactSchema::default())
}

/// A column of CSV, or a key of a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// The id.
    Id,
    /// The external id.
    ExternalId,
    /// An address of that kind.
    Address(AddressKind),
    /// JSON: all tokens by channel.
    Tokens,
    /// The languages, most preferred first.
    Languages,
    /// The time zone.
    TimeZone,
    /// Consent for one channel.
    Consent(ChannelKind),
    /// JSON: all consent by channel.
    Consents,
    /// A field of that name.
    Field(String),
    /// JSON: all fields by name.
    Fields,
}

/// The names of columns and their aliases: the names in Yespo's events and files, in lower case and
/// without word separators.
const NAMES: &[(&str, &[&str])] = &[
    ("contact", &["id", "contactid"]),
    ("externalId", &["externalcustomerid"]),
    (
        "email",
        &[
            "emailaddress",
            "useremail",
            "contactemail",
            "mail",
            "adresemail",
            "emailadresse",
            "courriel",
            "correoelectronico",
            "електроннапошта",
            "пошта",
            "электроннаяпочта",
            "почта",
        ],
    ),
    (
        "phone",
        &[
            "sms",
            "phonenumber",
            "mobile",
            "mobilephone",
            "mobilenumber",
            "telephone",
            "telefon",
            "telefonnummer",
            "handynummer",
            "numertelefonu",
            "telefono",
            "телефон",
            "номертелефону",
            "номертелефона",
        ],
    ),
    ("tokens", &[]),
    (
        "tokens.mobile-push",
        &["pushtoken", "mobpushtoken", "mobilepush"],
    ),
    ("tokens.web-push", &["webpushtoken", "webpush"]),
    (
        "tokens.telegram",
        &["telegrambottoken", "telegramtoken", "telegram"],
    ),
    ("languages", &["language", "languagecode"]),
    ("timeZone", &[]),
    ("consent", &[]),
    ("fields", &[]),
];

impl Column {
    /// Returns the built-in column with this name, or `None` for a field.
    fn known(name: &str) -> Option<Column> {
        if let Some(channel) = name.strip_prefix("consent.") {
            return channel.parse().ok().map(Column::Consent);
        }
        let folded = fold(name);
        let same = |(canonical, others): &&(&str, &[&str])| {
            fold(canonical) == folded || others.contains(&folded.as_str())
        };
        let (canonical, _) = NAMES.iter().find(same)?;
        Some(match *canonical {
            "contact" => Column::Id,
            "externalId" => Column::ExternalId,
            "email" => Column::Address(AddressKind::Email),
            "phone" => Column::Address(AddressKind::Phone),
            "tokens" => Column::Tokens,
            "tokens.mobile-push" => Column::Address(AddressKind::MobilePush),
            "tokens.web-push" => Column::Address(AddressKind::WebPush),
            "tokens.telegram" => Column::Address(AddressKind::Telegram),
            "languages" => Column::Languages,
            "timeZone" => Column::TimeZone,
            "consent" => Column::Consents,
            _ => Column::Fields,
        })
    }

    fn identifies(&self) -> bool {
        matches!(
            self,
            Column::Id | Column::ExternalId | Column::Address(_) | Column::Tokens
        )
    }
}

/// Returns the column name that differs from this name by one letter.
fn misspelt_column(name: &str) -> Option<&'static str> {
    let folded = fold(name);
    let near = |canonical: &str| strsim::damerau_levenshtein(&fold(canonical), &folded) == 1;
    let names = NAMES.iter().map(|(canonical, _)| *canonical);
    names.filter(|name| name.len() > 4).find(|name| near(name))
}

/// The schema of contact rows.
#[derive(Default)]
pub struct ContactSchema {
    no_defaults: NewContact,
}

impl RowSchema for ContactSchema {
    type Column = Column;
    type PartialRow = NewContact;
    type Row = NewContact;

    const ROWS: &'static str = "contacts";
    const HEADER: &'static str = HEADER;
    const PLURAL: &'static str = "contacts";
    const ITEM: &'static str = "a contact; expected an object";

    /// An unknown name is a field. A name that differs from a column by one letter is a typo rather
    /// than a field.
    fn column(&self, name: &str) -> Option<Column> {
        let name = name.trim();
        if let Some(known) = Column::known(name) {
            return Some(known);
        }
        let field = match name.strip_prefix("fields.") {
            Some(field) => field,
            None if misspelt_column(name).is_some() || name.starts_with("consent.") => return None,
            None if name.starts_with("tokens.") => return None,
            None => name,
        };
        let chars = field.chars().count();
        let good = (1..=MAX_FIELD_NAME_CHARS).contains(&chars) && !field.contains(char::is_control);
        good.then(|| Column::Field(field.to_owned()))
    }

    fn is_known(&self, text: &str) -> bool {
        Column::known(text).is_some()
    }

    fn hint(&self, name: &str, _: &[&'static str]) -> String {
        if let Some(meant) = misspelt_column(name) {
            return format!(
                "did you mean `{meant}`? For a field with this name, write `fields.{}`",
                shorten(name)
            );
        }
        let channels = ChannelKind::ALL.map(ChannelKind::name).join(", ");
        let tokens = AddressKind::TOKENS.map(AddressKind::name).join(", ");
        match name.split_once('.') {
            Some(("consent", _)) => format!("the channels are {channels}"),
            Some(("tokens", _)) => format!("the tokens are {tokens}"),
            _ => format!(
                "a field name has 1 to {MAX_FIELD_NAME_CHARS} characters and no control characters"
            ),
        }
    }

    fn name(column: &Column) -> &str {
        match column {
            Column::Id => "contact",
            Column::ExternalId => "externalId",
            Column::Address(AddressKind::Email) => "email",
            Column::Address(AddressKind::Phone) => "phone",
            Column::Address(AddressKind::MobilePush) => "tokens.mobile-push",
            Column::Address(AddressKind::WebPush) => "tokens.web-push",
            Column::Address(AddressKind::Telegram) => "tokens.telegram",
            Column::Tokens => "tokens",
            Column::Languages => "languages",
            Column::TimeZone => "timeZone",
            Column::Consent(ChannelKind::Email) => "consent.email",
            Column::Consent(ChannelKind::Sms) => "consent.sms",
            Column::Consent(ChannelKind::Viber) => "consent.viber",
            Column::Consent(ChannelKind::MobilePush) => "consent.mobile-push",
            Column::Consent(ChannelKind::WebPush) => "consent.web-push",
            Column::Consent(ChannelKind::Telegram) => "consent.telegram",
            Column::Consents => "consent",
            Column::Field(name) => name,
            Column::Fields => "fields",
        }
    }

    fn missing_column(&self, columns: &[Option<Column>], header: &str) -> Option<(String, String)> {
        let identifies = columns.iter().flatten().any(Column::identifies);
        let message = || {
            format!(
                "no column of `{header}` identifies a contact; expected contact, externalId, \
                 email, phone or a token, as in {HEADER}"
            )
        };
        (!identifies).then(|| ("contact".to_owned(), message()))
    }

    fn is_common(_: &Column) -> bool {
        false
    }

    fn is_complete(_: &NewContact) -> bool {
        true
    }

    fn defaults(&self) -> &NewContact {
        &self.no_defaults
    }

    fn merge(stated: NewContact, _: &NewContact) -> NewContact {
        stated
    }

    /// An empty cell is ignored, and so is a placeholder such as `null` in an
    /// identifying column.
    fn read(&mut self, stated: &mut NewContact, column: &Column, text: &str) -> Result<(), String> {
        // Texts that people read may contain joiners; all other values are compared exactly.
        let text = match column {
            Column::Field(_) => trim(text),
            _ => &*clean_exact(text),
        };
        if text.is_empty() || (column.identifies() && is_placeholder(text)) {
            return Ok(());
        }
        match column {
            Column::Id => stated.id = Some(id(text, MAX_ID_CHARS)?),
            Column::ExternalId => stated.external_id = Some(id(text, MAX_EXTERNAL_ID_CHARS)?),
            Column::Address(kind) => {
                let address = kind.check(text).map_err(|expected| {
                    // An address is personal data, so the error does not quote it.
                    format!("{expected}; found something else")
                })?;
                stated.addresses.insert(*kind, address);
            }
            Column::Languages => {
                let tags = text.split([',', ';', ' ']).filter(|tag| !tag.is_empty());
                stated.languages = Some(languages(tags)?);
            }
            Column::TimeZone => {
                let zone = zone::parse(text).map_err(|error| format!("{error}; {}", error.hint));
                stated.time_zone = Some(zone?);
            }
            Column::Consent(channel) => {
                stated.consent.insert(*channel, parse_bool(text)?);
            }
            Column::Field(name) => {
                stated.fields.insert(name.clone(), field(Json::from(text))?);
            }
            Column::Tokens | Column::Consents | Column::Fields => {
                let name = ContactSchema::name(column);
                return Err(format!(
                    "this column is for JSON; in CSV use one column for each, such as `{name}.…`"
                ));
            }
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        stated: &mut NewContact,
        column: &Column,
        value: &Value<'_>,
    ) -> Result<(), String> {
        match (column, value) {
            (Column::Field(name), value) => {
                stated.fields.insert(name.clone(), field(value.to_json())?);
                Ok(())
            }
            (Column::Tokens | Column::Consents | Column::Fields, Value::Object(members)) => {
                self.read_members(stated, column, members)
            }
            (Column::Tokens | Column::Consents | Column::Fields, other) => {
                let found = other.described();
                Err(format!("found {found}; expected an object"))
            }
            (Column::Languages, Value::List(tags)) => {
                let tags: Option<Vec<&str>> = tags.iter().map(Value::as_text).collect();
                let tags = tags.ok_or("expected a list of texts, such as [\"uk\", \"en\"]")?;
                stated.languages = Some(languages(tags.into_iter())?);
                Ok(())
            }
            (_, Value::Text(text)) => self.read(stated, column, text),
            (Column::Id | Column::ExternalId | Column::Address(_), Value::Word(word))
                if is_inexact(word) =>
            {
                Err(format!("expected a text; found {INEXACT}"))
            }
            (_, Value::Word(word)) => self.read(stated, column, word),
            (_, other) => {
                let found = other.described();
                Err(format!("found {found}; expected a single value"))
            }
        }
    }

    fn finish(
        &self,
        line: u64,
        stated: NewContact,
        _: &NewContact,
    ) -> Result<NewContact, (&'static str, String)> {
        if !stated.is_identified() {
            let message = "nothing identifies this contact; expected contact, externalId, email, \
                           phone or a token";
            return Err(("", message.to_owned()));
        }
        if stated.fields.len() > MAX_FIELDS {
            let found = stated.fields.len();
            let message = format!("{found} fields; a contact has at most {MAX_FIELDS}");
            return Err(("fields", message));
        }
        Ok(NewContact { line, ..stated })
    }
}

impl ContactSchema {
    /// Reads the members of an object as separate columns.
    fn read_members(
        &mut self,
        stated: &mut NewContact,
        column: &Column,
        members: &[(std::borrow::Cow<'_, str>, Value<'_>)],
    ) -> Result<(), String> {
        for (name, value) in members {
            let member = match column {
                Column::Fields => self.column(&format!("fields.{name}")),
                Column::Tokens => self.column(&format!("tokens.{name}")),
                _ => self.column(&format!("consent.{name}")),
            };
            let short = shorten(name);
            let Some(member) = member else {
                let whole = format!("{}.{name}", ContactSchema::name(column));
                return Err(format!("`{short}` is unknown; {}", self.hint(&whole, &[])));
            };
            if !matches!(value, Value::Null) {
                self.read_value(stated, &member, value)
                    .map_err(|message| format!("`{short}`: {message}"))?;
            }
        }
        Ok(())
    }
}

fn id(text: &str, most: usize) -> Result<String, String> {
    if is_scientific(text) {
        return Err(format!(
            "`{}` is a number that a spreadsheet has rounded, so digits are lost; format the \
             column as text and export it again",
            shorten(text)
        ));
    }
    let chars = text.chars().count();
    if chars > most {
        return Err(format!(
            "`{}` has {chars} characters; expected at most {most}",
            shorten(text)
        ));
    }
    if text.contains(char::is_control) {
        let shown = shorten(text).escape_default().to_string();
        return Err(format!("`{shown}` contains a control character; remove it"));
    }
    Ok(text.to_owned())
}

fn field(value: Json) -> Result<Json, String> {
    if let Json::String(text) = &value {
        let chars = text.chars().count();
        if chars > MAX_FIELD_CHARS {
            return Err(format!(
                "{chars} characters; a field has at most {MAX_FIELD_CHARS}"
            ));
        }
    }
    check_value(&value)?;
    Ok(value)
}

fn languages<'t>(tags: impl Iterator<Item = &'t str>) -> Result<Vec<String>, String> {
    let mut languages: Vec<String> = Vec::new();
    for tag in tags {
        let tag = tag.trim().replace('_', "-");
        let good = (2..=35).contains(&tag.len())
            && tag
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && tag.bytes().take(2).all(|byte| byte.is_ascii_alphabetic());
        if !good {
            return Err(format!(
                "`{}` is not a language; expected a tag such as uk or pt-BR",
                shorten(&tag)
            ));
        }
        if !languages.contains(&tag) {
            languages.push(tag);
        }
    }
    if languages.len() > MAX_LANGUAGES {
        let found = languages.len();
        return Err(format!(
            "{found} languages; expected at most {MAX_LANGUAGES}"
        ));
    }
    Ok(languages)
}
