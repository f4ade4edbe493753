//! What a piece of work takes of the processor and of memory, by thread: tests beside it do not
//! count.
#![allow(unsafe_code, reason = "an allocator that counts hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use cpu_time::ThreadTime;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
pub struct Counting;

fn grow(bytes: usize) {
    let now = NOW.get().wrapping_add(bytes);
    NOW.set(now);
    // What another thread allocated and this one freed must not look like a lot.
    if (now as isize) > MOST.get() as isize {
        MOST.set(now);
    }
}

fn shrink(bytes: usize) {
    NOW.set(NOW.get().wrapping_sub(bytes));
}

// SAFETY: the system's allocator does the work, with the arguments as they come; the counters
// beside it have constant initial values and no destructors, so that they allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps to what the system's allocator asks for.
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

/// What was spent.
pub struct Spent {
    pub time: Duration,
    /// The most bytes that were held at once, beside those held before.
    pub bytes: usize,
}

impl Spent {
    /// What `work` takes. Bytes are counted where [`Counting`] is the global allocator.
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
