#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| haul::fuzzing::link_field(bytes));
