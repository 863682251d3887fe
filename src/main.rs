//! The command line; everything is in [`haul::cli`].

fn main() -> std::process::ExitCode {
    haul::cli::main()
}
