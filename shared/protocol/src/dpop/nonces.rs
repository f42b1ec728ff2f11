//! Nonces that need no memory (RFC 9449 §8): when one was made, under a MAC. Whoever has the key knows its own.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::time::{CLOCK_SKEW, Instant};

/// An instant.
const TIME: usize = 8;
/// 128 bits of the MAC.
const TAG: usize = 16;

/// Makes nonces and knows them again, on every node that has the key.
pub struct Nonces {
    key: hmac::Key,
    lifetime: Duration,
}

impl Nonces {
    /// Those of this key, each good for so long.
    #[must_use]
    pub fn new(key: &[u8; 32], lifetime: Duration) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            lifetime,
        }
    }

    /// A nonce of this moment.
    #[must_use]
    pub fn at(&self, now: Instant) -> String {
        let mut nonce = [0; TIME + TAG];
        let (time, tag) = nonce.split_at_mut(TIME);
        time.copy_from_slice(&now.as_millis().to_be_bytes());
        tag.copy_from_slice(&self.tag(time));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// When a nonce was made that is good now.
    #[must_use]
    pub fn made(&self, nonce: &str, now: Instant) -> Option<Instant> {
        let mut bytes = [0; TIME + TAG];
        let length = URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()?;
        let (time, tag) = bytes.split_at(TIME);
        if length != bytes.len() || verify_slices_are_equal(&self.tag(time), tag).is_err() {
            return None;
        }
        let made_at = Instant::from_millis(i64::from_be_bytes(time.try_into().ok()?));
        (made_at <= now + CLOCK_SKEW && now < made_at + self.lifetime).then_some(made_at)
    }

    fn tag(&self, time: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let whole = hmac::sign(&self.key, time);
        for (byte, of_whole) in tag.iter_mut().zip(whole.as_ref()) {
            *byte = *of_whole;
        }
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9449_8_nonces_are_of_one_key_and_one_time() {
        let lifetime = Duration::from_mins(5);
        let nonces = Nonces::new(&[1; 32], lifetime);
        let now = Instant::from_secs(1_800_000_000);
        let nonce = nonces.at(now);
        let until = now + lifetime;
        assert_eq!(nonces.made(&nonce, now), Some(now));
        let last = until - Duration::from_millis(1);
        assert_eq!(nonces.made(&nonce, last), Some(now));
        assert_eq!(nonces.made(&nonce, until), None);
        assert_eq!(nonces.made(&nonce, now - CLOCK_SKEW), Some(now));
        assert_eq!(nonces.made(&nonce, now - Duration::from_secs(11)), None);
        let another = Nonces::new(&[2; 32], lifetime);
        assert_eq!(another.made(&nonce, now), None);
        // Threat 26: cut, extended, and with any bit the other way.
        for cut in 0..nonce.len() {
            assert_eq!(nonces.made(&nonce[..cut], now), None);
        }
        assert_eq!(nonces.made(&format!("{nonce}A"), now), None);
        assert_eq!(nonces.made(&format!("{nonce}="), now), None);
        let bytes = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces.made(&URL_SAFE_NO_PAD.encode(flipped), now), None);
        }
    }
}
