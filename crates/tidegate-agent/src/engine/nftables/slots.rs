//! Which backend has which slot of a map: by turns, or of a source hash, where few clients move when a backend comes or goes.

use std::net::SocketAddr;

use tidegate_core::node::Weight;

/// Points of all rings together, about: sorting them is what a render costs (5 ms).
const POINTS: u32 = 65_536;
/// Slots of backends that take turns, about, unless there are more backends: loading as many takes 0.1 s.
const MOST_TURNS: u32 = 16_384;

/// A backend and its share of new connections.
pub type Weighted = (SocketAddr, Weight);

/// The backend of each slot where they take turns: each has as many as its weight, divided by what all weights have in
/// common, and they lie as far apart as can be. With one weight for all, one slot for each in the order that is given.
pub fn turns(backends: &[Weighted]) -> Vec<SocketAddr> {
    let shares = shares(backends);
    let slots_of = |((backend, _), share): (&Weighted, &u32)| {
        let (backend, share) = (*backend, u64::from(*share));
        (0..share).map(move |nth| (2 * nth + 1, share, backend))
    };
    let mut slots: Vec<(u64, u64, SocketAddr)> = backends.iter().zip(&shares).flat_map(slots_of).collect();
    // By where in the round each would best be: in the middle of its part. The sort keeps the order of equals.
    slots.sort_by(|(nth, of, _), (other, of_other, _)| (nth * of_other).cmp(&(other * of)));
    slots.into_iter().map(|(_, _, backend)| backend).collect()
}

