//! Builds the misbehaving block `chaos`; suites find it through `env!("CHAOS_WASM")`.

use std::env;
use std::path::PathBuf;

use promoflow_block::build;

fn main() -> build::Result<()> {
    for source in [
        "Cargo.lock",
        "Cargo.toml",
        "block-sdk/Cargo.toml",
        "block-sdk/src",
        "tests/guest",
        "wit",
    ] {
        println!("cargo::rerun-if-changed=../{source}");
    }
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let target_dir = build::shared_target_dir(&out_dir);
    let file = out_dir.join("mischief.wasm");
    for component in build::components("../Cargo.toml".as_ref(), &["test-guest"], &target_dir)? {
        std::fs::write(&file, component.bytes)?;
    }
    println!("cargo::rustc-env=MISCHIEF_WASM={}", file.display());
    Ok(())
}
