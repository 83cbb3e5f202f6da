//! Inputs that are almost right: what a reader's author did not think of is next to what he did.

use super::dice::Dice;

/// Longer ones cost time and find nothing that shorter ones do not.
const LONGEST: usize = 16 * 1024;
/// Deep enough for any recursion without a bound to end a thread's stack.
const DEEP: usize = 6_000;

/// Where readers of numbers end: of bytes, ports, 32 and 64 bits, and beside the whole numbers.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "00",
    "+1",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "1e309",
    "0.1",
    "0x10",
    "NaN",
];

/// What ends or begins something in one of the languages that are read or written.
const WORDS: &[&str] = &[
    "\n",
    "\r\n",
    "\0",
    "\t",
    " ",
    ";",
    "#",
    "$",
    "\"",
    "'",
    "`",
    "\\",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ":",
    ",",
    "=",
    "{{",
    "}}",
    "{%",
    "%}",
    "{}",
    "[]",
    "\"\"",
    "null",
    "true",
    "false",
    "\\u0000",
    "\\ud800",
    "\\n",
    "../",
    "\u{feff}",
    "\u{202e}",
    "\u{fffd}",
    "\u{2028}",
    "ü",
    "\u{7f}",
    "\u{1b}[2J",
    "<",
    ">",
    "&",
    "*",
    "!",
    "|",
    "%",
    "~",
    "-",
    "_",
];

/// What can be nested, and what stands inside.
const NESTS: &[(&str, &str)] =
    &[("[", "]"), ("{\"a\":", "}"), ("[[{\"elem\":", "}]]"), ("- ", ""), ("{", "}"), ("(", ")"), ("a: {", "}")];

/// What inputs are made of.
pub(super) struct Corpus {
    /// Real messages, and others that were read.
    pub(super) good: Vec<Vec<u8>>,
    /// One for each reason to refuse.
    pub(super) odd: Vec<Vec<u8>>,
}

/// Makes inputs of one target.
pub(super) struct Mutator {
    dice: Dice,
    dictionary: &'static [&'static str],
}

impl Mutator {
    pub(super) const fn new(dice: Dice, dictionary: &'static [&'static str]) -> Self {
        Self { dice, dictionary }
    }

    /// One of the corpus, changed in a few ways.
    pub(super) fn next(&mut self, corpus: &Corpus) -> Vec<u8> {
        let from = if self.dice.below(4) == 0 && !corpus.odd.is_empty() { &corpus.odd } else { &corpus.good };
        let mut input = self.dice.pick(from).cloned().unwrap_or_default();
        // Most inputs keep most of what makes them readable.
        let changes = 1 + self.dice.below(4).min(self.dice.below(4)).min(self.dice.below(4));
        for _ in 0..changes {
            self.change(&mut input, &corpus.good);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        match self.dice.below(14) {
            0 => self.flip_a_bit(input),
            1 => self.set_a_byte(input),
            2..=4 => self.put_a_word(input),
            5 | 6 => self.replace_a_number(input),
            7 => self.remove_a_piece(input),
            8 => self.repeat_a_piece(input),
            9 => input.truncate(self.dice.below(input.len() + 1)),
            10 => self.splice(input, corpus),
            11 => self.swap_pieces(input),
            12 => self.replace_a_word(input),
            _ => self.nest(input),
        }
    }

    fn flip_a_bit(&mut self, input: &mut [u8]) {
        let (at, bit) = (self.dice.below(input.len()), self.dice.below(8));
        if let Some(byte) = input.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn set_a_byte(&mut self, input: &mut [u8]) {
        let (at, value) = (self.dice.below(input.len()), self.dice.byte());
        if let Some(byte) = input.get_mut(at) {
            *byte = value;
        }
    }

    fn word(&mut self) -> &'static str {
        let list = match self.dice.below(4) {
            0 => NUMBERS,
            1 => WORDS,
            _ if self.dictionary.is_empty() => WORDS,
            _ => self.dictionary,
        };
        self.dice.pick(list).copied().unwrap_or_default()
    }

    fn put_a_word(&mut self, input: &mut Vec<u8>) {
        let (at, word) = (self.dice.below(input.len() + 1), self.word());
        input.splice(at..at, word.bytes());
    }

    /// A run of digits, wherever one begins after a random place.
    fn replace_a_number(&mut self, input: &mut Vec<u8>) {
        let from = self.dice.below(input.len());
        let number = self.dice.pick(NUMBERS).copied().unwrap_or_default();
        replace_run(input, from, u8::is_ascii_digit, number);
    }

    /// A run of letters, likewise.
    fn replace_a_word(&mut self, input: &mut Vec<u8>) {
        let (from, word) = (self.dice.below(input.len()), self.word());
        replace_run(input, from, u8::is_ascii_alphanumeric, word);
    }

    /// A short range.
    fn piece(&mut self, length: usize) -> std::ops::Range<usize> {
        let from = self.dice.below(length + 1);
        let most = if self.dice.below(4) == 0 { length } else { 16 };
        from..(from + self.dice.below(most + 1)).min(length)
    }

    fn remove_a_piece(&mut self, input: &mut Vec<u8>) {
        let piece = self.piece(input.len());
        input.drain(piece);
    }

    fn repeat_a_piece(&mut self, input: &mut Vec<u8>) {
        let piece = self.piece(input.len());
        let (end, copy) = (piece.end, input.get(piece).unwrap_or_default().to_vec());
        let most = LONGEST / copy.len().max(1);
        let times = if self.dice.below(8) == 0 { self.dice.below(most.min(2_000)) } else { 1 };
        input.splice(end..end, copy.repeat(times));
    }

    fn swap_pieces(&mut self, input: &mut Vec<u8>) {
        let piece = self.piece(input.len());
        let taken: Vec<u8> = input.drain(piece).collect();
        let at = self.dice.below(input.len() + 1);
        input.splice(at..at, taken);
    }

    /// The beginning of this one, the end of another.
    fn splice(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let other = self.dice.pick(corpus).map(Vec::as_slice).unwrap_or_default();
        let (cut, from) = (self.dice.below(input.len() + 1), self.dice.below(other.len() + 1));
        input.truncate(cut);
        input.extend_from_slice(other.get(from..).unwrap_or_default());
    }

    fn nest(&mut self, input: &mut Vec<u8>) {
        let (open, close) = self.dice.pick(NESTS).copied().unwrap_or_default();
        let depth = if self.dice.below(4) == 0 { DEEP / open.len().max(1) } else { 1 + self.dice.below(40) };
        let at = self.dice.below(input.len() + 1);
        let (open, close) = (open.repeat(depth), close.repeat(depth));
        input.splice(at..at, open.bytes().chain(close.bytes()));
    }
}

fn replace_run(input: &mut Vec<u8>, from: usize, belongs: impl Fn(&u8) -> bool, by: &str) {
    let Some(begin) = input.iter().skip(from).position(&belongs).map(|n| n + from) else { return };
    let length = input.iter().skip(begin).take_while(|byte| belongs(byte)).count();
    input.splice(begin..begin + length, by.bytes());
}
