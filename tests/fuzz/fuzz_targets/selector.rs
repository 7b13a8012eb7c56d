#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mesh_tests::fuzz::run("selector", bytes));
