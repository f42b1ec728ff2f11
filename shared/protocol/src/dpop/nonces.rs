//! Nonces that need no memory (RFC 9449 §8): when one was made and from when on it is not good, under a MAC. Whoever has the key knows its
//! own; and what one promised when it was made does not change with the configuration, for proofs are remembered no longer than that.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::time::{CLOCK_SKEW, Instant};

/// Two instants.
const TIMES: usize = 16;
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
        let mut nonce = [0; TIMES + TAG];
        let (times, tag) = nonce.split_at_mut(TIMES);
        for (bytes, time) in times.chunks_mut(8).zip([now, now + self.lifetime]) {
            bytes.copy_from_slice(&time.as_millis().to_be_bytes());
        }
        tag.copy_from_slice(&self.tag(times));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// When a nonce that is good now was made, and from when on it is not.
    #[must_use]
    pub fn made(&self, nonce: &str, now: Instant) -> Option<(Instant, Instant)> {
        let mut bytes = [0; TIMES + TAG];
        let length = URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()?;
        let (times, tag) = bytes.split_at(TIMES);
        if length != bytes.len() || verify_slices_are_equal(&self.tag(times), tag).is_err() {
            return None;
        }
        let instant = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes).ok();
        let (made_at, until) = times.split_at(8);
        let made_at = Instant::from_millis(instant(made_at)?);
        let until = Instant::from_millis(instant(until)?);
        (made_at <= now + CLOCK_SKEW && now < until).then_some((made_at, until))
    }

    fn tag(&self, times: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        let whole = hmac::sign(&self.key, times);
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
        assert_eq!(nonces.made(&nonce, now), Some((now, until)));
        let last = until - Duration::from_millis(1);
        assert_eq!(nonces.made(&nonce, last), Some((now, until)));
        assert_eq!(nonces.made(&nonce, until), None);
        assert_eq!(nonces.made(&nonce, now - CLOCK_SKEW), Some((now, until)));
        assert_eq!(nonces.made(&nonce, now - Duration::from_secs(11)), None);
        let another = Nonces::new(&[2; 32], lifetime);
        assert_eq!(another.made(&nonce, now), None);
        // A configuration that has later ones live for longer: used proofs are forgotten when this one promised.
        let longer = Nonces::new(&[1; 32], Duration::from_hours(1));
        assert_eq!(longer.made(&nonce, last), Some((now, until)));
        assert_eq!(longer.made(&nonce, until), None);
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
