//! The commands of README.md and docs/api.md, executed by bash exactly as shown.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::service::{Service, TestApp, client, until};

const README: &str = include_str!("../../../README.md");
const GUIDE: &str = include_str!("../../../docs/api.md");

/// Returns the fenced blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("\n```").skip(1).step_by(2);
    fenced.map(|text| text.split_once('\n').unwrap()).collect()
}

/// Returns bash in a folder, with the program on its path.
fn bash(folder: &Path, script: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_promoflow"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script]);
    bash.current_dir(folder).env("PATH", path);
    bash
}

/// Returns the output of a script, which must succeed.
fn run_script(mut bash: Command, script: &str) -> String {
    let output = bash.output().unwrap();
    let run_script = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{run_script}{error}");
    run_script
}

#[test]
fn the_guide_s_examples_work_as_shown() {
    let app = TestApp::new();
    let service = app.serve();
    let scripts: Vec<_> = blocks(GUIDE)
        .into_iter()
        .filter_map(|(language, script)| (language == "sh").then_some(script))
        .collect();
    let calls: usize = scripts.iter().map(|one| one.matches("curl").count()).sum();
    assert!(calls > 30, "{calls} calls in {} blocks", scripts.len());
    for script in scripts {
        let mut bash = bash(&app.path("."), script);
        bash.env("KEY", &service.key).env("URL", &service.url);
        run_script(bash, script);
    }
    // The guide's events of the type `spring` use up its two codes of that type.
    until(|| {
        let sent = service.at("/api/v1/outbox?state=delivered");
        sent.as_array().unwrap().len() == 2
    });
    let spring = service.at("/api/v1/promocodes/count?type=spring");
    assert_eq!(
        (&spring["available"], &spring["used"]),
        (&0.into(), &2.into())
    );
    app.assert_audit();
}

/// Returns the blocks below a heading of the README.
fn below(heading: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(heading).unwrap();
    let section = rest
        .split_once("\n## ")
        .map_or(rest, |(section, _)| section);
    blocks(section)
        .into_iter()
        .map(|(_, block)| block)
        .collect()
}

/// Starts the service as in the README, on another port.
fn started(folder: &Path, line: &str) -> (Child, String) {
    let line = line.replace(":8080", ":0");
    let mut serving = bash(folder, &format!("exec {line}"));
    let mut child = serving.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut output).unwrap();
    let url = output.strip_prefix("Listening on ").unwrap();
    let url = url.split(';').next().unwrap().to_owned();
    (child, url)
}

#[test]
fn the_readme_s_example_sends_codes() {
    let app = TestApp::new();
    let folder = app.path(".");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/birthday");
    for file in std::fs::read_dir(example).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let compose = below("\n## Compose workflows\n")[0];
    let sent = run_script(bash(&folder, compose), compose);
    assert!(sent.contains("ann@example.com"), "{sent}");
}

#[test]
fn the_readme_s_service_example_works_from_an_empty_folder() {
    let app = TestApp::new();
    let folder = app.path(".");
    let [start, calls] = below("\n## Run the HTTP service\n")[..] else {
        panic!("the README has no service example");
    };
    let (make_key, serve) = start.split_once('\n').unwrap();
    let key = run_script(bash(&folder, make_key), make_key);
    let key = key.split_whitespace().find(|word| word.starts_with("pf_"));
    let (child, url) = started(&folder, serve);
    let service = Service {
        key: key.unwrap().to_owned(),
        url,
        child,
        client: client(None),
    };
    let mut bash = bash(
        &folder,
        &calls.replace("http://127.0.0.1:8080", &service.url),
    );
    bash.env("KEY", &service.key);
    let output = run_script(bash, calls);
    assert!(output.contains("\"status\":\"accepted\""), "{output}");
    assert!(output.contains("Your code: HELLO-1"), "{output}");
    assert!(output.contains("{\"count\":1,\"total\":2,"), "{output}");
    until(|| {
        let sent = service.at("/api/v1/outbox?state=delivered");
        sent.as_array().unwrap().len() == 1
    });
}
