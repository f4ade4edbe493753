//! A short run of the fuzzers of `host/fuzz` without coverage guidance: deterministic mutations of a
//! few inputs.
#![cfg(feature = "smtp")]

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the fuzzers use it from another crate")]
mod targets;

use promoflow_block_host::check_structure;

use targets::{
    component_of, components, documents, events, smtp_replies, uploads_as_csv, uploads_as_json,
};

/// A fuzz target and its seed inputs.
type Case = (fn(&[u8]), &'static [&'static str]);

const CASES: [Case; 5] = [
    (
        uploads_as_csv,
        &[
            "code,expirationDate,discount,type,inUse\nA-1,2040-12-31,10,birthday,false\n",
            "code;discount\r\n\"A;1\";10\r\nA2;x\r\n",
            "A-1\nA-2\n",
            "contact,email,firstName,consent.email\nC-1,ann@example.com,Ann,true\n",
        ],
    ),
    (
        uploads_as_json,
        &[
            "[{\"code\": \"A-1\", \"expirationDate\": \"2040-12-31\", \"discount\": 10}]",
            "{\"promocodes\": [\"A\", \"B\"], \"discount\": 1, \"expirationDate\": \"2040-12-31\"}",
            "[{\"contact\": \"C-1\", \"email\": \"ann@example.com\", \"age\": 7}]",
        ],
    ),
    (
        documents,
        &[
            "message: m\nchannel: email\nfrom: s@example.com\nsubject: x\ntext: |\n  $!data.get('a')\n",
            "workflow: w\nstart: { event: e, where: [{ param: a, is: set }] }\nsteps:\n  - { id: m, block: b }\n",
            "{\"message\": \"m\", \"channel\": \"sms\", \"text\": \"\\ud83c\\udf89 %NAME|x%\"}",
            "a: &a [x, x]\nb: [*a, *a]\n---\n- ? {k: v}\n",
        ],
    ),
    (
        events,
        &[
            "{\"eventTypeKey\": \"e\", \"keyValue\": \"k\", \"params\": [{\"name\": \"Email\", \"value\": \"a@b.c\"}]}",
            "{\"eventTypeKey\": \"e\", \"params\": {\"ContactId\": 7, \"x\": {\"y\": [1, null]}}, \"id\": \"1\"}",
        ],
    ),
    (
        smtp_replies,
        &[
            "220 mail.example.com ESMTP\r\n250-mail.example.com\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n",
            "550 5.1.1 <ann@example.com>: no such mailbox\r\n421\r\n",
            "250-a\r\n250-b\n250 c\r\n354 go on\r\n452-4.2.2 full\r\n452 4.2.2 later\r\n",
        ],
    ),
];

/// A deterministic pseudo-random generator (xorshift).
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// Mutates an input: deletes, repeats, inserts, or copies bytes from another input.
fn mutate(seed: &[u8], other: &[u8], numbers: &mut Rng) -> Vec<u8> {
    const SIGNS: &[u8] = b"\"',;:{}[]\\\n\r\t #&*|%$\xef\xbb\xbf\x00\xff-0";
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(12)).min(bytes.len());
        match numbers.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            2 => bytes.insert(at, SIGNS[numbers.below(SIGNS.len())]),
            _ => {
                let from = numbers.below(other.len());
                let to = (from + numbers.below(20)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

/// A module with one function, which loops and branches.
const MODULE: &[u8] = b"\0asm\x01\0\0\0\x01\x06\x01\x60\x01\x7f\x01\x7f\x03\x02\x01\0\x05\x03\x01\0\x01\
    \x07\x05\x01\x01f\0\0\x0a\x14\x01\x12\x01\x01\x7f\x03\x40\x20\0\x41\x01\x6b\x22\0\x0d\0\x0b\x20\x01\x0b";

#[test]
fn mutated_components_load_or_fail_cleanly() {
    assert!(check_structure(&component_of(MODULE)).is_ok());
    let mut numbers = Rng(1);
    for _ in 0..500 {
        components(&mutate(MODULE, MODULE, &mut numbers));
    }
}

#[test]
fn mutated_inputs_keep_the_invariants() {
    for (target, seeds) in CASES {
        for (number, seed) in seeds.iter().enumerate() {
            let mut numbers = Rng(number as u64 + 1);
            for _ in 0..500 {
                let other = seeds[numbers.below(seeds.len())];
                target(&mutate(seed.as_bytes(), other.as_bytes(), &mut numbers));
            }
            target(seed.as_bytes());
        }
    }
}
