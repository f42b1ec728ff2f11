//! What the fuzzer and its authors thought of, run again.

use std::collections::BTreeSet;
use std::path::Path;

use fuzz::TARGETS;

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus"))
}

#[test]
fn every_rule_holds_of_the_corpus() {
    for target in TARGETS {
        let files = std::fs::read_dir(corpus().join(target.name)).unwrap();
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let held = std::panic::catch_unwind(|| (target.check)(&bytes));
            assert!(held.is_ok(), "{}", path.display());
            assert!(bytes.len() <= 4096, "{} is large", path.display());
            count += 1;
        }
        assert!(count >= 10, "{} has too few", target.name);
    }
}

#[test]
fn every_folder_of_the_corpus_has_its_target() {
    let folders = std::fs::read_dir(corpus()).unwrap();
    let folders = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    let targets: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(folders.collect::<BTreeSet<_>>(), targets);
}

#[test]
fn every_rule_holds_of_nothing_and_of_bytes() {
    for target in TARGETS {
        for bytes in [&b""[..], b"\n", b"\xff\xfe", &[0; 64], "\u{e4}".as_bytes()] {
            (target.check)(bytes);
        }
        for byte in 0..=u8::MAX {
            (target.check)(&[byte]);
        }
    }
}
