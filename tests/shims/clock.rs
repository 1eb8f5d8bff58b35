//! A clock that a test can set: a library that stands before libc's `clock_gettime` in a member's
//! process (`LD_PRELOAD`). `synod_tests::clock` compiles it with rustc and writes its setting.
//!
//! The setting is a mapped file, named by `SYNOD_TEST_CLOCK`, of four numbers: nanoseconds that the
//! wall clock is ahead, since when the rate holds (on the real monotonic clock), by how many parts
//! in a thousand both clocks are faster since then, and one that is not used. It changes no
//! waiting: the kernel's timers run at their own rate.
use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

const CLOCK_REALTIME: c_int = 0;
const CLOCK_MONOTONIC: c_int = 1;
const CLOCK_MONOTONIC_RAW: c_int = 4;
const CLOCK_REALTIME_COARSE: c_int = 5;
const CLOCK_MONOTONIC_COARSE: c_int = 6;
const CLOCK_BOOTTIME: c_int = 7;
#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;
const SETTING: &CStr = c"SYNOD_TEST_CLOCK";
const SETTING_BYTES: usize = 32;
const READ_ONLY: c_int = 0;
const PROT_READ: c_int = 1;
const MAP_SHARED: c_int = 1;
const A_SECOND: i64 = 1_000_000_000;

#[repr(C)]
pub struct Time {
    seconds: i64,
    nanoseconds: i64,
}

struct Setting {
    ahead: AtomicI64,
    since: AtomicI64,
    faster_permille: AtomicI64,
    _unused: AtomicI64,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(
        at: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        file: c_int,
        from: i64,
    ) -> *mut c_void;
}

fn setting() -> Option<&'static Setting> {
    static SETTING_AT: OnceLock<Option<&'static Setting>> = OnceLock::new();
    *SETTING_AT.get_or_init(|| {
        // SAFETY: the name is a C string, and what `getenv` returns is one or null.
        let file = unsafe {
            let path = getenv(SETTING.as_ptr());
            if path.is_null() { return None } else { open(path, READ_ONLY) }
        };
        // SAFETY: a new mapping, of a file that is as long, which stays for ever.
        let mapped = unsafe { mmap(std::ptr::null_mut(), SETTING_BYTES, PROT_READ, MAP_SHARED, file, 0) };
        if file < 0 || mapped as isize == -1 {
            return None;
        }
        // SAFETY: mapped as a whole, aligned as pages are, and any bytes are four numbers.
        Some(unsafe { &*mapped.cast::<Setting>() })
    })
}

/// What the kernel says.
fn real(clock: c_int, time: &mut Time) -> c_int {
    // SAFETY: the call writes one time, to where there is room for it.
    unsafe { syscall(SYS_CLOCK_GETTIME, clock as c_long, std::ptr::from_mut(time)) as c_int }
}

fn nanoseconds(time: &Time) -> i64 {
    time.seconds * A_SECOND + time.nanoseconds
}

/// See the module.
///
/// # Safety
/// `time` is writable, as `clock_gettime` wants it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    // SAFETY: the caller's promise.
    let time = unsafe { &mut *time };
    let result = real(clock, time);
    let is_wall = matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE);
    let is_steady =
        matches!(clock, CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME);
    if result != 0 || !(is_wall || is_steady) {
        return result;
    }
    let Some(setting) = setting() else { return 0 };
    let mut now = Time { seconds: 0, nanoseconds: 0 };
    let permille = setting.faster_permille.load(Ordering::Acquire);
    let since = setting.since.load(Ordering::Acquire);
    let mut shown = nanoseconds(time);
    if permille != 0 && real(CLOCK_MONOTONIC, &mut now) == 0 {
        shown += (nanoseconds(&now) - since) / 1_000 * permille;
    }
    if is_wall {
        shown += setting.ahead.load(Ordering::Acquire);
    }
    (time.seconds, time.nanoseconds) = (shown.div_euclid(A_SECOND), shown.rem_euclid(A_SECOND));
    0
}
