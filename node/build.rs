//! Puts the built files of the console into the program, as they are and compressed.
//!
//! They are committed (`console/dist`), so that building the program takes no Node.js; a test compares them with what
//! their sources make.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    let dist = Path::new("console/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to put what is made"));
    let mut files: Vec<_> = match env::var_os("CARGO_FEATURE_CONSOLE") {
        Some(_) => fs::read_dir(dist)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?,
        None => Vec::new(),
    };
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).expect("names of built files are ASCII");
        let bytes = fs::read(&file)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        let gzipped = out.join(format!("{name}.gz"));
        fs::write(&gzipped, gzip.finish()?)?;
        let (plain, tag) = (fs::canonicalize(&file)?, fnv1a(&bytes));
        writeln!(
            list,
            "    BuiltFile {{ name: {name:?}, tag: \"\\\"{tag:016x}\\\"\", plain: include_bytes!({plain:?}), \
             gzip: include_bytes!({gzipped:?}) }},"
        )
        .expect("a string takes everything");
    }
    list.push(']');
    fs::write(out.join("console_files.rs"), list)
}

/// Tells one content from another: nobody gains by making two that are alike.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
