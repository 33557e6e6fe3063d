use super::*;
use crate::{
    cli::args::deal::FirstComeArg,
    domain::{Span, Term},
    explain::Hint as _,
};

fn resolve(args: &DealArgs) -> Result<Deal, SettingsError> {
    deal(args, Deal::default(), &Asset::Ether)
}

#[test]
fn no_arguments_are_the_default_deal() {
    assert_eq!(resolve(&DealArgs::default()).unwrap(), Deal::default());
}

#[test]
fn confidence_follows_concurrency_unless_given() {
    for (concurrency, confidence) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (31, 16)] {
        let args = DealArgs { concurrency: Some(concurrency), ..DealArgs::default() };
        assert_eq!(resolve(&args).unwrap().confidence, confidence);
    }
    let args = DealArgs { concurrency: Some(5), confidence: Some(5), ..DealArgs::default() };
    assert_eq!(resolve(&args).unwrap().confidence, 5);
}

#[test]
fn a_build_is_judged_by_equal_outputs_and_alike_work() {
    let build = DealArgs { verified_build: true, ..DealArgs::default() };
    let spelled = DealArgs { method: Some(Method::Hash), require_work: true, ..DealArgs::default() };
    let deal = resolve(&build).unwrap();
    assert!(deal.require_work && deal.method == Method::Hash);
    assert_eq!(deal, resolve(&spelled).unwrap());
}

#[test]
fn the_run_leaves_room_for_the_timeout() {
    let secs = Span::from_secs;
    let args = DealArgs { timeout: Some(secs(10)), ..DealArgs::default() };
    assert_eq!(resolve(&args).unwrap().run, secs(130));
    let args = DealArgs { run: Some(secs(69)), ..args };
    assert!(matches!(resolve(&args), Err(SettingsError::Term(InvalidTerm { term: Term::Run, .. }))));
}

#[test]
fn impossible_terms_are_refused_with_the_remedy() {
    let error = |args: DealArgs| resolve(&args).unwrap_err();
    let over = error(DealArgs { confidence: Some(4), ..DealArgs::default() });
    assert_eq!(over.hint().as_deref(), Some("lower --confidence, or raise --concurrency"));
    for args in [
        DealArgs { concurrency: Some(0), ..DealArgs::default() },
        DealArgs { concurrency: Some(32), ..DealArgs::default() },
        DealArgs { relative_permille: Some(1001), ..DealArgs::default() },
        DealArgs { escalate: Some(2), ..DealArgs::default() },
        DealArgs { reveal: Some(Span::from_secs(5)), ..DealArgs::default() },
        DealArgs { acceptance: Some(AcceptanceArg::FirstCome), ..DealArgs::default() },
    ] {
        assert!(error(args).hint().is_some());
    }
}

#[test]
fn numbers_are_not_compared_where_outputs_alone_count() {
    let summary = Some("exact".parse().unwrap());
    let both = DealArgs { summary, deterministic: true, ..DealArgs::default() };
    let error = resolve(&both).unwrap_err();
    assert!(matches!(error, SettingsError::NearDeterministic) && error.hint().is_some(), "{error}");
    assert!(resolve(&DealArgs { summary, ..DealArgs::default() }).is_ok());
}

#[test]
fn required_work_widens_the_tolerances_that_nobody_gave() {
    let asks = || DealArgs { method: Some(Method::Hash), require_work: true, ..DealArgs::default() };
    let args = asks();
    let tolerances = |args: &DealArgs, base: Deal| {
        let deal = deal(args, base, &Asset::Ether).unwrap();
        assert!(deal.require_work);
        (deal.relative_permille, deal.cpu_permille)
    };
    assert_eq!(tolerances(&args, Deal::default()), (500, 500));
    let given = DealArgs { relative_permille: Some(300), ..asks() };
    assert_eq!(tolerances(&given, Deal::default()), (300, 500));
    let base = Deal { cpu_permille: 100, ..Deal::default() };
    assert_eq!(tolerances(&args, base), (500, 100), "an update keeps what the job had");
    let base = Deal { method: Method::Hash, require_work: true, ..Deal::default() };
    assert_eq!(tolerances(&args, base), (300, 333), "it asked for work already");
}

#[test]
fn first_come_needs_a_guard_or_a_word() {
    let first = DealArgs { acceptance: Some(AcceptanceArg::FirstCome), ..DealArgs::default() };
    assert!(matches!(resolve(&first), Err(SettingsError::OpenFirstCome)));
    let open = DealArgs { first_come: Some(FirstComeArg::Open), ..first };
    assert_eq!(resolve(&open).unwrap().acceptance, Acceptance::FirstCome);
    let guarded = DealArgs { first_come: None, allow: vec![NodeId::ZERO; 2], ..open };
    assert_eq!(resolve(&guarded).unwrap().allow_list, [NodeId::ZERO]);
}

#[test]
fn an_api_address_is_a_host_and_a_port() {
    assert_eq!(api_url("127.0.0.1:9").unwrap().as_str(), "http://127.0.0.1:9/");
    assert_eq!(api_url("http://host:9/").unwrap().as_str(), "http://host:9/");
    for bad in ["", "https://host:9", "http://host:9/api", "http://", "http://host:99999"] {
        assert!(api_url(bad).is_err(), "{bad:?}");
    }
}
