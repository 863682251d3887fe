//! The command line; everything is in [`haul::cli`].

/// Memory is often allocated by one thread and freed by another, for many small files most of all: this allocator is
/// fast at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    haul::cli::main()
}
