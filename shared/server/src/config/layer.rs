//! The sources, read into settings: a path, a value, and where it stands.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::schema::{self, Known, Schema};
use super::{Mistake, Origin, Sources, lists};

/// The largest configuration file that is read.
const LARGEST_FILE: u64 = 1024 * 1024;
/// The largest file that a `…_file` key may name.
const LARGEST_SECRET: u64 = 64 * 1024;
pub(super) const FILE: &str = "_file";

/// One key that one source sets.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Setting {
    pub(super) fn mistake(&self, reason: impl Into<String>) -> Mistake {
        Mistake {
            key: self.path.join("."),
            origin: self.origin.clone(),
            reason: reason.into(),
        }
    }
}

/// What each source sets, the one that yields first.
pub(super) fn read(sources: &Sources, mistakes: &mut Vec<Mistake>) -> [Vec<Setting>; 3] {
    let file = sources.file.map_or_else(Vec::new, |path| {
        toml_file(path).unwrap_or_else(|reason| {
            mistakes.push(Mistake {
                key: String::new(),
                origin: Origin::File(path.to_owned()),
                reason,
            });
            Vec::new()
        })
    });
    let mut overrides = Vec::new();
    leaves(
        &sources.overrides,
        &mut Vec::new(),
        &Origin::Flag,
        &mut overrides,
    );
    [file, environment(sources, mistakes), overrides]
}

fn toml_file(path: &Path) -> Result<Vec<Setting>, String> {
    let text = bounded(path, LARGEST_FILE)?;
    let tree = toml::from_str(&text).map_err(|error| {
        // Its own Display shows the line, which may hold a secret.
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("line {line} is not TOML; check its quotes and brackets")
    })?;
    let mut settings = Vec::new();
    leaves(
        &tree,
        &mut Vec::new(),
        &Origin::File(path.to_owned()),
        &mut settings,
    );
    Ok(settings)
}

fn leaves(node: &Value, path: &mut Vec<String>, origin: &Origin, found: &mut Vec<Setting>) {
    match node {
        Value::Null => {}
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                path.push(key.clone());
                leaves(member, path, origin, found);
                path.pop();
            }
        }
        Value::Object(_) if path.is_empty() => {}
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            found.push(Setting {
                path: path.clone(),
                value: node.clone(),
                origin: origin.clone(),
            });
        }
    }
}

fn environment(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut names: HashMap<String, &str> = HashMap::new();
    for (name, value) in &sources.env {
        let upper = name.to_uppercase();
        let Some(key) = upper.strip_prefix(sources.env_prefix) else {
            continue;
        };
        let setting = Setting {
            path: key.to_lowercase().split("__").map(str::to_owned).collect(),
            value: Value::String(value.clone()),
            origin: Origin::Env {
                name: name.clone(),
                prefix: sources.env_prefix,
            },
        };
        match names.insert(upper, name) {
            Some(first) => mistakes
                .push(setting.mistake(format!("{first} sets the same key; keep one of the two"))),
            None => settings.push(setting),
        }
    }
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    settings
}

/// Reads the files that `…_file` keys name, and gives the text of variables the type that their key wants.
pub(super) fn resolve<T: Serialize + DeserializeOwned>(
    layer: Vec<Setting>,
    schema: &Schema<T>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<Setting> {
    let given: Vec<Vec<String>> = layer.iter().map(|setting| setting.path.clone()).collect();
    let mut resolved = Vec::with_capacity(layer.len());
    for mut setting in layer {
        if let Some(path) = content_key(&setting, schema) {
            if given.contains(&path) {
                let key = setting.origin.spell(&path);
                mistakes
                    .push(setting.mistake(format!("`{key}` is given too; keep one of the two")));
                continue;
            }
            match content(&setting.value) {
                Ok(value) => resolved.push(Setting {
                    path,
                    value,
                    ..setting
                }),
                Err(reason) => mistakes.push(setting.mistake(reason)),
            }
            continue;
        }
        if let (Origin::Env { .. }, Value::String(text)) = (&setting.origin, &setting.value) {
            setting.value = typed(text, &setting.path, schema);
        }
        if setting.value.is_array()
            && let Err(mistake) = lists::read_files(&mut setting, schema)
        {
            mistakes.push(mistake);
            continue;
        }
        resolved.push(setting);
    }
    resolved
}

/// The key that `setting` names a file for, if it does.
fn content_key<T: Serialize + DeserializeOwned>(
    setting: &Setting,
    schema: &Schema<T>,
) -> Option<Vec<String>> {
    let (last, section) = setting.path.split_last()?;
    let mut path = section.to_vec();
    path.push(last.strip_suffix(FILE)?.to_owned());
    let names_a_file = match schema.find(&setting.path) {
        Known::Yes(_) => false,
        Known::No => matches!(
            schema.find(&path),
            Known::Yes(Value::String(_) | Value::Null)
        ),
        // A key of its own, such as `ca_file`, is known to serde.
        Known::Open => schema
            .alone(&setting.path, &setting.value)
            .is_err_and(|reason| reason.starts_with(schema::UNKNOWN)),
    };
    names_a_file.then_some(path)
}

/// What stands in a file that a `…_file` key names.
pub(super) fn content(file: &Value) -> Result<Value, String> {
    let Value::String(file) = file else {
        return Err("not the name of a file; write it as text".to_owned());
    };
    let text = bounded(Path::new(file), LARGEST_SECRET)?;
    match text.trim() {
        "" => Err("the file is empty; write the value into it".to_owned()),
        text => Ok(Value::String(text.to_owned())),
    }
}

fn bounded(path: &Path, limit: u64) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_string(&mut text))
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= limit) {
        Ok(text)
    } else {
        Err(format!("the file is larger than {} KiB", limit / 1024))
    }
}

fn typed<T: Serialize + DeserializeOwned>(
    text: &str,
    path: &[String],
    schema: &Schema<T>,
) -> Value {
    let plain = Value::String(text.to_owned());
    let fits = |value: &Value| match schema.alone(path, value) {
        Ok(()) => true,
        Err(reason) => reason.starts_with(schema::MISSING),
    };
    match schema.find(path) {
        Known::Yes(Value::String(_)) => plain,
        Known::Yes(Value::Array(_)) => as_toml(text).unwrap_or_else(|| listed(text)),
        Known::Yes(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            as_toml(text).unwrap_or(plain)
        }
        Known::Yes(Value::Null) | Known::Open | Known::No if fits(&plain) => plain,
        Known::Yes(Value::Null) | Known::Open | Known::No => [as_toml(text), Some(listed(text))]
            .into_iter()
            .flatten()
            .find(fits)
            .unwrap_or(plain),
    }
}

fn as_toml(text: &str) -> Option<Value> {
    let mut table: serde_json::Map<String, Value> =
        toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value").filter(|_| table.is_empty())
}

fn listed(text: &str) -> Value {
    let items = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    items.map(|item| Value::String(item.to_owned())).collect()
}
