use alloy_primitives::Uint;
use alloy_sol_types::Eip712Domain;
use proptest::prelude::*;

use super::*;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::new)
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<[u8; 20]>().prop_map(NodeId::new)
}

fn amounts() -> impl Strategy<Value = Amount> {
    (0..=Amount::MAX.units()).prop_map(|units| Amount::new(units).unwrap())
}

fn openings() -> impl Strategy<Value = Opening> {
    (digest(), digest(), any::<i32>(), any::<[[u8; 32]; 2]>(), digest()).prop_map(
        |(result_hash, output_root, exit_code, [word, summary], salt)| Opening {
            result_hash,
            output_root,
            exit_code,
            fingerprint: FingerprintWord(word),
            summary: SummaryWord(summary),
            salt,
        },
    )
}

fn deals() -> impl Strategy<Value = Deal> {
    let numbers = (any::<u8>(), any::<u8>(), any::<u32>(), any::<u16>(), any::<bool>(), any::<u32>());
    let terms = (amounts(), amounts(), amounts(), any::<[u32; 4]>(), any::<bool>(), any::<u8>());
    let near = (any::<bool>(), any::<u16>(), any::<u8>(), proptest::option::of(any::<[u8; 32]>()));
    let audit = proptest::option::of(any::<[u8; 32]>());
    let parent = proptest::option::of(any::<[u8; 32]>());
    let lists = (proptest::collection::vec(node(), 0..5), 0_u8..4, 0_u8..2, parent, near, audit);
    (numbers, terms, lists).prop_map(|(numbers, terms, lists)| Deal {
        concurrency: numbers.0,
        confidence: numbers.1,
        tolerance_kib: numbers.2,
        relative_permille: numbers.3,
        deterministic: numbers.4,
        min_paid: Amount::new(u128::from(numbers.5) << 40).unwrap(),
        price: terms.0,
        bond: terms.1,
        keeper_fee: terms.2,
        open: Span::from_secs(terms.3[0]),
        timeout: Span::from_secs(terms.3[1]),
        run: Span::from_secs(terms.3[2]),
        reveal: Span::from_secs(terms.3[3]),
        live_logs: terms.4,
        escalation_limit: terms.5,
        allow_list: lists.0,
        method: Method::try_from(lists.1).unwrap(),
        acceptance: Acceptance::from_index(lists.2).unwrap(),
        require_work: lists.4.0,
        cpu_permille: lists.4.1,
        canonical: Canonical::from_bits(lists.4.2),
        summary: lists.4.3.filter(|word| *word != [0; 32]).map(SummaryForm),
        audit: lists.5.filter(|word| *word != [0; 32]).map(Audit::from_word),
        parent: lists.3.map(JobId::new).filter(|parent| !parent.is_zero()),
    })
}

fn events() -> impl Strategy<Value = Event> {
    let seat_opening = (any::<u8>(), openings()).prop_map(|(seat, opening)| SeatOpening { seat, opening });
    let given = proptest::collection::vec(seat_opening, 0..=usize::from(MAX_SEATS));
    prop_oneof![
        (deals(), proptest::collection::vec(any::<u8>(), 0..300), any::<u64>())
            .prop_map(|(deal, spec, nonce)| Event::Submitted { deal, spec, nonce }),
        deals().prop_map(|deal| Event::DealUpdated { deal }),
        amounts().prop_map(|price| Event::BidPlaced { price }),
        node().prop_map(|node| Event::BidAccepted { node }),
        node().prop_map(|node| Event::BidRejected { node }),
        (0..FailureKind::ALL.len()).prop_map(|kind| Event::FailureReported { kind: FailureKind::ALL[kind] }),
        digest().prop_map(|commitment| Event::Committed { commitment }),
        any::<[u8; 32]>().prop_map(|secret| Event::SecretPublished { secret: AuditSecret::new(secret) }),
        (any::<u8>(), openings()).prop_map(|(seat, opening)| Event::Revealed { seat, opening }),
        (given, any::<u32>()).prop_map(|(openings, bits)| Event::VerdictPosted {
            openings,
            accepted: SeatSet::from_bits(bits)
        }),
        (node(), "[ -~]{0,256}").prop_map(|(node, remark)| Event::Remarked { node, remark }),
        prop_oneof![
            Just(Event::Cancelled),
            Just(Event::BidWithdrawn),
            Just(Event::Stopped),
            Just(Event::Expired),
            Just(Event::Ticked)
        ],
    ]
}

fn actions() -> impl Strategy<Value = SignedAction> {
    (digest(), digest(), any::<u64>(), digest(), events(), any::<[u8; 32]>()).prop_map(
        |(job, revision, sequence, seen, event, half)| {
            let mut signature = [7; 65];
            signature[..32].copy_from_slice(&half);
            let job = JobId::new(*job.as_bytes());
            let action = Action { job, revision, sequence, seen, event };
            SignedAction { action, signature: Signature::new(signature) }
        },
    )
}

