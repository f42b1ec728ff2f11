//! The source of this repository, where a test goes through all that is written there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The code of a package without its tests, by the names of its files below `src`.
fn code_of(package: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.join(package).join("src");
    let mut found = BTreeMap::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), code.unwrap().to_owned());
        }
    }
    found
}

/// The files of a package that say one of these.
pub(crate) fn files_that_say(package: &str, words: &[&str]) -> BTreeSet<String> {
    let code = code_of(package).into_iter();
    let found = code.filter(|(_, code)| words.iter().any(|word| code.contains(word)));
    found.map(|(file, _)| file).collect()
}

/// What a package says between these two, and how often.
pub(crate) fn said(package: &str, before: &str, after: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for code in code_of(package).values() {
        for rest in code.split(before).skip(1) {
            let (said, _) = rest.split_once(after).unwrap();
            *found.entry(said.to_owned()).or_default() += 1;
        }
    }
    found
}
