//! Serde for types whose text form is their `Display` and `FromStr`.

/// Serializes by `Display`, deserializes a string by `FromStr`. The crate that uses it needs `serde`.
#[macro_export]
macro_rules! serde_as_text {
    ($type:ty, $error:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text: std::borrow::Cow<'de, str> =
                    serde::Deserialize::deserialize(deserializer)?;
                text.parse()
                    .map_err(|error: $error| serde::de::Error::custom(error))
            }
        }
    };
}

pub(crate) use crate::serde_as_text;
