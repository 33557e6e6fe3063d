//! A contract that counts in a token, as a user handles it. Needs Anvil.

use super::wallet::Rich;
use crate::contract::token::{TOKEN, give_tokens, place_token};

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_in_the_asset_of_the_contract_or_refused_with_its_name() {
    let mut rich = Rich::new().await;
    place_token(&rich.anvil.rpc_url);
    let token = TOKEN.to_string();
    let nothing = format!("0x{}", "11".repeat(20));
    rich.user.run(&["contract", "deploy", "--asset", &nothing]).assert(2).says(&[
        "there is no ERC-20 token at",
        &nothing,
        "leave out --asset",
    ]);
    let deployed = rich.deploy_of(&["--asset", &token]);
    assert_eq!(deployed["asset"], token.as_str());
    let info = rich.json(&["contract", "info"]);
    assert_eq!((&info["asset"]["symbol"], &info["asset"]["decimals"]), (&"TEST".into(), &6.into()));
    assert_eq!(info["code_is_ours"], true);
    give_tokens(&rich.anvil.rpc_url, rich.address(), 5_000_000);

    let run = |words: &[&str]| rich.user.run(words);
    assert_eq!(rich.json(&["wallet", "deposit", "2.5test"])["free"], "2500000");
    assert_eq!(rich.json(&["wallet", "withdraw", "0.5TEST"])["free"], "2000000");
    assert_eq!(rich.json(&["wallet", "withdraw", "1"])["free"], "1999999");
    let shown = run(&["wallet", "balance"]).assert(0).stdout;
    let (held, free) =
        ("On chain:  3.000001 TEST\nFor gas:   99", "Free:      1.999999 TEST\nLocked:    0 TEST\n");
    assert!(shown.contains(held) && shown.contains(free), "{shown}");
    let told = format!("which is TEST (the token {token}, 6 decimals)");
    run(&["wallet", "deposit", "1ether"]).assert(2).says(&["1ether is not in the asset", &told, "hint: "]);
    run(&["wallet", "deposit", "0.0000001test"]).assert(2).says(&["more decimals than its unit"]);
    run(&["wallet", "withdraw", "3test"]).assert(125).says(&["failed to withdraw 3 TEST"]);

    let image = format!("demo@sha256:{}", "0".repeat(64));
    let submit = |price: &str| {
        let words =
            ["job", "submit", "--dry-run", "--scheduler", "contract", "--price", price, &image, "true"];
        rich.user.run(&words)
    };
    let planned = submit("1.5test").assert(0).stdout;
    assert!(planned.contains("1.5 TEST a seat at most, bond 1.5 TEST"), "{planned}");
    assert!(planned.contains("at most 4.5 TEST") && planned.contains("worth more than 3 TEST"), "{planned}");
    submit("1.5usdc").assert(2).says(&["1.5usdc is not in the asset", &told]);
    let words = ["job", "submit", "--scheduler", "contract", "--price", "1ether", &image, "true"];
    run(&words).assert(2).says(&["1ether is not in the asset", &told]);
    let planned = submit("7").assert(0).stdout;
    assert!(planned.contains("0.000007 TEST a seat at most"), "{planned}");
    submit("1ether").assert(2).says(&["1ether is not in the asset", &told]);
    let planned = run(&["job", "submit", "--dry-run", "--price", "7", &image, "true"]).assert(0).stdout;
    assert!(planned.contains("7 units a seat at most, bond 7 units"), "{planned}");
    let serve = ["serve", "--scheduler", "contract", "--max-bond", "1ether"];
    let refused = run(&serve).assert(2);
    refused.says(&["1ether is not in the asset", &told]);
    assert!(!refused.stderr.contains("loading"), "no node was begun: {}", refused.stderr);
}
