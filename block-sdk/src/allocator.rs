//! The allocator of a block: a fixed arena first, then memory that the host provides.
//!
//! A run opens a fresh instance for each step and clears all its memory afterwards, and most steps
//! allocate only a few kilobytes. The first allocations therefore come from what stack and data
//! leave of the module's last page, by advancing a pointer: this needs no setup and no search, and
//! no second page has to be cleared. Everything else comes from `dlmalloc`, in pages requested from
//! the host.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr;

use dlmalloc::Allocator;

/// The size of a WebAssembly page, the unit of memory growth.
pub(crate) const PAGE: usize = 64 * 1024;

/// A bump arena: allocates a memory region from its beginning. Freed memory is reused only if it
/// was allocated last.
pub(crate) struct BumpArena<A> {
    region: A,
    used: Cell<usize>,
}

impl<A: Fn() -> (*mut u8, usize)> BumpArena<A> {
    /// Creates an arena. `region` returns the region's address and size in bytes, which never
    /// change.
    ///
    /// # Safety
    /// Nothing else may use the region.
    pub(crate) const unsafe fn new(region: A) -> Self {
        Self {
            region,
            used: Cell::new(0),
        }
    }

    /// Allocates memory of that layout if there is room.
    pub(crate) fn allocate(&self, layout: Layout) -> Option<*mut u8> {
        let (start, room) = (self.region)();
        let unused = start.wrapping_add(self.used.get());
        let begin = self.used.get() + unused.align_offset(layout.align());
        let end = begin.checked_add(layout.size())?;
        (end <= room).then(|| {
            self.used.set(end);
            start.wrapping_add(begin)
        })
    }

    /// Returns true if the block belongs to this arena.
    pub(crate) fn contains(&self, block: *mut u8) -> bool {
        let (start, room) = (self.region)();
        (start..start.wrapping_add(room)).contains(&block)
    }

    /// Frees a block.
    pub(crate) fn free(&self, block: *mut u8, layout: Layout) {
        if let Some(begin) = self.last(block, layout.size()) {
            self.used.set(begin);
        }
    }

    /// Grows or shrinks a block in place if possible.
    pub(crate) fn resize(&self, block: *mut u8, layout: Layout, size: usize) -> bool {
        let end = self
            .last(block, layout.size())
            .and_then(|begin| begin.checked_add(size))
            .filter(|end| *end <= (self.region)().1);
        if let Some(end) = end {
            self.used.set(end);
        }
        end.is_some() || size <= layout.size()
    }

    /// Returns the offset of a block if it was allocated last.
    fn last(&self, block: *mut u8, size: usize) -> Option<usize> {
        let begin = block as usize - (self.region)().0 as usize;
        (begin + size == self.used.get()).then_some(begin)
    }
}

/// The source of `dlmalloc`'s memory: a function from a number of pages to the address of as many
/// new, zeroed pages.
pub(crate) struct PageSource<G>(pub(crate) G);

// SAFETY: `alloc` returns only memory that the function returned, which is new. That memory is
// never released: `free`, `free_part` and `remap` refuse.
unsafe impl<G: Fn(usize) -> Option<*mut u8> + Send> Allocator for PageSource<G> {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let pages = size.div_ceil(PAGE);
        let end_of = |start: *mut u8| (start as usize).checked_add(pages * PAGE);
        match (self.0)(pages) {
            // The end must be a valid address, which rules out the very last page.
            Some(start) if end_of(start).is_some() => (start, pages * PAGE, 0),
            _ => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}

#[cfg(target_arch = "wasm32")]
mod global {
    use std::alloc::{GlobalAlloc, Layout};
    use std::arch::wasm32::memory_grow;
    use std::cell::UnsafeCell;

    use dlmalloc::Dlmalloc;

    use super::{BumpArena, PAGE, PageSource};

    #[global_allocator]
    static HEAP: Heap = Heap {
        // SAFETY: this is the only arena, and the linker puts nothing else there.
        arena: unsafe { BumpArena::new(rest_of_the_page as Region) },
        rest: UnsafeCell::new(Dlmalloc::new_with_allocator(PageSource(grow as Grow))),
    };

    type Region = fn() -> (*mut u8, usize);
    type Grow = fn(usize) -> Option<*mut u8>;

    struct Heap {
        arena: BumpArena<Region>,
        rest: UnsafeCell<Dlmalloc<PageSource<Grow>>>,
    }

    // SAFETY: a block has a single thread.
    unsafe impl Sync for Heap {}

    unsafe extern "C" {
        /// The linker puts this symbol after stack and data.
        safe static __heap_base: u8;
    }

    /// Returns the memory from the end of stack and data to the end of the page. Initially, the
    /// memory has just as many pages as stack and data need.
    fn rest_of_the_page() -> (*mut u8, usize) {
        let start = (&raw const __heap_base).cast_mut();
        (
            start,
            (start as usize).next_multiple_of(PAGE) - start as usize,
        )
    }

    fn grow(pages: usize) -> Option<*mut u8> {
        let before = memory_grow::<0>(pages);
        (before != usize::MAX).then(|| (before * PAGE) as *mut u8)
    }

