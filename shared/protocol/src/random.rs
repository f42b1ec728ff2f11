//! Randomness as something that is passed in, so that tests can seed it. Everything secret or unguessable comes from here.

/// Where random bytes come from. The operating system's in production; tests pass a seeded one.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` with bytes that nobody can predict.
    fn fill(&self, bytes: &mut [u8]);
}

/// A cryptographically secure generator for each thread, seeded by the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the Random that everything else is handed"
        )]
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut out = [0; N];
    random.fill(&mut out);
    out
}

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `length` characters of `[A-Za-z0-9]`, each drawn without bias: 5.95 bits a character. Such a string needs no escaping in
/// a form, a URL or a Basic header, so that clients which forget to encode (RFC 6749 §2.3.1) work too.
#[must_use]
pub fn alphanumeric(length: usize, random: &dyn Random) -> String {
    let mut out = String::with_capacity(length);
    while out.len() < length {
        let drawn: [u8; 32] = bytes(random);
        // 6 bits at a time; the two values past the alphabet are drawn again.
        let letters = drawn
            .iter()
            .filter_map(|byte| ALPHANUMERIC.get(usize::from(byte & 0x3F)));
        out.extend(
            letters
                .take(length - out.len())
                .map(|&letter| char::from(letter)),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphanumeric_has_the_length_asked_and_only_its_letters() {
        for length in [0, 1, 22, 43, 64] {
            let made = alphanumeric(length, &SystemRandom);
            assert_eq!(made.len(), length);
            assert!(made.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
        assert_ne!(
            alphanumeric(22, &SystemRandom),
            alphanumeric(22, &SystemRandom)
        );
    }

    #[test]
    fn every_letter_is_drawn_about_equally_often() {
        let made = alphanumeric(62_000, &SystemRandom);
        for letter in ALPHANUMERIC {
            let count = made.bytes().filter(|b| b == letter).count();
            assert!(
                (800..1200).contains(&count),
                "{} came {count} times",
                char::from(*letter)
            );
        }
    }
}
