//! Which addresses plugins may reach by a name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock};

/// Whether an address is one of the open Internet. What is not is another machine's, another
/// network's or this machine's own, and a name may be made to stand for it.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, carriers' networks, protocols, benchmarks, and what is reserved.
        [0, ..] | [192, 0, 0, _] | [240..=255, ..] => true,
        [100, second, ..] => (64..128).contains(&second),
        [198, second, ..] => second == 18 || second == 19,
        // The relays of 6to4.
        [192, 88, 99, _] => true,
        _ => false,
    };
    !(special
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // Addresses of IPv4 in other clothes: NAT64, 6to4, and the old compatible form.
        (0x64, 0xff9b) => [c, d, e, f] == [0; 4] && embedded(g, h),
        (0x2002, _) => embedded(b, c),
        (0, 0) => false,
        // Teredo, protocols, documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        // All that is given out for the Internet begins so.
        _ => a & 0xe000 == 0x2000,
    }
}

/// The addresses on which the daemon itself listens: known once it does. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnAddresses(Arc<OnceLock<Vec<SocketAddr>>>);

impl OwnAddresses {
    /// Notes where the daemon listens.
    pub(crate) fn set(&self, addresses: Vec<SocketAddr>) {
        // It listens once in its life.
        let _ = self.0.set(addresses);
    }

    /// Whether a connection to an address would reach the daemon.
    pub(crate) fn have(&self, address: SocketAddr) -> bool {
        let to = address.ip().to_canonical();
        self.0.get().into_iter().flatten().any(|own| {
            let at = own.ip().to_canonical();
            own.port() == address.port()
                && (at == to || to.is_unspecified() || (at.is_unspecified() && is_local(to)))
        })
    }
}

/// Whether an address is one of this machine: only those can be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P58
    #[test]
    fn what_is_not_public_is_known() {
        for address in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.167.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn the_daemons_own_address_is_known_in_every_form() {
        let own = OwnAddresses::default();
        assert!(!own.have("127.0.0.1:7717".parse().unwrap()));
        own.set(vec!["127.0.0.1:7717".parse().unwrap()]);
        for address in ["127.0.0.1:7717", "0.0.0.0:7717", "[::ffff:127.0.0.1]:7717", "[::]:7717"] {
            assert!(own.have(address.parse().unwrap()), "{address}");
        }
        assert!(!own.have("127.0.0.1:7718".parse().unwrap()));
        let all = OwnAddresses::default();
        all.set(vec!["0.0.0.0:7717".parse().unwrap()]);
        assert!(all.have("127.0.0.1:7717".parse().unwrap()));
        assert!(!all.have("192.0.2.1:7717".parse().unwrap()));
    }
}
