//! Where a request comes from, as it is counted.

use std::net::IpAddr;

/// An IPv4 address or an IPv6 /64: who has one address of such a network has all of them (RFC 4291 §2.5.1), so that is one place.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network([u8; 9]);

/// As bytes, always as many, which no other has.
impl AsRef<[u8]> for Network {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        // A /64 is eight bytes; what stands before them is the version, lest an IPv4 address be one.
        let (version, network) = match address.to_canonical() {
            IpAddr::V4(address) => (4, u64::from(u32::from(address))),
            IpAddr::V6(address) => (
                6,
                u64::try_from(u128::from(address) >> 64).unwrap_or_default(),
            ),
        };
        let mut bytes = [version; 9];
        let [_, rest @ ..] = &mut bytes;
        *rest = network.to_be_bytes();
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_64_is_one_place_and_a_mapped_address_is_its_ipv4() {
        let network = |address: &str| Network::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
        assert_ne!(network("0:0:c000:201::"), network("192.0.2.1"));
    }
}
