//! Contracts that asked for jobs (`contracts/src/consumer`): what they wait for, and the delivery of a result.
//!
//! A consumer is a stranger's contract. It may answer anything, so its promise of a fee counts only once the scheduler
//! has credited it.

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, Log, U256, keccak256},
    providers::Provider as _,
    rpc::types::TransactionReceipt,
};
use alloy_sol_types::{SolCall as _, SolEvent as _, SolValue as _};

use super::{
    abi::IJobScheduler as scheduler,
    calls::{seat_opening, to_contract},
    client::{Receipt, in_time},
    convert::Revert,
    error::MoneyError,
    node::ContractScheduler,
    packed::{is_rostered, rostered_head},
    rpc::AskError,
    sender::{Call, Fees, SendError, limit_of, request},
    words::Refusal,
};
use crate::{
    domain::{Amount, Job, JobId, NodeId, Seat, SeatOpening, SeatStatus, Span},
    scheduler::BackendError,
};

mod abi {
    alloy_sol_types::sol! {
        struct Request {
            uint8 status;
            uint64 deliverBy;
            uint96 fee;
        }

        function requests(bytes32 job) external view returns (Request memory request);
    }
}

/// `AssayConsumer.Status.Pending`.
const PENDING: u8 = 1;

/// How `AssayConsumer.fulfil` is called. Its types are those of the scheduler's interface.
const FULFIL: &str =
    "fulfil(bytes32,(uint8,address,uint96,(bytes32,bytes32,int32,bytes32,bytes32,bytes32))[],int32,bytes)";

/// How `AssayConsumer.fulfilRostered` is called.
const FULFIL_ROSTERED: &str = "fulfilRostered(bytes32,bytes32,uint256,(uint8,address,uint96,(bytes32,bytes32,int32,bytes32,bytes32,bytes32))[],int32,bytes)";

/// The most gas of a delivery, beside that of its bytes: what a contract can burn that does not pay.
const MAX_GAS: u64 = 1_000_000;

/// The most gas of a delivery that comes second, beside that of its bytes: a transaction, and a look at the request.
const LATE_GAS: u64 = 40_000;

/// What chains charge at most for a byte of a transaction that is zero, and for any other (EIP-7623).
const GAS_OF_BYTE: (u64, u64) = (10, 40);

/// The time between the turns of two deliverers: enough for a transaction to be in a block that others see. A development
/// chain makes a block for each transaction.
const STEP: Span = Span::from_secs(30);
const STEP_OF_DEVELOPMENT: Span = Span::from_secs(2);

/// Why a result was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The consumer refuses: somebody was faster, or its callback reverts.
    #[error("the contract {consumer} refuses the result: {reason}")]
    Refused {
        /// The contract.
        consumer: NodeId,
        /// What it says.
        reason: String,
    },
    /// The contract's callback takes more than anybody should risk for a fee that may never be paid.
    #[error(
        "the contract {consumer} may take {gas} gas for the result, but a delivery pays for at most {most}"
    )]
    TooMuchGas {
        /// The contract.
        consumer: NodeId,
        /// The gas limit that the delivery needs.
        gas: u64,
        /// The highest gas limit.
        most: u64,
    },
    /// The gas would cost more than the fee.
    #[error("the fee of {fee} wei does not pay for {gas} gas at {wei_per_gas} wei each")]
    TooDear {
        /// What the contract pays.
        fee: Amount,
        /// The gas that the delivery may take.
        gas: u64,
        /// Its price now.
        wei_per_gas: u128,
    },
    /// The consumer took the result and did not pay what it promised.
    #[error("the contract {consumer} took the result without paying {fee} wei")]
    Unpaid {
        /// The contract.
        consumer: NodeId,
        /// What it promised.
        fee: Amount,
    },
    /// The consumer took the gas of a transaction and undid it, though it took the same result in an estimate.
    #[error("the contract {consumer} took {gas} gas and refused the result: {reason}")]
    Undone {
        /// The contract.
        consumer: NodeId,
        /// The gas that this node paid for.
        gas: u64,
        /// What the contract says.
        reason: String,
    },
    /// The job's seats got slots of their own just before, so the transaction named its openings in the wrong form.
    #[error("somebody unpacked the seats of the job just before, which cost {gas} gas here")]
    Unpacked {
        /// The gas that this node paid for.
        gas: u64,
    },
    /// Somebody else delivered it just before.
    #[error("somebody else delivered the result to the contract {consumer} first, which cost {gas} gas here")]
    Late {
        /// The contract.
        consumer: NodeId,
        /// The gas that this node paid for.
        gas: u64,
    },
    /// No transaction was made, or nobody knows.
    #[error(transparent)]
    Chain(#[from] BackendError),
}

