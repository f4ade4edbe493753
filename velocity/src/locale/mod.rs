//! How languages write dates and numbers, from the Unicode CLDR.
//!
//! `cldr.tsv` is made by `generate.py`: a line for each language, then one for each country of a
//! language with what differs there, then the currency of each country (lines with `@`).

use std::collections::HashMap;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("cldr.tsv");
/// Columns after the tag.
const COLUMNS: usize = 15;
/// The row of English, which stands first.
const ENGLISH: u16 = 0;

static TABLE: LazyLock<Table> = LazyLock::new(Table::read);

/// The language in which tools write names of months and days, and numbers.
///
/// The default is English.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locale {
    row: u16,
    /// The country that the tag names, if it has a row of its own or not.
    country: Option<[u8; 2]>,
}

impl Default for Locale {
    fn default() -> Locale {
        Locale {
            row: ENGLISH,
            country: None,
        }
    }
}

/// The currency of a country, as a language writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Currency {
    /// ISO 4217.
    pub(crate) code: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) digits: usize,
}

/// What a table holds of a language.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) months: [&'static str; 12],
    /// Months without a day beside them: the nominative where the others are in the genitive.
    pub(crate) months_alone: [&'static str; 12],
    pub(crate) short_months: [&'static str; 12],
    pub(crate) short_months_alone: [&'static str; 12],
    /// From Sunday.
    pub(crate) days: [&'static str; 7],
    pub(crate) short_days: [&'static str; 7],
    pub(crate) halves: [&'static str; 2],
    pub(crate) eras: [&'static str; 2],
    /// Patterns of dates: full, long, medium, short.
    pub(crate) dates: [&'static str; 4],
    pub(crate) times: [&'static str; 4],
    /// Date `{1}` and time `{0}` together.
    pub(crate) joins: [&'static str; 4],
    pub(crate) decimal: &'static str,
    pub(crate) group: &'static str,
    pub(crate) minus: &'static str,
    pub(crate) number: &'static str,
    pub(crate) percent: &'static str,
    pub(crate) money: &'static str,
    /// The day that weeks begin with, 0 for Sunday.
    pub(crate) first_day: u32,
    /// Days that a first week of a year has at least.
    pub(crate) first_week: u32,
    pub(crate) currency: Currency,
}

impl Locale {
    /// The language of a BCP 47 tag, `uk` or `pt-BR`; `None` for one that the table lacks. A country
    /// that the table lacks is passed over, save for its currency.
    pub fn of(tag: &str) -> Option<Locale> {
        let tag = tag.trim().replace('_', "-").to_ascii_lowercase();
        let mut parts: Vec<&str> = tag.split('-').collect();
        if let Some(language) = parts.first_mut() {
            *language = match *language {
                "no" => "nb",
                "iw" => "he",
                "in" => "id",
                "tl" => "fil",
                "mo" => "ro",
                "sh" => "hr",
                other => other,
            };
        }
        let country = parts.iter().skip(1).find(|part| part.len() == 2);
        let country =
            country.and_then(|part| part.to_ascii_uppercase().into_bytes().try_into().ok());
        if parts.first() == Some(&"zh")
            && parts.iter().any(|part| ["tw", "hk", "mo"].contains(part))
            && !parts.contains(&"hant")
        {
            parts.insert(1, "hant");
        }
        // The tag is shortened from its end, then its script is left out.
        let mut known = (1..=parts.len())
            .rev()
            .filter_map(|count| Some(parts.get(..count)?.join("-")));
        let row = known.find_map(|tag| TABLE.rows_by_tag.get(tag.as_str()).copied())?;
        Some(Locale { row, country })
    }

    /// Whether the tag names a country, and so a currency.
    pub fn has_country(&self) -> bool {
        self.country.is_some()
    }

    /// The ISO 4217 code of the currency in which amounts are written: that of the country, or of
    /// the one where most speak the language.
    pub fn currency_code(&self) -> &'static str {
        self.currency().code
    }

    /// What the table has of it.
    pub(crate) fn names(&self) -> &'static Names {
        let row = TABLE.rows.get(usize::from(self.row));
        row.unwrap_or(&TABLE.english)
    }

    pub(crate) fn currency(&self) -> Currency {
        let own = self.names().currency;
        let Some(country) = &self.country else {
            return own;
        };
        match TABLE.currencies.get(country) {
            Some(there) if there.code != own.code => *there,
            _ => own,
        }
    }
}

struct Table {
    english: Names,
    rows: Vec<Names>,
    rows_by_tag: HashMap<String, u16>,
    /// By country, written as their codes.
    currencies: HashMap<[u8; 2], Currency>,
}

impl Table {
    fn read() -> Table {
        let mut table = Table {
            english: Names::read(&[""; COLUMNS]),
            rows: Vec::new(),
            rows_by_tag: HashMap::new(),
            currencies: HashMap::new(),
        };
        let mut languages: HashMap<&str, [&'static str; COLUMNS]> = HashMap::new();
        for line in SOURCE.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let tag = columns.next().unwrap_or_default();
            if tag == "@" {
                table.read_country(columns);
                continue;
            }
            let mut of_row = [""; COLUMNS];
            let parent = tag.rsplit_once('-').map(|(parent, _)| parent);
            if let Some(parent) = parent.and_then(|parent| languages.get(parent)) {
                of_row = *parent;
            }
            for (column, text) in of_row.iter_mut().zip(columns) {
                if !text.is_empty() {
                    *column = text;
                }
            }
            languages.insert(tag, of_row);
            let number = u16::try_from(table.rows.len()).unwrap_or(ENGLISH);
            table.rows.push(Names::read(&of_row));
            table.rows_by_tag.insert(tag.to_ascii_lowercase(), number);
        }
        table
    }

    fn read_country(&mut self, mut columns: std::str::Split<'static, char>) {
        let mut next = || columns.next().unwrap_or_default();
        let (country, code, digits) = (next(), next(), next());
        if let Ok(country) = country.as_bytes().try_into() {
            let currency = Currency {
                code,
                symbol: code,
                digits: digits.parse().unwrap_or(2),
            };
            self.currencies.insert(country, currency);
        }
    }
}

impl Names {
    fn read(columns: &[&'static str; COLUMNS]) -> Names {
        let [
            months,
            months_alone,
            short_months,
            short_months_alone,
            days,
            short_days,
            halves,
            eras,
            dates,
            times,
            joins,
            symbols,
            patterns,
            weeks,
            currency,
        ] = columns;
        let [decimal, group, minus] = list(symbols);
        let [number, percent, money] = list(patterns);
        let [first_day, first_week] = list(weeks);
        let [code, symbol, digits] = list(currency);
        Names {
            months: list(months),
            months_alone: list(months_alone),
            short_months: list(short_months),
            short_months_alone: list(short_months_alone),
            days: list(days),
            short_days: list(short_days),
            halves: list(halves),
            eras: list(eras),
            dates: list(dates),
            times: list(times),
            joins: list(joins),
            decimal,
            group,
            minus,
            number,
            percent,
            money,
            first_day: first_day.parse().unwrap_or(1),
            first_week: first_week.parse().unwrap_or(1),
            currency: Currency {
                code,
                symbol,
                digits: digits.parse().unwrap_or(2),
            },
        }
    }
}

/// The parts of a column.
fn list<const N: usize>(column: &'static str) -> [&'static str; N] {
    let mut parts = column.split('|');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete() {
        assert!(TABLE.rows.len() > 200, "{}", TABLE.rows.len());
        for (tag, row) in &TABLE.rows_by_tag {
            let names = TABLE.rows.get(usize::from(*row)).expect(tag);
            let texts = [
                &names.months[..],
                &names.months_alone,
                &names.short_months,
                &names.short_months_alone,
                &names.days,
                &names.short_days,
                &names.halves,
                &names.eras,
                &names.dates,
                &names.times,
                &names.joins,
                &[names.decimal, names.group, names.minus],
                &[names.number, names.percent, names.money],
                &[names.currency.code, names.currency.symbol],
            ]
            .concat();
            assert!(
                texts.iter().all(|text| !text.is_empty()),
                "{tag}: {texts:?}"
            );
            assert!(names.first_day < 7 && (1..=7).contains(&names.first_week));
        }
    }

    #[test]
    fn a_tag_finds_the_nearest_row_and_its_currency() {
        for (tag, may, currency) in [
            ("uk", "травень", "UAH"),
            ("uk-UA", "травень", "UAH"),
            ("UK_ua", "травень", "UAH"),
            ("en", "May", "USD"),
            ("en-GB", "May", "GBP"),
            ("en-UA", "May", "UAH"),
            ("de-AT", "Mai", "EUR"),
            ("pt-BR", "maio", "BRL"),
            ("zh-TW", "5月", "TWD"),
            ("sr-Latn", "maj", "RSD"),
            ("ru-KZ", "май", "KZT"),
        ] {
            let locale = Locale::of(tag).expect(tag);
            assert_eq!(locale.names().months_alone[4], may, "{tag}");
            assert_eq!(locale.currency_code(), currency, "{tag}");
        }
        assert_eq!(Locale::of("xx"), None);
        assert_eq!(Locale::of(""), None);
        assert!(Locale::of("uk-UA").expect("uk-UA").has_country());
        assert!(!Locale::of("sr-Latn").expect("sr-Latn").has_country());
    }
}
