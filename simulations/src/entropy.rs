//! Randomness from the system, supplied from a world's seed.
//!
//! chitchat shuffles what it sends with a generator that it seeds from the operating system, and iterates over hash
//! sets that std keys from there. Neither takes a seed. So the simulator, and nothing else in the repository, defines
//! the C function that both end up calling, `getrandom`: on a thread that a world runs on it answers from the world's
//! seed, on any other from the system.
//!
//! What makes a world with couriers in it repeat to the last byte:
//! 1. [`on_fresh_thread`]: std and rand keep generators per thread, which a former world would have moved on.
//! 2. Inside it a current-thread runtime with a paused clock (`enable_time`, `start_paused(true)`); couriers are
//!    spawned inside it, and everything happens inside one `block_on`.
//! 3. Before an event at virtual time `t`: `sleep_until(start + t).await`. An idle runtime advances its clock from timer
//!    to timer, so that chitchat's ticks run at their own times. Never `advance`, which jumps over several at once.
//! 4. Then the event goes to its courier (`put`, `received`, …), `settled().await`, and `try_recv` until it is empty.
//!    One courier at a time.
//!
//! tokio's clock counts milliseconds: give messages to couriers at whole milliseconds, or accept that they see the time
//! rounded. `tokio_unstable` is not needed: tokio draws the order in which it polls the branches of a `select!` from a
//! counter of the process, but a courier hands chitchat one thing at a time, so that one branch at most is ready.

use std::cell::Cell;
use std::ffi::c_void;
use std::fs::File;
use std::io::Read as _;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `world` on a thread of its own, where whoever asks the system for randomness gets what follows from `seed`.
///
/// # Panics
/// When `world` does, with the same message.
pub fn on_fresh_thread<T: Send>(seed: u64, world: impl FnOnce() -> T + Send) -> T {
    let seeded = move || {
        STATE.set(Some(seed));
        world()
    };
    std::thread::scope(|scope| match scope.spawn(seeded).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// One step of splitmix64 (Steele, Lea, Flood 2014).
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn fill(buffer: &mut [u8]) -> std::io::Result<()> {
    // A thread that is ending has no state any more; it is no world's.
    let Some(mut state) = STATE.try_with(Cell::get).ok().flatten() else {
        return File::open("/dev/urandom")?.read_exact(buffer);
    };
    for chunk in buffer.chunks_mut(8) {
        chunk.copy_from_slice(&step(&mut state).to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(state));
    Ok(())
}

/// Stands in for the C library's function of this name, in this program only.
///
/// # Safety
/// As in C: `buffer` is valid for `length` bytes.
#[expect(unsafe_code, reason = "chitchat's randomness can be seeded nowhere but here")]
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, _flags: u32) -> isize {
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller promises it; zeroed first, because the bytes may be uninitialised.
    let buffer = unsafe {
        buffer.write_bytes(0, length);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
    };
    match fill(buffer) {
        Ok(()) => length.cast_signed(),
        Err(_) => -1,
    }
}

#[cfg(test)]
#[path = "entropy_tests.rs"]
mod tests;
