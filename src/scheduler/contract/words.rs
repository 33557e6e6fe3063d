//! Interprets the error texts of endpoints. JSON-RPC has no codes for these cases and each client words them
//! differently. Only this file looks at the texts.

/// Why an endpoint does not take a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has the transaction already, in its pool or in a block.
    Known,
    /// Another transaction has its nonce, in the pool or in a block.
    NonceUsed,
    /// It offers less than the next block asks for.
    TooCheap,
    /// The account cannot pay for it.
    NoEther,
    /// Something else.
    Other,
}

/// What an endpoint complains about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    /// The size of the request.
    TooMuch,
    /// The rate of requests.
    TooOften,
    /// Both could be meant.
    Either,
    /// Neither is named.
    Unclear,
}

const KNOWN: [&str; 3] = ["already known", "already imported", "known transaction"];
const NONCE_USED: [&str; 5] =
    ["nonce too low", "nonce is too low", "nonce has already been used", "oldnonce", "underpriced"];
const TOO_CHEAP: [&str; 1] = ["less than block base fee"];
const NO_ETHER: [&str; 1] = ["insufficient funds"];
const MUCH: [&str; 5] = ["range", "block", "results", "response size", "too large"];
const OFTEN: [&str; 5] = ["rate", "request", "credit", "per second", "header"];

/// The client names of development chains.
const DEVELOPMENT: [&str; 3] = ["anvil", "hardhatnetwork", "ganache"];

impl Refusal {
    pub(super) fn of(reason: &str) -> Self {
        let kinds = [
            (&KNOWN[..], Self::Known),
            (&NONCE_USED[..], Self::NonceUsed),
            (&TOO_CHEAP[..], Self::TooCheap),
            (&NO_ETHER[..], Self::NoEther),
        ];
        let found = kinds.into_iter().find(|(words, _)| says(reason, words));
        found.map_or(Self::Other, |(_, kind)| kind)
    }
}

impl Complaint {
    pub(super) fn of(message: &str) -> Self {
        match (says(message, &MUCH), says(message, &OFTEN)) {
            (true, false) => Self::TooMuch,
            (false, true) => Self::TooOften,
            (true, true) => Self::Either,
            (false, false) => Self::Unclear,
        }
    }
}

/// Whether a client of this name and version is a development chain.
pub(super) fn is_for_development(version: &str) -> bool {
    let version = version.to_ascii_lowercase();
    DEVELOPMENT.iter().any(|name| version.starts_with(name))
}

/// Whether an error says that the contract reverted. Many clients leave out the data if there is none.
pub(super) fn is_revert(message: &str) -> bool {
    says(message, &["execution reverted"])
}

/// Whether a connection failed because this machine trusts no authority behind the server's certificate.
pub(super) fn is_untrusted(reason: &str) -> bool {
    reason.contains("invalid peer certificate")
}

fn says(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_refused_in_the_words_of_many_clients() {
        let said = [
            ("already known", Refusal::Known),
            ("Known transaction: 0x12", Refusal::Known),
            ("transaction already imported", Refusal::Known),
            ("nonce too low: next nonce 5, tx nonce 4", Refusal::NonceUsed),
            ("Nonce is too low", Refusal::NonceUsed),
            ("OldNonce, Current nonce: 7", Refusal::NonceUsed),
            ("replacement transaction underpriced", Refusal::NonceUsed),
            ("the nonce has already been used", Refusal::NonceUsed),
            ("Insufficient funds for gas * price + value", Refusal::NoEther),
            ("max fee per gas less than block base fee: address 0x12", Refusal::TooCheap),
            ("fee cap less than block base fee", Refusal::TooCheap),
            ("intrinsic gas too low", Refusal::Other),
            ("", Refusal::Other),
        ];
        for (reason, kind) in said {
            assert_eq!(Refusal::of(reason), kind, "{reason}");
        }
    }

    #[test]
    fn endpoints_complain_of_much_and_often_in_many_words() {
        let said = [
            ("query returned more than 10000 results", Complaint::TooMuch),
            ("eth_getLogs is limited to a 10,000 range", Complaint::TooMuch),
            ("Response size exceeded", Complaint::TooMuch),
            ("Too many blocks", Complaint::TooMuch),
            ("rate limit exceeded", Complaint::TooOften),
            ("daily request count exceeded", Complaint::TooOften),
            ("50 per second", Complaint::TooOften),
            ("request exceeds the block range", Complaint::Either),
            ("limit exceeded", Complaint::Unclear),
            ("", Complaint::Unclear),
        ];
        for (message, complaint) in said {
            assert_eq!(Complaint::of(message), complaint, "{message}");
        }
    }

    #[test]
    fn a_revert_is_one_without_data_too() {
        for said in ["execution reverted", "VM Exception: Execution reverted", "execution reverted: "] {
            assert!(is_revert(said), "{said}");
        }
        for other in ["header not found", "missing trie node", "method handler crashed", ""] {
            assert!(!is_revert(other), "{other}");
        }
    }

    #[test]
    fn chains_for_development_say_so() {
        assert!(is_for_development("anvil/v1.0.0") && is_for_development("HardhatNetwork/2.0"));
        assert!(!is_for_development("Geth/v1.14") && !is_for_development(""));
    }
}