    // SAFETY: the arena allocates each byte at most once at a time, and `dlmalloc` upholds the
    // contract of an allocator. The only reference to it lives for one call, and calls do not nest:
    // there is one thread, and `grow` does not allocate.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match self.arena.allocate(layout) {
                Some(block) => block,
                // SAFETY: see the impl; the caller guarantees the layout.
                None => unsafe { (*self.rest.get()).malloc(layout.size(), layout.align()) },
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            match self.arena.contains(block) {
                true => self.arena.free(block, layout),
                // SAFETY: as in `alloc`; the caller guarantees that the block is from `dlmalloc`.
                false => unsafe {
                    (*self.rest.get()).free(block, layout.size(), layout.align());
                },
            }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if !self.arena.contains(block) {
                // SAFETY: as in `dealloc`.
                return unsafe {
                    (*self.rest.get()).realloc(block, layout.size(), layout.align(), size)
                };
            }
            if self.arena.resize(block, layout, size) {
                return block;
            }
            // SAFETY: the caller guarantees that the size fits the alignment; both blocks belong to
            // this allocator and contain the copied bytes.
            unsafe {
                let larger = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !larger.is_null() {
                    larger.copy_from_nonoverlapping(block, layout.size());
                    self.dealloc(block, layout);
                }
                larger
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::alloc_zeroed;

    use super::*;

    const ROOM: usize = 4096;

    /// Creates an independent arena.
    fn arena() -> BumpArena<impl Fn() -> (*mut u8, usize)> {
        let start: *mut u8 = Box::leak(vec![0_u64; ROOM / 8].into_boxed_slice())
            .as_mut_ptr()
            .cast();
        // SAFETY: the memory was leaked for this arena.
        unsafe { BumpArena::new(move || (start, ROOM)) }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let arena = arena();
        let mut end = ptr::null_mut();
        for (size, align) in [(1, 1), (8, 8), (3, 2), (100, 16), (1, 1), (16, 4)] {
            let block = arena.allocate(layout(size, align)).unwrap();
            assert_eq!(block.align_offset(align), 0);
            assert!(block >= end && arena.contains(block));
            end = block.wrapping_add(size);
        }
    }

    #[test]
    fn rejects_only_allocations_that_do_not_fit() {
        let arena = arena();
        let first = arena.allocate(layout(ROOM - 8, 1)).unwrap();
        assert_eq!(arena.allocate(layout(9, 1)), None);
        assert_eq!(arena.allocate(layout(usize::MAX / 2, 1)), None);
        assert!(arena.allocate(layout(8, 1)).is_some());
        assert_eq!(arena.allocate(layout(1, 1)), None);
        assert!(
            !arena.contains(first.wrapping_add(ROOM)) && !arena.contains(first.wrapping_sub(1))
        );
    }

    #[test]
    fn reuses_and_grows_the_last_block_in_place() {
        let arena = arena();
        let first = arena.allocate(layout(10, 1)).unwrap();
        let second = arena.allocate(layout(10, 1)).unwrap();
        assert!(arena.resize(second, layout(10, 1), 500));
        assert!(!arena.resize(second, layout(500, 1), ROOM));
        assert!(!arena.resize(first, layout(10, 1), 11));
        assert!(arena.resize(first, layout(10, 1), 9));
        arena.free(first, layout(9, 1));
        assert_eq!(arena.allocate(layout(1, 1)), Some(second.wrapping_add(500)));
        arena.free(second.wrapping_add(500), layout(1, 1));
        arena.free(second, layout(500, 1));
        assert_eq!(arena.allocate(layout(7, 1)), Some(second));
    }

    #[test]
    fn returns_null_if_growing_fails() {
        let pages = PageSource(|_| None);
        assert!(pages.alloc(2 * PAGE).0.is_null());
    }

    #[test]
    fn requests_whole_pages_beyond_the_arena() {
        thread_local!(static GROWN: Cell<usize> = const { Cell::new(0) });
        fn counting(pages: usize) -> Option<*mut u8> {
            GROWN.set(GROWN.get() + pages);
            let layout = Layout::from_size_align(pages * PAGE, PAGE).ok()?;
            // SAFETY: the layout has a nonzero size.
            let start = unsafe { alloc_zeroed(layout) };
            (!start.is_null()).then_some(start)
        }

        let mut heap = dlmalloc::Dlmalloc::new_with_allocator(PageSource(
            counting as fn(usize) -> Option<*mut u8>,
        ));
        let mut blocks = Vec::new();
        for round in 0..200_u8 {
            // SAFETY: size and alignment form a valid layout, and the written memory is owned.
            unsafe {
                let block = heap.malloc(1000, 8);
                assert!(!block.is_null());
                block.write_bytes(round, 1000);
                blocks.push(block);
            }
        }
        assert!((4..=5).contains(&GROWN.get()), "{}", GROWN.get());
        for (round, block) in (0..200_u8).zip(blocks) {
            // SAFETY: the block was allocated above with that size and alignment.
            unsafe {
                assert_eq!([*block, *block.add(999)], [round; 2]);
                heap.free(block, 1000, 8);
            }
        }
    }
}
