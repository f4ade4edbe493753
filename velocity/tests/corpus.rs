//! Renders the recorded cases and compares them with the output of Apache Velocity.
//!
//! `cases.jsonl` holds the output of Velocity 2.3. Where this project differs on purpose (see the
//! README), `choices.jsonl` holds the expected output by the name of the case. Such cases are
//! counted separately, because their output differs from the recorded one.

use std::collections::{BTreeMap, HashMap};

use promoflow_velocity::{Context, Map, Template, Value};

const CASES: &str = include_str!("cases.jsonl");
const CHOICES: &str = include_str!("choices.jsonl");

fn lines(text: &str) -> Vec<Map> {
    let lines = text.split('\n').filter(|line| !line.is_empty());
    lines
        .map(|line| match Value::from_json(line) {
            Ok(Value::Map(map)) => map,
            other => panic!("no case: {other:?} in {line}"),
        })
        .collect()
}

fn text<'m>(map: &'m Map, key: &str) -> Option<&'m str> {
    match map.get(key) {
        Some(Value::Str(text)) => Some(text),
        _ => None,
    }
}

fn run(case: &Map) -> Result<String, promoflow_velocity::Error> {
    let mut context = Context::new();
    context.set("data", case.get("data").cloned().unwrap_or_default());
    if let Some(Value::Map(variables)) = case.get("context") {
        for (name, value) in variables.iter() {
            context.set(name, value.clone());
        }
    }
    Template::parse(text(case, "template").expect("a template"))?.render(&context)
}

/// The results of the cases in a tier.
#[derive(Default)]
struct Tally {
    total: usize,
    /// Cases that match the recorded output.
    recorded: usize,
    /// Cases that match the output in `choices.jsonl`.
    chosen: usize,
}

#[test]
fn renders_the_recorded_cases() {
    let choices: HashMap<String, Map> = lines(CHOICES)
        .into_iter()
        .map(|choice| (text(&choice, "name").expect("a name").to_owned(), choice))
        .collect();
    let mut tiers: BTreeMap<i64, Tally> = BTreeMap::new();
    for case in lines(CASES) {
        let name = text(&case, "name").expect("a name");
        let Some(Value::Int(tier)) = case.get("tier") else {
            panic!("{name} has no tier");
        };
        let choice = choices.get(name);
        let expected = text(choice.unwrap_or(&case), "expected");
        let result = run(&case);
        let passed = match (&result, expected) {
            (Ok(output), Some(expected)) => output == expected,
            (Err(_), None) => true,
            _ => false,
        };
        let tally = tiers.entry(*tier).or_default();
        tally.total += 1;
        match choice {
            Some(_) => tally.chosen += usize::from(passed),
            None => tally.recorded += usize::from(passed),
        }
        if !passed {
            println!("{name} (tier {tier})\n  expected {expected:?}\n  got      {result:?}");
        }
    }
    for (tier, tally) in &tiers {
        let Tally {
            recorded,
            chosen,
            total,
        } = tally;
        println!(
            "tier {tier}: {recorded} of {total} passed as recorded, {chosen} as this project chose"
        );
    }
    let chosen: usize = tiers.values().map(|tally| tally.chosen).sum();
    assert_eq!(chosen, choices.len(), "a choice names no case, or fails");
    for (tier, tally) in &tiers {
        let needed = match tier {
            1 | 2 => tally.total,
            _ => (tally.total * 9).div_ceil(10),
        };
        let passed = tally.recorded + tally.chosen;
        assert!(passed >= needed, "tier {tier}: {passed} of {}", tally.total);
    }
}
