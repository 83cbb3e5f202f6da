//! The header by which Tidegate knows a file of its own again, whole and unedited.

use tidegate_core::hash::ContentHash;

const NOTICE: &str =
    "# Written by tidegate. Do not edit: an edited file is refused until tidegate is started with --take-over.";
const SEAL: &str = "# tidegate-sha256: ";
const GENERATION: &str = "# tidegate-generation: ";

/// What a text says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// Ours, as we wrote it; the engine answers this generation when it serves the text.
    Whole(ContentHash),
    /// It has our header, but the rest is not what we wrote.
    Broken,
    /// No header of ours.
    Missing,
}

/// Puts the header before a body: the SHA-256 of all that follows it, and the generation.
pub fn seal(generation: &ContentHash, body: &str) -> String {
    let rest = format!("{GENERATION}{generation}\n\n{body}");
    format!("{NOTICE}\n{SEAL}{}\n{rest}", ContentHash::of_bytes(rest.as_bytes()))
}

/// Checks the header of a text.
pub fn unseal(text: &str) -> Seal {
    let Some((first, after_first)) = text.split_once('\n') else { return Seal::Missing };
    let Some((hash, rest)) = after_first.strip_prefix(SEAL).and_then(|t| t.split_once('\n')) else {
        // Somebody may have damaged the header itself.
        return if first == NOTICE { Seal::Broken } else { Seal::Missing };
    };
    let generation = rest.strip_prefix(GENERATION).and_then(|t| t.split_once('\n')).map(|(hex, _)| hex);
    let generation = generation.and_then(|hex| ContentHash::parse(hex).ok());
    let genuine = first == NOTICE && hash == ContentHash::of_bytes(rest.as_bytes()).to_string();
    generation.filter(|_| genuine).map_or(Seal::Broken, Seal::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_is_known_again() {
        let generation = ContentHash::of_bytes(b"g");
        assert_eq!(unseal(&seal(&generation, "events {}\n")), Seal::Whole(generation));
    }

    #[test]
    fn any_single_changed_byte_breaks_the_seal() {
        let text = seal(&ContentHash::of_bytes(b"g"), "events {}\n");
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!matches!(unseal(&changed), Seal::Whole(_)), "byte {at}");
        }
        assert_eq!(unseal(&format!("{text}#")), Seal::Broken);
        assert_eq!(unseal(&text[..text.len() - 1]), Seal::Broken);
    }

    #[test]
    fn a_foreign_text_has_no_seal() {
        for text in ["", "\n", "user www-data;\nworker_processes auto;\n", "# a\n# b\n"] {
            assert_eq!(unseal(text), Seal::Missing, "{text:?}");
        }
    }
}
