//! The text forms of durations, sizes, amounts, CPU shares and pairs.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        Amount, Ask, Asset, Digest, JobState, ParseSumError, Span, Sum, UrlScheme, is_platform, is_registry,
    },
    node::{Hours, ParseHoursError, ParsePatternError, Pattern},
};

/// The state of a job, by its name.
pub(in crate::cli) fn state() -> impl TypedValueParser<Value = JobState> {
    PossibleValuesParser::new(JobState::ALL.map(JobState::name))
        .map(|name| JobState::named(&name).expect("clap lets the names of states through and no others"))
}

/// A duration: seconds, or numbers with `d`, `h`, `m` or `s`, the largest first, such as `1h30m` or `1.5h`.
pub(in crate::cli) fn span(text: &str) -> Result<Span, String> {
    let expected = || "expected a time in whole seconds, such as 90s, 5m, 1h30m or 1.5h".to_owned();
    let (mut rest, mut total, mut above) = (text, 0_u128, u64::MAX);
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        (rest, total) = ("", scaled(text, 1).ok_or_else(expected)?.whole);
    } else if text.is_empty() {
        return Err(expected());
    }
    while let Some(unit) = rest.chars().find(|char| !is_decimal(*char)) {
        let (number, after) = rest.split_once(unit).ok_or_else(expected)?;
        let factor = match unit.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(expected()),
        };
        if factor >= above {
            return Err("expected larger units first and each unit once, such as 1h30m".to_owned());
        }
        let part = scaled(number, factor).filter(|part| part.is_exact).ok_or_else(expected)?;
        (rest, total, above) = (after, total + part.whole, factor);
    }
    if !rest.is_empty() {
        return Err(format!("{rest} has no unit: expected s, m, h or d, such as 1h30m"));
    }
    let total = u32::try_from(total).map_err(|_| "is longer than 136 years".to_owned())?;
    Ok(Span::from_secs(total))
}

/// A size as Docker reads it: bytes, or a number with `k`, `m`, `g`, `t` or `p` for the powers of 1024, in either case
/// optionally followed by `b` or `ib`. Rounds down to whole bytes.
pub(in crate::cli) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "expected bytes, or a number with k, m, g or t, such as 512m, 1.5g or 2GiB".to_owned();
    let number = text.trim_end_matches(|char: char| !is_decimal(char));
    let unit = text[number.len()..].to_ascii_lowercase();
    let unit = unit.strip_prefix(' ').unwrap_or(&unit);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 10,
        "m" | "mb" | "mi" | "mib" => 20,
        "g" | "gb" | "gi" | "gib" => 30,
        "t" | "tb" | "ti" | "tib" => 40,
        "p" | "pb" | "pi" | "pib" => 50,
        _ => return Err(expected()),
    };
    let size = scaled(number, 1 << shift).ok_or_else(expected)?;
    if shift == 0 && !size.is_exact {
        return Err("is not a whole number of bytes; add a unit, such as 1.5g".to_owned());
    }
    u64::try_from(size.whole).map_err(|_| "does not fit into 64 bits".to_owned())
}

/// A size, and perhaps an absolute path behind a colon, such as `6g:/build`.
pub(in crate::cli) fn scratch(text: &str) -> Result<(u64, Option<String>), String> {
    let (size, dir) = match text.split_once(':') {
        Some((size, dir)) => (size, Some(dir.to_owned())),
        None => (text, None),
    };
    if dir.as_deref().is_some_and(|dir| !dir.starts_with('/')) {
        return Err("expected an absolute path after the colon, such as 6g:/build".to_owned());
    }
    match bytes(size)? {
        0 => Err("expected a size above 0, such as 6g".to_owned()),
        size => Ok((size, dir)),
    }
}

/// An operating system and an architecture, such as `linux/amd64`.
pub(in crate::cli) fn platform(text: &str) -> Result<String, String> {
    let is_named = is_platform(text);
    is_named.then(|| text.to_owned()).ok_or_else(|| "expected OS/ARCH, such as linux/amd64".to_owned())
}

/// A whole number from 1.
pub(in crate::cli) fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "expected a whole number from 1".to_owned())
}

/// CPUs with at most three decimals, in thousandths.
pub(in crate::cli) fn cpu_millis(text: &str) -> Result<u32, String> {
    let expected = || "expected CPUs with at most three decimals, such as 1 or 0.5".to_owned();
    let millis = scaled(text, 1000).filter(|millis| millis.is_exact).ok_or_else(expected)?;
    u32::try_from(millis.whole).map_err(|_| "is more than any machine has".to_owned())
}

