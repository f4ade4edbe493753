//! Measures what rendering costs: an HTML message of 20 KB with 20 references.
//!
//! Run it with `cargo run --release --example speed`. It fails if the median of the rounds is
//! above the 50 µs that the crate promises.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use promoflow_velocity::{Context, Escape, Map, RenderOptions, Template};

const REFERENCES: usize = 20;
const BYTES: usize = 20 << 10;
const PROMISE: Duration = Duration::from_micros(50);
const ROUNDS: usize = 2_000;

/// A message of about [`BYTES`] with [`REFERENCES`] references.
fn message() -> String {
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

fn main() -> ExitCode {
    let source = message();
    let started = Instant::now();
    let template = match Template::parse(&source) {
        Ok(template) => template,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("parsing {} bytes: {:?}", source.len(), started.elapsed());
    let mut late = false;
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
            match template.render_with(&context, &options) {
                Ok(output) => drop(black_box(output)),
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
        println!("rendering with its context, {escape:?}: {median:?}");
        late |= median > PROMISE;
    }
    if late {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
