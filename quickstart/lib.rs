//! Nothing: this package has the quickstart as its example, so that `cargo run --example quickstart` builds only what that needs.