/// How long to keep what ended jobs left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct KeepFor {
    /// Of which kind; of all of them if `None`.
    pub(in crate::cli) kind: Option<KeepKind>,
    pub(in crate::cli) time: Span,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum KeepKind {
    Results,
    Own,
    Inputs,
    Logs,
}

/// `30d`, or for one kind `results=30d`.
pub(in crate::cli) fn keep_for(text: &str) -> Result<KeepFor, String> {
    let Some((kind, time)) = text.split_once('=') else {
        return Ok(KeepFor { kind: None, time: span(text)? });
    };
    let kind = match kind {
        "results" => KeepKind::Results,
        "own" => KeepKind::Own,
        "inputs" => KeepKind::Inputs,
        "logs" => KeepKind::Logs,
        _other => return Err("expected results, own, inputs or logs before =".to_owned()),
    };
    Ok(KeepFor { kind: Some(kind), time: span(time)? })
}

/// A registry: a host with an optional port, or `none`.
pub(in crate::cli) fn registry(text: &str) -> Result<String, String> {
    if is_registry(text) {
        return Ok(text.to_owned());
    }
    Err("expected a host with an optional port, such as registry.example:5000, or none".to_owned())
}

/// A pattern of names, with `*` for any characters.
pub(in crate::cli) fn pattern(text: &str) -> Result<Pattern, String> {
    text.parse().map_err(|error: ParsePatternError| error.to_string())
}

/// Hours of the week.
pub(in crate::cli) fn hours(text: &str) -> Result<Hours, String> {
    text.parse().map_err(|error: ParseHoursError| error.to_string())
}

/// `PATH:/target`: what to mount where. Accepts and ignores a trailing `:ro`, which Docker users write.
pub(in crate::cli) fn input(text: &str) -> Result<(String, String), String> {
    if text.ends_with(":rw") {
        return Err("inputs are read-only: omit :rw, and write to /outputs".to_owned());
    }
    match text.strip_suffix(":ro").unwrap_or(text).rsplit_once(':') {
        Some((scheme, target)) if is_scheme(scheme) && target.starts_with("//") => {
            Err("expected a target behind the URL, as URL#sha256=HEX:/target".to_owned())
        }
        Some((path, target)) if !path.is_empty() && target.starts_with('/') => {
            let path = with_plain_scheme(path);
            if is_url(&path) {
                pinned_url(&path)?;
            }
            Ok((path, target.to_owned()))
        }
        _ => Err("expected PATH:/target, such as data:/inputs, or URL#sha256=HEX:/target".to_owned()),
    }
}

/// Whether it reads as a URL, maybe one that no node gets anything from: never the path of a file then.
pub(in crate::cli) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// A URL with its scheme in lower case, as a spec has it. Anything else as it is.
fn with_plain_scheme(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        Some(_) | None => text.to_owned(),
    }
}

/// Whether a URL may begin so. A single letter is the drive of a path.
fn is_scheme(text: &str) -> bool {
    let may_follow = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
    text.len() > 1
        && text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(may_follow)
}

/// `URL#sha256=HEX`.
pub(in crate::cli) fn pinned_url(text: &str) -> Result<(String, Digest), String> {
    let expected = "expected the SHA-256 of the file behind its URL, as URL#sha256=HEX";
    let (url, pin) = text.split_once('#').unwrap_or((text, ""));
    UrlScheme::of(url).map_err(|why| format!("expected a URL, not {url:?}, {why}"))?;
    let digest = pin.strip_prefix("sha256=").and_then(|hex| hex.parse().ok());
    Ok((url.to_owned(), digest.ok_or(expected)?))
}

/// A variable for the job. Without a value, the command's own environment provides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Variable {
    pub(in crate::cli) name: String,
    pub(in crate::cli) value: Option<String>,
}

/// `NAME=VALUE`, or `NAME`.
pub(in crate::cli) fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    if name.is_empty() {
        return Err("expected NAME=VALUE, or NAME to pass your own value on".to_owned());
    }
    Ok(Variable { name: name.to_owned(), value: value.map(str::to_owned) })
}

/// A variable of a sweep, and the values that it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cli) struct Axis {
    pub(in crate::cli) key: String,
    pub(in crate::cli) values: Vec<String>,
}

