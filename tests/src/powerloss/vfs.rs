//! The VFS: forwards every call to SQLite's own VFS and records writes and syncs in a [`Disk`].
//!
//! It is registered as the default, so the library's own connections use it unchanged.
#![allow(unsafe_code, reason = "SQLite calls a file system by pointers")]

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use rusqlite::ffi;

use super::disk::{Disk, Fault};

/// Disks by folder.
static DISKS: Mutex<Option<HashMap<PathBuf, Disk>>> = Mutex::new(None);

pub(super) fn watch(folder: &Path, disk: &Disk) {
    let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    disks.get_or_insert_default().insert(folder, disk.clone());
}

fn disk_of(path: &Path) -> Option<Disk> {
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    disks.as_ref()?.get(path.parent()?).cloned()
}

/// Our file. SQLite allocates room for it, followed by the file of its own VFS.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Created by `open`, freed by `close`; null if the file is not watched.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    disk: Disk,
}

pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite's default VFS lives as long as the process; so does the copy, which is
        // leaked. The functions kept from it do not use the VFS that they are given.
        let registered = unsafe {
            let own = ffi::sqlite3_vfs_find(std::ptr::null());
            let mut vfs = *own;
            vfs.pNext = std::ptr::null_mut();
            vfs.zName = c"powerloss".as_ptr();
            vfs.szOsFile += size_of::<File>() as c_int;
            vfs.xOpen = Some(open);
            vfs.xDelete = Some(delete);
            // `open` finds SQLite's own VFS here.
            vfs.pAppData = own.cast();
            ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1)
        };
        assert_eq!(registered, ffi::SQLITE_OK, "SQLite accepts the VFS");
    });
}

/// Returns SQLite's own VFS.
///
/// # Safety
/// `vfs` is the one that [`install`] created.
unsafe fn own(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: guaranteed by the caller.
    unsafe { (*vfs).pAppData.cast() }
}

/// Returns the file of SQLite's own VFS and its methods.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn inner(
    file: *mut ffi::sqlite3_file,
) -> (*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods) {
    // SAFETY: SQLite allocated room for both, one after the other; methods are static.
    unsafe {
        let inner: *mut ffi::sqlite3_file = file.cast::<File>().add(1).cast();
        (inner, &*(*inner).pMethods)
    }
}

/// Returns the watched state of a file.
///
/// # Safety
/// The same as for [`inner`].
unsafe fn watched<'f>(file: *mut ffi::sqlite3_file) -> Option<&'f Watched> {
    // SAFETY: `open` has set it, and only `close` frees it.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite's names end with a zero.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let path = path_of(name);
    let disk = path.as_deref().and_then(disk_of);
    if let (Some(path), Some(disk)) = (&path, &disk) {
        // Before the file is opened: reading it through another handle would drop SQLite's locks.
        disk.opened(path);
    }
    // SAFETY: `file` has room for ours and the inner one, by `szOsFile`.
    unsafe {
        let ours: *mut File = file.cast();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).watched = std::ptr::null_mut();
        let own = own(vfs);
        let inner: *mut ffi::sqlite3_file = ours.add(1).cast();
        let Some(open) = (*own).xOpen else {
            return ffi::SQLITE_CANTOPEN;
        };
        let opened = open(own, name, inner, flags, out_flags);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        if let (Some(path), Some(disk)) = (path, disk) {
            (*ours).watched = Box::into_raw(Box::new(Watched { path, disk }));
        }
        (*ours).base.pMethods = &METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite passes the VFS that was registered.
    let deleted = unsafe {
        let own = own(vfs);
        (*own)
            .xDelete
            .map_or(ffi::SQLITE_IOERR, |delete| delete(own, name, sync))
    };
    if let Some(path) = path_of(name)
        && let Some(disk) = disk_of(&path)
    {
        disk.deleted(&path);
    }
    deleted
}

/// Forwards a call to the inner file.
macro_rules! hand_on {
    ($($name:ident = $method:ident($($arg:ident: $kind:ty),*);)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $arg: $kind)*) -> c_int {
            // SAFETY: SQLite passes an open file and the arguments that its own method expects.
            unsafe {
                let (inner, methods) = inner(file);
                methods.$method.map_or(ffi::SQLITE_IOERR, |method| method(inner $(, $arg)*))
            }
        }
    )*};
}

hand_on! {
    close_inner = xClose();
    read = xRead(into: *mut c_void, amount: c_int, at: ffi::sqlite3_int64);
    write_inner = xWrite(from: *const c_void, amount: c_int, at: ffi::sqlite3_int64);
    truncate_inner = xTruncate(size: ffi::sqlite3_int64);
    file_size = xFileSize(size: *mut ffi::sqlite3_int64);
    lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved_lock = xCheckReservedLock(found: *mut c_int);
    control_inner = xFileControl(op: c_int, arg: *mut c_void);
    sector_size = xSectorSize();
    characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, into: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap = xShmUnmap(delete: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite passes an open file.
    unsafe {
        let (inner, methods) = inner(file);
        if let Some(barrier) = methods.xShmBarrier {
            barrier(inner);
        }
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once and does not use it afterwards.
    unsafe {
        let closed = close_inner(file);
        let watched = std::mem::replace(&mut (*file.cast::<File>()).watched, std::ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        closed
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes an open file and that many bytes.
    unsafe {
        let Some(Watched { path, disk }) = watched(file) else {
            return write_inner(file, from, amount, at);
        };
        match disk.may_write() {
            Ok(()) => {}
            Err(Fault::Full) => return ffi::SQLITE_FULL,
            Err(_) => return ffi::SQLITE_IOERR_WRITE,
        }
        let written = write_inner(file, from, amount, at);
        if written == ffi::SQLITE_OK {
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), amount as usize);
            disk.written(path, at as usize, bytes);
        }
        written
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        let truncated = truncate_inner(file, size);
        if truncated == ffi::SQLITE_OK
            && let Some(Watched { path, disk }) = watched(file)
        {
            disk.truncated(path, size as usize);
        }
        truncated
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite passes an open file.
    unsafe {
        match watched(file) {
            // The real disk is not synced: the model decides what is safe.
            Some(Watched { path, disk }) => match disk.synced(path) {
                Ok(()) => ffi::SQLITE_OK,
                Err(_) => ffi::SQLITE_IOERR_FSYNC,
            },
            None => {
                let (inner, methods) = inner(file);
                methods
                    .xSync
                    .map_or(ffi::SQLITE_IOERR, |sync| sync(inner, flags))
            }
        }
    }
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, op: c_int, arg: *mut c_void) -> c_int {
    // SAFETY: SQLite passes an open file. For this operation `arg` is an array of the answer, the
    // pragma's name and its value, which SQLite owns and reads after this call; a value of two
    // bytes or more has room for one digit and the zero.
    unsafe {
        if op == ffi::SQLITE_FCNTL_PRAGMA && watched(file).is_some_and(|one| one.disk.is_weak()) {
            let parts: *mut *mut c_char = arg.cast();
            let (name, value) = (*parts.add(1), *parts.add(2));
            if CStr::from_ptr(name).to_bytes() == b"synchronous"
                && !value.is_null()
                && CStr::from_ptr(value).to_bytes().len() >= 2
            {
                // NORMAL.
                *value = b'1' as c_char;
                *value.add(1) = 0;
            }
        }
        control_inner(file, op, arg)
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
