//! Renders the recorded cases and compares with what the engine of Apache printed.
//!
//! `cases.jsonl` holds what Velocity 2.3 printed. Where this project chose otherwise (see the
//! README), `choices.jsonl` holds what is expected instead, by the name of the case.

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

#[test]
fn renders_the_recorded_cases() {
    let choices: HashMap<String, Map> = lines(CHOICES)
        .into_iter()
        .map(|choice| (text(&choice, "name").expect("a name").to_owned(), choice))
        .collect();
    let mut tiers: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
    let mut chosen = 0;
    for case in lines(CASES) {
        let name = text(&case, "name").expect("a name");
        let Some(Value::Int(tier)) = case.get("tier") else {
            panic!("{name} has no tier");
        };
        let judge = choices.get(name).unwrap_or(&case);
        chosen += usize::from(choices.contains_key(name));
        let expected = text(judge, "expected");
        let result = run(&case);
        let passed = match (&result, expected) {
            (Ok(output), Some(expected)) => output == expected,
            (Err(_), None) => true,
            _ => false,
        };
        let (passes, total) = tiers.entry(*tier).or_default();
        *total += 1;
        *passes += usize::from(passed);
        if !passed {
            println!("{name} (tier {tier})\n  expected {expected:?}\n  got      {result:?}");
        }
    }
    for (tier, (passes, total)) in &tiers {
        println!("tier {tier}: {passes} of {total} passed");
    }
    assert_eq!(chosen, choices.len(), "a choice names no case");
    for (tier, (passes, total)) in &tiers {
        let needed = if *tier < 3 {
            *total
        } else {
            (total * 9).div_ceil(10)
        };
        assert!(*passes >= needed, "tier {tier}: {passes} of {total}");
    }
}