/// `KEY=VALUE,VALUE`.
pub(in crate::cli) fn axis(text: &str) -> Result<Axis, String> {
    let expected = || "expected KEY=VALUE,VALUE,.., such as lr=0.1,0.2".to_owned();
    let (key, values) = text.split_once('=').ok_or_else(expected)?;
    let values: Vec<String> = values.split(',').map(str::to_owned).collect();
    if key.is_empty() || key.contains(char::is_whitespace) || values.iter().any(String::is_empty) {
        return Err(expected());
    }
    Ok(Axis { key: key.to_owned(), values })
}

/// `5gwei`, `0.1ether`, or a number of wei.
pub(in crate::cli) fn amount(text: &str) -> Result<Amount, String> {
    let sum = text.parse::<Sum>().ok().and_then(|sum| sum.of(&Asset::Ether).ok());
    sum.ok_or_else(|| "expected wei, gwei or ether, below 2^96 wei, such as 5gwei or 0.1ether".to_owned())
}

/// A sum in ether or in a token, or in the smallest units of either.
pub(in crate::cli) fn sum(text: &str) -> Result<Sum, String> {
    text.parse().map_err(|error: ParseSumError| error.to_string())
}

/// An amount, or a share such as `80%`.
pub(in crate::cli) fn ask(text: &str) -> Result<Ask, String> {
    if text.ends_with('%') {
        return Ask::percent(text).map_err(|error| error.to_string());
    }
    amount(text).map(Ask::Amount)
}

/// What a node asks for, in whatever its contract counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum AskedSum {
    /// A share of the price.
    Percent(Ask),
    /// A sum.
    Sum(Sum),
}

/// A sum, or a share such as `80%`.
pub(in crate::cli) fn asked_sum(text: &str) -> Result<AskedSum, String> {
    if text.ends_with('%') { ask(text).map(AskedSum::Percent) } else { sum(text).map(AskedSum::Sum) }
}

/// A number with a unit, in whole parts of a smaller unit.
#[derive(Debug, Clone, Copy)]
struct Scaled {
    whole: u128,
    /// Whether the value is exact.
    is_exact: bool,
}

/// A number such as `2`, `1.5` or `.5`, times `factor`.
fn scaled(number: &str, factor: u64) -> Option<Scaled> {
    let (ones, decimals) = number.split_once('.').unwrap_or((number, "0"));
    // `.5` is a number; the empty text is not.
    let ones: u64 = if ones.is_empty() && !number.is_empty() { 0 } else { whole(ones)? };
    let decimals = decimals.get(..1).map(|first| first.to_owned() + decimals[1..].trim_end_matches('0'))?;
    // Nine decimals times 2^64 fit into 128 bits. More decimals are a slip.
    let scale = 10_u128.pow(u32::try_from(decimals.len()).ok().filter(|count| *count <= 9)?);
    let part = u128::from(whole::<u32>(&decimals)?) * u128::from(factor);
    let whole = u128::from(ones) * u128::from(factor) + part / scale;
    Some(Scaled { whole, is_exact: part.is_multiple_of(scale) })
}

const fn is_decimal(char: char) -> bool {
    char.is_ascii_digit() || char == '.'
}

