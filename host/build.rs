//! Builds the standard blocks, which the host carries within it.

use std::env;
use std::path::PathBuf;

use promoflow_block::build;

/// The packages, each with the name of its component in `OUT_DIR`.
const BLOCKS: [(&str, &str); 2] = [
    ("plugin-get-promocode", "get-promocode.wasm"),
    ("plugin-send-message", "send-message.wasm"),
];

fn main() -> build::Result<()> {
    for source in [
        "Cargo.lock",
        "Cargo.toml",
        "block-sdk/Cargo.toml",
        "block-sdk/src",
        "plugin-get-promocode",
        "plugin-send-message",
        "wit",
    ] {
        println!("cargo::rerun-if-changed=../{source}");
    }
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let packages = BLOCKS.map(|(package, _)| package);
    let target_dir = build::shared_target_dir(&out_dir);
    let components = build::components("../Cargo.toml".as_ref(), &packages, &target_dir)?;
    for (component, (_, file)) in components.iter().zip(BLOCKS) {
        std::fs::write(out_dir.join(file), &component.bytes)?;
    }
    Ok(())
}