impl ContractScheduler {
    /// What the requester of a job pays for the delivery of its result; `None` if it is no contract that waits for one.
    ///
    /// # Errors
    /// [`BackendError::Chain`].
    pub async fn fee_for(&self, job: &Job) -> Result<Option<Amount>, BackendError> {
        // A fee is weighed against gas, which is ether; and who asks pays in ether.
        if !self.client().reader().asset().is_ether() {
            return Ok(None);
        }
        let data = Bytes::from(abi::requestsCall { job: job.id.into() }.abi_encode());
        let asked = request(Address::ZERO, Some(job.requester.into()), &data, U256::ZERO);
        let client = self.client();
        let answer = client.reader().endpoints.ask(|provider| {
            let asked = asked.clone();
            async move { provider.call(asked).await }
        });
        let found = match answer.await {
            // An account without code answers nothing.
            Ok(data) => abi::requestsCall::abi_decode_returns(&data).ok(),
            Err(AskError::Reverted(_)) => None,
            // An endpoint's own error says nothing of the contract.
            Err(error @ (AskError::Answer(_) | AskError::Declined(_) | AskError::Unreachable(_))) => {
                return Err(error.into());
            }
        };
        let pending = found.filter(|found| found.status == PENDING);
        let fee = pending.and_then(|pending| u128::try_from(pending.fee).ok());
        Ok(fee.and_then(Amount::new))
    }

    /// Whether the contract keeps the seats of a job as one hash.
    ///
    /// # Errors
    /// [`BackendError::Chain`].
    pub async fn is_rostered(&self, job: JobId) -> Result<bool, BackendError> {
        match self.client().reader().view(scheduler::jobsCall { job: job.into() }).await {
            Ok(found) => Ok(is_rostered(found.head)),
            Err(MoneyError::Chain(error)) => Err(error),
            Err(error @ (MoneyError::Rejected(_) | MoneyError::Refused { .. })) => {
                Err(BackendError::Chain { reason: format!("cannot read job {job}: {error}") })
            }
        }
    }

    /// The price of gas now, in wei.
    ///
    /// # Errors
    /// [`BackendError::Chain`].
    pub async fn gas_price(&self) -> Result<u128, BackendError> {
        let client = self.client();
        let price = client.reader().endpoints.ask(|provider| async move { provider.get_gas_price().await });
        Ok(price.await?)
    }

    /// The time between the turns of two deliverers on this chain.
    pub fn delivery_step(&self) -> Span {
        if self.client().is_for_development() { STEP_OF_DEVELOPMENT } else { STEP }
    }

    /// Delivers the result that these openings prove, if the fee pays for the gas: `pays` is asked with the fee, the gas
    /// limit, and the price of gas in wei. Of a job whose seats are one hash, the openings of all its seats go along.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub async fn deliver(
        &self,
        job: &Job,
        openings: &[SeatOpening],
        (exit_code, stdout): (i32, &[u8]),
        fee: Amount,
        pays: impl Fn(Amount, u64, u128) -> bool,
    ) -> Result<Receipt, DeliveryError> {
        let client = self.client();
        let (consumer, me) = (job.requester, self.node());
        // Anyone may have given its seats slots since it was judged.
        let is_rostered = self.is_rostered(job.id).await?;
        let data = if is_rostered {
            fulfil_rostered_data(job, exit_code, stdout)
        } else {
            fulfil_data(job, openings, exit_code, stdout)
        };
        let endpoints = &client.reader().endpoints;
        let fees = endpoints.ask(|provider| async move { provider.estimate_eip1559_fees().await });
        let fees = Fees::of(fees.await.map_err(BackendError::from)?, None);
        let asked = request(me.into(), Some(consumer.into()), &data, U256::ZERO);
        let asked = fees.map_or_else(|_| asked.clone(), |fees| fees.on(asked.clone()));
        let gas = endpoints.ask(|provider| {
            let asked = asked.clone();
            async move { provider.estimate_gas(asked).block(BlockId::pending()).await }
        });
        // The contract may have the whole limit burnt, whatever it takes in an estimate.
        let gas = limit_of(gas.await.map_err(|error| refused((consumer, me), error))?);
        let most = most_gas(&data);
        if gas > most {
            return Err(DeliveryError::TooMuchGas { consumer, gas, most });
        }
        let wei_per_gas = self.gas_price().await?;
        if !pays(fee, gas, wei_per_gas) {
            return Err(DeliveryError::TooDear { fee, gas, wei_per_gas });
        }
        let call = Call { gas_limit: Some(gas), ..to_contract(consumer.into(), data.clone()) };
        match in_time(client.sender.send(call)).await {
            Ok(receipt) if was_paid(&receipt, client.reader().contract, me, fee) => Ok((&receipt).into()),
            Ok(_) => Err(DeliveryError::Unpaid { consumer, fee }),
            Err(SendError::Failed(error)) => Err(error.into()),
            Err(SendError::Reverted(revert, None)) => {
                Err(refused((consumer, me), AskError::Reverted(revert)))
            }
            Err(SendError::Reverted(revert, Some(gas))) => {
                // Where nobody says what became of the request, the contract is to blame: it may be what does not say it.
                let is_late = gas <= late_gas(&data) && matches!(self.fee_for(job).await, Ok(None));
                let is_unpacked = is_rostered && !self.is_rostered(job.id).await.unwrap_or(true);
                let reason = || match revert {
                    Revert::Unknown(reason) => reason,
                    revert => format!("{revert:?}"),
                };
                Err(if is_unpacked {
                    DeliveryError::Unpacked { gas }
                } else if is_late {
                    DeliveryError::Late { consumer, gas }
                } else {
                    DeliveryError::Undone { consumer, gas, reason: reason() }
                })
            }
        }
    }
}

