//! A disk that can lose unsynced data and that can fail.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Unit of survival: the bytes of a sector survive together or not at all.
const SECTOR: usize = 512;

/// A disk fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    #[default]
    None,
    /// No room: every write fails, as on a file system that writes elsewhere what it overwrites. (A
    /// file system that overwrites in place lets a restarted log grow a little more.)
    Full,
    /// The n-th write from now fails; later ones succeed.
    Write(u64),
    /// The n-th sync from now fails; later ones succeed.
    Sync(u64),
    /// Every n-th write or sync from now fails.
    Every(u64),
}

/// The unsynced data that survives a power cut.
#[derive(Clone, Copy, Debug)]
pub enum Survives {
    /// Nothing.
    Nothing,
    /// Some sectors, chosen by this seed: a disk writes in any order.
    Some(u64),
}

/// An unsynced change.
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { to: usize },
}

/// One file: its synced contents and the changes since.
#[derive(Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<Change>,
}

#[derive(Default)]
struct State {
    files: HashMap<PathBuf, File>,
    fault: Fault,
    weak: bool,
    faults: u64,
    /// Writes and syncs since the fault was set.
    asked: u64,
}

impl State {
    /// Returns true if this write or sync is the n-th of [`Fault::Every`].
    fn is_due(&mut self) -> bool {
        self.asked += 1;
        match self.fault {
            Fault::Every(n) => self.asked.is_multiple_of(n.max(1)),
            _ => false,
        }
    }
}

/// The files of one folder. Clones share the disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the fault from now on.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        state.asked = 0;
    }

    /// Returns the number of failed writes and syncs.
    pub fn faults(&self) -> u64 {
        self.state().faults
    }

    /// Opens later connections with `synchronous=NORMAL`, whatever they ask for.
    pub fn weaken(&self) {
        self.state().weak = true;
    }

    pub(super) fn is_weak(&self) -> bool {
        self.state().weak
    }

    /// Writes the files into a folder as they would be found after a power cut at this moment. The
    /// disk itself continues, so nothing has to be stopped.
    pub fn after_power_cut(&self, folder: &Path, survives: Survives) -> io::Result<()> {
        let state = self.state();
        for (path, file) in &state.files {
            let mut left = file.synced.clone();
            if let Survives::Some(seed) = survives {
                let mut chance = seed;
                for change in &file.since {
                    change.survive_partly(&mut left, &mut chance);
                }
            }
            std::fs::write(folder.join(path.file_name().unwrap_or_default()), left)?;
        }
        Ok(())
    }

    /// Records an opened file. Its contents before the first change are synced.
    pub(super) fn opened(&self, path: &Path) {
        self.state()
            .files
            .entry(path.to_owned())
            .or_insert_with(|| {
                // A missing file is created by opening it.
                let synced = std::fs::read(path).unwrap_or_default();
                File {
                    synced,
                    since: Vec::new(),
                }
            });
    }

    pub(super) fn deleted(&self, path: &Path) {
        self.state().files.remove(path);
    }

    /// Returns the fault if this write must fail.
    pub(super) fn may_write(&self) -> Result<(), Fault> {
        let mut state = self.state();
        let due = state.is_due();
        let fault = state.fault;
        match &mut state.fault {
            Fault::Full => {}
            Fault::Every(_) if due => {}
            Fault::Write(0) => state.fault = Fault::None,
            Fault::Write(left) => {
                *left -= 1;
                return Ok(());
            }
            _ => return Ok(()),
        }
        state.faults += 1;
        Err(fault)
    }

    pub(super) fn written(&self, path: &Path, at: usize, bytes: &[u8]) {
        let bytes = bytes.to_owned();
        self.change(path, Change::Write { at, bytes });
    }

    pub(super) fn truncated(&self, path: &Path, to: usize) {
        self.change(path, Change::Truncate { to });
    }

    fn change(&self, path: &Path, change: Change) {
        let mut state = self.state();
        let file = state.files.entry(path.to_owned()).or_default();
        file.since.push(change);
    }

    /// Records a sync, or its failure.
    pub(super) fn synced(&self, path: &Path) -> Result<(), Fault> {
        let mut state = self.state();
        let due = state.is_due();
        let fault = state.fault;
        match &mut state.fault {
            Fault::Sync(0) => {
                state.fault = Fault::None;
                state.faults += 1;
                return Err(fault);
            }
            Fault::Every(_) if due => {
                state.faults += 1;
                return Err(fault);
            }
            Fault::Sync(left) => *left -= 1,
            _ => {}
        }
        if let Some(file) = state.files.get_mut(path) {
            for change in file.since.drain(..) {
                change.apply(&mut file.synced);
            }
        }
        Ok(())
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => put(to, *at, bytes),
            Change::Truncate { to: length } => to.resize(*length, 0),
        }
    }

    fn survive_partly(&self, left: &mut Vec<u8>, chance: &mut u64) {
        let mut survives = || {
            // A linear congruential generator; its high bits are random enough for a coin.
            *chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *chance >> 63 == 1
        };
        match self {
            Change::Write { at, bytes } => {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    if survives() {
                        put(left, at + number * SECTOR, sector);
                    }
                }
            }
            Change::Truncate { .. } if survives() => self.apply(left),
            Change::Truncate { .. } => {}
        }
    }
}

fn put(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[at..end].copy_from_slice(bytes);
}
