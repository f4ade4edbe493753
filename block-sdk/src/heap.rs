//! The memory of a block: an arena that is there from the start, then whatever the host allows.
//!
//! A run opens a fresh instance for each step, and an instance's first growth costs it more than
//! all the rest of a small block. So the allocator is given an arena within the memory that the
//! module starts with, and asks for more only when that is full.

use std::cell::{Cell, UnsafeCell};
use std::ptr;

use dlmalloc::Allocator;

/// A page of WebAssembly, the unit in which memory is asked for.
pub(crate) const PAGE: usize = 64 * 1024;

/// Where `dlmalloc` gets memory from: first one arena, then a function that grows memory.
pub(crate) struct Source<G> {
    arena: &'static Arena,
    taken: Cell<bool>,
    grow: G,
}

/// One page of bytes, aligned as the allocator wants its memory. A static of its own: all zeros,
/// so that it takes no room in the module.
#[repr(C, align(16))]
pub(crate) struct Arena(UnsafeCell<[u8; PAGE]>);

// SAFETY: nothing but the address of the bytes is ever taken here.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new([0; PAGE]))
    }
}

impl<G: Fn(usize) -> Option<*mut u8>> Source<G> {
    /// `grow` gets a number of pages and returns the first address of so many new, zeroed ones.
    ///
    /// # Safety
    /// The arena is given to no other source, and `grow` returns memory that nothing else uses.
    pub(crate) const unsafe fn new(arena: &'static Arena, grow: G) -> Self {
        Self {
            arena,
            taken: Cell::new(false),
            grow,
        }
    }
}

// SAFETY: `alloc` hands out the arena at most once and otherwise only what `grow` returned, which
// is new. Nothing that was handed out is taken back: `free`, `free_part` and `remap` refuse.
unsafe impl<G: Fn(usize) -> Option<*mut u8> + Send> Allocator for Source<G> {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= PAGE && !self.taken.replace(true) {
            return (self.arena.0.get().cast(), PAGE, 0);
        }
        let pages = size.div_ceil(PAGE);
        let end_of = |start: *mut u8| (start as usize).checked_add(pages * PAGE);
        match (self.grow)(pages) {
            Some(start) if end_of(start).is_some() => (start, pages * PAGE, 0),
            // The last page of all ends where addresses do; the allocator needs room behind it.
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

    use super::{Arena, PAGE, Source};

    static ARENA: Arena = Arena::new();

    #[global_allocator]
    static HEAP: Heap = {
        // SAFETY: this is the one source of the arena, and grown memory is new.
        let source = unsafe { Source::new(&ARENA, grow as Grow) };
        Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(source)))
    };

    type Grow = fn(usize) -> Option<*mut u8>;

    struct Heap(UnsafeCell<Dlmalloc<Source<Grow>>>);

    // SAFETY: a block has one thread.
    unsafe impl Sync for Heap {}

    fn grow(pages: usize) -> Option<*mut u8> {
        let before = memory_grow::<0>(pages);
        (before != usize::MAX).then(|| (before * PAGE) as *mut u8)
    }

    // SAFETY: `dlmalloc` keeps the contract of an allocator. The only reference to it lives for
    // one call, and no call begins within another: there is one thread, and `grow` allocates
    // nothing.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: see the impl; the layout is the caller's promise.
            unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as in `alloc`.
            unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: as in `alloc`; the block is one of this allocator's, by the caller's promise.
            unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: as in `dealloc`.
            unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{Layout, alloc_zeroed};

    use super::*;

    /// A source with an arena of its own.
    fn fresh<G: Fn(usize) -> Option<*mut u8>>(grow: G) -> Source<G> {
        // SAFETY: the arena is new, and what these tests grow by is never used.
        unsafe { Source::new(Box::leak(Box::new(Arena::new())), grow) }
    }

    fn growing(pages: usize) -> Option<*mut u8> {
        let layout = Layout::from_size_align(pages * PAGE, PAGE).ok()?;
        // SAFETY: the layout has a size.
        let start = unsafe { alloc_zeroed(layout) };
        (!start.is_null()).then_some(start)
    }

    #[test]
    fn the_arena_comes_first_and_once() {
        let source = fresh(growing);
        let (first, size, _) = source.alloc(PAGE);
        assert_eq!(first, source.arena.0.get().cast());
        assert_eq!((first.align_offset(16), size), (0, PAGE));
        let (second, size, _) = source.alloc(PAGE + 1);
        assert_ne!(second, first);
        assert_eq!(size, 2 * PAGE);
    }

    #[test]
    fn what_does_not_fit_leaves_the_arena_for_later() {
        let source = fresh(growing);
        let (large, ..) = source.alloc(2 * PAGE);
        let (small, ..) = source.alloc(PAGE);
        assert_ne!(large, small);
        assert_eq!(small, source.arena.0.get().cast());
    }

    #[test]
    fn says_when_there_is_no_more() {
        let source = fresh(|_| None);
        assert!(!source.alloc(1).0.is_null());
        assert!(source.alloc(1).0.is_null());
        let source = fresh(|_| Some((usize::MAX - PAGE + 1) as *mut u8));
        assert!(source.alloc(2 * PAGE).0.is_null());
    }

    #[test]
    fn an_allocator_lives_in_the_arena_until_it_is_full() {
        thread_local!(static GROWN: Cell<usize> = const { Cell::new(0) });
        fn counting(pages: usize) -> Option<*mut u8> {
            GROWN.set(GROWN.get() + pages);
            growing(pages)
        }

        let mut heap = dlmalloc::Dlmalloc::new_with_allocator(fresh(counting));
        let mut blocks = Vec::new();
        for round in 0..200_u8 {
            // SAFETY: size and alignment are those of a layout, and what is written is owned.
            unsafe {
                let block = heap.malloc(1000, 8);
                assert!(!block.is_null());
                block.write_bytes(round, 1000);
                blocks.push(block);
            }
            assert_eq!(
                GROWN.get() > 0,
                blocks.len() * 1008 > PAGE - 1024,
                "{round}"
            );
        }
        for (round, block) in (0..200_u8).zip(blocks) {
            // SAFETY: the block was allocated above, with that size and alignment.
            unsafe {
                assert_eq!([block.read(), block.add(999).read()], [round, round]);
                heap.free(block, 1000, 8);
            }
        }
    }
}
