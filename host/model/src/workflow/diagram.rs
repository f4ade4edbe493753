//! Diagrams of workflows.

use std::fmt::Write;

use super::definition::{Target, Workflow};

/// Returns a Mermaid flowchart of the workflow: the event, the steps with their blocks, the named
/// ports, and the end. It is readable as text, and code hosts render it.
pub fn flowchart(workflow: &Workflow) -> String {
    let mut text = String::from("flowchart TD\n");
    line(
        &mut text,
        format_args!("start([{}])", label(&workflow.start.event)),
    );
    for (number, step) in workflow.steps.iter().enumerate() {
        let name = label(&format!("{}\n{}", step.id, step.block));
        line(&mut text, format_args!("s{number}[{name}]"));
    }
    let targets = || {
        workflow
            .steps
            .iter()
            .flat_map(|step| &step.ports)
            .map(|(_, target)| target)
    };
    let ends = workflow.steps.is_empty() || targets().any(|target| *target == Target::End);
    if ends {
        line(&mut text, format_args!("finish([{}])", label("end")));
    }
    if targets().any(|target| *target == Target::Unconnected) {
        line(
            &mut text,
            format_args!("nowhere([{}])", label("not connected: the run fails")),
        );
    }
    let first = if workflow.steps.is_empty() {
        "finish"
    } else {
        "s0"
    };
    line(&mut text, format_args!("start --> {first}"));
    for (number, step) in workflow.steps.iter().enumerate() {
        for (port, target) in &step.ports {
            let port = label(port);
            match target {
                Target::Step(to) => line(&mut text, format_args!("s{number} -->|{port}| s{to}")),
                Target::End => line(&mut text, format_args!("s{number} -->|{port}| finish")),
                Target::Unconnected => {
                    line(&mut text, format_args!("s{number} -.->|{port}| nowhere"))
                }
            }
        }
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "    {content}");
}

/// Returns a quoted label. Characters with a meaning in Mermaid are written as character codes.
fn label(text: &str) -> String {
    let mut label = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => label.push_str("<br/>"),
            '"' | '#' | '<' | '>' | '&' | '`' | ';' => {
                let _ = write!(label, "#{};", u32::from(character));
            }
            c if c.is_control() => label.push(' '),
            c => label.push(c),
        }
    }
    label.push('"');
    label
}

#[cfg(test)]
mod tests {
    use super::super::definition::{Repeat, Start, Step};
    use super::*;

    fn step(id: &str, ports: &[(&str, Target)]) -> Step {
        Step {
            id: id.into(),
            block: "get-promocode".into(),
            digest: String::new(),
            with: Vec::new(),
            ports: ports
                .iter()
                .map(|(port, target)| ((*port).into(), *target))
                .collect(),
        }
    }

    #[test]
    fn draws_event_steps_ports_and_end() {
        let workflow = Workflow {
            id: "w".into(),
            name: "W".into(),
            start: Start {
                event: "a#b".into(),
                condition: None,
                repeat: Repeat::EveryTime,
                skip_if_running: false,
            },
            stop: None,
            steps: vec![
                step(
                    "code",
                    &[
                        ("next", Target::Step(1)),
                        ("exhausted", Target::Unconnected),
                    ],
                ),
                step("mail", &[("next", Target::End)]),
            ],
        };
        let expected = r#"flowchart TD
    start(["a#35;b"])
    s0["code<br/>get-promocode"]
    s1["mail<br/>get-promocode"]
    finish(["end"])
    nowhere(["not connected: the run fails"])
    start --> s0
    s0 -->|"next"| s1
    s0 -.->|"exhausted"| nowhere
    s1 -->|"next"| finish
"#;
        assert_eq!(flowchart(&workflow), expected);
    }
}
