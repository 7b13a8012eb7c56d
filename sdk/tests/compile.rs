//! What the attributes say to whoever misuses them is part of what they are.

#[test]
fn misuse_is_told_in_words() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
}
