//! Finds what looks like a secret in a job. A job is public: its command and environment go to every peer and onto the
//! chain.
//!
//! This warns of slips and stops nobody. It misses a secret under an innocent name, and may warn of something harmless. It
//! shows names only, never values.

use std::collections::BTreeMap;

/// Names that reveal their content, in any part of a name.
const TELLING: [&str; 8] =
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "CREDENTIAL", "APIKEY", "TOKEN", "PRIVATEKEY"];

/// The same, as whole parts of a name.
const TELLING_PARTS: [&str; 7] = ["PASS", "PWD", "AUTH", "AUTHORIZATION", "BEARER", "JWT", "PAT"];

/// A name with one of these parts before "key" is not a secret.
const OPEN_KEYS: [&str; 9] =
    ["PUBLIC", "PUB", "SORT", "PRIMARY", "FOREIGN", "PARTITION", "GROUP", "CACHE", "INDEX"];

/// Prefixes of values for well-known services.
const TELLING_VALUES: [&str; 20] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "hf_",
    "npm_",
    "pypi-",
];

/// The end of the first line of a private key in text.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Shorter values are words that happen to start this way.
const MIN_VALUE_CHARS: usize = 16;

/// The longest name that is shown, in characters.
const MAX_NAME_CHARS: usize = 40;

/// What looks like a secret in a job, as phrases without repetition.
pub(super) fn suspects<'a>(
    environment: &BTreeMap<String, String>,
    command: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in environment {
        if !value.is_empty() && (is_telling_name(name) || is_telling_value(value)) {
            found.push(format!("the variable {}", cut(name)));
        }
    }
    let words: Vec<&String> = command.into_iter().collect();
    if words.iter().any(|word| word.contains(PRIVATE_KEY)) {
        found.push("a private key in the command".to_owned());
    }
    let pieces: Vec<&str> = words.into_iter().flat_map(|word| pieces(word)).collect();
    for (at, piece) in pieces.iter().enumerate() {
        found.extend(suspect(piece, pieces.get(at + 1).copied()));
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|what| seen.insert(what.clone()));
    found
}

/// The words in a word, because a command may be a whole script.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let divides = |char: char| char.is_whitespace() || "'\"`;&|(){}<>,".contains(char);
    word.split(divides).filter(|piece| !piece.is_empty())
}

/// What a word of a command reveals together with the next one.
fn suspect(piece: &str, next: Option<&str>) -> Option<String> {
    let told = |name: &str| Some(format!("{} in the command", cut(name)));
    if let Some((name, value)) = piece.split_once(['=', ':'])
        && is_name(name)
        && is_telling_name(name)
        // A quote, or the space after a colon, separated them.
        && is_literal(if value.is_empty() { next.unwrap_or("") } else { value })
    {
        return told(name);
    }
    let is_flag = piece.starts_with("--") && is_name(piece);
    if is_flag
        && is_telling_name(piece)
        && next.is_some_and(|next| !next.starts_with('-') && is_literal(next))
    {
        return told(piece);
    }
    is_telling_value(piece).then(|| "a word of the command".to_owned())
}