/// Decimal digits only: no sign, no white space.
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
        for bad in ["", "s", "-1", "+1", "1 m", "m5", "5µ", "5w", "500ms", "0.5s", "1.5", "1..5h", "1.h", "."]
        {
            assert!(secs(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn there_is_at_least_one() {
        assert_eq!((at_least_one("1"), at_least_one("64")), (Ok(1), Ok(64)));
        for bad in ["0", "-1", "", "1.5", "99999999999999999999"] {
            assert!(at_least_one(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_scratch_directory_has_a_size_and_perhaps_a_place() {
        assert_eq!(scratch("6g"), Ok((6 << 30, None)));
        assert_eq!(scratch("512m:/build"), Ok((512 << 20, Some("/build".to_owned()))));
        for bad in ["", "0", "0:/build", "6g:", "6g:build", "/build", ":/build", "6x"] {
            assert!(scratch(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_have_several_units_and_fractions() {
        let secs = |text| span(text).map(Span::as_secs);
        assert_eq!((secs("1h30m"), secs("1.5h"), secs("1H30M")), (Ok(5400), Ok(5400), Ok(5400)));
        assert_eq!((secs("1d2h3m4s"), secs("2d"), secs(".5m")), (Ok(93_784), Ok(172_800), Ok(30)));
        assert_eq!(secs("1.50h0m"), Ok(5400));
        assert!(secs("1h30").unwrap_err().starts_with("30 has no unit"));
        for bad in ["30m1h", "1h1h", "1h 30m", "1h-30m", "h1m"] {
            assert!(secs(bad).is_err(), "{bad:?}");
        }
        for long in ["99999999d", "4294967296", "18446744073709551615d", "4294967295s1s"] {
            assert!(secs(long).is_err(), "{long:?}");
        }
        assert!(secs("99999d").unwrap_err().contains("136 years"));
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(bytes("512M"), Ok(512 << 20));
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("1gb"), Ok(1 << 30));
        for bad in [
            "", "b", "m", "-1", "+1", "1.g", "1..5g", "g1", "1.5.5g", "1e9", "0x10", "1  g", "1gg", "1bb",
            "1ø",
        ] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_have_dockers_forms() {
        let gibs = 3 << 29;
        for text in ["1.5g", "1.5G", "1.5gb", "1.5GB", "1.5gib", "1.5GiB", "1.5Gi", "1.5 GB", "1.50g"] {
            assert_eq!(bytes(text), Ok(gibs), "{text:?}");
        }
        assert_eq!((bytes("0.5g"), bytes(".5g")), (Ok(1 << 29), Ok(1 << 29)));
        assert_eq!((bytes("7b"), bytes("7B"), bytes("1kb")), (Ok(7), Ok(7), Ok(1024)));
        assert_eq!((bytes("1t"), bytes("1P")), (Ok(1 << 40), Ok(1 << 50)));
        assert_eq!(bytes("0.3k"), Ok(307), "a part of a byte is left out");
        assert!(bytes("1.5").unwrap_err().contains("whole number of bytes"));
        for large in ["99999999999g", "99999999p", "18446744073709551616"] {
            assert!(bytes(large).is_err(), "{large:?}");
        }
        assert!(bytes("99999999p").unwrap_err().contains("64 bits"));
        assert_eq!(bytes("18446744073709551615"), Ok(u64::MAX));
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
        assert_eq!((cpu_millis("0.001"), cpu_millis(".5")), (Ok(1), Ok(500)));
        for bad in ["", ".", "1.", "0.0001", "-1", "1e3", "9999999"] {
            assert!(cpu_millis(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_reads_as_a_url_is_never_the_path_of_a_file() {
        let pin = format!("#sha256={}", "ab".repeat(32));
        let given = |url: &str| input(&format!("{url}{pin}:/in")).map(|(url, _)| url);
        for (url, plain) in [
            ("http://x/a", "http://x/a"),
            ("HTTP://x/A", "http://x/A"),
            ("Https://x/a", "https://x/a"),
            ("FILE:///a", "file:///a"),
        ] {
            assert_eq!(given(url), Ok(format!("{plain}{pin}")));
        }
        for bad in ["ftp://x/a", "s3://x/a", "file://host/a", "HTTP://", "http://x/%2e%2e", "http://x/../a"] {
            let why = given(bad).unwrap_err();
            assert!(why.starts_with("expected a URL, not"), "{bad}: {why}");
        }
        assert!(input("http://x/a:/in").unwrap_err().starts_with("expected the SHA-256"));
        for bad in ["HTTP://x/a", "ftp://x/a"] {
            assert!(input(bad).unwrap_err().starts_with("expected a target behind the URL"), "{bad}");
        }
        assert_eq!(input("./http://x:/in"), Ok(("./http://x".to_owned(), "/in".to_owned())));
    }

    #[test]
    fn pairs_are_split_where_people_expect() {
        assert_eq!(input("a:b:/in"), Ok(("a:b".to_owned(), "/in".to_owned())));
        assert_eq!(input("a:/in:ro"), Ok(("a".to_owned(), "/in".to_owned())));
        let named = |name: &str, value: Option<&str>| {
            Ok(Variable { name: name.to_owned(), value: value.map(str::to_owned) })
        };
        assert_eq!(variable("A=b=c"), named("A", Some("b=c")));
        assert_eq!((variable("A="), variable("A")), (named("A", Some("")), named("A", None)));
        for bad in ["", "a", ":/in", "a:in", "a:/in:rw", "a:ro"] {
            assert!(input(bad).is_err(), "{bad:?}");
        }
        assert!(variable("=x").is_err() && variable("").is_err());
    }
}