/// The highest gas limit of a delivery with this data.
fn most_gas(data: &[u8]) -> u64 {
    MAX_GAS.saturating_add(gas_of(data))
}

/// The most gas of a delivery with this data to a contract that has its result already, and looks at that first.
fn late_gas(data: &[u8]) -> u64 {
    LATE_GAS.saturating_add(gas_of(data))
}

/// The most gas of the bytes of a transaction.
fn gas_of(data: &[u8]) -> u64 {
    let cost = |byte: &u8| if *byte == 0 { GAS_OF_BYTE.0 } else { GAS_OF_BYTE.1 };
    data.iter().map(cost).fold(0, u64::saturating_add)
}

fn refused((consumer, me): (NodeId, NodeId), error: AskError) -> DeliveryError {
    let reason = match error {
        AskError::Answer(reason) if Refusal::of(&reason) == Refusal::NoEther => {
            return BackendError::NoEther { account: me, reason }.into();
        }
        AskError::Reverted(Revert::Unknown(reason)) | AskError::Answer(reason) => reason,
        AskError::Reverted(revert) => format!("{revert:?}"),
        AskError::Declined(error) | AskError::Unreachable(error) => return error.into(),
    };
    DeliveryError::Refused { consumer, reason }
}

/// Whether the scheduler credited this node with the fee in this transaction.
fn was_paid(receipt: &TransactionReceipt, contract: Address, me: NodeId, fee: Amount) -> bool {
    let is_credit = |log: &Log| {
        let credit = scheduler::Deposited::decode_log(log).ok().filter(|_| log.address == contract);
        credit.is_some_and(|credit| {
            credit.account == Address::from(me) && credit.amount >= U256::from(fee.units())
        })
    };
    fee.is_zero() || receipt.inner.logs().iter().any(|log| is_credit(&log.inner))
}

fn fulfil_data(job: &Job, openings: &[SeatOpening], exit_code: i32, stdout: &[u8]) -> Bytes {
    let openings: Vec<scheduler::SeatOpening> =
        openings.iter().map(|given| seat_opening(job, given.seat, &given.opening)).collect();
    let fields = (B256::from(job.id), openings, exit_code, Bytes::copy_from_slice(stdout));
    call(FULFIL, &fields.abi_encode_params())
}

fn fulfil_rostered_data(job: &Job, exit_code: i32, stdout: &[u8]) -> Bytes {
    let opening = |(seat, held): (u8, &Seat)| match held.status {
        SeatStatus::Revealed(opening) => Some(seat_opening(job, seat, &opening)),
        SeatStatus::Accepted | SeatStatus::Failed(_) | SeatStatus::Committed(_) => None,
    };
    let openings: Vec<scheduler::SeatOpening> = (0..).zip(&job.seats).filter_map(opening).collect();
    let (id, revision) = (B256::from(job.id), B256::from(job.revision));
    let stdout = Bytes::copy_from_slice(stdout);
    let fields = (id, revision, rostered_head(job), openings, exit_code, stdout);
    call(FULFIL_ROSTERED, &fields.abi_encode_params())
}

fn call(signature: &str, parameters: &[u8]) -> Bytes {
    [&keccak256(signature)[..4], parameters].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_output_may_cost_what_its_bytes_cost() {
        assert_eq!(most_gas(&[]), 1_000_000);
        assert_eq!(most_gas(&[0; 100]), 1_001_000);
        assert_eq!(most_gas(&[1; 64 * 1024]), 1_000_000 + 64 * 1024 * 40);
    }
}
