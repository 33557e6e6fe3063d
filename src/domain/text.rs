//! Text forms of values: `Display` writes one, `FromStr` reads it, JSON holds it as a string.

/// JSON holds the type as its text.
macro_rules! json_as_text {
    ($($name:ident),+) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    )+};
}

/// The text of bytes is `0x` and lower-case hex digits; `$parse` reads it.
macro_rules! hex_text {
    ($name:ident, $parse:expr, $error:ty) => {
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&::alloy_primitives::hex::encode_prefixed(self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                $parse(text).map(Self)
            }
        }

        $crate::domain::text::json_as_text!($name);
    };
}

/// The text of each variant in `ALL` is what `$text` says; other text is `$unknown`.
macro_rules! name_as_text {
    ($name:ident, $text:ident, $unknown:ident) => {
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.$text())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $unknown;

            fn from_str(text: &str) -> Result<Self, $unknown> {
                Self::ALL.into_iter().find(|one| one.$text() == text).ok_or($unknown)
            }
        }
    };
}

pub(super) use {hex_text, json_as_text, name_as_text};
