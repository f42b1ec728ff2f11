//! `NAME=VALUE` on the command line.

use std::str::FromStr;

use anyhow::Context as _;

/// A name of some kind, and what stands behind it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Assignment<N> {
    pub(super) name: N,
    pub(super) value: String,
}

impl<N: FromStr> FromStr for Assignment<N>
where
    anyhow::Error: From<N::Err>,
{
    type Err = anyhow::Error;

    fn from_str(raw: &str) -> anyhow::Result<Self> {
        let (name, value) = raw.split_once('=').context(
            "NAME=VALUE, such as given_name=Jo, address.locality=Vienna or department=Research",
        )?;
        Ok(Self {
            name: name.parse()?,
            value: value.to_owned(),
        })
    }
}
