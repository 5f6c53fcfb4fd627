//! Runs one named case, of which valgrind counts what lies inside of [`counted::count`].
//!
//! `micro-mq-instructions --list` prints the names; `micro-mq-instructions NAME` runs a case and prints by how many
//! messages, packets or filters its instructions are to be divided. It does so without valgrind too, but counts nothing.

mod clients;
mod codec;
mod counted;
mod node;
mod trie;

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What is counted under one name. It returns how often the counted part did what the name says.
struct Case {
    name: &'static str,
    run: fn() -> usize,
}

fn cases() -> impl Iterator<Item = &'static Case> {
    [codec::CASES, trie::CASES, node::CASES].into_iter().flatten()
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "--list" {
        cases().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    }
    let Some(case) = cases().find(|case| case.name == argument) else {
        eprintln!("no case '{argument}' (see --list)");
        return ExitCode::FAILURE;
    };
    println!("{}", (case.run)());
    ExitCode::SUCCESS
}
