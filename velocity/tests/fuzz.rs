//! A short run of the fuzzers of `velocity/fuzz` without coverage guidance: deterministic mutations
//! of the recorded cases.

#[allow(unreachable_pub, reason = "the fuzzers use it from another crate")]
mod targets;

use promoflow_velocity::{Map, Value};
use targets::{escapes_values, measure::Counting, reads_json, renders_within_limits};

#[global_allocator]
static COUNTING: Counting = Counting;

const CASES: &str = include_str!("cases.jsonl");
const WORDS: &str = include_str!("targets/velocity.dict");

/// Number of mutations of each case.
const VARIATIONS: u32 = 150;

/// A pseudo-random generator (xorshift), seeded by the number of the case so that failures are
/// reproducible.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Returns the words of the dictionary, without those that need escapes there.
fn words() -> Vec<&'static str> {
    let lines = WORDS.lines().filter(|line| !line.contains('\\'));
    let words = lines.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    words.collect()
}

/// Encodes a case for the fuzzers: its template, a zero, options, and its values.
fn seed(case: &Map, options: u8) -> Vec<u8> {
    let Some(Value::Str(template)) = case.get("template") else {
        panic!("no template in {case:?}");
    };
    let mut seed = template.clone().into_bytes();
    seed.extend([0, options]);
    seed.extend(
        b"{\"data\": {\"a\": 1, \"s\": \"<b>&\\\"'\", \"l\": [1, \"x\", null]}, \"x\": \"a b\"}",
    );
    seed
}

/// Mutates some bytes of the template: replaces, deletes, repeats, or inserts words of the
/// language.
fn mutate(seed: &[u8], numbers: &mut Rng, words: &[&str]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let template = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        let at = numbers.below(template + 1);
        let end = (at + numbers.below(12)).min(template);
        match numbers.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let word = words[numbers.below(words.len())];
                bytes.splice(at..at, word.bytes());
            }
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes[at] = bytes[at].max(1).wrapping_add(numbers.below(8) as u8).max(1),
        }
    }
    bytes
}

#[test]
fn mutations_of_the_recorded_cases_keep_the_invariants() {
    let words = words();
    assert!(words.len() > 80, "{} words", words.len());
    let lines = CASES.split('\n').filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        let Ok(Value::Map(case)) = Value::from_json(line) else {
            panic!("no case: {line}");
        };
        let mut numbers = Rng(number as u64 + 1);
        let mut seed = seed(&case, number as u8);
        for _ in 0..VARIATIONS {
            let bytes = mutate(&seed, &mut numbers, &words);
            renders_within_limits(&bytes);
            escapes_values(&bytes);
            // Half of the mutations continue from the previous one.
            if numbers.below(2) == 0 && bytes.len() < 4_096 {
                seed = bytes;
            }
        }
        // Method calls: an empty template, a zero, options, and the bytes from which the calls are
        // made.
        for options in [12, 13, 14] {
            let mut calls = vec![0, options];
            calls.extend((0..400).map(|_| numbers.below(256) as u8));
            renders_within_limits(&calls);
            escapes_values(&calls);
        }
        let mut json = line.as_bytes().to_vec();
        reads_json(&json);
        for _ in 0..VARIATIONS {
            let at = numbers.below(json.len());
            json[at] = line.as_bytes()[numbers.below(line.len())];
            reads_json(&json);
        }
    }
}
