//! A disk that can lose what was not synced, and that can fail.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that survive together, or do not.
const SECTOR: usize = 512;

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It has no room: every write fails, as where a file system writes elsewhere what it
    /// overwrites. (One that overwrites in place lets a log that begins anew take some more.)
    Full,
    /// The n-th write from now fails, and the later ones do not.
    Write(u64),
    /// The n-th sync from now fails, and the later ones do not.
    Sync(u64),
    /// Of the writes and syncs from now on each n-th fails.
    Every(u64),
}

/// What survives a power cut of what was not synced.
#[derive(Clone, Copy, Debug)]
pub enum Survives {
    /// Nothing.
    Nothing,
    /// Some sectors, chosen by this seed: a disk writes in an order of its own.
    Some(u64),
}

/// A change that is not synced.
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { to: usize },
}

/// One file: what is safe, and what was done since.
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
    /// Writes and syncs since it was told what is wrong.
    asked: u64,
}

impl State {
    /// Whether this write or sync is the n-th of [`Fault::Every`].
    fn is_due(&mut self) -> bool {
        self.asked += 1;
        match self.fault {
            Fault::Every(n) => self.asked.is_multiple_of(n.max(1)),
            _ => false,
        }
    }
}

/// The files of one folder. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is wrong with it.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = fault;
        state.asked = 0;
    }

    /// How many writes and syncs have failed.
    pub fn faults(&self) -> u64 {
        self.state().faults
    }

    /// Connections that are opened from now on have `synchronous=NORMAL`, whatever they ask for.
    pub fn weaken(&self) {
        self.state().weak = true;
    }

    pub(super) fn is_weak(&self) -> bool {
        self.state().weak
    }

    /// Writes the files into a folder as they are found after a power cut at this moment. The
    /// disk itself goes on, so that nothing has to be stopped.
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

    /// A file is opened. What it holds before the first change is safe.
    pub(super) fn opened(&self, path: &Path) {
        self.state()
            .files
            .entry(path.to_owned())
            .or_insert_with(|| {
                // Where there is no file yet, it is made by that.
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

    /// Whether a write may be done.
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

    /// A file is synced, or fails to be.
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
            // A linear congruence; its high bits are random enough for a coin.
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
