//! Tests that all cargo commands compile dependencies with the same features.

use std::collections::{BTreeMap, BTreeSet};

use crate::cargo;

/// Returns the features of each dependency, one entry per compilation, for the given edges.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo::command()
        .args(["tree", "--locked", "--workspace", "--prefix", "none"])
        .args(["--format", "{p}|{f}", "--edges", edges])
        .output()
        .expect("cannot start cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut features = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (package, on) = line.split_once('|').expect("no package and features");
        let on = on.trim_end_matches(" (*)").to_owned();
        features.entry(package.to_owned()).or_default().insert(on);
    }
    features
}

/// `build` ignores dev-dependencies; `test` and `bench` do not. If they enable a feature, every
/// dependent crate, `promoflow` included, is compiled a second time.
#[test]
fn dev_dependencies_enable_no_features() {
    let tested = features("normal,build,dev");
    for (package, built) in features("no-dev") {
        assert_eq!(tested.get(&package), Some(&built), "{package}");
    }
}
