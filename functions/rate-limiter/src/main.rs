//! The rate limiter's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate_hooks::run::main::<tollgate_rate_limiter::RateLimiter>()
}
