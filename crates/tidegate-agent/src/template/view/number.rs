//! A number for each backend, the same wherever it is reckoned. Pure.

use std::collections::HashSet;
use std::net::IpAddr;

use tidegate_core::desired::Backend;

const LARGEST: u32 = 0x7FFF_FFFF;

/// One for each backend of a pool, 1 to 2147483647, no two the same.
///
/// Two that hash alike (one pool in 170 of 5,000 backends has such a pair) take the next number by their order, which is
/// that of their addresses.
pub fn numbers(pool: &[Backend]) -> Vec<u32> {
    let mut taken = HashSet::with_capacity(pool.len());
    let unused = |backend: &Backend| {
        let mut number = hash(backend.address, backend.port) & LARGEST;
        while number == 0 || !taken.insert(number) {
            number = (number + 1) & LARGEST;
        }
        number
    };
    pool.iter().map(unused).collect()
}

/// FNV-1a (isthe.com/chongo/tech/comp/fnv): written down here because it must never change.
fn hash(address: IpAddr, port: u16) -> u32 {
    let fold = |octets: &[u8], seed: u32| {
        octets.iter().fold(seed, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    };
    let of_address = match address {
        IpAddr::V4(v4) => fold(&v4.octets(), 0x811C_9DC5),
        IpAddr::V6(v6) => fold(&v6.octets(), 0x811C_9DC5),
    };
    fold(&port.to_be_bytes(), of_address)
}

#[cfg(test)]
mod tests {
    use tidegate_core::ids::NodeName;

    use super::*;

    fn backend(address: [u8; 4]) -> Backend {
        let node = NodeName::parse("w1").unwrap();
        Backend::active(node, address.into(), 30080)
    }

    #[test]
    fn a_number_stays_whoever_else_is_in_the_pool() {
        let pool: Vec<Backend> = (0..=255).map(|n| backend([10, 0, 0, n])).collect();
        let all = numbers(&pool);
        assert_eq!(numbers(&pool[3..4]), all[3..4]);
        // It is written into configurations: another version must reckon the same.
        assert_eq!(all[1], 1_247_597_057);
    }

    #[test]
    fn no_two_are_the_same_and_none_is_zero() {
        let pool: Vec<Backend> =
            (0..20_000_u16).map(|n| backend([10, 9, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect();
        let distinct: HashSet<u32> = numbers(&pool).into_iter().collect();
        assert_eq!(distinct.len(), pool.len());
        assert!(distinct.iter().all(|n| (1..=LARGEST).contains(n)));
        // The same backend twice stands for two that hash alike.
        let twins = numbers(&[backend([10, 0, 0, 1]), backend([10, 0, 0, 1])]);
        assert_eq!(twins[1], twins[0] + 1);
    }
}
