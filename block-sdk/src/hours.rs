//! Hours of the day, as authors write them: `09:00-21:00`.

use crate::Hours;

/// Parses hours; `00:00` as the end is midnight, like `24:00`.
pub(crate) fn read(text: &str) -> Option<Hours> {
    let (from, until) = text.split_once('-')?;
    let from = minutes(from).filter(|from| *from < 1440)?;
    let until = match minutes(until)? {
        0 => 1440,
        until => until,
    };
    (from != until).then_some(Hours {
        from,
        until,
        time_zone: None,
    })
}

/// Parses minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute) = (number(hour)?, number(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= 1440).then_some(minutes)
}

/// Parses one or two digits.
fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|digit| digit.is_ascii_digit());
    (digits && text.len() <= 2).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_hours() {
        let bounds = |text| read(text).map(|hours| (hours.from, hours.until));
        assert_eq!(bounds("09:00-21:30"), Some((540, 1290)));
        assert_eq!(bounds("22:00 - 06:00"), Some((1320, 360)));
        assert_eq!(bounds("00:00-24:00"), Some((0, 1440)));
        assert_eq!(bounds("9:00-00:00"), Some((540, 1440)));
        for text in [
            "",
            "9-21",
            "09:00",
            "24:00-01:00",
            "09:60-10:00",
            "+9:00-10:00",
            "09:00-09:00",
        ] {
            assert_eq!(bounds(text), None, "{text}");
        }
    }
}
