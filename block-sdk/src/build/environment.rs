//! What a nested cargo call finds around it.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The target that blocks are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// What begins so is meant for every cargo call of this person, not for the call that is under way.
const KEPT: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    // The jobserver: the nested call takes its turn among the jobs of the outer one.
    "CARGO_MAKEFLAGS",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];

/// Compiler settings outside of `CARGO_*`; a clippy run, for one, sets a wrapper.
const CLEARED: [&str; 4] = [
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOCFLAGS",
];

/// A cargo call that knows nothing of the one it is nested in. With inherited flags, blocks would
/// be compiled with what is meant for the host, and anew whenever that changes.
pub(super) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if is_of_the_outer_call(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo
}

fn is_of_the_outer_call(name: &str) -> bool {
    let kept = KEPT.iter().any(|kept| name.starts_with(kept))
        || name == "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";
    CLEARED.contains(&name) || (name.starts_with("CARGO_") && !kept)
}

/// Whether blocks can be compiled. Where the compiler itself can't be asked, the answer is yes:
/// cargo then says what is wrong with it.
#[must_use]
pub fn target_is_installed() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let asked = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    match asked {
        Ok(answer) if answer.status.success() => {
            Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_persons_settings_and_clears_a_calls() {
        for name in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_MAKEFLAGS",
            "PATH",
            "RUSTC",
        ] {
            assert!(!is_of_the_outer_call(name), "{name}");
        }
        for name in [
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_MANIFEST_DIR",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            assert!(is_of_the_outer_call(name), "{name}");
        }
    }
}