/// Weights without what they have in common; rounded, at least 1, where that would be too many slots.
fn shares(backends: &[Weighted]) -> Vec<u32> {
    let weights = || backends.iter().map(|(_, weight)| u32::from(weight.get()));
    let common = weights().fold(0, gcd).max(1);
    let total: u32 = weights().map(|weight| weight / common).sum();
    let fitting =
        |weight: u32| if total <= MOST_TURNS { weight } else { ((weight * MOST_TURNS + total / 2) / total).max(1) };
    weights().map(|weight| fitting(weight / common)).collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Slots, and points for each unit of weight. Both depend on the sum of the weights (the number of backends, unless some have
/// one) in few steps only, because a change of either moves most clients: slots at 65 and at 513.
const fn size(units: u32) -> (u32, u32) {
    match units {
        0..=64 => (1024, POINTS / 64),
        65..=512 => (8192, POINTS / 512),
        513..=16_384 => (16_384, 32),
        16_385..=131_072 => (16_384, 4),
        _ => (16_384, 1),
    }
}

/// The backend of each slot, by consistent hashing on a ring: a backend that goes leaves its slots to others, and no other
/// slot changes; one whose weight grows takes slots from others, and no other slot changes. Nothing for an empty pool.
pub fn hashed(backends: &[Weighted]) -> Vec<SocketAddr> {
    let (slots, points) = size(backends.iter().map(|(_, weight)| u32::from(weight.get())).sum());
    let point = |backend: &SocketAddr, n: u32| (mix(seed(backend) ^ u64::from(n)), *backend);
    let points_of = |(backend, weight): &Weighted| {
        let backend = *backend;
        (0..points * u32::from(weight.get())).map(move |n| point(&backend, n))
    };
    let mut ring: Vec<(u64, SocketAddr)> = backends.iter().flat_map(points_of).collect();
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

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]], 80))
    }

    fn pool(count: u16) -> Vec<Weighted> {
        (1..=count).map(|n| (address(n), Weight::ONE)).collect()
    }

    fn weighted(weights: &[u8]) -> Vec<Weighted> {
        (1..).zip(weights).map(|(n, weight)| (address(n), Weight::new(*weight).unwrap())).collect()
    }

    fn share(slots: &[SocketAddr]) -> BTreeMap<SocketAddr, usize> {
        let mut share = BTreeMap::new();
        for backend in slots {
            *share.entry(*backend).or_default() += 1;
        }
        share
    }

    #[test]
    fn a_backend_that_goes_moves_its_own_slots_only() {
        for count in [2, 4, 64, 300, 1000] {
            let (with, mut rest) = (pool(count), pool(count));
            let (gone, _) = rest.remove(usize::from(count / 2));
            let (before, after) = (hashed(&with), hashed(&rest));
            let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
            assert!(moved.clone().all(|(old, _)| *old == gone), "{count}");
            assert!(moved.count() > 0, "{count}");
        }
    }

    #[test]
    fn a_backend_whose_weight_grows_takes_slots_and_moves_no_other() {
        let (before, after) = (hashed(&weighted(&[1, 2, 3])), hashed(&weighted(&[1, 5, 3])));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
        assert!(!moved.is_empty() && moved.iter().all(|(_, new)| **new == address(2)));
    }

    #[test]
    fn slots_are_spread_evenly_enough() {
        for count in [2_u16, 3, 10, 64, 500] {
            let slots = hashed(&pool(count));
            let share = share(&slots);
            let fair = slots.len() / usize::from(count);
            assert_eq!(share.len(), usize::from(count), "each has some");
            assert!(share.values().all(|n| *n * 5 >= fair && *n <= fair * 3), "{count}: {:?}", share.values());
        }
    }

    #[test]
    fn a_hash_gives_slots_by_weight() {
        for weights in [&[3, 1][..], &[100, 50, 50], &[1, 1, 1, 7]] {
            let slots = hashed(&weighted(weights));
            let (share, sum) = (share(&slots), weights.iter().map(|w| usize::from(*w)).sum::<usize>());
            for (backend, weight) in weighted(weights) {
                let fair = slots.len() * usize::from(weight.get()) / sum;
                assert!(share[&backend].abs_diff(fair) * 4 < fair, "{weights:?}: {share:?}");
            }
        }
    }

    #[test]
    fn turns_are_taken_by_weight_and_far_apart() {
        let nth = |slots: Vec<SocketAddr>| -> Vec<u8> {
            slots.into_iter().map(|b| if let std::net::IpAddr::V4(ip) = b.ip() { ip.octets()[3] } else { 0 }).collect()
        };
        assert_eq!(turns(&pool(5)), (1..=5).map(address).collect::<Vec<_>>());
        assert_eq!(nth(turns(&weighted(&[30, 30, 30]))), [1, 2, 3]);
        assert_eq!(nth(turns(&weighted(&[3, 1]))), [1, 1, 2, 1]);
        assert_eq!(nth(turns(&weighted(&[4, 2]))), [1, 2, 1]);
        assert_eq!(nth(turns(&weighted(&[5, 3, 2]))), [1, 2, 3, 1, 1, 2, 1, 3, 2, 1]);
        assert_eq!(turns(&[]), Vec::<SocketAddr>::new());
    }

    #[test]
    fn more_turns_than_the_kernel_should_hold_are_rounded() {
        let weights: Vec<u8> = (0..5000_u32).map(|n| u8::try_from(n % 100).unwrap() + 1).collect();
        let slots = turns(&weighted(&weights));
        assert!((10_000..22_000).contains(&slots.len()), "{}", slots.len());
        let share = share(&slots);
        assert_eq!(share.len(), 5000, "nobody is left out");
        assert_eq!((share[&address(100)], share[&address(50)], share[&address(1)]), (6, 3, 1));
        assert_eq!(turns(&pool(20_000)).len(), 20_000);
    }

    #[test]
    fn the_order_of_the_pool_does_not_matter_and_an_empty_one_has_no_slots() {
        let mut reversed = pool(9);
        reversed.reverse();
        assert_eq!(hashed(&pool(9)), hashed(&reversed));
        assert_eq!(hashed(&[]), Vec::<SocketAddr>::new());
    }
}
