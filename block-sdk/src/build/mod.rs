//! Builds components from block crates, for tools.
//!
//! ```no_run
//! use promoflow_block::build;
//!
//! for component in build::components("Cargo.toml".as_ref(), &["my-block"], "target/blocks".as_ref())? {
//!     std::fs::write(format!("{}.wasm", component.package), component.bytes)?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
mod environment;
mod imports;

use std::path::Path;

use anyhow::Context;
use wit_component::ComponentEncoder;

pub use environment::{TARGET, target_is_installed};
pub use imports::imports;

/// A result whose error shows all details in its `Debug` format.
pub type Result<T> = anyhow::Result<T>;

/// A block as a component.
#[derive(Clone, Debug)]
pub struct Component {
    /// The package that the component was built from.
    pub package: String,
    /// The component's bytes.
    pub bytes: Vec<u8>,
}

/// Builds packages of one workspace and makes a component of each, in the given order.
///
/// A single nested cargo call compiles them with its own profile for small modules. `target_dir`
/// should be used for nothing else.
///
/// # Errors
/// Fails if the WebAssembly target is not installed, a package does not compile, or a package is
/// not a block.
pub fn components(manifest: &Path, packages: &[&str], target_dir: &Path) -> Result<Vec<Component>> {
    let modules = compile::modules(manifest, packages, target_dir)?;
    modules
        .into_iter()
        .zip(packages)
        .map(|(module, package)| {
            let bytes = encode(&module).with_context(|| format!("{package} is not a block"))?;
            let package = (*package).to_owned();
            Ok(Component { package, bytes })
        })
        .collect()
}

/// Makes a component of a module and validates it.
fn encode(module: &Path) -> Result<Vec<u8>> {
    let bytes =
        std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .context("it is not built with promoflow-block; is `export!` missing?")?
        .encode()
}
