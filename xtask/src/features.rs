//! A test that all commands compile dependencies with the same features.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo;

/// The features of each dependency, in each way it is compiled, when a command considers `edges`.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo::command()
        .args(["tree", "--locked", "--workspace", "--prefix", "none"])
        .args(["--format", "{p}|{f}", "--edges", edges])
        .output()
        .expect("cargo can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut features = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, on) = line.split_once('|').expect("a package and its features");
        let on = on.trim_end_matches(" (*)").to_owned();
        features.entry(package.to_owned()).or_default().insert(on);
    }
    features
}

/// `build` considers no dev-dependencies; `test` and `bench` do. A feature that those turn on has
/// everything above the crate compiled a second time, `promoflow` among it.
#[test]
fn dev_dependencies_turn_no_features_on() {
    let tested = features("normal,build,dev");
    for (package, built) in features("no-dev") {
        assert_eq!(tested.get(&package), Some(&built), "{package}");
    }
}
