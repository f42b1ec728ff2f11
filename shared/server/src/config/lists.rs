//! `…_file` keys in the sections of a list, which the loader takes as one value.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Mistake;
use super::layer::{FILE, Setting, content};
use super::schema::{self, Schema};

/// Reads the files that sections of this list name. The defaults do not tell which keys a section has, so serde is asked: what it does not
/// know by the name of `x_file`, and does by that of `x`, names a file.
///
/// # Errors
/// A file that cannot be read, and a key that is given twice.
pub(super) fn read_files<T: Serialize + DeserializeOwned>(
    setting: &mut Setting,
    schema: &Schema<T>,
) -> Result<(), Mistake> {
    let path = setting.path.clone();
    let unknown = |value: &Value| {
        let reason = schema.alone(&path, value).err()?;
        schema::unknown_name(&reason).map(str::to_owned)
    };
    while let Some(name) = unknown(&setting.value)
        && let Some(key) = name.strip_suffix(FILE)
    {
        let mut tried = setting.value.clone();
        let mut named = path.clone();
        let Some(section) = find(&mut tried, &name, &mut named) else {
            break;
        };
        named.push(name.clone());
        let mistake = |reason: String| Mistake {
            key: named.join("."),
            origin: setting.origin.clone(),
            reason,
        };
        if section.contains_key(key) {
            let reason = format!("`{key}` is given too; keep one of the two");
            return Err(mistake(reason));
        }
        let file = section.remove(&name).unwrap_or_default();
        section.insert(key.to_owned(), Value::String(String::new()));
        if unknown(&tried).as_deref() == Some(key) {
            break;
        }
        let content = content(&file).map_err(mistake)?;
        if let Some(section) = find(&mut setting.value, &name, &mut Vec::new()) {
            section.remove(&name);
            section.insert(key.to_owned(), content);
        }
    }
    Ok(())
}

/// The first section below `node` that has `name`, in the order in which serde reads them; its path is added to `path`.
fn find<'a>(
    node: &'a mut Value,
    name: &str,
    path: &mut Vec<String>,
) -> Option<&'a mut Map<String, Value>> {
    let below: Vec<(String, &mut Value)> = match node {
        Value::Object(members) => {
            if members.contains_key(name) {
                return Some(members);
            }
            let members = members.iter_mut();
            members.map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => {
            let items = items.iter_mut().enumerate();
            items.map(|(at, item)| (at.to_string(), item)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, value) in below {
        path.push(key);
        if let Some(found) = find(value, name, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}
