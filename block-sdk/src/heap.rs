//! The memory of a block: an arena that is there from the start, then whatever the host allows.
//!
//! A run opens a fresh instance for each step, clears all its memory after that, and lets most of
//! them allocate no more than some kilobytes. So the first of it comes from what stack and data
//! leave of the module's last page, by moving a mark forward: nothing has to be set up for that,
//! nothing is looked for, and no second page has to be cleared. What does not fit any more goes to
//! `dlmalloc`, in pages that are asked for.
#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr;

use dlmalloc::Allocator;

/// A page of WebAssembly, the unit in which memory is asked for.
pub(crate) const PAGE: usize = 64 * 1024;

/// A stretch of memory that is given out from its beginning on. What is given back is used again
/// only where it was the last.
pub(crate) struct Arena<A> {
    stretch: A,
    used: Cell<usize>,
}

impl<A: Fn() -> (*mut u8, usize)> Arena<A> {
    /// `stretch` gives the first address and the size in bytes, always the same.
    ///
    /// # Safety
    /// Nothing else uses that memory.
    pub(crate) const unsafe fn new(stretch: A) -> Self {
        Self {
            stretch,
            used: Cell::new(0),
        }
    }

    /// Memory of that layout, if there is room.
    pub(crate) fn take(&self, layout: Layout) -> Option<*mut u8> {
        let (start, room) = (self.stretch)();
        let unused = start.wrapping_add(self.used.get());
        let begin = self.used.get() + unused.align_offset(layout.align());
        let end = begin.checked_add(layout.size())?;
        (end <= room).then(|| {
            self.used.set(end);
            start.wrapping_add(begin)
        })
    }

    /// Whether a block is of this arena.
    pub(crate) fn holds(&self, block: *mut u8) -> bool {
        let (start, room) = (self.stretch)();
        (start..start.wrapping_add(room)).contains(&block)
    }

    /// Takes a block back.
    pub(crate) fn give_back(&self, block: *mut u8, layout: Layout) {
        if let Some(begin) = self.last(block, layout.size()) {
            self.used.set(begin);
        }
    }

    /// Makes a block larger or smaller where it stands, if that can be.
    pub(crate) fn resize(&self, block: *mut u8, layout: Layout, size: usize) -> bool {
        let end = self
            .last(block, layout.size())
            .and_then(|begin| begin.checked_add(size))
            .filter(|end| *end <= (self.stretch)().1);
        if let Some(end) = end {
            self.used.set(end);
        }
        end.is_some() || size <= layout.size()
    }

    /// Where a block begins, if nothing was given out after it.
    fn last(&self, block: *mut u8, size: usize) -> Option<usize> {
        let begin = block as usize - (self.stretch)().0 as usize;
        (begin + size == self.used.get()).then_some(begin)
    }
}

/// Where `dlmalloc` gets memory from: a function that gets a number of pages and returns the first
/// address of so many new, zeroed ones.
pub(crate) struct Pages<G>(pub(crate) G);

