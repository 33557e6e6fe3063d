//! The contract as anybody reads it, without a key: checked when it connects, asked at its newest block.

use std::{fmt, sync::Arc};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, Bytes, U256, keccak256},
    providers::Provider,
};
use alloy_sol_types::SolCall;

use super::{
    abi::IJobScheduler as abi,
    artifact::{CodeHashes, code_hashes},
    error::{ConnectError, MoneyError},
    newest::header,
    rpc::Endpoints,
    sender::request,
    token,
};
use crate::{
    domain::{Amount, Asset, Digest, LogDomain, NodeId, Timestamp},
    scheduler::BackendError,
};

/// What a party has in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// May be locked by jobs, or withdrawn, in wei.
    pub free: Amount,
    /// Seats ever taken.
    pub seats: u32,
    /// What verdicts paid it, in wei.
    pub paid: Amount,
    /// Seats that a verdict found to disagree.
    pub rejected: u32,
    /// Failures reported.
    pub failures: u32,
}

/// The code at the contract's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Its length.
    pub bytes: usize,
    /// Its Keccak-256, as explorers show it.
    pub hash: Digest,
    /// Whether it, and that of its rare steps, is the code that this program deploys, byte for byte.
    pub is_ours: bool,
}

/// A way to read the contract.
#[derive(Clone)]
pub struct ContractReader {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) contract: Address,
    domain: LogDomain,
    code: Code,
    asset: Arc<Asset>,
}

