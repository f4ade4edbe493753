//! The environment of a nested cargo call.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target that blocks are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Prefixes of variables that configure every cargo call of a user, not one particular call.
const USER_SETTINGS: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    // The jobserver: the nested call shares the outer call's job slots.
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Compiler settings outside `CARGO_*`. Clippy, for example, sets a wrapper.
const COMPILER_SETTINGS: [&str; 4] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
];

/// Returns a cargo command that is isolated from the outer cargo call. With inherited flags, blocks
/// would be compiled with the host's settings, and again whenever those change.
pub(super) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if belongs_to_outer_call(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn belongs_to_outer_call(name: &str) -> bool {
    let is_user_setting = USER_SETTINGS.iter().any(|kept| name.starts_with(kept))
        || name == "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";
    COMPILER_SETTINGS.contains(&name) || (name.starts_with("CARGO_") && !is_user_setting)
}

/// Returns the folder in which cargo keeps the sources of dependencies.
pub(super) fn cargo_home() -> Option<PathBuf> {
    match env::var_os("CARGO_HOME") {
        Some(home) => Some(home.into()),
        None => env::home_dir().map(|home| home.join(".cargo")),
    }
}

/// Returns true if the compiler target of blocks is installed. Also returns true if the compiler
/// cannot be run: cargo then reports the problem.
#[must_use]
pub fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    match output {
        Ok(output) if output.status.success() => {
            Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_user_settings_and_clears_call_settings() {
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_MAKEFLAGS",
            "PATH",
            "RUSTC",
        ] {
            assert!(!belongs_to_outer_call(name), "{name}");
        }
        for name in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_MANIFEST_DIR",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            assert!(belongs_to_outer_call(name), "{name}");
        }
    }
}
