//! The text forms of durations, sizes, amounts, CPU shares and pairs.

use crate::domain::{Amount, Ask, Span};

/// A duration: a number of seconds, or a number with `s`, `m`, `h` or `d`.
pub(in crate::cli) fn span(text: &str) -> Result<Span, String> {
    let expected = || "expected seconds, or a number with s, m, h or d, such as 90s or 5m".to_owned();
    let (digits, factor) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 60 * 60),
        Some(b'd') => (&text[..text.len() - 1], 24 * 60 * 60),
        _ => (text, 1),
    };
    let number: u32 = whole(digits).ok_or_else(expected)?;
    number.checked_mul(factor).map(Span::from_secs).ok_or_else(|| "is longer than 136 years".to_owned())
}

/// A size: a number of bytes, or a number with `k`, `m` or `g` for KiB, MiB or GiB.
pub(in crate::cli) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected bytes, or a number with k, m or g, such as 512m or 2g".to_owned();
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, shift) = match lower.as_bytes().last() {
        Some(b'k') => (&lower[..lower.len() - 1], 10),
        Some(b'm') => (&lower[..lower.len() - 1], 20),
        Some(b'g') => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    let number: u64 = whole(digits).ok_or_else(expected)?;
    number.checked_mul(1 << shift).ok_or_else(|| "is more than 64 bits hold".to_owned())
}

/// CPUs with at most three decimals, in thousandths.
pub(in crate::cli) fn cpu_millis(text: &str) -> Result<u32, String> {
    let expected = || "expected CPUs with at most three decimals, such as 1 or 0.5".to_owned();
    let (whole_part, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || decimals.len() > 3 {
        return Err(expected());
    }
    let cpus: u32 = whole(whole_part).ok_or_else(expected)?;
    let thousandths: u32 = whole(&format!("{decimals:0<3}")).ok_or_else(expected)?;
    cpus.checked_mul(1000).and_then(|millis| millis.checked_add(thousandths)).ok_or_else(expected)
}

/// `PATH:/target`: what is mounted where.
pub(in crate::cli) fn input(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once(':') {
        Some((path, target)) if !path.is_empty() && target.starts_with('/') => {
            Ok((path.to_owned(), target.to_owned()))
        }
        _ => Err("expected PATH:/target, such as data:/inputs".to_owned()),
    }
}

/// `NAME=VALUE`.
pub(in crate::cli) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// `5gwei`, `0.1ether`, or a number of wei.
pub(in crate::cli) fn amount(text: &str) -> Result<Amount, String> {
    let expected = || "expected wei, gwei or ether, below 2^96 wei, such as 5gwei or 0.1ether".to_owned();
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let decimals = match &text[number.len()..] {
        "" | "wei" => 0,
        "gwei" => 9,
        "ether" => 18,
        _ => return Err(expected()),
    };
    let (ones, rest) = number.split_once('.').unwrap_or((number, "0"));
    let digits = format!("{ones}{:0<decimals$}", rest.trim_end_matches('0'));
    if ones.is_empty() || rest.is_empty() || digits.len() != ones.len() + decimals {
        return Err(expected());
    }
    whole(&digits).and_then(Amount::new).ok_or_else(expected)
}

/// An amount, or a share such as `80%`.
pub(in crate::cli) fn ask(text: &str) -> Result<Ask, String> {
    if text.ends_with('%') {
        return Ask::percent(text).map_err(|error| error.to_string());
    }
    amount(text).map(Ask::Amount)
}

/// Decimal digits alone: no sign, no white space.
fn whole<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let secs = |text| span(text).map(Span::as_secs);
        assert_eq!(secs("90"), Ok(90));
        assert_eq!(secs("90s"), Ok(90));
        assert_eq!(secs("5m"), Ok(300));
        assert_eq!(secs("2h"), Ok(7200));
        assert_eq!(secs("1d"), Ok(86_400));
        for bad in ["", "s", "-1", "+1", "1.5h", "1 m", "m5", "99999999d", "5µ"] {
            assert!(secs(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(bytes("512M"), Ok(512 << 20));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("1gb"), Ok(1 << 30));
        for bad in ["", "b", "m", "-1", "1.5g", "99999999999g", "1t"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts_have_units() {
        let wei = |text| amount(text).map(Amount::units);
        assert_eq!((wei("7"), wei("7wei")), (Ok(7), Ok(7)));
        assert_eq!(wei("5gwei"), Ok(5_000_000_000));
        assert_eq!(wei("2ether"), Ok(2_000_000_000_000_000_000));
        assert_eq!(wei("1.5ether"), Ok(1_500_000_000_000_000_000));
        assert_eq!(wei("0.000000001gwei"), Ok(1));
        assert_eq!((wei("1.0gwei"), wei("1.0")), (Ok(1_000_000_000), Ok(1)));
        for bad in [
            "",
            "ether",
            "-1",
            "1.5",
            "1.5wei",
            "1.ether",
            ".5ether",
            "0.0000000001gwei",
            "1..5gwei",
            "1.-5gwei",
            "1 gwei",
            "1eth",
            "99999999999ether",
        ] {
            assert!(wei(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_ask_is_an_amount_or_a_share() {
        assert_eq!(ask("80%"), Ok(Ask::Percent(80)));
        assert_eq!(ask("5gwei"), Ok(Ask::Amount(Amount::new(5_000_000_000).unwrap())));
        assert_eq!(ask("101%"), Err("expected 0% to 100%".to_owned()));
        assert!(ask("half").is_err());
    }

    #[test]
    fn cpus_have_at_most_three_decimals() {
        assert_eq!(cpu_millis("1"), Ok(1000));
        assert_eq!(cpu_millis("0.5"), Ok(500));
        assert_eq!(cpu_millis("0.001"), Ok(1));
        for bad in ["", ".", "1.", ".5", "0.0001", "-1", "1e3", "9999999"] {
            assert!(cpu_millis(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pairs_are_split_where_people_expect() {
        assert_eq!(input("a:b:/in"), Ok(("a:b".to_owned(), "/in".to_owned())));
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        for bad in ["", "a", ":/in", "a:in"] {
            assert!(input(bad).is_err(), "{bad:?}");
        }
        assert!(variable("=x").is_err());
    }
}
