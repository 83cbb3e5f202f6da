//! Which backend has which slot of a source hash: few clients move when a backend comes or goes.

use std::net::SocketAddr;

/// Points of all rings together, about: sorting them is what a render costs (5 ms).
const POINTS: u32 = 65_536;

/// Slots and points for each backend. Both depend on the size of the pool in three steps only, because a change of either
/// moves most clients: at 65 and at 513 backends.
const fn size(backends: usize) -> (u32, u32) {
    match backends {
        0..=64 => (1024, POINTS / 64),
        65..=512 => (8192, POINTS / 512),
        _ => (16_384, 32),
    }
}

/// The backend of each slot, by consistent hashing on a ring: a backend that goes leaves its slots to others, and no other
/// slot changes. Nothing for an empty pool.
pub fn hashed(backends: &[SocketAddr]) -> Vec<SocketAddr> {
    let (slots, points) = size(backends.len());
    let point = |backend: &SocketAddr, n: u32| (mix(seed(backend) ^ u64::from(n)), *backend);
    let mut ring: Vec<(u64, SocketAddr)> =
        backends.iter().flat_map(|backend| (0..points).map(move |n| point(backend, n))).collect();
    ring.sort_unstable();
    let Some(first) = ring.first().map(|(_, backend)| *backend) else { return Vec::new() };
    let width = u64::MAX / u64::from(slots);
    let mut rest = ring.iter().peekable();
    let owner = |slot: u32| {
        let start = width * u64::from(slot);
        while rest.next_if(|(at, _)| *at < start).is_some() {}
        rest.peek().map_or(first, |(_, backend)| *backend)
    };
    (0..slots).map(owner).collect()
}

/// The same on every machine and in every version: a hash of the address and port alone.
fn seed(backend: &SocketAddr) -> u64 {
    let octets = match backend.ip() {
        std::net::IpAddr::V4(ip) => u128::from(ip.to_bits()),
        std::net::IpAddr::V6(ip) => ip.to_bits(),
    };
    let high = u64::try_from(octets >> 64).unwrap_or_default();
    let low = u64::try_from(octets & u128::from(u64::MAX)).unwrap_or_default();
    mix(mix(mix(high) ^ low) ^ u64::from(backend.port()))
}

/// The finalizer of splitmix64 (public domain, Sebastiano Vigna).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pool(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|n| SocketAddr::from(([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]], 80))).collect()
    }

    #[test]
    fn a_backend_that_goes_moves_its_own_slots_only() {
        for count in [2, 4, 64, 300, 1000] {
            let (with, mut rest) = (pool(count), pool(count));
            let gone = rest.remove(usize::from(count / 2));
            let (before, after) = (hashed(&with), hashed(&rest));
            let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
            assert!(moved.clone().all(|(old, _)| *old == gone), "{count}");
            assert!(moved.count() > 0, "{count}");
        }
    }

    #[test]
    fn slots_are_spread_evenly_enough() {
        for count in [2_u16, 3, 10, 64, 500] {
            let slots = hashed(&pool(count));
            let mut share = BTreeMap::<SocketAddr, usize>::new();
            for backend in &slots {
                *share.entry(*backend).or_default() += 1;
            }
            let fair = slots.len() / usize::from(count);
            assert_eq!(share.len(), usize::from(count), "each has some");
            assert!(share.values().all(|n| *n * 5 >= fair && *n <= fair * 3), "{count}: {:?}", share.values());
        }
    }

    #[test]
    fn the_order_of_the_pool_does_not_matter_and_an_empty_one_has_no_slots() {
        let mut reversed = pool(9);
        reversed.reverse();
        assert_eq!(hashed(&pool(9)), hashed(&reversed));
        assert_eq!(hashed(&[]), Vec::<SocketAddr>::new());
    }
}
