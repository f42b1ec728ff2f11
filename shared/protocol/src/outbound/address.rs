//! Which addresses belong to the public internet (IANA special-purpose address registries, RFC 6890).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 prefixes that no stranger's URL may reach.
const FORBIDDEN_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),            // "this network", RFC 791
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private, RFC 1918
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier NAT, RFC 6598; some clouds' metadata
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(168, 63, 129, 16), 32), // Azure's host service: a public number, reachable from inside alone
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, RFC 3927; most clouds' metadata
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private, RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments, RFC 6890
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation, RFC 5737
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // 6to4 relays, RFC 7526
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private, RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking, RFC 2544
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // documentation, RFC 5737
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // documentation, RFC 5737
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // multicast, RFC 5771
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved and broadcast, RFC 1112 and RFC 919
];

/// IPv6 is judged the other way round: of all its space only `2000::/3` is global unicast (RFC 4291 §2.4), less these.
const FORBIDDEN_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, RFC 2928; Teredo, RFC 4380
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation, RFC 3849
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, RFC 3056: an IPv4 address within
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation, RFC 9637
];

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The prefix under which a DNS64 resolver hands out IPv4 servers on a network that has IPv6 alone (RFC 6052 §2.1).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether `address` may be reached on behalf of a stranger. Forms that carry an IPv4 address (mapped, compatible, 6to4,
/// Teredo, local NAT64) are refused whatever they carry; the well-known NAT64 prefix counts as the address it carries.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) if within_v6(v6, NAT64) => {
            let [.., a, b, c, d] = v6.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(v6) => {
            within_v6(v6, GLOBAL_UNICAST) && !FORBIDDEN_V6.iter().any(|&p| within_v6(v6, p))
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |(prefix, length): (Ipv4Addr, u32)| {
        (address.to_bits() ^ prefix.to_bits()).leading_zeros() >= length
    };
    !FORBIDDEN_V4.into_iter().any(within)
}

fn within_v6(address: Ipv6Addr, (prefix, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ prefix.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Written apart from the tables above, as text, so that a slip there shows here.
    const FORBIDDEN: &[&str] = &[
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/32",
        "2001:2::/48",
        "2001:10::/28",
        "2001:20::/28",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "4000::/2",
        "5f00::/16",
        "fc00::/7",
        "fd00:ec2::254/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ];

    const PUBLIC: &[&str] = &[
        "1.1.1.0/24",
        "8.8.8.0/24",
        "93.184.215.0/24",
        "151.101.0.0/16",
        "2001:4860::/32",
        "2606:4700::/32",
        "2a00:1450::/32",
        "64:ff9b::808:808/128",
    ];

    /// The address in `prefix` whose free bits are those of `noise`.
    fn address_in(prefix: &str, noise: u128) -> IpAddr {
        let (base, length) = prefix.split_once('/').unwrap();
        let length: u32 = length.parse().unwrap();
        match base.parse().unwrap() {
            IpAddr::V4(v4) => {
                let free = u32::MAX.checked_shr(length).unwrap_or(0);
                let noise = u32::try_from(noise & u128::from(free)).unwrap();
                Ipv4Addr::from_bits(v4.to_bits() | noise).into()
            }
            IpAddr::V6(v6) => {
                let free = u128::MAX.checked_shr(length).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() | (noise & free)).into()
            }
        }
    }

    fn prefix_of(table: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
        proptest::sample::select(table)
    }

    proptest! {
        #[test]
        fn nothing_in_a_forbidden_prefix_is_public(prefix in prefix_of(FORBIDDEN), noise: u128) {
            let address = address_in(prefix, noise);
            prop_assert!(!is_public(address), "{address} of {prefix}");
        }

        #[test]
        fn known_public_prefixes_are_public(prefix in prefix_of(PUBLIC), noise: u128) {
            let address = address_in(prefix, noise);
            prop_assert!(is_public(address), "{address} of {prefix}");
        }

        #[test]
        fn a_forbidden_ipv4_address_stays_forbidden_inside_ipv6(prefix in prefix_of(FORBIDDEN), noise: u128, rest: u32) {
            if let IpAddr::V4(v4) = address_in(prefix, noise) {
                let bits = u128::from(v4.to_bits());
                for (form, value) in [
                    ("compatible", bits),
                    ("mapped", 0xFFFF << 32 | bits),
                    ("translated", 0xFFFF << 48 | bits),
                    ("NAT64", 0x0064_FF9B << 96 | bits),
                    ("local NAT64", 0x0064_FF9B_0001 << 80 | bits),
                    ("6to4", 0x2002 << 112 | bits << 80 | u128::from(rest)),
                    ("Teredo server", 0x2001_0000 << 96 | bits << 64 | u128::from(rest)),
                    ("Teredo client", 0x2001_0000 << 96 | u128::from(!v4.to_bits())),
                ] {
                    let address = Ipv6Addr::from_bits(value);
                    prop_assert!(!is_public(address.into()), "{form} {address}");
                }
            }
        }
    }

    #[test]
    fn prefixes_end_where_the_registries_say() {
        for (address, public) in [
            ("0.255.255.255", false),
            ("1.0.0.0", true),
            ("9.255.255.255", true),
            ("10.255.255.255", false),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.64.0.0", false),
            ("100.127.255.255", false),
            ("100.128.0.0", true),
            ("126.255.255.255", true),
            ("128.0.0.0", true),
            ("168.63.129.15", true),
            ("168.63.129.16", false),
            ("168.63.129.17", true),
            ("169.253.255.255", true),
            ("169.255.0.0", true),
            ("172.15.255.255", true),
            ("172.31.255.255", false),
            ("172.32.0.0", true),
            ("192.0.1.0", true),
            ("192.167.255.255", true),
            ("192.169.0.0", true),
            ("198.17.255.255", true),
            ("198.19.255.255", false),
            ("198.20.0.0", true),
            ("223.255.255.255", true),
            ("224.0.0.0", false),
            ("1fff:ffff::", false),
            ("2001:1ff:ffff::", false),
            ("2001:200::", true),
            ("2001:db7:ffff::", true),
            ("2001:db9::", true),
            ("2003::", true),
            ("3ffe::", true),
            ("3fff:fff:ffff::", false),
            ("3fff:1000::", true),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::a9fe:a9fe", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
