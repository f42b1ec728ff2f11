use shared_protocol::random::SystemRandom;

use super::*;

const LABEL: Label<'_> = Label {
    purpose: "signing key",
    parts: ["kid", "ES256"],
};

fn kek(id: &str, byte: u8) -> (String, SecretString) {
    (id.to_owned(), BASE64.encode([byte; KEY_LEN]).into())
}

fn encryption(keys: Vec<(String, SecretString)>) -> KeyEncryption {
    KeyEncryption::new(keys).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_is_sealed_opens_and_is_never_sealed_alike_twice() {
    let encryption = encryption(vec![kek("now", 1)]);
    for text in [&b""[..], b"x", &[7; 2000]] {
        let one = encryption.seal(LABEL, text, &SystemRandom);
        let two = encryption.seal(LABEL, text, &SystemRandom);
        assert_ne!(one.bytes, two.bytes);
        assert_eq!(one.bytes.len(), NONCE_LEN + text.len() + 16);
        for sealed in [one, two] {
            let opened = encryption.open(LABEL, "now", &sealed.bytes).unwrap();
            assert_eq!(opened.as_slice(), text);
        }
    }
}

#[test]
fn a_sealed_text_is_the_nonce_the_ciphertext_and_the_tag() {
    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(9);
        }
    }
    let sealed = encryption(vec![kek("now", 1)]).seal(LABEL, b"text", &Fixed);
    assert_eq!(sealed.kek_id.as_str(), "now");
    assert_eq!(&sealed.bytes[..NONCE_LEN], [9; NONCE_LEN]);

    let key = UnboundKey::new(&AES_256_GCM, &[1; KEY_LEN]).unwrap();
    let nonce = Nonce::assume_unique_for_key([9; NONCE_LEN]);
    let aad = b"\0\0\0\0\0\0\0\x0bsigning key\0\0\0\0\0\0\0\x03kid\0\0\0\0\0\0\0\x05ES256";
    let mut text = b"text".to_vec();
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::from(aad), &mut text)
        .unwrap();
    assert_eq!(&sealed.bytes[NONCE_LEN..], text);
}

#[test]
fn a_flip_of_any_bit_is_refused() {
    let encryption = encryption(vec![kek("now", 1)]);
    let sealed = encryption
        .seal(LABEL, b"a private key", &SystemRandom)
        .bytes;
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let refusal = encryption.open(LABEL, "now", &flipped).unwrap_err();
        assert!(matches!(refusal, OpenError::NotAuthentic(_)), "bit {bit}");
    }
}

#[test]
fn a_sealed_text_cut_short_is_refused() {
    let encryption = encryption(vec![kek("now", 1)]);
    let sealed = encryption
        .seal(LABEL, b"a private key", &SystemRandom)
        .bytes;
    for length in 0..sealed.len() {
        assert!(
            encryption.open(LABEL, "now", &sealed[..length]).is_err(),
            "{length}"
        );
    }
}

#[test]
fn a_sealed_text_opens_in_its_own_place_alone() {
    let encryption = encryption(vec![kek("now", 1)]);
    let sealed = encryption
        .seal(LABEL, b"a private key", &SystemRandom)
        .bytes;
    for (what, purpose, parts) in [
        ("another kid", "signing key", ["other", "ES256"]),
        ("another algorithm", "signing key", ["kid", "RS256"]),
        ("another purpose", "client secret", ["kid", "ES256"]),
        (
            "the same bytes cut otherwise",
            "signing key",
            ["kidE", "S256"],
        ),
    ] {
        let refusal = encryption
            .open(Label { purpose, parts }, "now", &sealed)
            .unwrap_err();
        assert_eq!(
            refusal,
            OpenError::NotAuthentic(KekId::new("now").unwrap()),
            "{what}"
        );
    }
}

#[test]
fn the_error_tells_a_missing_key_from_a_wrong_one() {
    let sealed = encryption(vec![kek("old", 1)]).seal(LABEL, b"x", &SystemRandom);
    let missing = encryption(vec![kek("new", 1)]).open(LABEL, "old", &sealed.bytes);
    assert_eq!(missing.unwrap_err(), OpenError::Missing("old".to_owned()));
    let wrong = encryption(vec![kek("old", 2)]).open(LABEL, "old", &sealed.bytes);
    assert_eq!(
        wrong.unwrap_err(),
        OpenError::NotAuthentic(KekId::new("old").unwrap())
    );
}

