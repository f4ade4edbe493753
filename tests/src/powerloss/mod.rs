//! Power loss and failing disks, below SQLite.
//!
//! `kill -9` leaves the operating system's cache intact, so it does not show the effects of a power
//! loss. Here a VFS sits between SQLite and the files: for each file it records the synced contents
//! and the writes since, and [`Disk::after_power_cut`] returns the files that a machine would find
//! if it lost power at this moment. It also makes writes and syncs fail.

mod disk;
mod vfs;

pub use disk::{Disk, Fault, Survives};

use std::path::Path;

/// Watches the databases in a folder that this process opens from now on.
///
/// # Panics
/// If SQLite does not accept the VFS.
pub fn watch(folder: &Path) -> Disk {
    vfs::install();
    let disk = Disk::default();
    vfs::watch(folder, &disk);
    disk
}
