//! Validation of addresses per channel.

use std::net::IpAddr;

use email_address::EmailAddress;

use super::ChannelKind;
use crate::contact::is_placeholder;

/// Maximum length of a token, in characters. Tokens of providers have a few hundred.
const MAX_TOKEN_CHARS: usize = 4096;

/// Validates an address and returns it in the form the channel expects. The error says what was
/// expected.
pub fn check_address(channel: ChannelKind, address: &str) -> Result<String, String> {
    let address = address.trim();
    match channel {
        ChannelKind::Email => match is_email(address) {
            true => Ok(address.to_owned()),
            false => Err("expected an email address, such as ann@example.com".into()),
        },
        ChannelKind::Sms | ChannelKind::Viber => phone(address),
        ChannelKind::MobilePush | ChannelKind::WebPush | ChannelKind::Telegram => {
            let good = (1..=MAX_TOKEN_CHARS).contains(&address.chars().count())
                && !is_placeholder(address)
                && !address.chars().any(|c| c.is_control() || c.is_whitespace());
            if good {
                Ok(address.to_owned())
            } else {
                Err("expected a token without spaces".into())
            }
        }
    }
}

/// Returns true for an address that mail servers accept (RFC 5321). The domain may be
/// internationalized, or an IP address.
fn is_email(address: &str) -> bool {
    address.rsplit_once('@').is_some_and(|(user, domain)| {
        EmailAddress::is_valid_local_part(user)
            && (is_domain(domain)
                || idna::domain_to_ascii(domain).is_ok_and(|domain| is_domain(&domain)))
    })
}

fn is_domain(domain: &str) -> bool {
    let literal = domain.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    EmailAddress::is_valid_domain(domain) || literal.unwrap_or(domain).parse::<IpAddr>().is_ok()
}

/// Returns a phone number without separators between its digits. ITU-T E.164 allows 15 digits;
/// short numbers with an area code have as few as 5.
fn phone(text: &str) -> Result<String, String> {
    let expected = || "expected a phone number, such as +380501234567".to_owned();
    let mut number = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => number.push(c),
            '+' if number.is_empty() => number.push(c),
            ' ' | '-' | '(' | ')' | '.' | '\u{a0}' => {}
            _ => return Err(expected()),
        }
    }
    let digits = number.trim_start_matches('+').len();
    if (5..=15).contains(&digits) {
        Ok(number)
    } else {
        Err(expected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_separators_from_phone_numbers() {
        assert_eq!(
            check_address(ChannelKind::Sms, "+38 (050) 123-45-67").unwrap(),
            "+380501234567"
        );
        for wrong in ["", "12", "call me", "123456789012345678", "1+2345678"] {
            assert!(check_address(ChannelKind::Viber, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rejects_email_addresses_that_inject_headers() {
        assert_eq!(
            check_address(ChannelKind::Email, " ann@example.com ").unwrap(),
            "ann@example.com"
        );
        for wrong in [
            "ann",
            "ann@",
            "ann@example.com\r\nBcc: eve@example.com",
            "a b@example.com",
        ] {
            assert!(check_address(ChannelKind::Email, wrong).is_err(), "{wrong}");
        }
    }
}
