//! "Did you mean": the known word that an unknown one resembles.

/// No word is nearer than the difference of their lengths.
const MOST_SLIPS: usize = 3;

/// The nearest of the known words, when it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(word);
    let distance = |candidate: &&'a str| strsim::damerau_levenshtein(&wanted, &plain(candidate));
    let length = wanted.chars().count();
    let in_reach = |candidate: &&'a str| candidate.chars().count().abs_diff(length) <= MOST_SLIPS;
    let best = known.into_iter().filter(in_reach).min_by_key(distance)?;
    // One slip in a short word, two from six letters on, three in a long one.
    let allowed = (length.max(best.len()) / 3).clamp(1, MOST_SLIPS);
    (distance(&best) <= allowed && !wanted.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["name", "bind", "protocol", "targetPort", "sourceRanges"];
        let meant = |word| nearest(word, known);
        assert_eq!(meant("target_port"), Some("targetPort"));
        assert_eq!(meant("TargetPort"), Some("targetPort"));
        assert_eq!(meant("protcol"), Some("protocol"));
        assert_eq!(meant("bnid"), Some("bind"));
        assert_eq!(meant("sourceRange"), Some("sourceRanges"));
        assert_eq!(meant("weight"), None);
        assert_eq!(meant(""), None);
    }
}
