//! An ERC-20 as its users see it: what it is called, who holds how much, and the permission to take some.
//!
//! A token is a stranger's contract. What it says of itself is bounded and cleaned before anybody sees it (`domain::Token`).

use alloy::{
    primitives::{Address, Bytes, U256},
    providers::Provider as _,
};
use alloy_sol_types::SolCall;

use super::{
    error::{ConnectError, MoneyError},
    rpc::Endpoints,
    sender::request,
};
use crate::domain::{NodeId, Token};

pub(super) mod abi {
    alloy_sol_types::sol! {
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        function balanceOf(address owner) external view returns (uint256);
        function decimals() external view returns (uint256);
        function symbol() external view returns (string memory);
    }
}

/// Whether there is a contract that knows what somebody has of it.
pub(super) async fn is_token(endpoints: &Endpoints, token: NodeId) -> Result<bool, ConnectError> {
    match balance_of(endpoints, token, NodeId::ZERO).await {
        Ok(_) => Ok(true),
        Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => Ok(false),
        Err(MoneyError::Chain(error)) => Err(ConnectError::Chain(error)),
    }
}

/// What a token says of itself. One that says nothing is counted in its smallest units.
pub(super) async fn describe(endpoints: &Endpoints, token: NodeId) -> Result<Token, ConnectError> {
    let decimals = said(view(endpoints, token, abi::decimalsCall {}).await)?;
    let decimals = decimals.and_then(|decimals| u8::try_from(decimals).ok());
    let symbol = said(raw(endpoints, token, abi::symbolCall {}.abi_encode()).await)?;
    let symbol = symbol.map_or_else(String::new, |answer| symbol_in(&answer));
    // Where the decimals are unknown, a sum behind a symbol would mean another amount than its reader thinks.
    Ok(decimals.map_or_else(|| Token::new(token, "", 0), |decimals| Token::new(token, &symbol, decimals)))
}

/// What an address has of a token.
pub(super) async fn balance_of(
    endpoints: &Endpoints,
    token: NodeId,
    owner: NodeId,
) -> Result<U256, MoneyError> {
    view(endpoints, token, abi::balanceOfCall { owner: owner.into() }).await
}

/// What a contract may take of an address's tokens.
pub(super) async fn allowance(
    endpoints: &Endpoints,
    token: NodeId,
    owner: NodeId,
    spender: Address,
) -> Result<U256, MoneyError> {
    view(endpoints, token, abi::allowanceCall { owner: owner.into(), spender }).await
}

/// `None` if the token has no such function.
fn said<T>(answer: Result<T, MoneyError>) -> Result<Option<T>, ConnectError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(MoneyError::Rejected(_) | MoneyError::Refused { .. }) => Ok(None),
        Err(MoneyError::Chain(error)) => Err(ConnectError::Chain(error)),
    }
}

/// A text, or one word of it, as the oldest tokens have.
fn symbol_in(answer: &[u8]) -> String {
    if let Ok(word) = <[u8; 32]>::try_from(answer) {
        let text = word.split(|byte| *byte == 0).next().unwrap_or_default();
        return String::from_utf8_lossy(text).into_owned();
    }
    abi::symbolCall::abi_decode_returns(answer).unwrap_or_default()
}

async fn view<C: SolCall>(endpoints: &Endpoints, token: NodeId, call: C) -> Result<C::Return, MoneyError> {
    let answer = raw(endpoints, token, call.abi_encode()).await?;
    C::abi_decode_returns(&answer).map_err(|error| MoneyError::Refused { reason: error.to_string() })
}

async fn raw(endpoints: &Endpoints, token: NodeId, data: Vec<u8>) -> Result<Bytes, MoneyError> {
    let request = request(Address::ZERO, Some(token.into()), &data.into(), U256::ZERO);
    let asked = endpoints.ask(|provider| {
        let request = request.clone();
        async move { provider.call(request).await }
    });
    Ok(asked.await?)
}

#[cfg(test)]
mod tests {
    use alloy_sol_types::SolValue as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_symbol_is_a_text_or_one_word() {
        assert_eq!(symbol_in(&"USDC".abi_encode()), "USDC");
        let mut word = [0; 32];
        word[..3].copy_from_slice(b"MKR");
        assert_eq!(symbol_in(&word), "MKR");
        assert_eq!(symbol_in(&[]), "");
    }

    proptest! {
        #[test]
        fn no_answer_of_a_token_panics(answer in prop::collection::vec(any::<u8>(), 0..300)) {
            let token = Token::new(NodeId::ZERO, &symbol_in(&answer), 6);
            prop_assert!(token.symbol.is_none_or(|symbol| symbol.len() <= 16));
        }
    }
}