/// Whether a literal value follows. A shell in the container takes a variable's value from elsewhere.
fn is_literal(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$')
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_telling_name(name: &str) -> bool {
    let parts = parts(name);
    let whole = parts.concat();
    let is_counted = parts.last().is_some_and(|last| last == "TOKENS");
    if parts.first().is_some_and(|first| first == "AWS") && parts.len() > 1 {
        return true;
    }
    // Programs take a number of tokens, or their kind, more often than a token.
    if !is_counted && TELLING.iter().any(|telling| whole.contains(telling)) && !whole.contains("TOKENIZER") {
        return true;
    }
    if parts.iter().any(|part| TELLING_PARTS.contains(&part.as_str())) && whole != "PWD" && whole != "OLDPWD"
    {
        return true;
    }
    match parts.as_slice() {
        [.., of, last] => last == "KEY" && !OPEN_KEYS.contains(&of.as_str()),
        _ => false,
    }
}

/// The parts of a name in upper case, split at other characters than letters and digits, and at humps.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for char in name.chars() {
        if !char.is_alphanumeric() || (was_lower && char.is_uppercase()) {
            parts.push(String::new());
        }
        was_lower = char.is_lowercase() || char.is_numeric();
        if let Some(part) = parts.last_mut().filter(|_| char.is_alphanumeric()) {
            part.extend(char.to_uppercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn is_telling_value(value: &str) -> bool {
    if value.contains(PRIVATE_KEY) || has_password(value) {
        return true;
    }
    // The value in a command's `NAME=VALUE`.
    let value = value.rsplit_once('=').filter(|(name, _)| is_name(name)).map_or(value, |(_, value)| value);
    let is_long = value.chars().nth(MIN_VALUE_CHARS - 1).is_some() && is_name(value);
    // A JSON web token: three parts in base64, the first starting with `{"`.
    let is_jwt = value.starts_with("eyJ") && value.matches('.').count() == 2;
    is_long && (is_jwt || TELLING_VALUES.iter().any(|begin| value.starts_with(begin)))
}

/// Whether this has a URL with a password.
fn has_password(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or("");
        let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        password.is_some_and(|(_, password)| is_literal(password))
    })
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: &str) -> Vec<String> {
        suspects(&BTreeMap::from([(name.to_owned(), value.to_owned())]), [])
    }

    fn command(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        suspects(&BTreeMap::new(), &words)
    }

    #[test]
    fn names_that_say_so_are_found() {
        for name in [
            "GITHUB_TOKEN",
            "SECRET",
            "DB_PASSWORD",
            "PGPASSWORD",
            "MYSQL_PWD",
            "API_KEY",
            "apiKey",
            "ApiKey",
            "OPENAI_API_KEY",
            "STRIPE_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_PROFILE",
            "ssh-private-key",
            "PASSPHRASE",
            "BASIC_AUTH",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "accessToken",
            "db_pass",
            "NPM_TOKEN_2",
            "JWT",
        ] {
            assert_eq!(variable(name, "x"), [format!("the variable {name}")]);
        }
    }

    #[test]
    fn innocent_names_are_left_alone() {
        for name in [
            "SEED",
            "PATH",
            "PWD",
            "OLDPWD",
            "KEY",
            "PUBLIC_KEY",
            "SORT_KEY",
            "MONKEY",
            "MAX_TOKENS",
            "TOKENIZER",
            "AUTHOR",
            "COMPASS",
            "PATTERN",
            "PASSENGERS",
            "KEYBOARD",
            "AWSOME",
            "",
        ] {
            assert_eq!(variable(name, "x"), [""; 0], "{name}");
        }
        assert_eq!(variable("API_KEY", ""), [""; 0], "nothing is given away");
    }

    #[test]
    fn values_that_say_so_are_found_under_any_name() {
        for value in [
            "postgres://me:hunter2@db/x",
            "ghp_0123456789abcdefghij",
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN RSA PRIVATE KEY-----\nMII",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        ] {
            assert_eq!(variable("X", value), ["the variable X"], "{value}");
        }
        for value in ["http://host/a@b:c", "sk-learn", "eyJ", "postgres://me@db", "a:b@c", "http://u:$P@h"] {
            assert_eq!(variable("X", value), [""; 0], "{value}");
        }
    }

    #[test]
    fn words_of_the_command_are_looked_at_too() {
        for (words, name) in [
            (&["run", "--password=hunter2"][..], "--password"),
            (&["run", "--api-key", "abc"], "--api-key"),
            (&["sh", "-c", "export TOKEN=abc; ./run"], "TOKEN"),
            (&["sh", "-c", "DB_PASSWORD='abc' ./run"], "DB_PASSWORD"),
            (&["curl", "-H", "Authorization: Bearer abc"], "Authorization"),
            (&["curl", "-H", "X-Api-Key:abc"], "X-Api-Key"),
        ] {
            assert_eq!(command(words), [format!("{name} in the command")], "{words:?}");
        }
        assert_eq!(command(&["git", "clone", "https://me:pw@host/x"]), ["a word of the command"]);
        for words in [
            &["sort", "--key", "2"][..],
            &["run", "--max-tokens=100"],
            &["run", "--tokenizer", "bpe"],
            &["sh", "-c", "run --password $PASSWORD"],
            &["run", "--password"],
            &["run", "--token", "--verbose"],
            &["echo", "the secret of life"],
        ] {
            assert_eq!(command(words), [""; 0], "{words:?}");
        }
    }

    #[test]
    fn a_value_is_never_told() {
        let value = "hunter2-0123456789";
        for told in [
            variable("TOKEN", value),
            command(&["x", &format!("--password={value}")]),
            command(&["x", "--token", value]),
            command(&["x", &format!("http://a:{value}@b")]),
            command(&["x", &format!("sk-{value}")]),
        ] {
            assert!(!told.is_empty() && !told.concat().contains(value), "{told:?}");
        }
        assert!(variable(&"TOKEN".repeat(99), "x")[0].chars().count() < 60);
    }
}
