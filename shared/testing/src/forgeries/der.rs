//! Just enough DER (X.690) to write keys and signatures as X.509 has them.

/// One element in DER.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("short").to_be_bytes();
    let length = match length {
        [0, short @ 0..=127] => vec![short],
        [0, one] => vec![0x81, one],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &*length, content].concat()
}

pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(bytes.len());
    let number = &bytes[start..];
    let sign = if number.first().is_none_or(|first| *first >= 0x80) {
        &[0][..]
    } else {
        &[]
    };
    element(2, &[sign, number].concat())
}

/// RFC 3279 §2.2.3: the signature as X.509 has it.
pub(super) fn der((r, s): (&[u8], &[u8])) -> Vec<u8> {
    element(0x30, &[integer(r), integer(s)].concat())
}
