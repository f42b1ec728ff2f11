//! Signatures that are none.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::der::der;
use super::{Forgeries, with_trailing_bits};

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

impl Forgeries<'_> {
    pub(super) fn signatures(&mut self, input: &str, signature: &[u8]) {
        let mut flipped = signature.to_vec();
        flipped[0] ^= 1;
        let other = self.stranger.sign(input);
        let other = URL_SAFE_NO_PAD.decode(other.rsplit('.').next().expect("a signature"));
        let zeros = vec![0; signature.len()];
        let orders = [ORDER, ORDER].concat();
        let halves = signature.split_at(signature.len() / 2);
        for (what, forged) in [
            ("no signature", Vec::new()),
            ("zeros", zeros.clone()),
            ("the order of the curve, twice", orders),
            ("ones", vec![0xff; signature.len()]),
            ("r of zero", [&zeros[..halves.0.len()], halves.1].concat()),
            ("s of zero", [halves.0, &zeros[..halves.1.len()]].concat()),
            ("the halves changed over", [halves.1, halves.0].concat()),
            ("one byte cut", signature[..signature.len() - 1].to_vec()),
            ("half of it", halves.0.to_vec()),
            ("one byte more", [signature, &[0]].concat()),
            ("one byte before", [&[0], signature].concat()),
            ("twice", [signature, signature].concat()),
            ("a bit flipped", flipped),
            ("in DER", der(halves)),
            ("numbers of zero in DER", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
            ("of another key", other.expect("base64")),
        ] {
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(forged));
            self.put(format!("signature: {what}"), token);
        }
        let trailing = with_trailing_bits(&self.signature);
        for (what, text) in [
            ("trailing bits", trailing),
            (
                "padding",
                Some(URL_SAFE.encode(signature)).filter(|it| it.ends_with('=')),
            ),
            (
                "another alphabet",
                Some(STANDARD_NO_PAD.encode(signature)).filter(|it| it.contains(['+', '/'])),
            ),
            ("a line", Some(format!("{}\n", self.signature))),
            ("no base64", Some("!!!!".to_owned())),
        ] {
            if let Some(text) = text {
                self.put(format!("signature: {what}"), format!("{input}.{text}"));
            }
        }
    }
}
