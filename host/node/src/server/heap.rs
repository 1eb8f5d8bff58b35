//! How memory that is free goes back to the system.
//!
//! glibc takes long pieces of memory from the system and gives them back at once, but moves the
//! limit between long and short up to 32 MiB as long ones are freed. Then values of 64 KiB and
//! more, of which the log's tail, the write buffers and the block cache hold hundreds of megabytes
//! for different times, lie among short-lived ones in a heap for each thread, and the holes between
//! them stay: a member took more than twice of what it used. Here the limit stays. Other C
//! libraries are left alone; nothing counts or limits what is allocated.

/// Pieces of at least so many bytes are taken from the system, and go back to it when they are
/// freed.
const LONG_BYTES: i32 = 64 * 1_024;
/// So many free bytes at the end of a heap stay there: what entries come and go with takes no call
/// of the system.
const KEPT_BYTES: i32 = 8 * 1_024 * 1_024;

/// Sets the limits of the process, whatever they are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn keep_compact() {
    let limits = [(libc::M_MMAP_THRESHOLD, LONG_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)];
    for (parameter, bytes) in limits {
        // SAFETY: `mallopt` takes two numbers and locks what it changes.
        if unsafe { libc::mallopt(parameter, bytes) } == 0 {
            tracing::warn!(parameter, bytes, "the allocator does not take a limit; memory may stay taken");
        }
    }
}

/// Nothing is known of other allocators.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_compact() {
    let _ = (LONG_BYTES, KEPT_BYTES);
}