// SAFETY: `alloc` hands out what the function returned, which is new. Nothing that was handed out is
// taken back: `free`, `free_part` and `remap` refuse.
unsafe impl<G: Fn(usize) -> Option<*mut u8> + Send> Allocator for Pages<G> {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let pages = size.div_ceil(PAGE);
        let end_of = |start: *mut u8| (start as usize).checked_add(pages * PAGE);
        match (self.0)(pages) {
            // The end of memory must be an address, which that of the last possible page is not.
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

    use super::{Arena, PAGE, Pages};

    #[global_allocator]
    static HEAP: Heap = Heap {
        // SAFETY: this is the one arena, and the linker puts nothing else there.
        arena: unsafe { Arena::new(rest_of_the_page as Stretch) },
        rest: UnsafeCell::new(Dlmalloc::new_with_allocator(Pages(grow as Grow))),
    };

    type Stretch = fn() -> (*mut u8, usize);
    type Grow = fn(usize) -> Option<*mut u8>;

    struct Heap {
        arena: Arena<Stretch>,
        rest: UnsafeCell<Dlmalloc<Pages<Grow>>>,
    }

    // SAFETY: a block has one thread.
    unsafe impl Sync for Heap {}

    unsafe extern "C" {
        /// The linker puts it behind stack and data.
        safe static __heap_base: u8;
    }

    /// From the end of stack and data to the end of the page: the memory begins with as many pages
    /// as hold those.
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

    // SAFETY: the arena gives out each byte once at a time, and `dlmalloc` keeps the contract of an
    // allocator. The only reference to it lives for one call, and no call begins within another:
    // there is one thread, and `grow` allocates nothing.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match self.arena.take(layout) {
                Some(block) => block,
                // SAFETY: see the impl; the layout is the caller's promise.
                None => unsafe { (*self.rest.get()).malloc(layout.size(), layout.align()) },
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            match self.arena.holds(block) {
                true => self.arena.give_back(block, layout),
                // SAFETY: as in `alloc`; the block is one of `dlmalloc`'s, by the caller's promise.
                false => unsafe {
                    (*self.rest.get()).free(block, layout.size(), layout.align());
                },
            }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if !self.arena.holds(block) {
                // SAFETY: as in `dealloc`.
                return unsafe {
                    (*self.rest.get()).realloc(block, layout.size(), layout.align(), size)
                };
            }
            if self.arena.resize(block, layout, size) {
                return block;
            }
            // SAFETY: the caller promises that the size fits the alignment; both blocks are this
            // allocator's, and hold what is copied.
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

    /// An arena of its own.
    fn arena() -> Arena<impl Fn() -> (*mut u8, usize)> {
        let start: *mut u8 = Box::leak(vec![0_u64; ROOM / 8].into_boxed_slice())
            .as_mut_ptr()
            .cast();
        // SAFETY: the memory was leaked for this arena.
        unsafe { Arena::new(move || (start, ROOM)) }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let arena = arena();
        let mut end = ptr::null_mut();
        for (size, align) in [(1, 1), (8, 8), (3, 2), (100, 16), (1, 1), (16, 4)] {
            let block = arena.take(layout(size, align)).unwrap();
            assert_eq!(block.align_offset(align), 0);
            assert!(block >= end && arena.holds(block));
            end = block.wrapping_add(size);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_does_still_fits() {
        let arena = arena();
        let first = arena.take(layout(ROOM - 8, 1)).unwrap();
        assert_eq!(arena.take(layout(9, 1)), None);
        assert_eq!(arena.take(layout(usize::MAX / 2, 1)), None);
        assert!(arena.take(layout(8, 1)).is_some());
        assert_eq!(arena.take(layout(1, 1)), None);
        assert!(!arena.holds(first.wrapping_add(ROOM)) && !arena.holds(first.wrapping_sub(1)));
    }

    #[test]
    fn the_last_block_is_used_again_and_grows_where_it_stands() {
        let arena = arena();
        let first = arena.take(layout(10, 1)).unwrap();
        let second = arena.take(layout(10, 1)).unwrap();
        assert!(arena.resize(second, layout(10, 1), 500));
        assert!(!arena.resize(second, layout(500, 1), ROOM));
        assert!(!arena.resize(first, layout(10, 1), 11));
        assert!(arena.resize(first, layout(10, 1), 9));
        arena.give_back(first, layout(9, 1));
        assert_eq!(arena.take(layout(1, 1)), Some(second.wrapping_add(500)));
        arena.give_back(second.wrapping_add(500), layout(1, 1));
        arena.give_back(second, layout(500, 1));
        assert_eq!(arena.take(layout(7, 1)), Some(second));
    }

    #[test]
    fn a_refused_growth_gives_no_memory() {
        let pages = Pages(|_| None);
        assert!(pages.alloc(2 * PAGE).0.is_null());
    }

    #[test]
    fn the_rest_asks_for_whole_pages() {
        thread_local!(static GROWN: Cell<usize> = const { Cell::new(0) });
        fn counting(pages: usize) -> Option<*mut u8> {
            GROWN.set(GROWN.get() + pages);
            let layout = Layout::from_size_align(pages * PAGE, PAGE).ok()?;
            // SAFETY: the layout has a size.
            let start = unsafe { alloc_zeroed(layout) };
            (!start.is_null()).then_some(start)
        }

        let mut heap =
            dlmalloc::Dlmalloc::new_with_allocator(Pages(counting as fn(usize) -> Option<*mut u8>));
        let mut blocks = Vec::new();
        for round in 0..200_u8 {
            // SAFETY: size and alignment are those of a layout, and what is written is owned.
            unsafe {
                let block = heap.malloc(1000, 8);
                assert!(!block.is_null());
                block.write_bytes(round, 1000);
                blocks.push(block);
            }
        }
        assert!((4..=5).contains(&GROWN.get()), "{}", GROWN.get());
        for (round, block) in (0..200_u8).zip(blocks) {
            // SAFETY: the block was allocated above, with that size and alignment.
            unsafe {
                assert_eq!([*block, *block.add(999)], [round; 2]);
                heap.free(block, 1000, 8);
            }
        }
    }
}
