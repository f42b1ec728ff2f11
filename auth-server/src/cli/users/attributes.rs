//! `auth-server user set …`

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::Value;

use super::assignment::Assignment;
use crate::accounts::attributes::{AttributeName, Attributes};

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct AttributeArgs {
    /// An attribute that is a text, as NAME=VALUE (may repeat); nothing behind = takes it away
    #[arg(long = "attribute", value_name = "NAME=VALUE")]
    texts: Vec<Assignment<AttributeName>>,
    /// An attribute that is any JSON, as NAME=JSON (may repeat)
    #[arg(long = "attribute-json", value_name = "NAME=JSON")]
    values: Vec<Assignment<AttributeName>>,
}

impl AttributeArgs {
    /// What an account's attributes become by these.
    pub(crate) fn applied_to(&self, mut attributes: Attributes) -> anyhow::Result<Attributes> {
        for Assignment { name, value } in &self.texts {
            let value = (!value.is_empty()).then(|| Value::from(value.as_str()));
            attributes = attributes.with(name, value)?;
        }
        for Assignment { name, value } in &self.values {
            let value: Value = serde_json::from_str(value).with_context(|| name.to_string())?;
            ensure!(
                !value.is_null(),
                "{name}: null says nothing; --attribute {name}= takes it away"
            );
            attributes = attributes.with(name, Some(value))?;
        }
        Ok(attributes)
    }
}
