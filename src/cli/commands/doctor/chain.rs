//! The endpoints of a chain, the contract behind each, and the clock.

use futures::future::join_all;

use super::finding::Finding;
use crate::{
    cli::{args::DoctorArgs, error::connect_hint, text},
    domain::Timestamp,
    explain::one_line,
    node::{Obstacle, Warning, wall_clock},
    scheduler::contract::{ConnectError, ContractReader, Probe, probe},
};

/// How old a newest block may be on a chain with regular blocks, and how far in the future, in seconds.
const OLD_S: u64 = 60;
const AHEAD_S: u64 = 30;

/// How many blocks an endpoint may be behind the best one.
const BEHIND: u64 = 3;

/// An endpoint, what it answered, and when.
pub(super) type Endpoint = (Result<Probe, ConnectError>, Timestamp);

/// Asks every endpoint.
pub(super) async fn endpoints(urls: &[String]) -> Vec<Endpoint> {
    join_all(urls.iter().map(async |url| {
        let answer = probe(url).await;
        (answer, wall_clock())
    }))
    .await
}

/// What the endpoints and the contract are like.
pub(super) async fn findings(args: &DoctorArgs, endpoints: &[Endpoint]) -> Vec<Finding> {
    if endpoints.is_empty() {
        let hint = "name an endpoint with --rpc-url or ASSAY_RPC_URL to use a contract";
        return vec![Finding::skip("rpc", "no chain was named", hint)];
    }
    let best = endpoints.iter().filter_map(|(answer, _)| Some(answer.as_ref().ok()?.block)).max();
    let mut findings: Vec<Finding> =
        endpoints.iter().map(|endpoint| rpc(endpoint, best.unwrap_or_default())).collect();
    findings.push(chain_id(endpoints, args.chain.rpc.chain_id));
    findings.extend(contract(args).await);
    findings
}

/// One endpoint, compared with the highest block that any of them knows.
fn rpc((answer, now): &Endpoint, best: u64) -> Finding {
    const CHECK: &str = "rpc";
    let probe = match answer {
        Ok(probe) => probe,
        Err(error) => return Finding::fail(CHECK, one_line(error), connect_hint(error)),
    };
    let Probe { shown, block, block_at, took, is_for_development, .. } = probe;
    let age = now.as_secs().saturating_sub(block_at.as_secs());
    let found =
        format!("{shown} answers in {} ms, at block {block}, {} old", took.as_millis(), text::span(age));
    let behind = best.saturating_sub(*block);
    if behind > BEHIND {
        let hint = "drop this endpoint, or wait until it has caught up";
        return Finding::warn(CHECK, format!("{found}; {behind} blocks behind another endpoint"), hint);
    }
    if age > OLD_S && !is_for_development {
        let hint = "compare with another endpoint: this one lags, the chain stands still, or this machine's clock is ahead";
        return Finding::warn(CHECK, found, hint);
    }
    Finding::ok(CHECK, found)
}

