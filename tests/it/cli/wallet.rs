//! Keys, their money and the contract, as a user handles them. Needs Anvil.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::Arc,
};

use assay::{
    devstack::anvil::{Anvil, AnvilOptions},
    domain::NodeId,
    scheduler::contract::DEPLOYER,
    tls::http_client,
};
use serde_json::{Value, json};
use tokio::{io::copy_bidirectional, net::TcpListener, net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{Seen, User};
use crate::contract::chain::rpc;

/// An account that everybody knows the key of.
const SECRET: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/// In wei.
const TEN_THOUSAND_ETHER: &str = "0x21e19e0c9bab2400000";

impl Seen {
    pub(super) fn assert(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        // Whatever happens to a key, nobody reads it on a screen.
        assert!(!format!("{}{}", self.stdout, self.stderr).contains(&SECRET[2..]));
        self
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stderr))
    }

    pub(super) fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not said: {}", self.stderr);
        }
    }
}

#[test]
fn a_new_key_is_private_and_opened_by_its_passphrase_alone() {
    let mut user = User::new();
    fs::write(user.home.path().join("right"), "open sesame\nnot this line\n").unwrap();
    fs::write(user.home.path().join("wrong"), "close sesame\n").unwrap();
    let new = ["wallet", "new", "--key", "key.json", "--passphrase-file", "right"];
    let made = user.run(&new).assert(0);
    let file = user.home.path().join("key.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    user.run(&new).assert(2).says(&["key.json", "never overwritten"]);
    assert_eq!(fs::read(&file).unwrap(), before);

    let show = ["wallet", "show", "--key", "key.json"];
    let shown = user.run(&[&show[..], &["--passphrase-file", "right"]].concat()).assert(0);
    assert_eq!(shown.stdout, made.stdout);
    let wrong = user.run(&[&show[..], &["--passphrase-file", "wrong"]].concat()).assert(2);
    wrong.says(&["cannot open the keystore key.json", "the passphrase is wrong"]);
    user.set = vec![("ASSAY_PASSPHRASE", "open sesame".to_owned()), ("ASSAY_KEY", "key.json".to_owned())];
    let shown = user.run(&["wallet", "show", "--output", "json"]).assert(0).json();
    assert_eq!(shown["address"], made.stdout.trim());
}

#[test]
fn a_key_is_imported_from_standard_input_or_a_file_and_never_from_an_argument() {
    let user = User::new();
    let import = ["wallet", "import", "--plain", "--key", "node.key"];
    let imported = user.run_with(&import, &format!("{SECRET}\n")).assert(0);
    assert_eq!(imported.stdout.trim(), ADDRESS);
    assert_eq!(user.run(&["wallet", "show", "--key", "node.key"]).assert(0).stdout.trim(), ADDRESS);
    let again = ["wallet", "import", "--plain", "--key", "copy.key", "node.key"];
    assert_eq!(user.run(&again).assert(0).stdout.trim(), ADDRESS);
    user.run_with(&["wallet", "import", "--plain", "--key", "bad.key"], "0x1234\n")
        .assert(2)
        .says(&["- holds no key: expected 64 hex digits"]);
    assert!(!user.home.path().join("bad.key").exists());
    user.run(&["wallet", "show"]).assert(2).says(&["no key was given", "--key"]);
    user.run(&["wallet", "show", "--key", "none"]).assert(2).says(&["none", "assay wallet new"]);
}

#[test]
fn without_a_terminal_a_passphrase_is_not_waited_for() {
    let user = User::new();
    let assay = user.command(&["wallet", "new", "--key", "key.json"]);
    // A session of its own has no terminal, wherever the tests run.
    let mut detached = Command::new("setsid");
    detached.arg("--wait").arg(assay.get_program()).args(assay.get_args()).current_dir(user.home.path());
    for (name, value) in assay.get_envs() {
        match value {
            Some(value) => detached.env(name, value),
            None => detached.env_remove(name),
        };
    }
    let seen = Seen::new(&detached.stdin(Stdio::null()).output().unwrap()).assert(2);
    seen.says(&["key.json needs a passphrase", "no terminal", "--passphrase-file", "ASSAY_PASSPHRASE"]);
    assert!(!user.home.path().join("key.json").exists());
}

/// A user with ether on a chain of their own.
pub(super) struct Rich {
    pub(super) user: User,
    pub(super) anvil: Anvil,
}

impl Rich {
    pub(super) async fn new() -> Self {
        let anvil = Anvil::start(AnvilOptions::default()).await.expect("these tests need Anvil");
        let params = [ADDRESS, TEN_THOUSAND_ETHER];
        let give = json!({ "jsonrpc": "2.0", "id": 1, "method": "anvil_setBalance", "params": params });
        let given = http_client().build().unwrap().post(&anvil.rpc_url).json(&give).send().await;
        given.and_then(reqwest::Response::error_for_status).unwrap();
        let mut user = User::new();
        user.set = vec![("ASSAY_KEY", "key".to_owned()), ("ASSAY_RPC_URL", anvil.rpc_url.clone())];
        user.run_with(&["wallet", "import", "--plain"], SECRET).assert(0);
        Self { user, anvil }
    }

    /// How many transactions of this user's are in blocks.
    pub(super) fn sent(&self) -> u64 {
        let count = rpc(&self.anvil.rpc_url, "eth_getTransactionCount", &json!([ADDRESS, "latest"]));
        u64::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    pub(super) fn deploy(&mut self) -> Value {
        self.deploy_of(&[])
    }

    pub(super) fn deploy_of(&mut self, flags: &[&str]) -> Value {
        let deployed = self.json(&[&["contract", "deploy"], flags].concat());
        self.user.set.push(("ASSAY_CONTRACT", deployed["contract"].as_str().unwrap().to_owned()));
        deployed
    }

    pub(super) fn address(&self) -> NodeId {
        ADDRESS.parse().unwrap()
    }

    pub(super) fn json(&self, words: &[&str]) -> Value {
        self.user.run(&[words, &["--output", "json"]].concat()).assert(0).json()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_deployed_and_money_goes_in_and_out_of_it() {
    let mut rich = Rich::new().await;
    let deployed = rich.deploy();
    assert_eq!((&deployed["chain_id"], &deployed["first_block"]), (&31337.into(), &1.into()));
    assert!(deployed["gas"].as_u64().unwrap() > 1_000_000, "{deployed}");
    let again = rich.json(&["contract", "deploy"]);
    assert_eq!((&again["contract"], again.get("gas")), (&deployed["contract"], None), "it is there already");
    assert_eq!((&deployed["everywhere"], rich.sent()), (&true.into(), 1));
    let info = rich.json(&["contract", "info"]);
    assert_eq!((&info["contract"], &info["burnt"]), (&deployed["contract"], &"0".into()));
    assert_eq!((&info["code_is_ours"], &info["contract_version"]), (&true.into(), &"2".into()));

    let deposited = rich.json(&["wallet", "deposit", "1.5ether"]);
    assert_eq!((&deposited["block"], &deposited["free"]), (&2.into(), &"1500000000000000000".into()));
    assert_eq!(deposited["transaction"].as_str().unwrap().len(), 66);
    let withdrawn = rich.json(&["wallet", "withdraw", "0.5ether"]);
    assert_eq!(withdrawn["free"], "1000000000000000000");
    let balance = rich.json(&["wallet", "balance"]);
    assert_eq!((&balance["address"], &balance["locked"]), (&ADDRESS.into(), &"0".into()));
    let ether: u128 = balance["ether"].as_str().unwrap().parse().unwrap();
    assert!((9_998_000_000_000_000_000_000..9_999_000_000_000_000_000_000).contains(&ether), "{ether}");
    let shown = rich.user.run(&["wallet", "balance", ADDRESS, "--key", "none"]).assert(0);
    assert!(shown.stdout.contains("Free:      1 ether\nLocked:    0 wei\n"), "{}", shown.stdout);

    let run = |words: &[&str]| rich.user.run(words);
    run(&["wallet", "withdraw", "2ether"]).assert(125).says(&[
        "failed to withdraw 2 ether",
        "refused by the contract",
        "assay wallet balance",
    ]);
    run(&["wallet", "deposit", "20000ether"]).assert(125).says(&["cannot pay", ADDRESS, "send ether to"]);
    run(&["wallet", "deposit", "all"]).assert(2).says(&["such as 5gwei, 0.1ether or 1.5usdc"]);
    let nowhere = format!("0x{}", "11".repeat(20));
    run(&["contract", "info", "--contract", &nowhere]).assert(2).says(&["there is no contract at", &nowhere]);
    run(&["contract", "info", "--chain-id", "1"]).assert(2).says(&["serves chain 31337, not 1"]);
    run(&["contract", "deploy", "--chain-id", "1"]).assert(2).says(&["serves chain 31337, not 1"]);
    run(&["contract", "info", "--rpc-url", "http://127.0.0.1:9"]).assert(124).says(&[
        "http://127.0.0.1:9: ",
        "refused",
        "hint: check --rpc-url",
    ]);
    run(&["contract", "info", "--rpc-url", "ftp://host"]).assert(2).says(&["https://"]);
    rich.user.set.clear();
    rich.user.run(&["contract", "info"]).assert(2).says(&["--contract is missing", "ASSAY_CONTRACT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_has_one_address_on_every_chain_that_has_the_deployer() {
    let (mut one, mut other) = (Rich::new().await, Rich::new().await);
    // Another nonce, and so another address, if the sender counted.
    rpc(&other.anvil.rpc_url, "anvil_setNonce", &json!([ADDRESS, "0x7"]));
    assert_eq!(one.deploy()["contract"], other.deploy()["contract"]);
    let bare = Rich::new().await;
    let deployer = DEPLOYER.to_string();
    rpc(&bare.anvil.rpc_url, "anvil_setCode", &json!([deployer, "0x"]));
    let seen = bare.user.run(&["contract", "deploy", "--output", "json"]).assert(0);
    let deployed = seen.json();
    assert_eq!(deployed["everywhere"], false);
    assert_ne!(deployed["contract"], one.json(&["contract", "deploy"])["contract"]);
    seen.says(&["this chain has no deployer at", &deployer]);
}

/// Speaks TLS before a server that does not.
struct TlsFront {
    port: u16,
    _server: JoinSet<()>,
}

impl TlsFront {
    async fn start(backend: String, certified: &rcgen::CertifiedKey) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let key = rustls::pki_types::PrivateKeyDer::try_from(certified.key_pair.serialize_der()).unwrap();
        let config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, backend) = (acceptor.clone(), backend.clone());
                connections.spawn(async move {
                    // Who does not trust the certificate hangs up.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut backend = TcpStream::connect(backend).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut backend).await;
                });
            }
        });
        Self { port, _server: server }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_reached_over_tls_if_its_certificate_is_trusted() {
    let mut rich = Rich::new().await;
    rich.deploy();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let address = rich.anvil.rpc_url.strip_prefix("http://").unwrap().to_owned();
    let front = TlsFront::start(address, &certified).await;
    let authority = rich.user.home.path().join("authority.pem");
    fs::write(&authority, certified.cert.pem()).unwrap();
    for scheme in ["https", "wss"] {
        let url = format!("{scheme}://localhost:{}/?key=secret-of-the-provider", front.port);
        let words = ["contract", "info", "--rpc-url", &url];
        let refused = rich.user.run(&words).assert(124);
        refused.says(&["invalid peer certificate", "SSL_CERT_FILE"]);
        assert!(!refused.stderr.contains("secret-of-the-provider"), "{}", refused.stderr);
        rich.user.set.push(("SSL_CERT_FILE", authority.to_str().unwrap().to_owned()));
        rich.user.run(&words).assert(0);
        rich.user.set.pop();
    }
    // Plain HTTP needs no authority at all.
    rich.user.set.push(("SSL_CERT_FILE", "/dev/null".to_owned()));
    rich.user.run(&["contract", "info"]).assert(0);
}
