use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fingerprint(kib: u32) -> Value {
    let row = [kib; TENTHS];
    json!({ "w": row, "q": row, "cpu_ms": 900 })
}

fn run(id: u8, kib: u32) -> Value {
    json!({ "output": hex::encode([id; 32]), "fingerprint": fingerprint(kib) })
}

fn case(runs: &[Value]) -> Value {
    json!({
        "confidence": 2, "tolerance_kib": 1024, "relative_permille": 300, "method": "ball",
        "deterministic": false, "runs": runs,
    })
}

fn three() -> Value {
    case(&[run(1, 9000), run(2, 9500), run(3, 90)])
}

/// The whole output for the whole input.
fn compute(input: &[u8]) -> String {
    let mut output = Vec::new();
    compute_lines(input, &mut output).unwrap();
    String::from_utf8(output).unwrap()
}

fn refusal(line: &str) -> String {
    compute_line(line.as_bytes()).unwrap_err().to_string()
}

#[test]
fn each_line_gives_one_line_in_order() {
    let input = format!("{}\nno case\n{}", three(), case(&[run(1, 1)]));
    assert_eq!(
        compute(input.as_bytes()),
        r#"{"version":1,"outcome":"verdict","accepted":[0,1],"rejected":[2],"absent":[],"scores":{"0":0,"1":5000,"2":89100},"note":"agreement"}
{"version":1,"error":"expected ident, near column 2","line":2}
{"version":1,"outcome":"inconclusive","accepted":[],"rejected":[],"absent":[],"scores":{},"note":"bad parameters"}
"#
    );
    let mut output = Vec::new();
    assert_eq!(compute_lines(input.as_bytes(), &mut output).unwrap(), 1);
}

#[test]
fn line_ends_end_lines_and_blank_lines_are_no_cases() {
    let good = compute(three().to_string().as_bytes());
    assert_eq!(compute(format!("{}\r\n", three()).as_bytes()), good);
    assert_eq!(compute(b""), "");
    let blank = |line| format!("{{\"version\":1,\"error\":\"line is empty\",\"line\":{line}}}\n");
    assert_eq!(compute(b"\n \t\r\n"), blank(1) + &blank(2));
    assert_eq!(compute(b" "), blank(1));
}

#[test]
fn each_method_reads_its_own_row() {
    let mut case = three();
    for (index, run) in case["runs"].as_array_mut().unwrap().iter_mut().enumerate() {
        run["fingerprint"]["w"] = json!(vec![if index == 0 { 1 << 20 } else { 9000 }; TENTHS]);
    }
    for (method, accepted) in [("ball", vec![0, 1]), ("kmeans", vec![1, 2]), ("hash", vec![])] {
        case["method"] = json!(method);
        assert_eq!(compute_line(case.to_string().as_bytes()).unwrap().accepted, accepted, "{method}");
    }
}

#[test]
fn no_output_is_absent_and_no_fingerprint_is_absent_for_the_scorer() {
    let mut case = case(&[run(1, 1), run(2, 1), run(3, 1), run(4, 1)]);
    case["runs"][0]["output"] = Value::Null;
    assert_eq!(compute_line(case.to_string().as_bytes()).unwrap().absent, [0]);
    case["runs"][0] = run(1, 1);
    case["runs"][3]["fingerprint"] = Value::Null;
    assert_eq!(compute_line(case.to_string().as_bytes()).unwrap().absent, [3]);
}

#[test]
fn numbers_of_runs_without_sense_are_bad_parameters() {
    for (runs, confidence) in [(0, 0), (0, 1), (3, 0), (3, 4), (129, 65), (3, u32::MAX)] {
        let mut case = case(&vec![run(1, 1); runs]);
        case["confidence"] = json!(confidence);
        let outcome = compute_line(case.to_string().as_bytes()).unwrap();
        assert_eq!(outcome.note.to_string(), "bad parameters", "{runs} {confidence}");
    }
}

#[test]
fn missing_keys_are_refused_at_every_level() {
    for pointer in ["", "/runs/0", "/runs/0/fingerprint"] {
        let whole = three();
        for key in whole.pointer(pointer).unwrap().as_object().unwrap().keys() {
            let mut case = whole.clone();
            case.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
            let refusal = refusal(&case.to_string());
            assert!(refusal.starts_with(&format!("missing field `{key}`, near column ")), "{refusal}");
        }
    }
}

#[test]
fn unknown_and_duplicate_keys_are_refused_at_every_level() {
    let whole = three().to_string();
    for (before, key) in
        [("{\"confidence", "confidence"), ("{\"fingerprint", "fingerprint"), ("{\"cpu_ms", "cpu_ms")]
    {
        assert!(whole.contains(before), "{whole}");
        let unknown = whole.replacen(before, &format!("{{\"x\":1,{}", &before[1..]), 1);
        assert!(refusal(&unknown).starts_with("unknown field `x`"), "{}", refusal(&unknown));
        let value = if key == "fingerprint" { "null" } else { "1" };
        let twice = whole.replacen(before, &format!("{{\"{key}\":{value},{}", &before[1..]), 1);
        assert!(refusal(&twice).starts_with(&format!("duplicate field `{key}`")), "{}", refusal(&twice));
    }
}

