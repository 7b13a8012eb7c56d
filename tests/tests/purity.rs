//! The core is pure unless it is listed here as the runtime around it: no clock, no socket, no thread, no file, no
//! randomness of its own, and no map whose order depends on a hasher's random keys.

use mesh_tests::tree;

/// What does IO, and why it may. A folder's name speaks for everything in it that [`ISLANDS`] does not take back.
const RUNTIME: &[(&str, &str)] = &[
    ("gossip/src/courier", "supervises chitchat, which reads tokio's clock"),
    ("gossip/src/gossip", "the task that owns the protocol"),
    ("gossip/src/identity", "keeps keys and generations on disk"),
    ("gossip/src/seeds", "asks DNS"),
    ("gossip/src/snapshot", "keeps the last known members on disk"),
    ("gossip/src/transport", "owns the sockets"),
];

/// Pure parts of the runtime's modules.
const ISLANDS: &[&str] = &[
    "gossip/src/courier/address.rs",
    "gossip/src/courier/format.rs",
    "gossip/src/courier/guard.rs",
    "gossip/src/courier/pace.rs",
];

/// What a pure module does not say, and what it says instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("Instant", "a `Moment` that the caller passes"),
    ("SystemTime", "a number that the caller passes"),
    ("tokio::", "effects, which the runtime performs"),
    ("quinn::", "effects, which the runtime performs"),
    ("std::thread", "effects, which the runtime performs"),
    ("std::fs", "bytes that the runtime reads and writes"),
    ("std::env", "configuration that the caller passes"),
    ("UdpSocket", "effects, which the runtime performs"),
    ("TcpStream", "effects, which the runtime performs"),
    ("ToSocketAddrs", "addresses that the runtime looked up"),
    ("HashMap", "`BTreeMap`, or `IndexMap` with a fixed hasher"),
    ("HashSet", "`BTreeSet`, or `IndexSet` with a fixed hasher"),
    ("RandomState", "`foldhash::fast::FixedState`"),
    ("getrandom", "an `Rng` that the caller passes"),
    ("rand::rng(", "an `Rng` that the caller passes"),
    ("rand::random", "an `Rng` that the caller passes"),
    ("thread_local!", "a parameter"),
    ("lazy_static", "a parameter"),
];

/// Iteration order counts as randomness in the simulator too; the rest of the list does not, since it drives tokio's
/// paused clock and writes reports.
const FORBIDDEN_IN_SIMULATIONS: &[&str] = &["HashMap", "HashSet", "RandomState", "rand::rng(", "rand::random"];

fn belongs_to(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', '/']))
}

fn is_pure(path: &str) -> bool {
    ISLANDS.contains(&path) || !RUNTIME.iter().any(|(module, _)| belongs_to(path, module))
}

/// The lines of product code that contain `word` outside comments, as `path:line: text`.
fn mentions(file: &tree::SourceFile, word: &str) -> Vec<String> {
    let lines = file.product().lines().enumerate();
    let code = lines.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let found = code.filter(|(_, line)| contains_word(line, word));
    found.map(|(number, line)| format!("{}:{}: {}", file.path, number + 1, line.trim())).collect()
}

/// Whether `line` contains `word` where no longer name contains it.
fn contains_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_in_name = word.ends_with(is_name);
        !(before.is_some_and(is_name) || ends_in_name && after.is_some_and(is_name))
    })
}

#[test]
fn pure_modules_read_no_clock_and_touch_no_socket_thread_file_or_hasher() {
    let files = tree::files("gossip/src", "rs");
    assert!(files.len() > 3, "the core was not found");
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| is_pure(&file.path)) {
        for (word, instead) in FORBIDDEN {
            broken.extend(mentions(file, word).into_iter().map(|line| format!("{line}\n    use {instead}")));
        }
    }
    assert!(broken.is_empty(), "impure:\n{}", broken.join("\n"));
}

#[test]
fn simulations_inherit_no_order_from_a_hasher() {
    let files = tree::files("simulations/src", "rs");
    let broken: Vec<String> =
        files.iter().flat_map(|file| FORBIDDEN_IN_SIMULATIONS.iter().flat_map(|word| mentions(file, word))).collect();
    assert!(broken.is_empty(), "random order:\n{}", broken.join("\n"));
}

#[test]
fn every_island_exists_when_its_module_does() {
    for island in ISLANDS {
        let (module, _) = island.rsplit_once('/').expect("islands are files in a module's folder");
        let built = tree::files(module, "rs");
        assert!(built.is_empty() || built.iter().any(|file| file.path == *island), "{island} is listed, but gone");
    }
}
