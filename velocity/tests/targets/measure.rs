//! Measures processor time and memory per thread, so that concurrent tests do not count.
#![allow(unsafe_code, reason = "an allocator that counts hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use cpu_time::ThreadTime;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// The system allocator with counters.
pub struct Counting;

fn grow(bytes: usize) {
    let now = NOW.get().wrapping_add(bytes);
    NOW.set(now);
    // Freeing memory that another thread allocated must not underflow.
    if (now as isize) > MOST.get() as isize {
        MOST.set(now);
    }
}

fn shrink(bytes: usize) {
    NOW.set(NOW.get().wrapping_sub(bytes));
}

// SAFETY: the system allocator does the work with unchanged arguments; the counters have constant
// initial values and no destructors, so they do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller upholds the contract of the system allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        shrink(layout.size());
        grow(size);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// The resources used by a piece of work.
pub struct Spent {
    pub time: Duration,
    /// Peak number of bytes allocated, in addition to those allocated before.
    pub bytes: usize,
}

impl Spent {
    /// Measures `work`. Bytes are only counted if [`Counting`] is the global allocator.
    pub fn by<T>(work: impl FnOnce() -> T) -> (T, Spent) {
        let before = NOW.get();
        MOST.set(before);
        let started = ThreadTime::now();
        let result = work();
        let spent = Spent {
            time: started.elapsed(),
            bytes: MOST.get().wrapping_sub(before),
        };
        (result, spent)
    }
}