impl ContractReader {
    /// Connects, and checks that chain and contract are what is expected.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(
        rpc_urls: &[String],
        contract: NodeId,
        expected_chain: Option<u64>,
    ) -> Result<Self, ConnectError> {
        let endpoints = Arc::new(Endpoints::new(rpc_urls)?);
        let chain_id = chain_id(&endpoints, expected_chain).await?;
        let address = Address::from(contract);
        let code = code_at(&endpoints, address).await?;
        if code.is_empty() {
            return Err(ConnectError::NoCode { contract, chain_id });
        }
        // The contract runs code of a second one on its own storage: the first that it created.
        let rare_steps = code_at(&endpoints, address.create(1)).await?;
        let hashes = CodeHashes { scheduler: keccak256(&code), rare_steps: keccak256(&rare_steps) };
        let code = Code { bytes: code.len(), hash: hashes.scheduler.into(), is_ours: false };
        let domain = LogDomain { chain_id, contract };
        let asset = Arc::new(Asset::Ether);
        let reader = Self { endpoints, contract: address, domain, code, asset };
        let expected = reader.domain.eip712().separator();
        let older = |found| {
            let mut versions = LogDomain::OLDER_SIGNING_VERSIONS.into_iter();
            versions.find(|version| found == reader.domain.eip712_of(version).separator())
        };
        match reader.view(abi::domainSeparatorCall {}).await {
            Ok(found) if found == expected => reader.with_asset(hashes).await,
            Ok(found) => Err(match older(found) {
                Some(version) => ConnectError::OlderContract { contract, chain_id, version },
                None => ConnectError::OtherContract { contract, chain_id },
            }),
            Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => {
                Err(ConnectError::OtherContract { contract, chain_id })
            }
            Err(MoneyError::Chain(error)) => Err(ConnectError::Chain(error)),
        }
    }

    /// Asks for the asset, which never changes, and compares the code, of which the asset is a part. A contract that does not
    /// say counts in ether, as those did that were built before there were others; its code is not ours.
    async fn with_asset(self, found: CodeHashes) -> Result<Self, ConnectError> {
        let address = match self.view(abi::assetCall {}).await {
            Ok(address) => NodeId::from(address),
            Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => NodeId::ZERO,
            Err(MoneyError::Chain(error)) => return Err(ConnectError::Chain(error)),
        };
        let asset = match address {
            NodeId::ZERO => Asset::Ether,
            address => Asset::Token(token::describe(&self.endpoints, address).await?),
        };
        let code = Code { is_ours: found == code_hashes(asset.token()), ..self.code };
        Ok(Self { code, asset: Arc::new(asset), ..self })
    }

    /// What the contract counts money in.
    pub fn asset(&self) -> &Asset {
        &self.asset
    }

    /// What signatures in the contract's log are bound to.
    pub const fn domain(&self) -> LogDomain {
        self.domain
    }

    /// The version of the contract: that of the domain of its signatures.
    pub const fn version(&self) -> &'static str {
        LogDomain::SIGNING_VERSION
    }

    /// The code at its address.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What a party has in the contract, as of the newest block.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn account(&self, party: NodeId) -> Result<Account, MoneyError> {
        let found = self.view(abi::accountsCall { party: party.into() }).await?;
        let (free, paid) = (amount(U256::from(found.free))?, amount(U256::from(found.paid))?);
        let abi::Account { seats, rejected, failures, .. } = found;
        Ok(Account { free, seats, paid, rejected, failures })
    }

    /// What was burnt so far.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn burnt(&self) -> Result<Amount, MoneyError> {
        amount(self.view(abi::burntCall {}).await?)
    }

    /// What a party, or the contract itself, has on the chain, in wei.
    ///
    /// # Errors
    /// [`MoneyError::Chain`].
    pub async fn ether(&self, party: NodeId) -> Result<U256, MoneyError> {
        let address = Address::from(party);
        let asked = self.endpoints.ask(|provider| async move { provider.get_balance(address).await });
        asked.await.map_err(|error| MoneyError::Chain(error.into()))
    }

    /// What a party, or the contract itself, has of the asset on the chain.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub async fn holding(&self, party: NodeId) -> Result<U256, MoneyError> {
        match &*self.asset {
            Asset::Ether => self.ether(party).await,
            Asset::Token(token) => token::balance_of(&self.endpoints, token.address, party).await,
        }
    }

    /// The newest block, and its time.
    ///
    /// # Errors
    /// [`BackendError::Chain`].
    pub async fn head(&self) -> Result<(u64, Timestamp), BackendError> {
        let asked =
            self.endpoints.ask(|provider| async move { header(&provider, BlockNumberOrTag::Latest).await });
        let head = asked.await?;
        Ok((head.number, Timestamp::from_secs(head.timestamp)))
    }

    pub(super) async fn view<C: SolCall>(&self, call: C) -> Result<C::Return, MoneyError> {
        let data = Bytes::from(call.abi_encode());
        let request = request(Address::ZERO, Some(self.contract), &data, U256::ZERO);
        let asked = self.endpoints.ask(|provider| {
            let request = request.clone();
            async move { provider.call(request).await }
        });
        let data = asked.await.map_err(MoneyError::from)?;
        C::abi_decode_returns(&data).map_err(|error| MoneyError::Refused { reason: error.to_string() })
    }
}

impl fmt::Debug for ContractReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContractReader").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// The chain's id, which must be `expected` if that is given.
pub(super) async fn chain_id(endpoints: &Endpoints, expected: Option<u64>) -> Result<u64, ConnectError> {
    let asked = endpoints.ask(|provider| async move { provider.get_chain_id().await });
    let found = asked.await.map_err(|error| ConnectError::Chain(error.into()))?;
    match expected {
        Some(expected) if expected != found => Err(ConnectError::WrongChain { expected, found }),
        Some(_) | None => Ok(found),
    }
}

/// The code at an address of the newest block; empty where there is none.
pub(super) async fn code_at(endpoints: &Endpoints, address: Address) -> Result<Bytes, ConnectError> {
    let code = endpoints.ask(|provider| async move { provider.get_code_at(address).await });
    code.await.map_err(|error| ConnectError::Chain(error.into()))
}

fn amount(wei: U256) -> Result<Amount, MoneyError> {
    let units = u128::try_from(wei).ok().and_then(Amount::new);
    units.ok_or_else(|| MoneyError::Refused {
        reason: format!("{wei} wei exceeds what this contract can hold"),
    })
}
