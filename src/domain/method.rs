//! How a job's runs are compared.

use super::text::{json_as_text, name_as_text};

/// How the runs of a job are compared once their outputs alone did not decide.
///
/// The discriminant is the method's number on the wire and on a chain; it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Method {
    /// Equal outputs alone.
    Hash = 0,
    /// Distance from the mean at every tenth of the run, split by 2-means.
    KMeans = 1,
    /// The largest set of runs that all lie within the tolerance of one of them.
    Ball = 2,
    /// The largest set of runs whose outputs equal that of one of them, or whose summaries agree with its summary.
    Near = 3,
}

/// The text is not the name of a method.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown method, expected `hash`, `kmeans`, `ball` or `near`")]
pub struct UnknownMethod;

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Hash, Self::KMeans, Self::Ball, Self::Near];

    /// The name used in files, on the command line and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::KMeans => "kmeans",
            Self::Ball => "ball",
            Self::Near => "near",
        }
    }
}

name_as_text!(Method, name, UnknownMethod);
json_as_text!(Method);

impl From<Method> for u8 {
    fn from(method: Method) -> Self {
        method as Self
    }
}

impl TryFrom<u8> for Method {
    type Error = UnknownMethod;

    fn try_from(number: u8) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| u8::from(*method) == number).ok_or(UnknownMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        let names = ["hash", "kmeans", "ball", "near"];
        for ((number, name), method) in (0..).zip(names).zip(Method::ALL) {
            assert_eq!(u8::from(method), number);
            assert_eq!(Method::try_from(number), Ok(method));
            assert_eq!(method.to_string(), name);
            assert_eq!(name.parse(), Ok(method));
            let json = serde_json::to_string(&method).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Method>(&json).unwrap(), method);
        }
    }

    #[test]
    fn other_names_and_numbers_are_refused() {
        for name in ["", "Ball", "ball ", "k-means"] {
            assert_eq!(name.parse::<Method>(), Err(UnknownMethod), "{name:?}");
        }
        assert_eq!(Method::try_from(4), Err(UnknownMethod));
        assert!(serde_json::from_str::<Method>(r#"{"ball":null}"#).is_err());
    }
}
