//! The same share for every zone, as weights.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::desired::Backend;
use crate::node::{Weight, Zone};

/// Of all weights together, about, unless there are more backends: HAProxy takes 0.5 KB for each unit, the kernel a slot.
const MOST_TOGETHER: u64 = 25_600;

/// What one zone has: the places of its active backends in the pool, and their weights.
#[derive(Default)]
struct Part {
    places: Vec<usize>,
    weights: Vec<u64>,
}

/// The pool with weights that give each zone the same sum, divided within it as its own weights say; nothing when that is
/// the pool itself. Backends without a zone are one together.
///
/// The sum is the least with which all weights are whole numbers. Where that needs a weight above 100, or more than
/// [`MOST_TOGETHER`], it is the largest that does not, and each weight is rounded down or up so that the sum stays right, but
/// never to 0: a zone with more backends than that (100 for each of the zone with the fewest, at best) gets more than its
/// share.
pub(super) fn spread(pool: &[Backend]) -> Option<Vec<Backend>> {
    let mut parts: BTreeMap<Option<&Zone>, Part> = BTreeMap::new();
    for (place, backend) in pool.iter().enumerate().filter(|(_, backend)| backend.is_active()) {
        let part = parts.entry(backend.zone.as_ref()).or_default();
        part.places.push(place);
        part.weights.push(backend.weight.get().into());
    }
    if parts.len() < 2 {
        return None;
    }
    let together = MOST_TOGETHER / u64::try_from(parts.len()).unwrap_or(u64::MAX);
    let sum = sum_of_each(parts.values(), together);
    let mut after = pool.to_vec();
    for part in parts.values() {
        for (place, weight) in part.places.iter().zip(part.divided(sum)) {
            if let Some(backend) = after.get_mut(*place) {
                backend.weight = weight;
            }
        }
    }
    (after != pool).then_some(after)
}

fn sum_of_each<'a>(parts: impl Iterator<Item = &'a Part> + Clone, together: u64) -> u64 {
    let backends = parts.clone().map(|part| u64::try_from(part.places.len()).unwrap_or(u64::MAX)).max();
    let most = parts.clone().map(Part::most).min().unwrap_or(1).min(together.max(backends.unwrap_or(1)));
    // A sum that is too large already need not become larger.
    let least =
        parts.map(Part::least).fold(1, |sum, least| if sum > most { sum } else { sum / gcd(sum, least) * least });
    least.min(most)
}

const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Part {
    fn sum(&self) -> u64 {
        self.weights.iter().sum()
    }

    /// The least sum that divides into whole numbers.
    fn least(&self) -> u64 {
        self.sum() / self.weights.iter().copied().fold(0, gcd).max(1)
    }

    /// The largest sum of which nobody gets more than the largest weight.
    fn most(&self) -> u64 {
        let largest = self.weights.iter().copied().max().unwrap_or(1);
        u64::from(Weight::MOST) * self.sum() / largest
    }

    /// A sum divided by the weights (largest remainder; the first of equals), each at least 1.
    fn divided(&self, sum: u64) -> Vec<Weight> {
        let own = self.sum().max(1);
        let exact = |weight: u64| (weight * sum / own, weight * sum % own);
        let mut shares: Vec<u64> = self.weights.iter().map(|weight| exact(*weight).0.max(1)).collect();
        let given: u64 = shares.iter().sum();
        // Who was given 1 though it had less coming gets nothing on top.
        let whole = self.weights.iter().zip(&mut shares).filter(|(weight, _)| exact(**weight).0 > 0);
        let mut by_rest: Vec<(u64, &mut u64)> = whole.map(|(weight, share)| (exact(*weight).1, share)).collect();
        by_rest.sort_by_key(|(rest, _)| Reverse(*rest));
        for (_, share) in by_rest.into_iter().take(usize::try_from(sum.saturating_sub(given)).unwrap_or(usize::MAX)) {
            *share += 1;
        }
        self.take_back(&mut shares, given.saturating_sub(sum));
        shares.into_iter().map(|share| u8::try_from(share).ok().and_then(Weight::new).unwrap_or_default()).collect()
    }

    /// What was given to those who had to get 1 comes from those who have most.
    fn take_back(&self, shares: &mut [u64], surplus: u64) {
        for _ in 0..surplus {
            let most = shares.iter_mut().zip(&self.weights).max_by_key(|(share, weight)| (**share, Reverse(**weight)));
            match most {
                Some((share, _)) if *share > 1 => *share -= 1,
                _ => return,
            }
        }
    }
}
