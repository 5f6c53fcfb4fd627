//! jemalloc, and how it is told to give memory back.
//!
//! With jemalloc's own defaults the memory of a burst stays with the process for ten seconds and more, and longer on
//! threads that then idle; with these settings it is back with the system within a second, at no measurable cost.
//!
//! jemalloc reads its settings before `main`, from a symbol of the program, and a symbol with a name of one's own
//! counts as unsafe code. This file holds nothing else.
#![allow(unsafe_code)]

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Ends with NUL, as C strings do.
const SETTINGS: &[u8; 59] = b"background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0\0";

// SAFETY: jemalloc declares `const char *malloc_conf`, under this prefix, for a program to define, and only reads the
// string behind it, up to its NUL. A reference to an array is one such pointer. No other crate defines the symbol.
#[used]
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: &[u8; 59] = SETTINGS;
