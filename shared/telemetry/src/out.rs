//! Lines on standard output, where every request writes one.
//!
//! The lock of [`std::io::stdout`] is held while the system writes: at tens of thousands of requests a second the threads wait for each other in it. The
//! system itself keeps a short line in one piece, to a pipe as to a file.

use std::fs::File;
use std::io::{Write, stdout};
use std::os::fd::AsFd;
use std::sync::{LazyLock, PoisonError, RwLock};

/// A pipe takes as much in one piece: `PIPE_BUF` of Linux, pipe(7).
const ONE_PIECE: usize = 4_096;

/// Standard output, past the lock. None: it is closed.
static OUT: LazyLock<Option<File>> = LazyLock::new(|| stdout().as_fd().try_clone_to_owned().ok().map(File::from));
/// Held alone by a line that the system may cut, together by all the others.
static PIECES: RwLock<()> = RwLock::new(());

/// Writes one line, which ends in its line break. A log that cannot be written is no reason to fail a request.
pub(crate) fn line(bytes: &[u8]) {
    let Some(mut out) = OUT.as_ref() else { return };
    let _ = if bytes.len() <= ONE_PIECE {
        let _together = PIECES.read().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)
    } else {
        let _alone = PIECES.write().unwrap_or_else(PoisonError::into_inner);
        // What `tracing` writes goes through that lock.
        let _and_without_the_operational_log = stdout().lock();
        out.write_all(bytes)
    };
}
