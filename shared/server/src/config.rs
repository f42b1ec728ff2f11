//! One loader of configuration for both servers: defaults, then a TOML file, then the environment, then flags. Whatever
//! is wrong in any of them stops the start, and all of it is told at once.
//!
//! The keys that exist are those of the defaults, written out by serde: a settings struct derives `Serialize` and
//! `Deserialize` with `deny_unknown_fields`, and neither skips nor renames a field. An `Option` that is `None` is a known
//! key; what lies under it is known to serde alone. Lengths of time are [`Period`]s (or `Duration`s with
//! `#[serde(with = "shared_server::config::period")]`), secrets are [`Secret`]s.

mod error;
mod layer;
mod lists;
mod nonce_lifetime;
pub mod period;
mod schema;
mod secret;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::error::{ConfigError, Mistake, Origin};
pub use self::nonce_lifetime::{InvalidNonceLifetime, NonceLifetime};
pub use self::period::Period;
pub use self::secret::{REDACTED, Secret};

use self::layer::Setting;
use self::schema::{Known, Schema};

/// Where settings come from, besides the defaults. Later ones win: file, environment, overrides.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// A TOML file. Given but absent is a mistake.
    pub file: Option<&'a Path>,
    /// What the names of our variables start with, such as `AUTH_`. The rest is the key, in any case, its sections
    /// parted by two underscores: `AUTH_DATABASE__URL` is `database.url`.
    pub env_prefix: &'static str,
    /// The environment, or the part of it that is meant for this loader: a variable that starts with the prefix and names
    /// no key is a mistake.
    pub env: Vec<(String, String)>,
    /// What flags say, as nested objects. A `null` says nothing.
    pub overrides: Value,
}

/// Reads `defaults` as changed by `sources`.
///
/// A variable of the environment is text where the default is text; elsewhere it is read as TOML, and a list may also be
/// written with commas. For a key `x` whose value is text, `x_file` (`…_X_FILE`) names a file, of at most 64 KiB, whose
/// trimmed content becomes `x`. In the sections of a list too.
///
/// # Errors
/// Every unknown key, bad value, unreadable file and contradiction, each with where it stands and how to mend it. No value
/// is ever quoted, since it may be a secret at the wrong key.
pub fn load<T: Serialize + DeserializeOwned>(
    defaults: &T,
    sources: &Sources,
) -> Result<T, ConfigError> {
    let schema = Schema::of(defaults)?;
    let mut mistakes = Vec::new();
    let mut settings = Vec::new();
    for layer in layer::read(sources, &mut mistakes) {
        settings.extend(layer::resolve(layer, &schema, &mut mistakes));
    }
    let tree = schema.with(&settings);
    let whole = Schema::<T>::parse(&tree);
    // Values that need each other are only right together, so the whole is asked first and each setting only if it fails.
    if let Ok(config) = &whole {
        mistakes.extend(not_taken(&settings, config));
    } else {
        mistakes.extend(
            settings
                .iter()
                .filter_map(|setting| judge(setting, &schema)),
        );
    }
    match whole {
        Ok(config) if mistakes.is_empty() => Ok(config),
        Err(reason) if mistakes.is_empty() => Err(ConfigError::from(incomplete(
            &settings, &tree, &schema, &reason,
        ))),
        Ok(_) | Err(_) => Err(ConfigError { mistakes }),
    }
}

/// The settings that left no trace in `config`: keys that serde ignored.
fn not_taken<T: Serialize + DeserializeOwned>(settings: &[Setting], config: &T) -> Vec<Mistake> {
    let Ok(written) = serde_json::to_value(config) else {
        return Vec::new();
    };
    let schema = Schema::<T>::from_tree(written);
    settings
        .iter()
        .filter(|setting| !schema.has(&setting.path))
        .map(|setting| unknown(setting, &schema))
        .collect()
}

/// What is wrong with one setting, tried alone on the defaults.
fn judge<T: Serialize + DeserializeOwned>(
    setting: &Setting,
    schema: &Schema<T>,
) -> Option<Mistake> {
    match schema.alone(&setting.path, &setting.value) {
        Ok(()) => None,
        // The rest of its section stands elsewhere; the whole decides.
        Err(reason) if reason.starts_with(schema::MISSING) => None,
        Err(reason)
            if reason.starts_with(schema::UNKNOWN)
                && matches!(schema.find(&setting.path), Known::No) =>
        {
            Some(unknown(setting, schema))
        }
        Err(reason) => Some(setting.mistake(error::masked(&reason, &setting.value))),
    }
}

fn unknown<T: Serialize + DeserializeOwned>(setting: &Setting, schema: &Schema<T>) -> Mistake {
    setting.mistake(match schema.nearest(&setting.path) {
        Some(path) => format!(
            "no such key; did you mean `{}`?",
            setting.origin.spell(&path)
        ),
        None => "no such key; take it out".to_owned(),
    })
}

/// Every setting is right by itself, yet the whole is not: the section that lacks something, if it can be found.
fn incomplete<T: Serialize + DeserializeOwned>(
    settings: &[Setting],
    tree: &Value,
    schema: &Schema<T>,
    reason: &str,
) -> Mistake {
    for setting in settings {
        let Some((section, value)) = schema.section(&setting.path, tree) else {
            continue;
        };
        if let Err(reason) = schema.alone(section, value) {
            return Mistake {
                key: section.join("."),
                origin: setting.origin.clone(),
                reason: error::masked(&reason, tree),
            };
        }
    }
    Mistake {
        key: String::new(),
        origin: Origin::Together,
        reason: error::masked(reason, tree),
    }
}
