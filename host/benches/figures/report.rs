//! The report of measured figures.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use promoflow::clock::{Clock, SystemClock};
use serde::{Deserialize, Serialize};

use crate::goal::Goal;

/// A figure as stored in `report.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figure {
    name: String,
    /// Median of the rounds.
    value: f64,
    unit: String,
    /// Median of the baseline.
    baseline: Option<f64>,
    /// Median of the rounds' `value / baseline`.
    ratio: Option<f64>,
    /// Smallest and largest value.
    spread: [f64; 2],
    /// The goal, and whether it is met.
    goal: Option<Goal>,
    met: Option<bool>,
    /// A description of the figure and its baseline.
    note: String,
    /// The group it belongs to, and the time of the measurement.
    group: String,
    measured_at: String,
}

/// The figures measured in this run.
#[derive(Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    group: &'static str,
}

/// Values of the rounds, and the baseline value of each round.
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

/// Returns the median, or 0 for no values.
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
    /// Starts a group: the figures that follow belong to it.
    pub(crate) fn begin(&mut self, group: &'static str) {
        self.group = group;
    }

    /// Adds a figure with its baseline.
    pub(crate) fn add_compared(
        &mut self,
        name: &str,
        unit: &str,
        goal: Option<Goal>,
        note: &str,
        rounds: &Rounds,
    ) {
        let pairs = rounds.values.iter().zip(&rounds.baselines);
        let ratios: Vec<f64> = pairs.map(|(value, baseline)| value / baseline).collect();
        let beside = (median(&rounds.baselines), median(&ratios));
        self.add(name, unit, goal, note, &rounds.values, Some(beside));
    }

    /// Adds a figure without a baseline.
    pub(crate) fn add_single(
        &mut self,
        name: &str,
        unit: &str,
        goal: Option<Goal>,
        note: &str,
        values: &[f64],
    ) {
        self.add(name, unit, goal, note, values, None);
    }

    fn add(
        &mut self,
        name: &str,
        unit: &str,
        goal: Option<Goal>,
        note: &str,
        values: &[f64],
        beside: Option<(f64, f64)>,
    ) {
        let value = median(values);
        let ratio = beside.map(|(_, ratio)| ratio);
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            baseline: beside.map(|(baseline, _)| baseline),
            ratio,
            spread: spread(values),
            goal,
            met: goal.map(|goal| goal.met(value, ratio)),
            note: note.to_owned(),
            group: self.group.to_owned(),
            measured_at: SystemClock.now().to_string(),
        });
    }

    /// Writes the figures of this run, and those of the other groups from the existing file, in the
    /// order of the groups.
    pub(crate) fn write(&self, file: &Path, order: &[&str], measured: &[&str]) -> Result<()> {
        let folder = file.parent().context("the report has a folder")?;
        fs::create_dir_all(folder)?;
        let before = match fs::read(file) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                eprintln!(
                    "{}: cannot be read, starting a new report: {error}",
                    file.display()
                );
                Vec::new()
            }),
            Err(_) => Vec::<Figure>::new(),
        };
        let kept = before
            .iter()
            .filter(|figure| !measured.contains(&&*figure.group));
        let mut all: Vec<&Figure> = kept.chain(&self.figures).collect();
        let place = |figure: &Figure| order.iter().position(|group| *group == figure.group);
        all.sort_by_key(|figure| place(figure));
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))
    }

    pub(crate) fn print(&self) {
        let [name, value, unit] = ["figure", "median", "unit"];
        let [spread, baseline, ratio, goal] = ["least – greatest", "baseline", "ratio", "goal"];
        println!(
            "{name:<38} {value:>12} {unit:<10} {spread:>22} {baseline:>12} {ratio:>7}  {goal:<14}  met"
        );
        for figure in &self.figures {
            let number = |value: Option<f64>| value.map(short).unwrap_or_default();
            let [least, greatest] = figure.spread;
            println!(
                "{:<38} {:>12} {:<10} {:>22} {:>12} {:>7}  {:<14}  {}",
                figure.name,
                short(figure.value),
                figure.unit,
                format!("{} – {}", short(least), short(greatest)),
                number(figure.baseline),
                figure
                    .ratio
                    .map(|ratio| format!("{ratio:.2}"))
                    .unwrap_or_default(),
                figure.goal.map(|goal| goal.describe()).unwrap_or_default(),
                match figure.met {
                    Some(true) => "yes",
                    Some(false) => "NO",
                    None => "",
                },
            );
        }
        println!("\nFigures and their baselines:");
        for figure in &self.figures {
            println!("  {}: {}", figure.name, figure.note);
        }
    }

    /// Returns the figures that miss their goal.
    pub(crate) fn missed(&self) -> Vec<String> {
        let missed = self.figures.iter().filter(|one| one.met == Some(false));
        missed.map(|figure| figure.name.clone()).collect()
    }
}

fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}
