//! Time zones by name.
//!
//! The names come from the IANA database. Offsets are not names, except for `Etc/GMT-3`, whose sign
//! is inverted: it is three hours *ahead* of UTC. An offset therefore gets a hint that says what it
//! means.

use std::fmt;

use chrono_tz::{TZ_VARIANTS, Tz};

use promoflow_document::{closest, quoted};

/// An unknown time zone name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a time zone")]
pub struct UnknownZone {
    /// The name or offset that was given.
    pub found: String,
    /// A suggested replacement.
    pub hint: String,
}

/// Parses a time zone name.
pub fn parse(name: &str) -> Result<Tz, UnknownZone> {
    name.trim().parse().map_err(|_| match Offset::parse(name) {
        Some(offset) => UnknownZone {
            found: format!("the offset {}", quoted(&offset.written)),
            hint: offset.hint(),
        },
        None => UnknownZone {
            found: quoted(name),
            hint: hint(name),
        },
    })
}

/// Returns a warning for a zone whose name is easily misread: the sign of `Etc/GMT+3` is inverted.
pub fn sign_warning(zone: Tz) -> Option<String> {
    let offset = Offset::parse(zone.name())?;
    let minutes = -offset.minutes;
    if minutes == 0 {
        return None;
    }
    Some(format!(
        "{} is {} UTC: the sign in its name is inverted; {}",
        zone.name(),
        describe_distance(minutes),
        Offset {
            inverted: false,
            ..offset
        }
        .hint()
    ))
}

/// Suggests a replacement for a name that is not an offset.
fn hint(name: &str) -> String {
    let abbreviation = ABBREVIATIONS
        .iter()
        .find(|(short, _)| short.eq_ignore_ascii_case(name.trim()));
    if let Some((_, city)) = abbreviation {
        return format!("abbreviations are ambiguous; use a city such as {city}");
    }
    let plain = |text: &str| text.trim().to_lowercase().replace(' ', "_");
    let wanted = plain(name);
    let city = TZ_VARIANTS.iter().map(|zone| zone.name()).find(|zone| {
        let city = zone.rsplit('/').next().unwrap_or(zone);
        plain(city) == wanted || plain(zone) == wanted
    });
    // Names of offsets are as close to each other as typos are.
    let names = TZ_VARIANTS.iter().map(|zone| zone.name());
    let names = names.filter(|zone| Offset::parse(zone).is_none());
    match city.or_else(|| closest(name, names)) {
        Some(zone) => format!("did you mean {}?", quoted(zone)),
        None => "use an IANA time zone name, such as Europe/Kyiv".to_owned(),
    }
}

