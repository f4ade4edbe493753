//! Power loss and failing disks, below SQLite.
//!
//! `kill -9` leaves the system's cache alive, so it shows nothing of what a power loss does. Here
//! a VFS stands between SQLite and the files: for each file it keeps what was synced and what was
//! written since, and [`Disk::after_power_cut`] tells what a machine would find that lost its
//! power at this moment. It also makes writes and syncs fail.

mod disk;
mod vfs;

pub use disk::{Disk, Fault, Survives};

use std::path::Path;

/// Watches the databases in a folder that are opened from now on, by whomever in this process.
///
/// # Panics
/// Where SQLite does not take the VFS.
pub fn watch(folder: &Path) -> Disk {
    vfs::install();
    let disk = Disk::default();
    vfs::watch(folder, &disk);
    disk
}
