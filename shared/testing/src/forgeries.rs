//! What attackers make of a JWT that holds (RFC 8725 §2): no verifier takes any of it.

mod algorithms;
mod contents;
mod der;
mod keys;
mod signatures;
mod writings;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use self::keys::Stranger;

/// A JWT that holds, and what is known of it.
pub struct Original {
    /// Its header: `alg`, and whatever else it has.
    pub header: Value,
    /// What it says.
    pub claims: Value,
    /// The public key of its signer as a JWK; `null` for a MAC.
    pub public_key: Value,
    /// What else an attacker might know and try as the key of a MAC.
    pub known: Vec<Vec<u8>>,
    /// Each `typ` with which it would hold too.
    pub types: Vec<&'static str>,
}

/// One that must not hold.
pub struct Forgery {
    /// What was done.
    pub what: String,
    /// The outcome.
    pub token: String,
}

/// The original as it holds, and everything that is tried, each signed by `sign` where the attacker has the key and lies about something else.
///
/// # Panics
/// If the original has no JSON objects.
pub async fn forgeries(
    original: &Original,
    sign: impl AsyncFn(&[u8]) -> Vec<u8>,
) -> (String, Vec<Forgery>) {
    let input = input(&original.header, &original.claims);
    let signature = sign(input.as_bytes()).await;
    let mut all = Forgeries {
        original,
        stranger: Stranger::new(),
        signature: URL_SAFE_NO_PAD.encode(&signature),
        all: Vec::new(),
    };
    all.unsigned();
    all.macs();
    all.signatures(&input, &signature);
    all.keys_of_the_attacker();
    all.writings(&input);
    for (what, input) in all.signed() {
        let signature = sign(input.as_bytes()).await;
        all.put(
            what,
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)),
        );
    }
    (format!("{input}.{}", all.signature), all.all)
}

/// Whether it can be sent in a header as it is: what is around a header's value is none of it (RFC 9110 §5.5), and more blanks than one may
/// stand before a token (§11.4).
#[must_use]
pub fn fits_header(token: &str) -> bool {
    let is_text = |byte: u8| matches!(byte, b'\t' | b' '..=b'~');
    token.bytes().all(is_text) && token.trim() == token
}

fn input(header: &Value, claims: &Value) -> String {
    parts(&header.to_string(), &claims.to_string())
}

fn parts(header: &str, claims: &str) -> String {
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}", encode(header), encode(claims))
}

struct Forgeries<'a> {
    original: &'a Original,
    stranger: Stranger,
    signature: String,
    all: Vec<Forgery>,
}

impl Forgeries<'_> {
    fn put(&mut self, what: impl Into<String>, token: String) {
        let what = what.into();
        self.all.push(Forgery { what, token });
    }

    /// The header with this member.
    fn with(&self, name: &str, value: impl Into<Value>) -> Value {
        let mut header = self.original.header.clone();
        header[name] = value.into();
        header
    }

    fn input(&self, header: &Value) -> String {
        input(header, &self.original.claims)
    }
}

/// The same bytes with a bit behind the last, where there is room for one.
fn with_trailing_bits(encoded: &str) -> Option<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *encoded.as_bytes().last()?;
    let value = ALPHABET.iter().position(|letter| *letter == last)?;
    let next = char::from(*ALPHABET.get(value + 1)?);
    (!encoded.len().is_multiple_of(4)).then(|| format!("{}{next}", &encoded[..encoded.len() - 1]))
}
