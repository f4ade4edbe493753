use chrono_tz::Tz;

use super::*;
use crate::locale::Locale;

fn date(text: &str) -> Date {
    Date::guess(text, Tz::UTC).expect(text).0
}

fn print(date: Date, pattern: &str, language: &str) -> String {
    let names = Locale::of(language).expect(language).names();
    match Style::named(pattern) {
        Some(style) => date.in_style(style, names),
        None => date.format(&tokens(pattern).expect(pattern), names),
    }
}

fn parse(pattern: &str, text: &str) -> Option<String> {
    let names = Locale::of("uk").expect("uk").names();
    let (date, rest) = Date::parse(text, &tokens(pattern).expect(pattern), names)?;
    let printed = date.format(
        &tokens("yyyy-MM-dd HH:mm:ss.SSS").expect("a pattern"),
        names,
    );
    Some(printed + rest)
}

#[test]
fn formats_dates_by_pattern() {
    let day = date("2017-12-31T23:59:05.120");
    for (pattern, expected) in [
        ("dd.MM.yyyy HH:mm", "31.12.2017 23:59"),
        (
            "EEEE, d MMMM yy 'at' h a",
            "Sunday, 31 December 17 at 11 PM",
        ),
        ("hh 'o''clock'", "11 o'clock"),
        ("''yy", "'17"),
        ("D u F W k K S G", "365 7 5 6 23 11 120 AD"),
        ("YYYY ww", "2018 01"),
        ("[z]", "[]"),
    ] {
        assert_eq!(print(day, pattern, "en"), expected, "{pattern}");
    }
    assert_eq!(print(day, "YYYY ww", "de"), "2017 52");
    let zoned = date("2017-12-31T23:59:05+02:00");
    assert_eq!(
        print(zoned, "HH:mm X XXX Z z", "en"),
        "23:59 +02 +02:00 +0200 GMT+02:00"
    );
    for wrong in ["Q", "yyyy-MM-dd'T", "dd b"] {
        assert!(tokens(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn months_use_the_genitive_only_with_a_day() {
    let day = date("2040-03-04");
    for (language, pattern, expected) in [
        ("uk", "d MMMM", "4 березня"),
        ("uk", "LLLL yyyy", "березень 2040"),
        ("uk", "MMMM yyyy", "березень 2040"),
        ("uk", "EEEE, d MMM", "неділя, 4 бер."),
        ("ru", "d MMMM", "4 марта"),
        ("ru", "MMMM", "март"),
        ("pl", "d MMMM", "4 marca"),
        ("cs", "d. MMMM", "4. března"),
        ("de", "d. MMMM", "4. März"),
        ("fr-CA", "EEEE d MMMM", "dimanche 4 mars"),
        ("es", "d 'de' MMMM", "4 de marzo"),
        ("it", "d MMMM", "4 marzo"),
        ("pt-BR", "MMMM", "março"),
        ("ro", "d MMMM", "4 martie"),
        ("tr", "d MMMM EEEE", "4 Mart Pazar"),
    ] {
        assert_eq!(
            print(day, pattern, language),
            expected,
            "{language} {pattern}"
        );
    }
}

#[test]
fn formats_styles_by_language() {
    let moment = date("2003-10-19T21:54:50");
    for (language, style, expected) in [
        ("en", "short", "10/19/03, 9:54 PM"),
        ("en", "medium", "Oct 19, 2003, 9:54:50 PM"),
        ("en", "LONG_date", "October 19, 2003"),
        ("en", "full_date", "Sunday, October 19, 2003"),
        ("en", "medium_time", "9:54:50 PM"),
        ("uk", "long_date", "19 жовтня 2003 р."),
        ("de", "short", "19.10.03, 21:54"),
        ("en-GB", "short_date", "19/10/2003"),
    ] {
        assert_eq!(
            print(moment, style, language),
            expected,
            "{language} {style}"
        );
    }
    assert_eq!(print(date("2003-10-19"), "medium", "en"), "Oct 19, 2003");
    assert_eq!(Style::named("medium_dates"), None);
}

#[test]
fn guesses_common_date_formats() {
    for (text, expected) in [
        ("2040-03-04", "2040-03-04 00:00:00.000"),
        (" 2040-03-04T12:30 ", "2040-03-04 12:30:00.000"),
        (
            "2040-03-04T12:30:15.123456+02:00",
            "2040-03-04 12:30:15.123",
        ),
        ("2040-03-04T12:30:15Z", "2040-03-04 12:30:15.000"),
        ("2040-03-04 12:30:15 UTC", "2040-03-04 12:30:15.000"),
        ("01/02/2020 12:00", "2020-02-01 12:00:00.000"),
        ("31.12.2027", "2027-12-31 00:00:00.000"),
        ("2017.12.31", "2017-12-31 00:00:00.000"),
        ("1495479520000", "2017-05-22 18:58:40.000"),
    ] {
        assert_eq!(
            print(date(text), "yyyy-MM-dd HH:mm:ss.SSS", "en"),
            expected,
            "{text}"
        );
    }
    for text in [
        "",
        "soon",
        "2040-02-31",
        "12/31/2027",
        "2040-03-04x",
        "1495479520",
        "2040",
        "24:00",
        "99999999999999999999",
    ] {
        assert_eq!(Date::guess(text, Tz::UTC), None, "{text}");
    }
}

#[test]
fn parses_dates_by_pattern() {
    for (pattern, text, expected) in [
        (
            "HH:mm yyyy-dd-MM",
            "12:00 2020-30-04",
            Some("2020-04-30 12:00:00.000"),
        ),
        (
            "d MMMM yyyy",
            "4 Березня 2040!",
            Some("2040-03-04 00:00:00.000!"),
        ),
        (
            "EEE, dd MMM yyyy HH:mm:ss Z",
            "Wed, 02 Apr 2008 16:23:14 +0000",
            Some("2008-04-02 16:23:14.000"),
        ),
        (
            "yyyyMMddHHmm",
            "204003041230",
            Some("2040-03-04 12:30:00.000"),
        ),
        ("h a", "12 AM", Some("1970-01-01 00:00:00.000")),
        ("h a", "1 pm", Some("1970-01-01 13:00:00.000")),
        (
            "yyyy-MM-dd'T'HH:mm:ss'Z'",
            "2016-05-06T20:42:26Z",
            Some("2016-05-06 20:42:26.000"),
        ),
        ("dd.MM.yy", "01.02.30", Some("2030-02-01 00:00:00.000")),
        ("dd.MM.yyyy", "soon", None),
        ("dd.MM.yyyy", "31.02.2040", None),
        ("dd.MM.yyyy", "", None),
    ] {
        assert_eq!(
            parse(pattern, text).as_deref(),
            expected,
            "{pattern} {text}"
        );
    }
}

#[test]
fn adds_and_subtracts_units() {
    let added = |text, amount, unit| {
        let date = date(text).plus(amount, unit)?;
        Some(print(date, "yyyy-MM-dd HH:mm", "en"))
    };
    assert_eq!(
        added("2024-01-31", 1, Unit::Months).as_deref(),
        Some("2024-02-29 00:00")
    );
    assert_eq!(
        added("2024-02-29", -1, Unit::Years).as_deref(),
        Some("2023-02-28 00:00")
    );
    assert_eq!(
        added("2024-02-28T23:30", 45, Unit::Minutes).as_deref(),
        Some("2024-02-29 00:15")
    );
    for unit in [Unit::Years, Unit::Months, Unit::Weeks, Unit::Seconds] {
        assert_eq!(added("2024-01-31", i64::MAX, unit), None);
        assert_eq!(added("2024-01-31", i64::MIN, unit), None);
    }
    let (one, other) = (date("2019-01-31"), date("2020-03-01"));
    for (unit, count) in [
        (Unit::Years, 1),
        (Unit::Months, 13),
        (Unit::Weeks, 56),
        (Unit::Days, 395),
        (Unit::Hours, 9480),
    ] {
        assert_eq!(one.until(other, unit), count);
        assert_eq!(other.until(one, unit), -count);
    }
    let (kyiv, utc) = (date("2024-01-31T02:00+02:00"), date("2024-01-31T00:00Z"));
    assert_eq!(kyiv.until(utc, Unit::Minutes), 0);
}

#[test]
fn converts_moments_to_zones() {
    let kyiv = chrono_tz::Europe::Kyiv;
    let at =
        |millis| Date::from_millis(millis, kyiv).map(|date| print(date, "yyyy-MM-dd HH:mm", "en"));
    assert_eq!(at(1_495_479_520_000).as_deref(), Some("2017-05-22 21:58"));
    assert_eq!(at(0).as_deref(), Some("1970-01-01 03:00"));
    assert_eq!(at(i64::MAX), None);
    for (name, expected) in [
        ("GMT+3", Some("03:00")),
        ("UTC-02:30", Some("21:30")),
        ("+0530", Some("05:30")),
        ("GMT", Some("00:00")),
        ("Europe/Kyiv", Some("03:00")),
        ("Mars", None),
        ("GMT+99", None),
        ("", None),
    ] {
        let moment = DateTime::from_timestamp_millis(0).expect("1970");
        let shown =
            zone(name).map(|zone| print(zone.date(moment.with_timezone(&kyiv)), "HH:mm", "en"));
        assert_eq!(shown.as_deref(), expected, "{name}");
    }
    // In the hour that clocks skip.
    let skipped = date("2026-03-29T03:30").moment(kyiv).expect("a moment");
    assert_eq!(skipped.to_rfc3339(), "2026-03-29T04:30:00+03:00");
}
