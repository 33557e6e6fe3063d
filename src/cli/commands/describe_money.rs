//! The money of a job: who locked what, and where it went.

use std::cmp::Ordering;

use crate::{
    api::types::{MoneyView, PartyMoney},
    cli::{output::table, text},
    domain::{Asset, NodeId},
};

/// One line for each party, and one for burnt money.
pub(super) fn money_table(money: &MoneyView, requester: NodeId, asset: &Asset) -> String {
    let rows = money.parties.iter().map(|party| {
        let role = if party.node == requester { "requester" } else { "" };
        let paid = party.paid.map_or("-".to_owned(), |paid| asset.show(paid));
        vec![text::node(party.node), role.to_owned(), asset.show(party.locked), paid, gain(party, asset)]
    });
    let table = table(&["PARTY", "", "LOCKED", "PAID OUT", "GAIN"], rows);
    let burnt = money.burnt.map_or(String::new(), |burnt| format!("Burnt: {}\n", asset.show(burnt)));
    format!("{table}{burnt}")
}

/// How much more or less a party has than before the job.
fn gain(party: &PartyMoney, asset: &Asset) -> String {
    let Some(paid) = party.paid else { return "-".to_owned() };
    let difference = asset.show(paid.abs_diff(party.locked));
    match paid.cmp(&party.locked) {
        Ordering::Equal => "0".to_owned(),
        Ordering::Greater => format!("+{difference}"),
        Ordering::Less => format!("-{difference}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Amount;

    #[test]
    fn gains_and_losses_have_a_sign() {
        let wei = |units| Amount::new(units).unwrap();
        let gain_of = |locked, paid| {
            gain(
                &PartyMoney { node: NodeId::ZERO, locked: wei(locked), paid: Some(wei(paid)) },
                &Asset::Ether,
            )
        };
        assert_eq!(gain_of(5, 8), "+3 wei");
        assert_eq!(gain_of(5, 5), "0");
        assert_eq!(gain_of(5, 0), "-5 wei");
        assert_eq!(gain(&PartyMoney { node: NodeId::ZERO, locked: wei(5), paid: None }, &Asset::Ether), "-");
    }
}
