//! `assay job submit --dry-run`: the job, its cost, and the cost of lying in it, without submitting.

use serde::Serialize;

use super::describe;
use crate::{
    cli::{CliError, asset, document::Document, output::Output, sweep::Sweep, text},
    domain::{Amount, Asset, AuditStage, Deal, Digest, Spec},
    policy::economics::{Checks, Evidence, Liar, Prospect, majority_ppm, prospect},
};

/// The share of all nodes that one owner is assumed to have, in percent.
const OWNED_PERCENT: u8 = 20;

/// The job that would be submitted, as JSON.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    image: &'a str,
    spec: &'a Spec,
    deal: &'a Deal,
    revision: Digest,
    /// The most that the requester locks; null if the sum is above the largest amount.
    escrow: Option<Amount>,
    /// What all amounts are counted in; absent for ether, null if no contract was named.
    #[serde(skip_serializing_if = "is_ether")]
    asset: Option<&'a Asset>,
    /// The number of such jobs.
    jobs: u32,
    liars: Vec<LiarView>,
    /// How often an owner of a fifth of all nodes has the majority, in millionths.
    majority_of_a_fifth_ppm: u32,
}

impl Document for Planned<'_> {}

fn is_ether(asset: &Option<&Asset>) -> bool {
    asset.is_some_and(Asset::is_ether)
}

/// The gains and losses of lying in this job.
#[derive(Debug, Serialize)]
struct LiarView {
    does: &'static str,
    unpaid_permille: u16,
    burnt_permille: u16,
    loses: Amount,
    pays_above: Amount,
    /// What the figures take for granted; null if nothing.
    assumes: Option<&'static str>,
}

/// Shows a job without submitting it. Neither looks up the image nor packs inputs. Without an asset, sums are so many of
/// the smallest units.
pub(super) fn show(
    spec: &Spec,
    deal: &Deal,
    sweep: Option<&Sweep>,
    asset: Option<&Asset>,
    output: Output,
) -> Result<(), CliError> {
    let checks = Checks::of(deal, spec.seeded);
    let prospects =
        Liar::ALL.map(|liar| (liar, prospect(&checks, liar), assumes(&checks, spec.seeded, liar)));
    let planned = Planned {
        image: &spec.image_name,
        spec,
        deal,
        revision: deal.revision(),
        escrow: deal.escrow(),
        asset,
        jobs: sweep.map_or(1, Sweep::jobs),
        liars: prospects.iter().map(view).collect(),
        majority_of_a_fifth_ppm: majority_ppm(deal.concurrency, OWNED_PERCENT),
    };
    output.result(&planned, || {
        let unnamed = asset::unnamed();
        let asset = asset.unwrap_or(&unnamed);
        let mut lines = vec![("Image", format!("{} (not looked up)", spec.image_name))];
        lines.extend(describe::program(spec));
        lines.extend(describe::room(spec));
        let mut after = vec![("Costs", costs(deal, asset))];
        after.extend(prospects.iter().map(|(liar, prospect, assumes)| {
            let assumes = assumes.map_or(String::new(), |what| format!("; assumes that {what}"));
            ("Lying", lying(deal, *liar, prospect, asset) + &assumes)
        }));
        after.push(("Cartel", cartel(planned.majority_of_a_fifth_ppm)));
        [
            describe::fields(&lines),
            describe::deal(deal, AuditStage::Undrawn, &[], asset),
            describe::fields(&after),
        ]
        .join("\n")
    })?;
    if let Some(sweep) = sweep {
        output.note(&format!("a sweep of {} such jobs, each with its own variables", sweep.jobs()));
    }
    output.note("nothing was submitted");
    Ok(())
}

fn view((liar, prospect, assumes): &(Liar, Prospect, Option<&'static str>)) -> LiarView {
    let Prospect { unpaid_permille, burnt_permille, loses, pays_above } = *prospect;
    LiarView { does: liar.text(), unpaid_permille, burnt_permille, loses, pays_above, assumes: *assumes }
}

/// An old output is wrong only if no two jobs have the same right output, as with a seed.
fn assumes(checks: &Checks, seeded: bool, liar: Liar) -> Option<&'static str> {
    match (liar, checks.evidence) {
        (Liar::Replayer, Evidence::Outputs) if !seeded => {
            Some("the right output follows from ASSAY_SEED; else the old one is right, and accepted")
        }
        (
            Liar::Idle | Liar::CutShort | Liar::Replayer | Liar::Copycat,
            Evidence::Outputs | Evidence::Traces(_),
        ) => None,
    }
}

fn costs(deal: &Deal, asset: &Asset) -> String {
    match deal.escrow() {
        Some(escrow) if escrow.is_zero() => "nothing: the price is 0".to_owned(),
        Some(escrow) => format!("at most {}; what is not paid out returns", asset.show(escrow)),
        None => "more than an amount can be".to_owned(),
    }
}

fn lying(deal: &Deal, liar: Liar, prospect: &Prospect, asset: &Asset) -> String {
    let Prospect { unpaid_permille, burnt_permille, pays_above, .. } = *prospect;
    let does = liar.text();
    if deal.price.is_zero() {
        let found = text::percent(unpaid_permille);
        return format!("a node that {does} would lose {found} of its pay; no money is at stake");
    }
    let burns = match burnt_permille {
        0 => "keeps its bond".to_owned(),
        burnt => format!("{} of its bond", text::percent(burnt)),
    };
    let unpaid = text::percent(unpaid_permille);
    let pays = if pays_above.is_zero() {
        "it always pays".to_owned()
    } else {
        format!("it pays for work worth more than {}", asset.show(pays_above))
    };
    format!("a node that {does} loses {unpaid} of its pay and {burns}: {pays}")
}

fn cartel(ppm: u32) -> String {
    format!(
        "the owner of {OWNED_PERCENT} % of all nodes has the majority in {}.{:02} % of such jobs, and lies there at no risk",
        ppm / 10_000,
        ppm % 10_000 / 100
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lying_costs_is_told_in_money_or_that_none_is_at_stake() {
        let ether = Amount::new(1_000_000_000_000_000_000).unwrap();
        let paid = Deal { price: ether, bond: ether, deterministic: true, ..Deal::default() };
        let said =
            |deal: &Deal, liar| lying(deal, liar, &prospect(&Checks::of(deal, false), liar), &Asset::Ether);
        assert_eq!(
            said(&paid, Liar::Idle),
            "a node that runs nothing loses 100 % of its pay and 100 % of its bond: it pays for work \
             worth more than 2 ether"
        );
        let random = Deal { deterministic: false, ..paid.clone() };
        assert_eq!(
            said(&random, Liar::Replayer),
            "a node that replays an old run loses 0 % of its pay and keeps its bond: it always pays"
        );
        assert_eq!(
            said(&Deal { deterministic: true, ..Deal::default() }, Liar::CutShort),
            "a node that stops at 60 % would lose 100 % of its pay; no money is at stake"
        );
        let needs_a_seed =
            |deal: &Deal, seeded| assumes(&Checks::of(deal, seeded), seeded, Liar::Replayer).is_some();
        assert!(needs_a_seed(&paid, false) && !needs_a_seed(&paid, true) && !needs_a_seed(&random, false));
        assert_eq!(assumes(&Checks::of(&paid, false), false, Liar::Idle), None);
        assert_eq!(costs(&paid, &Asset::Ether), "at most 3 ether; what is not paid out returns");
        assert!(cartel(104_000).contains("20 % of all nodes has the majority in 10.40 % of such jobs"));
    }
}
