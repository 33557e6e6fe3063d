//! Documents as bytes: hostile ones, and good ones with one byte changed.

use super::*;
use crate::audit::document::{DocumentError, MAX_DOCUMENT_BYTES};

#[test]
fn a_document_that_is_none_is_refused_before_it_is_decoded() {
    let bytes = serde_json::to_vec(&honest()).unwrap();
    assert_eq!(LogDocument::parse(&bytes).unwrap(), honest());
    for length in (0..bytes.len()).step_by(97) {
        assert!(matches!(LogDocument::parse(&bytes[..length]), Err(DocumentError::Json(_))));
    }
    assert!(LogDocument::parse(&[bytes.as_slice(), b"{}"].concat()).is_err(), "nothing may follow");
    let endless = std::io::Read::take(std::io::repeat(b'['), MAX_DOCUMENT_BYTES + 10);
    assert!(matches!(LogDocument::read(endless), Err(DocumentError::TooLong)));
    for nested in
        ["[".repeat(1 << 20), "{\"version\":".repeat(1 << 18), "{\"version\":1,\"logs\":".repeat(1 << 16)]
    {
        assert!(matches!(LogDocument::parse(nested.as_bytes()), Err(DocumentError::Json(_))));
    }
    let later = br#"{"version": 99, "something": ["new"]}"#;
    assert!(matches!(
        LogDocument::parse(later),
        Err(DocumentError::Version(AuditError::Version { found: 99, expected: 1 }))
    ));
    let twice = String::from_utf8(bytes).unwrap().replacen("\"claim\":", "\"claim\":null,\"claim\":", 1);
    assert!(LogDocument::parse(twice.as_bytes()).is_err());
}

/// Another byte that may stand where this one does, so that what follows is not merely another syntax.
const fn neighbour(byte: u8) -> u8 {
    match byte {
        b'9' => b'0',
        b'f' => b'a',
        b'0'..=b'8' | b'a'..=b'e' => byte + 1,
        _ => byte ^ 0x20,
    }
}

/// Changes every byte of a part of an exported document: it is refused, or the audit is the same in all that it says,
/// or it says that the claim is another.
fn change_each_byte(part: usize, parts: usize) {
    let deal = Deal { concurrency: 1, confidence: 1, ..deal() };
    let document = exported(&[&play(None, &deal, 7, &[(2, 9)])]);
    let expected = audit(&document, now()).unwrap();
    assert_eq!(expected.finding, Finding::Agrees);
    let bytes = serde_json::to_vec(&document).unwrap();
    let claim = bytes.windows(9).position(|window| window == b"\"claim\":{").unwrap();
    let (mut changed, mut refused) = (0, 0);
    for index in (part..bytes.len()).step_by(parts) {
        let mut bytes = bytes.clone();
        bytes[index] = neighbour(bytes[index]);
        changed += 1;
        match LogDocument::parse(&bytes).ok().and_then(|document| audit(&document, now()).ok()) {
            None => refused += 1,
            Some(found) if found == expected => {}
            Some(found) => {
                assert!(index > claim, "byte {index} of {}: {found:?}", bytes.len());
                assert_eq!((found.finding, &found.found), (Finding::Differs, &expected.found));
            }
        }
    }
    assert!(refused > changed * 9 / 10, "{refused} of {changed} refused");
}

// In parts, since they may run side by side and each has a minute.
#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_first_part() {
    change_each_byte(0, 3);
}

#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_second_part() {
    change_each_byte(1, 3);
}

#[test]
fn no_changed_byte_of_a_document_proves_anything_else_in_the_third_part() {
    change_each_byte(2, 3);
}
