//! Passwords: in which form they are taken, and which will do.

pub mod hasher;

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::email::EmailAddress;

/// Characters (NIST SP 800-63B-4 §3.1.1.2 asks for 8 where a password is not the only factor; another may follow it).
const SHORTEST: usize = 8;
/// Characters, so that a phrase fits and a hash cannot be made to read without end.
const LONGEST: usize = 256;
/// Bytes that are looked at, before anything is normalized.
const LONGEST_RAW: usize = 4 * LONGEST;
/// Guesses that a password must be worth. Enough to refuse the entries of lists of common passwords, simple changes of them, and the
/// person's own address with a year behind it; far below what any other eight characters are worth, because rules beyond that make
/// passwords worse (NIST SP 800-63B-4 §3.1.1.2).
const FEWEST_GUESSES: u64 = 50_000;
/// Characters whose guesses are estimated: for hundreds of letters that may stand for others, that takes a second.
const ESTIMATED: usize = 32;

/// Why a password will not do. Says what to do instead, for the person who chose it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Below the least length.
    #[error("a password has at least {SHORTEST} characters")]
    TooShort,
    /// Past the greatest length.
    #[error("a password has at most {LONGEST} characters")]
    TooLong,
    /// On the lists that guessers try first, or made from the person's own address or name.
    #[error(
        "this password is among the first that others would guess: choose one that is not common and not made from your name or address"
    )]
    Guessable,
}

/// A password in the form in which it is hashed.
///
/// That is NFKC (NIST SP 800-63B-3 §5.1.1.2), because keyboards differ in how they compose what looks the same. Characters are code
/// points of that form.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// One that somebody typed to prove who they are. What is too long to be anybody's password becomes one that is nobody's, so that
    /// it costs what a wrong one costs.
    #[must_use]
    pub fn typed(raw: &SecretString) -> Self {
        let raw = raw.expose_secret();
        let text = if raw.len() > LONGEST_RAW { "" } else { raw };
        Self(normalized(text))
    }

    /// One that a person chose for themselves.
    ///
    /// # Errors
    /// [`PasswordRefusal`].
    pub fn choose(
        raw: &SecretString,
        email: &EmailAddress,
        name: Option<&str>,
    ) -> Result<Self, PasswordRefusal> {
        let raw = raw.expose_secret();
        if raw.len() > LONGEST_RAW {
            return Err(PasswordRefusal::TooLong);
        }
        let password = normalized(raw);
        let length = password.chars().count();
        if length < SHORTEST {
            return Err(PasswordRefusal::TooShort);
        }
        if length > LONGEST {
            return Err(PasswordRefusal::TooLong);
        }
        if is_guessable(&password, &own_words(email, name.unwrap_or_default())) {
            return Err(PasswordRefusal::Guessable);
        }
        Ok(Self(password))
    }
}

fn normalized(text: &str) -> Zeroizing<String> {
    // One allocation, so that no copy of it is left behind by growing.
    let mut normal = Zeroizing::new(String::with_capacity(4 * text.len() + 16));
    normal.extend(text.nfkc());
    normal
}

/// Whether a guesser who knows the person comes to it early. A beginning that is hard to guess makes the whole hard to guess.
fn is_guessable(password: &str, own: &[String]) -> bool {
    let lower = Zeroizing::new(password.to_lowercase());
    let beginning = password.char_indices().nth(ESTIMATED);
    let beginning = beginning.map_or(password, |(end, _)| password.split_at(end).0);
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    own.contains(&lower.as_str()) || zxcvbn::zxcvbn(beginning, &own).guesses() < FEWEST_GUESSES
}

/// What a guesser who knows the person would begin with: the address, its parts, and the parts of the name.
fn own_words(email: &EmailAddress, name: &str) -> Vec<String> {
    let (normal, name) = (email.normal(), name.to_lowercase());
    let mut words = vec![normal.to_owned(), name.clone()];
    words.extend([email.local_part(), email.domain()].map(str::to_owned));
    if let Some((host, _)) = normal.rsplit_once('.') {
        words.push(host.to_owned());
    }
    let parts = normal.split(|c: char| !c.is_alphanumeric());
    words.extend(parts.chain(name.split_whitespace()).map(str::to_owned));
    // A word of two letters would make every password with these two look made from it.
    words.retain(|word| word.chars().count() > 2);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choose(raw: &str) -> Result<Password, PasswordRefusal> {
        let email: EmailAddress = "demo@example.com".parse().unwrap();
        Password::choose(&raw.into(), &email, Some("Ada Lovelace"))
    }

    #[test]
    fn nist_sp_800_63b_common_passwords_and_those_near_the_address_are_refused() {
        for raw in [
            "password",
            "Password1",
            "p@ssw0rd",
            "12345678",
            "123456789012",
            "qwertyuiop",
            "iloveyou",
            "aaaaaaaaaa",
            "abcdefgh",
            "demo@example.com",
            "DEMO@example.com",
            "ｄｅｍｏ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "demo@example",
            "demo2026",
            "Demo1234",
            "demodemo",
            "example.com",
            "lovelace",
            "ada lovelace",
            &"password".repeat(32),
        ] {
            assert_eq!(choose(raw).err(), Some(PasswordRefusal::Guessable), "{raw}");
        }
    }

    #[test]
    fn nist_sp_800_63b_no_rules_of_composition() {
        for raw in [
            "correct horse battery staple",
            "correct horse",
            "kx8vbq2m",
            "ttqwkzvn",
            "Kiosk-Regen-73",
            "пароль на каждый день",
            "密码学是一门学问呢",
            "8 bears & 1 spoon",
        ] {
            assert_eq!(choose(raw).err(), None, "{raw}");
        }
    }

    #[test]
    fn length_counts_characters_after_normalization() {
        // Decomposed: fourteen code points that compose to seven.
        assert_eq!(
            choose(&"e\u{301}".repeat(7)).err(),
            Some(PasswordRefusal::TooShort)
        );
        assert_eq!(choose("kx8vbq2").err(), Some(PasswordRefusal::TooShort));
        assert_eq!(choose("").err(), Some(PasswordRefusal::TooShort));
        let long: String = "kx8vbq2m".repeat(32);
        assert_eq!(choose(&long).err(), None);
        assert_eq!(
            choose(&format!("{long}!")).err(),
            Some(PasswordRefusal::TooLong)
        );
        assert_eq!(
            choose(&"x".repeat(1_000_000)).err(),
            Some(PasswordRefusal::TooLong)
        );
        // The longest that fits, in the longest characters.
        let wide: String = ('\u{20000}'..).step_by(97).take(256).collect();
        assert_eq!(choose(&wide).err(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(raw in any::<String>()) {
            let _ = (choose(&raw), Password::typed(&raw.into()));
        }
    }
}