proptest! {
    #[test]
    fn an_action_reads_back_from_its_bytes_and_from_json(signed in actions()) {
        let bytes = encode_action(&signed);
        prop_assert_eq!(decode_action(&bytes), Ok(signed.clone()));
        let utf8 = match &signed.action.event {
            Event::Submitted { spec, .. } => std::str::from_utf8(spec).is_ok(),
            _ => true,
        };
        if utf8 {
            let json = serde_json::to_string(&signed).unwrap();
            prop_assert_eq!(serde_json::from_str::<SignedAction>(&json).unwrap(), signed);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_what_was_signed(signed in actions(), at: prop::sample::Index, by in 1_u8..) {
        let mut bytes = encode_action(&signed);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert_ne!(decode_action(&bytes), Ok(signed));
    }

    #[test]
    fn truncated_and_extended_bytes_are_refused(signed in actions(), cut: prop::sample::Index) {
        let bytes = encode_action(&signed);
        prop_assert!(decode_action(&bytes[..cut.index(bytes.len())]).is_err());
        let extended = [bytes, vec![0; 32]].concat();
        prop_assert!(decode_action(&extended).is_err());
    }

    #[test]
    fn hostile_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), versioned: bool) {
        if let (true, Some(first)) = (versioned, bytes.first_mut()) {
            *first = ACTION_VERSION;
        }
        prop_assert!(decode_action(&bytes).is_err());
    }
}

#[test]
fn oversized_and_foreign_versions_are_refused_by_name() {
    assert_eq!(
        decode_action(&vec![ACTION_VERSION; MAX_ACTION_BYTES + 1]),
        Err(CodecError::TooLong { actual: MAX_ACTION_BYTES + 1 })
    );
    assert_eq!(decode_action(&[]), Err(CodecError::Version { found: None }));
    assert_eq!(decode_action(&[1, 0, 0]), Err(CodecError::Version { found: Some(1) }));
}

#[test]
fn the_largest_verdict_and_submission_fit() {
    let opening = SeatOpening {
        seat: 30,
        opening: Opening {
            result_hash: Digest::ZERO,
            output_root: Digest::ZERO,
            exit_code: i32::MIN,
            fingerprint: FingerprintWord::VOID,
            summary: SummaryWord::VOID,
            salt: Digest::ZERO,
        },
    };
    let deal = Deal { allow_list: vec![NodeId::ZERO; super::super::MAX_ALLOWED], ..Deal::default() };
    let events = [
        Event::VerdictPosted {
            openings: vec![opening; usize::from(MAX_SEATS)],
            accepted: SeatSet::from_bits(u32::MAX),
        },
        Event::Submitted { deal, spec: vec![b'x'; MAX_SPEC_BYTES], nonce: u64::MAX },
    ];
    for event in events {
        let action =
            Action { job: JobId::ZERO, revision: Digest::ZERO, sequence: 0, seen: Digest::ZERO, event };
        let signed = SignedAction { action, signature: Signature::new([0; 65]) };
        assert_eq!(decode_action(&encode_action(&signed)), Ok(signed));
    }
}

/// Pins the wire format: a change here breaks every peer and every stored log.
#[test]
fn the_bytes_of_version_2_stay_as_they_are() {
    let action = Action {
        job: JobId::new([1; 32]),
        revision: Digest::new([2; 32]),
        sequence: 3,
        seen: Digest::new([4; 32]),
        event: Event::Committed { commitment: Digest::new([5; 32]) },
    };
    let domain = LogDomain { chain_id: 31337, contract: NodeId::new([6; 20]) };
    let signed = SignedAction { action, signature: Signature::new([7; 65]) };
    insta::assert_snapshot!(format!(
        "{}\n{}",
        alloy_primitives::hex::encode(encode_action(&signed)),
        signed.action.signing_digest(domain)
    ));
}

#[test]
fn digests_are_those_of_eip_712_with_and_without_a_chain() {
    let event = Event::BidAccepted { node: NodeId::new([7; 20]) };
    let (job, seen) = (JobId::new([1; 32]), Digest::new([2; 32]));
    let action = Action { job, revision: Digest::new([3; 32]), sequence: 4, seen, event };
    for domain in [LogDomain::default(), LogDomain { chain_id: 31_337, contract: NodeId::new([5; 20]) }] {
        let (chain_id, contract) = (Uint::from(domain.chain_id), Address::from(domain.contract));
        let (name, version) = (Some("Assay".into()), Some("2".into()));
        let eip712 = Eip712Domain::new(name, version, Some(chain_id), Some(contract), None);
        let expected = Digest::from(envelope(&action).eip712_signing_hash(&eip712));
        assert_eq!(signing_digest(&action, domain), expected);
    }
}

#[test]
fn terms_have_one_form_wherever_their_list_seems_to_be() {
    let deal = Deal { allow_list: vec![NodeId::new([1; 20]), NodeId::new([2; 20])], ..Deal::default() };
    let sound = encode_deal(&deal);
    assert_eq!(decode_deal(&sound), Ok(deal));
    let words = sound.len() / 32;
    let mut other_forms = 0;
    for (word, offset) in (0..words).flat_map(|word| (0..words).map(move |offset| (word, offset))) {
        let mut bytes = sound.clone();
        bytes[32 * word..][..32].copy_from_slice(&Uint::<256, 4>::from(32 * offset).to_be_bytes::<32>());
        match decode_deal(&bytes) {
            Ok(deal) => assert_eq!(encode_deal(&deal), bytes),
            Err(error) => other_forms += usize::from(error == CodecError::NotCanonical),
        }
    }
    assert!(other_forms > 0, "a list elsewhere is still a list");
}
