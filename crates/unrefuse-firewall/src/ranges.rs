//! Finding the element of a set of ranges that a key is in, without trying each.

use std::collections::HashMap;

use crate::model::{Element, Scalar};

/// Finds the range that a key is in.
#[derive(Debug)]
pub(crate) enum RangeIndex {
    /// One part, no two ranges overlap: their first ends in order, with their places.
    Sorted(Vec<(Scalar, usize)>),
    /// By the exact value of the first part; the rest, whose first part is a range, in order.
    First(HashMap<Scalar, Vec<usize>>, Vec<usize>),
}

impl RangeIndex {
    /// Builds the index of a set's ranges.
    pub(crate) fn build(ranges: &[(Vec<(Scalar, Scalar)>, Element)]) -> Self {
        if ranges.iter().all(|(key, _)| key.len() == 1) {
            let mut sorted: Vec<(Scalar, usize)> =
                ranges.iter().enumerate().map(|(place, (key, _))| (key[0].0, place)).collect();
            sorted.sort_unstable();
            let apart = sorted.windows(2).all(|w| ranges[w[0].1].0[0].1 < w[1].0);
            if apart {
                return Self::Sorted(sorted);
            }
        }
        let mut exact: HashMap<Scalar, Vec<usize>> = HashMap::new();
        let mut rest = Vec::new();
        for (place, (key, _)) in ranges.iter().enumerate() {
            match key.first() {
                Some((from, to)) if from == to => exact.entry(*from).or_default().push(place),
                _ => rest.push(place),
            }
        }
        Self::First(exact, rest)
    }

    /// The first element whose ranges hold the key.
    pub(crate) fn find<'e>(
        &self,
        ranges: &'e [(Vec<(Scalar, Scalar)>, Element)],
        key: &[Scalar],
    ) -> Option<&'e Element> {
        let holds = |place: usize| {
            let (parts, _) = &ranges[place];
            parts.len() == key.len() && parts.iter().zip(key).all(|((from, to), k)| from <= k && k <= to)
        };
        match self {
            Self::Sorted(sorted) => {
                let at = sorted.partition_point(|(from, _)| key.first().is_some_and(|k| from <= k));
                let (_, place) = *sorted.get(at.checked_sub(1)?)?;
                holds(place).then(|| &ranges[place].1)
            }
            Self::First(exact, rest) => {
                let exact = key.first().and_then(|k| exact.get(k));
                let first = exact.and_then(|places| places.iter().copied().find(|p| holds(*p)));
                let other = rest.iter().copied().take_while(|p| first.is_none_or(|f| *p < f)).find(|p| holds(*p));
                other.or(first).map(|place| &ranges[place].1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[&[(Scalar, Scalar)]]) -> Vec<(Vec<(Scalar, Scalar)>, Element)> {
        ranges
            .iter()
            .enumerate()
            .map(|(i, r)| (r.to_vec(), Element { expires: Some(i as u64), ..Element::default() }))
            .collect()
    }

    #[test]
    fn finds_what_a_scan_finds() {
        let sets = [
            set(&[&[(5, 9)], &[(20, 30)], &[(1, 2)], &[(10, 10)]]),
            set(&[&[(5, 20)], &[(10, 10)], &[(0, 40)], &[(10, 12)]]),
            set(&[&[(5, 5), (1, 9)], &[(0, 9), (3, 3)], &[(5, 5), (3, 12)], &[(4, 6), (10, 14)]]),
        ];
        for ranges in sets {
            let index = RangeIndex::build(&ranges);
            let parts = ranges[0].0.len();
            for a in 0..45 {
                for b in 0..if parts == 2 { 16 } else { 1 } {
                    let key: Vec<Scalar> = [a, b][..parts].to_vec();
                    let scan = ranges.iter().find(|(r, _)| r.iter().zip(&key).all(|((f, t), k)| f <= k && k <= t));
                    assert_eq!(index.find(&ranges, &key), scan.map(|(_, e)| e), "{key:?}");
                }
            }
        }
    }
}
