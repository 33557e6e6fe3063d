//! Verdicts over JSON lines: one case per line in, one outcome per line out, in the same order.
//!
//! A case is
//!
//! ```json
//! {"confidence": 2, "tolerance_kib": 1024, "relative_permille": 300, "method": "ball", "deterministic": false,
//!  "runs": [{"output": "<64 hex digits>", "fingerprint": {"w": [10 numbers], "q": [10 numbers], "cpu_ms": 900}},
//!           {"output": null, "fingerprint": null}]}
//! ```
//!
//! on one line, with memory in KiB and these keys in any order. A case may also have `require_work` (false unless given) and
//! `cpu_permille` (333), a run `exit_code` (0) and `summary`, a word of 64 hex digits behind `0x`, and a fingerprint `faults`
//! (0). Its outcome is
//!
//! ```json
//! {"version":1,"outcome":"verdict","accepted":[0],"rejected":[],"absent":[1],"scores":{"0":0},"note":"agreement"}
//! ```
//!
//! A line that is not a case gives `{"version":1,"error":"...","line":n}`, with lines counted from 1, and reading goes
//! on.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::marker::PhantomData;

use alloy_primitives::hex;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::decide::decide;
use super::outcome::Outcome;
use super::terms::{MAX_PERMILLE, Run, Terms};
use crate::domain::{Deal, Fingerprint, MAX_FAULTS, MAX_TIME_MS, Method, SummaryWord, TENTHS};

/// Longest line that is read, in bytes without its end: room for some 3000 runs, of which 128 are compared.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// Longest part of a parser's message that is repeated, in characters: the message may quote the line.
const MESSAGE_CHARS: usize = 200;

/// Why a line is not a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The line is longer than [`MAX_LINE_BYTES`].
    #[error("line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The line holds nothing but white space.
    #[error("line is empty")]
    Empty,
    /// The line is not JSON, or not that of a case.
    #[error("{message}, near column {column}")]
    Json {
        /// What is wrong.
        message: String,
        /// Where, in bytes.
        column: usize,
    },
}

/// The outcome of the case on `line`.
///
/// # Errors
///
/// [`LineError`] if the line is not a case. A case whose numbers contradict each other, such as a confidence
/// above the number of runs, is not an error: it has an outcome with the note "bad parameters".
pub fn compute_line(line: &[u8]) -> Result<Outcome, LineError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(LineError::TooLong);
    }
    if line.trim_ascii().is_empty() {
        return Err(LineError::Empty);
    }
    let Object(case) = serde_json::from_slice::<Object<Case>>(line).map_err(|error| json_error(&error))?;
    let runs: Vec<Run> = case.runs.iter().map(|Object(run)| run.resolve(case.method)).collect();
    Ok(decide(&case.terms(), &runs))
}

/// Reads cases from `input` to its end and writes their outcomes to `output`. Returns how many lines were not
/// cases. A line break at the end of the input starts no further line.
///
/// # Errors
///
/// Those of `input` and `output`.
pub fn compute_lines(mut input: impl BufRead, mut output: impl Write) -> io::Result<u64> {
    let mut bad = 0;
    let mut line = Vec::new();
    let mut number = 0;
    while read_line(&mut input, &mut line)? {
        number += 1;
        match compute_line(&line) {
            Ok(outcome) => serde_json::to_writer(&mut output, &Answer::new(outcome))?,
            Err(error) => {
                bad += 1;
                let bad = Bad { error: error.to_string(), line: number };
                serde_json::to_writer(&mut output, &Answer::new(bad))?;
            }
        }
        output.write_all(b"\n")?;
    }
    output.flush()?;
    Ok(bad)
}

/// The form of the lines that are written.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Answer<T> {
    version: u32,
    #[serde(flatten)]
    answer: T,
}

impl<T> Answer<T> {
    const fn new(answer: T) -> Self {
        Self { version: VERSION, answer }
    }
}

#[derive(Serialize)]
struct Bad {
    error: String,
    line: u64,
}

/// Reads one line without its end, or `false` at the end of the input. Keeps only as much of a line that is too long
/// as shows that it is.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if input.by_ref().take(limit).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > MAX_LINE_BYTES {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

fn json_error(error: &serde_json::Error) -> LineError {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = message.strip_suffix(&place).unwrap_or(&message).chars().take(MESSAGE_CHARS).collect();
    LineError::Json { message, column: error.column() }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    confidence: u32,
    tolerance_kib: u32,
    #[serde(deserialize_with = "permille")]
    relative_permille: u16,
    method: Method,
    deterministic: bool,
    #[serde(default)]
    require_work: bool,
    #[serde(default = "default_cpu_permille", deserialize_with = "permille")]
    cpu_permille: u16,
    runs: Vec<Object<CaseRun>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRun {
    #[serde(deserialize_with = "output")]
    output: Option<[u8; 32]>,
    // Naming the function makes a missing key an error, where a plain `Option` would take it for null.
    #[serde(deserialize_with = "Option::deserialize")]
    fingerprint: Option<Object<CaseFingerprint>>,
    #[serde(default)]
    exit_code: i32,
    #[serde(default)]
    summary: Option<SummaryWord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFingerprint {
    w: [u32; TENTHS],
    q: [u32; TENTHS],
    #[serde(deserialize_with = "cpu_ms")]
    cpu_ms: u64,
    #[serde(default, deserialize_with = "faults")]
    faults: u64,
}

impl Case {
    fn terms(&self) -> Terms {
        Terms {
            confidence: self.confidence,
            tolerance_kib: self.tolerance_kib,
            relative_permille: self.relative_permille,
            method: self.method,
            deterministic: self.deterministic,
            require_work: self.require_work,
            cpu_permille: self.cpu_permille,
        }
    }
}

impl CaseRun {
    fn resolve(&self, method: Method) -> Run {
        let fingerprint = self.fingerprint.as_ref().map(|Object(read)| {
            let CaseFingerprint { w, q, cpu_ms, faults } = *read;
            Fingerprint { w, q, cpu_ms, faults }
        });
        Run {
            output: self.output,
            exit_code: self.exit_code,
            profile: fingerprint.map(|fingerprint| fingerprint.profile(method)),
            summary: self.summary.unwrap_or(SummaryWord::VOID),
        }
    }
}

/// A struct that is written as an object: on its own, serde also takes an array of the fields' values.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

fn permille<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let permille = u16::deserialize(deserializer)?;
    if permille > MAX_PERMILLE {
        return Err(D::Error::custom("a tolerance is above 1000 permille"));
    }
    Ok(permille)
}

fn default_cpu_permille() -> u16 {
    Deal::default().cpu_permille
}

fn cpu_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let cpu_ms = u64::deserialize(deserializer)?;
    if cpu_ms >= MAX_TIME_MS {
        return Err(D::Error::custom("cpu_ms is not below 2^40"));
    }
    Ok(cpu_ms)
}

fn faults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let faults = u64::deserialize(deserializer)?;
    if faults >= MAX_FAULTS {
        return Err(D::Error::custom("faults is not below 2^46"));
    }
    Ok(faults)
}

fn output<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let Some(digits) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let mut output = [0; 32];
    // The decoder would skip a prefix, and the length then tells.
    if digits.len() != 64 || hex::decode_to_slice(&digits, &mut output).is_err() {
        return Err(D::Error::custom("output is not 64 hex digits"));
    }
    Ok(Some(output))
}

#[cfg(test)]
mod tests;
