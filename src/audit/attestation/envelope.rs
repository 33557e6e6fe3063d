//! The DSSE envelope: a payload, its type, and signatures over both.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Digest, NodeId, Signature, SignatureError},
    identity::NodeKey,
};

/// The type of the payload: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The most signatures that are looked at.
const MAX_SIGNATURES: usize = 31;

/// A signed statement, as DSSE (v1) writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    /// The statement, in base64.
    payload: String,
    /// [`PAYLOAD_TYPE`].
    payload_type: String,
    /// May be empty: the log in the statement is its proof.
    signatures: Vec<Signed>,
}

/// One signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    /// The signer: the address of its key.
    keyid: String,
    /// `r`, `s`, then 27 or 28, in base64, over SHA-256 of the pre-authentication encoding.
    sig: String,
}

/// Why an envelope cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The payload is something else.
    #[error("an envelope holds {found:?}, not {PAYLOAD_TYPE}")]
    Type {
        /// Its type.
        found: String,
    },
    /// The payload or a signature is no base64.
    #[error("an envelope holds text that is not base64")]
    Base64(#[from] base64::DecodeError),
    /// The payload is no statement.
    #[error("an envelope holds no statement: {0}")]
    Statement(#[from] serde_json::Error),
    /// There are more signatures than a job has seats.
    #[error("an envelope has {found} signatures, at most {MAX_SIGNATURES} are allowed")]
    ManySignatures {
        /// How many.
        found: usize,
    },
    /// A signature is not one of a key of this kind.
    #[error("a signature of {keyid} cannot be read")]
    Signature {
        /// Whose it should be.
        keyid: String,
        /// Why not; `None` if it has another length.
        #[source]
        source: Option<SignatureError>,
    },
    /// A signature is by another key, or over something else.
    #[error("the signature of {keyid} does not hold")]
    Forged {
        /// Whose it should be.
        keyid: String,
    },
}

impl Envelope {
    /// An envelope without a signature.
    pub(super) fn new(payload: Vec<u8>) -> Self {
        let (payload, payload_type) = (STANDARD.encode(payload), PAYLOAD_TYPE.to_owned());
        Self { payload, payload_type, signatures: Vec::new() }
    }

    /// The same with the signature of a key.
    ///
    /// # Errors
    /// [`EnvelopeError::Base64`], never for an envelope that this program made.
    pub fn signed_by(mut self, key: &NodeKey) -> Result<Self, EnvelopeError> {
        let digest = digest_of(&STANDARD.decode(&self.payload)?);
        let sig = STANDARD.encode(key.sign(digest).as_bytes());
        self.signatures.push(Signed { keyid: key.node_id().to_string(), sig });
        Ok(self)
    }

    /// The payload, and those who signed it.
    pub(super) fn open(&self) -> Result<(Vec<u8>, BTreeSet<NodeId>), EnvelopeError> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(EnvelopeError::Type { found: self.payload_type.clone() });
        }
        if self.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::ManySignatures { found: self.signatures.len() });
        }
        let payload = STANDARD.decode(&self.payload)?;
        let digest = digest_of(&payload);
        let signer = |Signed { keyid, sig }: &Signed| {
            let unreadable = |source| EnvelopeError::Signature { keyid: keyid.clone(), source };
            let bytes = STANDARD.decode(sig)?.try_into().map_err(|_| unreadable(None))?;
            let node = Signature::new(bytes).recover(digest).map_err(|error| unreadable(Some(error)))?;
            if node.to_string() == *keyid {
                Ok(node)
            } else {
                Err(EnvelopeError::Forged { keyid: keyid.clone() })
            }
        };
        let signers = self.signatures.iter().map(signer).collect::<Result<_, EnvelopeError>>()?;
        Ok((payload, signers))
    }
}

/// SHA-256 of DSSE's pre-authentication encoding, which keeps a signature from being one of anything else.
fn digest_of(payload: &[u8]) -> Digest {
    let begin = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    Digest::sha256([begin.as_bytes(), payload].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes(&[byte; 32]).unwrap()
    }

    #[test]
    fn what_is_signed_is_type_and_payload_with_their_lengths() {
        // The example of DSSE's own specification has another type; this is its rule with ours.
        let encoded = b"DSSEv1 28 application/vnd.in-toto+json 11 hello world";
        assert_eq!(digest_of(b"hello world"), Digest::sha256(encoded));
    }

    #[test]
    fn a_signature_names_its_key_and_nothing_can_be_changed_under_it() {
        let signed = Envelope::new(b"{}".to_vec()).signed_by(&key(1)).unwrap().signed_by(&key(2)).unwrap();
        let (payload, signers) = signed.open().unwrap();
        assert_eq!(payload, b"{}");
        assert_eq!(signers, BTreeSet::from([key(1).node_id(), key(2).node_id()]));
        let altered = |change: fn(&mut Envelope)| {
            let mut envelope = signed.clone();
            change(&mut envelope);
            envelope.open().unwrap_err()
        };
        let forged = altered(|envelope| envelope.payload = STANDARD.encode("[]"));
        assert!(matches!(forged, EnvelopeError::Forged { .. } | EnvelopeError::Signature { .. }), "{forged}");
        let other = altered(|envelope| envelope.signatures[0].keyid = key(3).node_id().to_string());
        assert!(matches!(other, EnvelopeError::Forged { .. }), "{other}");
        let short = altered(|envelope| envelope.signatures[1].sig.truncate(4));
        assert!(matches!(short, EnvelopeError::Signature { source: None, .. }), "{short}");
        assert!(matches!(altered(|envelope| envelope.payload.push('!')), EnvelopeError::Base64(_)));
        assert!(matches!(altered(|envelope| envelope.payload_type.clear()), EnvelopeError::Type { .. }));
        let many = altered(|envelope| envelope.signatures = vec![envelope.signatures[0].clone(); 32]);
        assert!(matches!(many, EnvelopeError::ManySignatures { found: 32 }), "{many}");
    }
}
