//! The source of this repository, where a test goes through all that is written there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files of a crate, below `src` and by their names there, that say one of these outside of their tests.
pub(crate) fn files_that_say(package: &str, words: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(package)
        .join("src");
    let mut found = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.file_stem().is_some_and(|stem| stem == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let (code, _) = text
                .split_once("#[cfg(test)]\nmod tests")
                .unwrap_or((&text, ""));
            if words.iter().any(|word| code.contains(word)) {
                let name = path.strip_prefix(&root).unwrap();
                found.insert(name.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(!found.is_empty(), "nothing of {package} says {words:?}");
    found
}
