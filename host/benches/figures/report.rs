//! What was measured.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// A figure, in the words of `report.json`.
#[derive(Serialize)]
pub(crate) struct Figure {
    name: String,
    /// The median of the rounds.
    value: f64,
    unit: &'static str,
    /// The median of what it is compared with.
    baseline: Option<f64>,
    /// `value / baseline`, the median of the rounds' ratios.
    ratio: Option<f64>,
    /// Least and greatest value.
    spread: [f64; 2],
    /// What it is to reach.
    goal: &'static str,
}

#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

/// Values of rounds, and beside each that of the baseline in the same round.
#[derive(Default)]
pub(crate) struct Rounds {
    values: Vec<f64>,
    baselines: Vec<f64>,
}

impl Rounds {
    pub(crate) fn add(&mut self, value: f64, baseline: f64) {
        self.values.push(value);
        self.baselines.push(baseline);
    }
}

/// The median; 0 for no values.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn spread(values: &[f64]) -> [f64; 2] {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    [
        least,
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    ]
}

impl Report {
    /// A figure beside its baseline.
    pub(crate) fn compared(
        &mut self,
        name: &str,
        unit: &'static str,
        goal: &'static str,
        rounds: &Rounds,
    ) {
        let pairs = rounds.values.iter().zip(&rounds.baselines);
        let ratios: Vec<f64> = pairs.map(|(value, baseline)| value / baseline).collect();
        self.figures.push(Figure {
            name: name.to_owned(),
            value: median(&rounds.values),
            unit,
            baseline: Some(median(&rounds.baselines)),
            ratio: Some(median(&ratios)),
            spread: spread(&rounds.values),
            goal,
        });
    }

    /// A figure on its own.
    pub(crate) fn alone(
        &mut self,
        name: &str,
        unit: &'static str,
        goal: &'static str,
        values: &[f64],
    ) {
        self.figures.push(Figure {
            name: name.to_owned(),
            value: median(values),
            unit,
            baseline: None,
            ratio: None,
            spread: spread(values),
            goal,
        });
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let folder = file.parent().context("the report has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(file, serde_json::to_string_pretty(&self.figures)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    pub(crate) fn print(&self) {
        let [name, value, unit] = ["figure", "median", "unit"];
        let [spread, baseline, ratio, goal] = ["least – greatest", "baseline", "ratio", "goal"];
        println!("{name:<32} {value:>12} {unit:<8} {spread:>22} {baseline:>12} {ratio:>7}  {goal}");
        for figure in &self.figures {
            let number = |value: Option<f64>| value.map(short).unwrap_or_default();
            let [least, greatest] = figure.spread;
            println!(
                "{:<32} {:>12} {:<8} {:>22} {:>12} {:>7}  {}",
                figure.name,
                short(figure.value),
                figure.unit,
                format!("{} – {}", short(least), short(greatest)),
                number(figure.baseline),
                figure
                    .ratio
                    .map(|ratio| format!("{ratio:.2}"))
                    .unwrap_or_default(),
                figure.goal,
            );
        }
    }
}

fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