#[test]
fn values_out_of_range_and_of_other_types_are_refused() {
    let whole = three();
    let wrong = [
        ("/confidence", vec![json!(-1), json!(1.0), json!(1u64 << 32), json!("2"), Value::Null]),
        ("/tolerance_kib", vec![json!(-1), json!(0.5), json!(1u64 << 32), json!(true)]),
        ("/relative_permille", vec![json!(1001), json!(65536), json!(-1), json!(300.0)]),
        ("/method", vec![json!("Ball"), json!("dbscan"), json!(2), json!({ "ball": null }), Value::Null]),
        ("/deterministic", vec![json!(0), json!("false"), Value::Null]),
        ("/runs", vec![json!({}), Value::Null, json!([null]), json!([[null, null]])]),
        (
            "/runs/1/output",
            vec![json!(""), json!("0".repeat(63)), json!("0".repeat(65)), json!("g".repeat(64)), json!(0)],
        ),
        (
            "/runs/1/output",
            vec![json!(format!("0x{}", "0".repeat(62))), json!(format!("0x{}", "0".repeat(64)))],
        ),
        ("/runs/1/fingerprint", vec![json!([]), json!([[], [], 0]), json!("void")]),
        (
            "/runs/1/fingerprint/w",
            vec![json!(vec![1; 9]), json!(vec![1; 11]), json!(vec![1.5; 10]), Value::Null],
        ),
        ("/runs/1/fingerprint/q/9", vec![json!(1u64 << 32), json!(-1), Value::Null, json!("1")]),
        ("/runs/1/fingerprint/cpu_ms", vec![json!(1u64 << 40), json!(-1), json!(9.0), json!(u64::MAX)]),
    ];
    for (pointer, values) in wrong {
        for value in values {
            let mut case = whole.clone();
            *case.pointer_mut(pointer).unwrap() = value.clone();
            assert!(compute_line(case.to_string().as_bytes()).is_err(), "{pointer} {value}");
        }
    }
    let fields = "[2,1024,300,\"ball\",false,[]]";
    assert_eq!(refusal(fields), "invalid type: sequence, expected an object, near column 0");
}

#[test]
fn the_largest_values_are_taken() {
    let mut case = case(&vec![run(255, u32::MAX); 128]);
    for (index, run) in case["runs"].as_array_mut().unwrap().iter_mut().enumerate() {
        run["output"] = json!(format!("{index:064X}"));
        run["fingerprint"]["cpu_ms"] = json!((1u64 << 40) - 1);
    }
    case["tolerance_kib"] = json!(u32::MAX);
    case["relative_permille"] = json!(1000);
    case["confidence"] = json!(128);
    for method in ["kmeans", "ball"] {
        case["method"] = json!(method);
        assert_eq!(compute_line(case.to_string().as_bytes()).unwrap().accepted.len(), 128);
    }
}

#[test]
fn what_is_no_json_gives_an_error_and_the_rest_goes_on() {
    let trailing = format!("{}{}", three(), three());
    let lines: [&[u8]; 8] =
        [b"{", b"nul", b"\xff\xfe", b"{\"\xff\":1}", b"[[[[", b"NaN", b"\xef\xbb\xbf{}", trailing.as_bytes()];
    for line in lines {
        assert!(matches!(compute_line(line), Err(LineError::Json { .. })), "{line:?}");
        let input = [line, b"\n", three().to_string().as_bytes()].concat();
        assert!(
            compute(&input).lines().nth(1).unwrap().starts_with("{\"version\":1,\"outcome\":\"verdict\"")
        );
    }
    assert!(compute_line("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn a_line_at_the_limit_is_read_and_a_longer_one_is_skipped() {
    let mut longest = three().to_string();
    longest.extend(std::iter::repeat_n(' ', MAX_LINE_BYTES - longest.len()));
    assert!(compute_line(longest.as_bytes()).is_ok());
    let input = format!("{longest}\n{longest} \n{longest}{longest}{longest}\n{}\n{longest} ", three());
    let output = compute(input.as_bytes());
    let is_bad: Vec<bool> = output.lines().map(|line| line.contains("\"error\"")).collect();
    assert_eq!(is_bad, [false, true, true, false, true]);
    assert!(output.contains("{\"version\":1,\"error\":\"line is longer than 1048576 bytes\",\"line\":2}"));
}

#[test]
fn a_quoted_key_is_cut_short() {
    assert!(refusal(&format!("{{\"{}\":1}}", "k".repeat(100_000))).len() < 300);
}

proptest! {
    #[test]
    fn any_bytes_give_one_line_each(lines in prop::collection::vec("[^\n]{0,40}", 1..5)) {
        let output = compute((lines.join("\n") + "\n").as_bytes());
        prop_assert_eq!(output.lines().count(), lines.len());
    }

    #[test]
    fn a_damaged_case_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut line = three().to_string().into_bytes();
        let at = at.index(line.len());
        line[at] = byte;
        let mut output = Vec::new();
        compute_lines(&line[..], &mut output).unwrap();
        prop_assert!(!output.is_empty());
    }
}
