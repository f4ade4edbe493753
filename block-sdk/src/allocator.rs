//! The allocator of a block: `talc`, on the rest of the module's last page first.
//!
//! A run opens a fresh instance for each step and clears all its memory afterwards, and most steps
//! allocate only a few kilobytes. What stack and data leave of the last page is enough for these, so
//! that they need no second page, which would have to be requested from the host and cleared.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::Layout;
use std::arch::wasm32::memory_grow;
use std::ptr::NonNull;

use talc::base::binning::Binning;
use talc::base::{CHUNK_UNIT, Talc};
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// The size of a WebAssembly page, the unit of memory growth.
const PAGE: usize = 64 * 1024;

#[global_allocator]
static HEAP: TalcSyncCell<Pages, WasmBinning> = TalcSyncCell::new_wasm(Pages {
    is_rest_claimed: false,
    end: None,
});

/// The source of memory: the rest of the last page, then new pages.
#[derive(Debug)]
struct Pages {
    is_rest_claimed: bool,
    /// The end of the heap; `None` as long as it is too small to allocate anything.
    end: Option<NonNull<u8>>,
}

unsafe extern "C" {
    /// The linker puts this symbol after stack and data.
    safe static __heap_base: u8;
}

// SAFETY: `acquire` does not allocate.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let (start, size) = match talc.source.is_rest_claimed {
            false => rest_of_the_page(),
            true => new_pages(layout).ok_or(())?,
        };
        talc.source.is_rest_claimed = true;
        // SAFETY: nothing else uses this memory, and `end` is what the last call returned.
        talc.source.end = unsafe {
            match talc.source.end {
                Some(end) if end.as_ptr() == start => {
                    Some(talc.extend(end, start.wrapping_add(size)))
                }
                _ => talc.claim(start, size),
            }
        };
        Ok(())
    }
}

/// Returns the memory from the end of stack and data to the end of the page. Initially, the memory
/// has just as many pages as stack and data need.
fn rest_of_the_page() -> (*mut u8, usize) {
    let start = (&raw const __heap_base).cast_mut();
    let size = (start as usize).next_multiple_of(PAGE) - start as usize;
    (start, size)
}

/// Requests pages for an allocation from the host.
fn new_pages(layout: Layout) -> Option<(*mut u8, usize)> {
    // With what a separate heap needs for itself.
    let size = layout.size().checked_add(layout.align() + 2 * CHUNK_UNIT)?;
    let pages = size.div_ceil(PAGE);
    let before = memory_grow::<0>(pages);
    (before != usize::MAX).then(|| ((before * PAGE) as *mut u8, pages * PAGE))
}