/// Whether all endpoints serve one chain, and the one that the user expects.
fn chain_id(endpoints: &[Endpoint], expected: Option<u64>) -> Finding {
    const CHECK: &str = "chain";
    let answered = endpoints.iter().filter_map(|(answer, _)| answer.as_ref().ok());
    let mut ids: Vec<u64> = answered.map(|probe| probe.chain_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let all = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match (&ids[..], expected) {
        ([], _) => Finding::skip(CHECK, "no endpoint answers", "mend the endpoint first"),
        ([id], Some(expected)) if *id != expected => Finding::fail(
            CHECK,
            format!("the chain is {id}, not {expected}"),
            Some("check --rpc-url and --chain-id".to_owned()),
        ),
        ([id], _) => Finding::ok(CHECK, format!("id {id}")),
        (_, _) => Finding::fail(
            CHECK,
            format!("the endpoints serve different chains: {all}"),
            Some("name endpoints of one chain".to_owned()),
        ),
    }
}

/// The contract, as each endpoint shows it.
async fn contract(args: &DoctorArgs) -> Vec<Finding> {
    const CHECK: &str = "contract";
    let Some(contract) = args.chain.contract else {
        let hint = "name one with --contract or ASSAY_CONTRACT; assay contract deploy makes one";
        return vec![Finding::skip(CHECK, "no contract was named", hint)];
    };
    let look =
        async |url: &String| match ContractReader::connect(std::slice::from_ref(url), contract, None).await {
            Ok(reader) if reader.code().is_ours => Finding::ok(
                CHECK,
                format!("{contract} has the code of this program, {} bytes", reader.code().bytes),
            ),
            Ok(reader) => Finding::warn(
                CHECK,
                format!("{contract} has the code of another build, {}", reader.code().hash),
                "compare it with assay contract info, and use it only if you trust who deployed it",
            ),
            Err(error) => Finding::fail(CHECK, one_line(&error), connect_hint(&error)),
        };
    let mut findings = join_all(args.chain.rpc.rpc_url.iter().map(look)).await;
    findings.dedup();
    findings
}

/// This machine's clock, compared with the chain's newest block and with what the node hears from its peers.
pub(super) fn clock(endpoints: &[Endpoint], node: Option<&[Warning]>) -> Finding {
    const CHECK: &str = "clock";
    let mut warnings = node.into_iter().flatten();
    if let Some(warning) = warnings.find(|warning| warning.obstacle == Obstacle::WrongClock) {
        return Finding::fail(CHECK, warning.message.clone(), Some(warning.hint.clone()));
    }
    let answered = endpoints.iter().filter_map(|(answer, now)| Some((answer.as_ref().ok()?, now)));
    let ahead = |(probe, now): (&Probe, &Timestamp)| probe.block_at.as_secs().saturating_sub(now.as_secs());
    match (answered.map(ahead).max(), node) {
        (Some(ahead), _) if ahead > AHEAD_S => Finding::fail(
            CHECK,
            format!("the newest block is {} in the future of this machine", text::span(ahead)),
            Some("set this machine's clock (ntp)".to_owned()),
        ),
        (Some(_), _) => Finding::ok(CHECK, "it is not behind the newest block"),
        (None, Some(_)) => Finding::ok(CHECK, "the node finds it close to the clocks of its peers"),
        (None, None) => {
            let hint = "compare date -u with another machine, or start a node, which compares with its peers";
            Finding::skip(CHECK, "neither a chain nor peers to compare with", hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{cli::commands::doctor::finding::State, scheduler::BackendError};

    const NOW: Timestamp = Timestamp::from_secs(100_000);

    fn endpoint(chain_id: u64, block: u64, block_at: u64) -> Endpoint {
        let probe = Probe {
            shown: "http://here".to_owned(),
            chain_id,
            block,
            block_at: Timestamp::from_secs(block_at),
            took: Duration::from_millis(7),
            is_for_development: false,
        };
        (Ok(probe), NOW)
    }

    fn away() -> Endpoint {
        (Err(ConnectError::Chain(BackendError::Chain { reason: "refused".to_owned() })), NOW)
    }

    #[test]
    fn an_endpoint_that_lags_is_told_with_how_far() {
        let fresh = rpc(&endpoint(1, 50, 99_990), 50);
        assert_eq!(fresh, Finding::ok("rpc", "http://here answers in 7 ms, at block 50, 10s old"));
        let behind = rpc(&endpoint(1, 46, 99_990), 50);
        assert_eq!(behind.state, State::Warn);
        assert!(behind.found.ends_with("4 blocks behind another endpoint"), "{}", behind.found);
        let old = rpc(&endpoint(1, 50, 99_900), 50);
        assert_eq!(old.state, State::Warn);
        let (Ok(probe), now) = endpoint(31_337, 50, 99_900) else { unreachable!("it answers") };
        let quiet = Probe { is_for_development: true, ..probe };
        assert_eq!(rpc(&(Ok(quiet), now), 50).state, State::Ok, "blocks come with transactions there");
        let away = rpc(&away(), 50);
        assert_eq!(away.state, State::Fail);
        assert!(away.hint.unwrap().contains("--rpc-url"));
    }

    #[test]
    fn endpoints_of_two_chains_or_of_an_unexpected_one_fail() {
        let one = [endpoint(1, 5, 99_999), away()];
        assert_eq!(chain_id(&one, None), Finding::ok("chain", "id 1"));
        assert_eq!(chain_id(&one, Some(1)).state, State::Ok);
        assert_eq!(chain_id(&one, Some(2)).state, State::Fail);
        let two = [endpoint(1, 5, 99_999), endpoint(2, 5, 99_999)];
        assert_eq!(chain_id(&two, None).found, "the endpoints serve different chains: 1, 2");
        assert_eq!(chain_id(&[away()], None).state, State::Skip);
    }

    #[test]
    fn a_clock_behind_the_chain_or_its_peers_fails() {
        let warning = Warning {
            obstacle: Obstacle::WrongClock,
            job: None,
            since: NOW,
            message: "300 s behind".to_owned(),
            hint: "set it".to_owned(),
        };
        let off = clock(&[], Some(&[warning]));
        assert_eq!(off, Finding::fail("clock", "300 s behind", Some("set it".to_owned())));
        assert_eq!(clock(&[endpoint(1, 5, 100_031)], None).state, State::Fail);
        assert_eq!(clock(&[endpoint(1, 5, 100_030)], None).state, State::Ok);
        assert_eq!(clock(&[away()], None).state, State::Skip);
        assert_eq!(clock(&[], Some(&[])).state, State::Ok);
    }
}