#[test]
fn the_first_key_seals_and_the_others_open() {
    let old = encryption(vec![kek("old", 1)]).seal(LABEL, b"x", &SystemRandom);
    let both = encryption(vec![kek("new", 2), kek("old", 1)]);
    assert_eq!(both.seal(LABEL, b"x", &SystemRandom).kek_id.as_str(), "new");
    assert!(both.open(LABEL, "old", &old.bytes).is_ok());
    assert!(both.open(LABEL, "new", &old.bytes).is_err());
}

#[test]
fn unusable_keys_are_refused_and_never_told() {
    let short = BASE64.encode([5; 31]);
    let long = BASE64.encode([5; 33]);
    let key = BASE64.encode([5; 32]);
    for (what, keys, expected) in [
        ("none", vec![], "there is no key-encryption key"),
        ("empty id", vec![("", &*key)], "the id of"),
        ("the key for an id", vec![(&*key, "a")], "the id of"),
        (
            "twice",
            vec![("a", &*key), ("a", &*key)],
            "`a` is there twice",
        ),
        ("31 bytes", vec![("a", &*short)], "`a` is not 32 bytes"),
        ("33 bytes", vec![("a", &*long)], "`a` is not 32 bytes"),
        ("no base64", vec![("a", "?")], "`a` is not 32 bytes"),
        ("empty", vec![("a", "")], "`a` is not 32 bytes"),
    ] {
        let keys = keys
            .iter()
            .map(|&(id, key)| (id.to_owned(), key.into()))
            .collect();
        let Err(error) = KeyEncryption::new(keys) else {
            panic!("{what} was taken");
        };
        let told = error.to_string();
        assert!(told.contains(expected), "{what}: {told}");
        assert!(
            !told.contains(&key) && !told.contains(&short),
            "{what}: {told}"
        );
    }
    for written in [key.as_str(), key.trim_end_matches('='), &format!("{key}\n")] {
        encryption(vec![("a".to_owned(), written.into())]);
    }
}

mod in_a_file {
    use super::*;

    #[test]
    fn it_is_made_once_and_read_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keks");
        let open = || KeyEncryption::from_or_create_file(&path, &SystemRandom);
        let made = open().unwrap_or_else(|error| panic!("{error}"));
        let read = open().unwrap_or_else(|error| panic!("{error}"));
        let sealed = made.seal(LABEL, b"x", &SystemRandom);
        assert!(
            read.open(LABEL, sealed.kek_id.as_str(), &sealed.bytes)
                .is_ok()
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn those_who_make_it_at_once_end_with_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keks");
        let ids: Vec<_> = std::thread::scope(|scope| {
            let open = || KeyEncryption::from_or_create_file(&path, &SystemRandom);
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(open)).collect();
            let opened = threads.into_iter().map(|thread| thread.join().unwrap());
            opened
                .map(|opened| {
                    opened
                        .unwrap_or_else(|error| panic!("{error}"))
                        .current()
                        .clone()
                })
                .collect()
        });
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
    }

    #[test]
    fn a_file_made_anew_has_keys_of_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let open =
            |name| KeyEncryption::from_or_create_file(&folder.path().join(name), &SystemRandom);
        let sealed = open("one").ok().unwrap().seal(LABEL, b"x", &SystemRandom);
        let id = sealed.kek_id.as_str();
        let refusal = open("two").ok().unwrap().open(LABEL, id, &sealed.bytes);
        assert_eq!(refusal.unwrap_err(), OpenError::Missing(id.to_owned()));
    }

    #[test]
    fn what_it_holds_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keks");
        drop(KeyEncryption::from_or_create_file(&path, &SystemRandom));
        for (text, expected) in [
            ("", "there is no key-encryption key"),
            ("nothing", "must hold lines"),
            ("a b", "`a` is not 32 bytes"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = KeyEncryption::from_or_create_file(&path, &SystemRandom)
                .err()
                .unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("keks");
        let error = KeyEncryption::from_or_create_file(&path, &SystemRandom)
            .err()
            .unwrap();
        assert!(matches!(error, InvalidKek::File(..)), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn it_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keks");
        drop(KeyEncryption::from_or_create_file(&path, &SystemRandom));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for mode in [0o640, 0o604, 0o620, 0o602, 0o644, 0o777] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = KeyEncryption::from_or_create_file(&path, &SystemRandom)
                .err()
                .unwrap();
            assert!(matches!(error, InvalidKek::Open(_)), "{mode:o}: {error}");
        }
    }
}
