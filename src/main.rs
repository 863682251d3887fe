//! The command line; everything is in [`haul::cli`].

/// Much is allocated by one thread and given back by another, of many small files most of all: that
/// is what this allocator is here for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    haul::cli::main()
}
