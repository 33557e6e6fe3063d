//! What `packaging` has an operator run: every flag there is one of this program.

use std::{collections::BTreeMap, fs};

use saphyr_parser::{Event, Parser, StrInput};

use super::User;

/// A node of a YAML file, without what a compose file says elsewhere (aliases are empty here).
#[derive(Debug)]
enum Yaml {
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl Yaml {
    fn read(text: &str) -> Self {
        let mut parser = Parser::new_from_str(text);
        let first = Self::next(&mut parser);
        Self::value(first, &mut parser)
    }

    fn next<'a>(parser: &mut Parser<'a, StrInput<'a>>) -> Event<'a> {
        loop {
            match parser.next_event().expect("the file goes on").expect("the file is YAML").0 {
                Event::StreamStart | Event::DocumentStart(_) => {}
                event => return event,
            }
        }
    }

    fn value<'a>(event: Event<'a>, parser: &mut Parser<'a, StrInput<'a>>) -> Self {
        match event {
            Event::Scalar(text, ..) => Self::Text(text.into_owned()),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    match Self::next(parser) {
                        Event::SequenceEnd => return Self::List(list),
                        event => list.push(Self::value(event, parser)),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = BTreeMap::new();
                loop {
                    match Self::next(parser) {
                        Event::MappingEnd => return Self::Map(map),
                        Event::Scalar(key, ..) => {
                            let event = Self::next(parser);
                            map.insert(key.into_owned(), Self::value(event, parser));
                        }
                        event => panic!("a key is a word: {event:?}"),
                    }
                }
            }
            Event::Alias(_) => Self::Text(String::new()),
            event => panic!("no value: {event:?}"),
        }
    }

    fn get(&self, key: &str) -> Option<&Self> {
        if let Self::Map(map) = self { map.get(key) } else { None }
    }

    fn words(&self) -> Vec<&str> {
        let Self::List(list) = self else { panic!("a list of words: {self:?}") };
        list.iter().map(Self::word).collect()
    }

    fn word(&self) -> &str {
        if let Self::Text(text) = self { text } else { panic!("a word: {self:?}") }
    }
}

fn packaged(name: &str) -> String {
    fs::read_to_string(format!("{}/packaging/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Whether `assay` takes these words: with `--help` at their end it reads them all and does nothing.
fn is_understood(words: &[&str]) {
    let seen = User::new().run(&[words, &["--help"]].concat());
    assert_eq!(seen.code, 0, "assay {}: {}", words.join(" "), seen.stderr);
}

#[test]
fn containers_are_started_with_flags_that_exist() {
    let compose = Yaml::read(&packaged("compose.yaml"));
    let services = compose.get("services").unwrap();
    for node in ["node-1", "node-2", "node-3"] {
        let command = services.get(node).unwrap().get("command").unwrap().words();
        assert!(command.starts_with(&["serve", "--scheduler", "contract"]), "{command:?}");
        is_understood(&command);
    }
    let deploy = services.get("deploy").unwrap().get("entrypoint").unwrap().words();
    let script = deploy.last().unwrap().strip_prefix("container-start ").unwrap();
    let (words, file) = script.split_once(" > ").unwrap();
    is_understood(&words.split(' ').collect::<Vec<_>>());
    let environment = services.get("node-1").unwrap().get("environment").unwrap();
    assert!(
        matches!(environment.get("ASSAY_CONTRACT_FILE"), Some(Yaml::Text(read)) if read == file),
        "the nodes read {environment:?}, and {file} is written"
    );
    let check = compose.get("x-check").unwrap().get("test").unwrap().words();
    assert_eq!(check[..2], ["CMD", "assay"]);
    is_understood(&check[2..]);
}

#[test]
fn the_service_is_started_with_flags_that_exist() {
    let unit = packaged("assay.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/assay ")).unwrap();
    let settings = packaged("assay.env");
    let flags = settings.lines().find_map(|line| line.strip_prefix("ASSAY_SERVE_FLAGS=")).unwrap();
    let command = start.replace("$ASSAY_SERVE_FLAGS", flags);
    is_understood(&command.split(' ').collect::<Vec<_>>());
    // The settings that are commented out must exist too.
    let help = User::new().run(&["serve", "--help"]).stdout;
    let names = settings.lines().filter_map(|line| line.trim_start_matches('#').split_once('='));
    for (name, _) in names.filter(|(name, _)| name.starts_with("ASSAY_") && *name != "ASSAY_SERVE_FLAGS") {
        assert!(help.contains(&format!("[env: {name}")), "`serve` reads no {name}");
    }
}