/// Abbreviations that are not time zone names, with a city where each is in use.
const ABBREVIATIONS: [(&str, &str); 18] = [
    ("AEDT", "Australia/Sydney"),
    ("AEST", "Australia/Sydney"),
    ("AKST", "America/Anchorage"),
    ("BRT", "America/Sao_Paulo"),
    ("BST", "Europe/London"),
    ("CDT", "America/Chicago"),
    ("CEST", "Europe/Berlin"),
    ("EDT", "America/New_York"),
    ("EEST", "Europe/Kyiv"),
    ("GST", "Asia/Dubai"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("MDT", "America/Denver"),
    ("MSK", "Europe/Moscow"),
    ("PDT", "America/Los_Angeles"),
    ("PST", "America/Los_Angeles"),
    ("SGT", "Asia/Singapore"),
    ("WEST", "Europe/Lisbon"),
];

/// An offset written instead of a time zone name.
struct Offset {
    /// The offset as written: `+03`.
    written: String,
    /// Minutes ahead of UTC, as most people read the offset.
    minutes: i32,
    /// True after `Etc/`, where the sign means the opposite.
    inverted: bool,
}

impl Offset {
    /// Parses an offset: `UTC+3`, `GMT+03:00`, `Etc/GMT+03`, `+0300`, `(GMT+02:00) Kyiv`.
    fn parse(text: &str) -> Option<Offset> {
        let text = text.trim();
        let text = text.strip_prefix('(').map_or(text, |inner| {
            inner.split_once(')').map_or(inner, |(inner, _)| inner)
        });
        let lower = text
            .to_ascii_lowercase()
            .replace(['−', '–'], "-")
            .replace(' ', "");
        let (rest, inverted) = match lower.strip_prefix("etc/") {
            Some(rest) => (rest, true),
            None => (lower.as_str(), false),
        };
        let named = ["gmt", "utc", "ut"]
            .iter()
            .find_map(|name| rest.strip_prefix(name));
        let written = named.unwrap_or(rest);
        let (sign, digits) = match written.chars().next()? {
            '+' => (1, written.get(1..)?),
            '-' => (-1, written.get(1..)?),
            _ if named.is_some() => (1, written),
            _ => return None,
        };
        let (hours, minutes) = match digits.split_once([':', '.']) {
            Some(parts) => parts,
            None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
            None => (digits, "0"),
        };
        let number = |text: &str, max: i32| {
            let is_number =
                (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let number = is_number.then(|| text.parse::<i32>().ok()).flatten()?;
            (number <= max).then_some(number)
        };
        Some(Offset {
            minutes: sign * (number(hours, 14)? * 60 + number(minutes, 59)?),
            written: written.to_owned(),
            inverted,
        })
    }

    fn hint(&self) -> String {
        let minutes = self.minutes;
        if minutes == 0 {
            return "use UTC, or a city such as Europe/London, which accounts for daylight saving time"
                .into();
        }
        let name = whole_hour_zone(minutes);
        let city = CITIES.iter().find(|(offset, _)| *offset == minutes);
        let mut hint = format!("for {} UTC, use ", describe_distance(minutes));
        match (name, city) {
            (Some(name), Some((_, city))) => hint.push_str(&format!(
                "{name} or, better, a city such as {city}, which accounts for daylight saving time"
            )),
            (Some(name), None) => hint.push_str(&name),
            (None, Some((_, city))) => hint.push_str(&format!("a city such as {city}")),
            (None, None) => hint.push_str("the name of a city, such as Europe/Kyiv"),
        }
        if let Some(other) = whole_hour_zone(-minutes).filter(|_| self.inverted) {
            hint.push_str(&format!(
                "; for {} UTC, use {other}",
                describe_distance(-minutes)
            ));
        }
        hint
    }
}

/// Returns the name of the zone with a whole-hour offset; its sign is inverted.
fn whole_hour_zone(minutes: i32) -> Option<String> {
    let hours = minutes / 60;
    let exists = minutes % 60 == 0 && (-12..=14).contains(&hours);
    exists.then(|| format!("Etc/GMT{:+}", -hours))
}

/// Describes the distance from UTC: `3 hours ahead of`.
fn describe_distance(minutes: i32) -> String {
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    let side = match minutes > 0 {
        true => "ahead of",
        false => "behind",
    };
    let hours = match hours {
        1 => "1 hour".to_owned(),
        hours => format!("{hours} hours"),
    };
    match rest {
        0 => format!("{hours} {side}"),
        rest => format!("{hours} {rest} minutes {side}"),
    }
}

/// A city for each common offset in winter, in minutes.
const CITIES: [(i32, &str); 28] = [
    (-600, "Pacific/Honolulu"),
    (-540, "America/Anchorage"),
    (-480, "America/Los_Angeles"),
    (-420, "America/Denver"),
    (-360, "America/Chicago"),
    (-300, "America/New_York"),
    (-240, "America/Halifax"),
    (-210, "America/St_Johns"),
    (-180, "America/Sao_Paulo"),
    (-60, "Atlantic/Azores"),
    (60, "Europe/Berlin"),
    (120, "Europe/Kyiv"),
    (180, "Europe/Istanbul"),
    (210, "Asia/Tehran"),
    (240, "Asia/Dubai"),
    (270, "Asia/Kabul"),
    (300, "Asia/Tashkent"),
    (330, "Asia/Kolkata"),
    (345, "Asia/Kathmandu"),
    (360, "Asia/Dhaka"),
    (390, "Asia/Yangon"),
    (420, "Asia/Bangkok"),
    (480, "Asia/Singapore"),
    (540, "Asia/Tokyo"),
    (570, "Australia/Adelaide"),
    (600, "Australia/Sydney"),
    (720, "Pacific/Auckland"),
    (765, "Pacific/Chatham"),
];

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} min)", self.written, self.minutes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_zone_with_the_meant_offset() {
        for name in [
            "UTC+3",
            "GMT+3",
            "gmt+03:00",
            "+03",
            "+0300",
            "UTC 3",
            "(GMT+03:00) Istanbul",
        ] {
            let error = parse(name).unwrap_err();
            assert!(error.found.starts_with("the offset"), "{name}: {error}");
            assert_eq!(
                error.hint,
                "for 3 hours ahead of UTC, use Etc/GMT-3 or, better, a city such as \
                 Europe/Istanbul, which accounts for daylight saving time",
                "{name}"
            );
        }
        for (name, expected) in [
            ("Etc/GMT+03", "Etc/GMT-3 or, better"),
            ("Etc/GMT+03", "for 3 hours behind UTC, use Etc/GMT+3"),
            ("UTC-5", "for 5 hours behind UTC, use Etc/GMT+5"),
            ("GMT+5:30", "a city such as Asia/Kolkata"),
            ("UTC+00", "use UTC"),
            ("UTC-14", "the name of a city"),
            ("Kyiv", "did you mean `Europe/Kyiv`?"),
            ("new york", "did you mean `America/New_York`?"),
            ("europe/kyiv", "did you mean `Europe/Kyiv`?"),
            ("PST", "such as America/Los_Angeles"),
            ("Europe/Kyjiv", "did you mean `Europe/Kyiv`?"),
            ("Mars", "such as Europe/Kyiv"),
        ] {
            let hint = parse(name).unwrap_err().hint;
            assert!(hint.contains(expected), "{name}: {hint}");
            assert!(
                !hint.contains("GMT+0") && !hint.contains("GMT-0"),
                "{name}: {hint}"
            );
        }
    }

    #[test]
    fn suggests_only_existing_zones() {
        let cities = CITIES
            .iter()
            .chain([&(0, "Europe/London")])
            .map(|(_, city)| *city);
        for city in cities.chain(ABBREVIATIONS.map(|(_, city)| city)) {
            assert!(parse(city).is_ok(), "{city}");
        }
        for hours in -12..=14 {
            let name = whole_hour_zone(hours * 60).unwrap();
            assert!(hours == 0 || parse(&name).is_ok(), "{name}");
        }
    }

    #[test]
    fn warns_about_zones_with_inverted_signs() {
        let warning = |name: &str| sign_warning(parse(name).unwrap());
        assert_eq!(warning("Europe/Kyiv"), None);
        assert_eq!(warning("Etc/GMT"), None);
        let warning = warning("Etc/GMT+3").unwrap();
        assert!(
            warning.starts_with("Etc/GMT+3 is 3 hours behind UTC"),
            "{warning}"
        );
        assert!(
            warning.contains("for 3 hours ahead of UTC, use Etc/GMT-3"),
            "{warning}"
        );
    }
}
