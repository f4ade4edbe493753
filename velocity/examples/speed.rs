//! Measures rendering: an HTML message of 20 KB with 20 references.
//!
//! Run it with `cargo run --release -p promoflow-velocity --example speed`. It fails if the median
//! of the rounds exceeds the goal of 50 µs.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use promoflow_velocity::{Context, Error, Escape, Map, RenderOptions, Template};

const REFERENCES: usize = 20;
const BYTES: usize = 20 << 10;
const PROMISE: Duration = Duration::from_micros(50);
const ROUNDS: usize = 2_000;

/// Builds a message of about [`BYTES`] with [`REFERENCES`] references.
pub(crate) fn message() -> String {
    let row =
        "<tr><td style=\"padding:0 8px;color:#333333\">Only this week &amp; only here</td></tr>\n";
    let part = BYTES / REFERENCES;
    let mut source = String::with_capacity(BYTES + 100);
    for index in 0..REFERENCES {
        let end = part * (index + 1);
        source.push_str(&format!("<p>$!data.get('value{index}')</p>\n"));
        while source.len() + row.len() <= end {
            source.push_str(row);
        }
    }
    source
}

/// Returns the median time of a rendering, without and with escaping.
pub(crate) fn medians(source: &str) -> Result<Vec<(Escape, Duration)>, Error> {
    let template = Template::parse(source)?;
    let mut medians = Vec::new();
    for escape in [Escape::None, Escape::Html] {
        let options = RenderOptions {
            escape,
            ..RenderOptions::default()
        };
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let data: Map = (0..REFERENCES)
                .map(|index| (format!("value{index}"), "Tea & \"Cup\" <b>"))
                .collect();
            let context = Context::new().with("data", data);
            black_box(template.render_with(&context, &options)?);
            times.push(started.elapsed());
        }
        times.sort_unstable();
        medians.push((escape, times.get(ROUNDS / 2).copied().unwrap_or_default()));
    }
    Ok(medians)
}

fn main() -> Result<ExitCode, Error> {
    let source = message();
    println!(
        "a message of {} bytes, {REFERENCES} references",
        source.len()
    );
    let mut late = false;
    for (escape, median) in medians(&source)? {
        println!("rendering with its context, {escape:?}: {median:?}");
        late |= median > PROMISE;
    }
    Ok(if late {
        eprintln!("the promise is {PROMISE:?}");
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
