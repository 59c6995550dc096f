//! The budget function's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tollgate_hooks::run::main::<tollgate_budget::Budget>()
}
