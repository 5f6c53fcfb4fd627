//! What is not as it was written is said, and never passed over in silence.

use super::*;

fn check_refused(disk: &Disk, applied: Position, expected: &str) {
    assert_eq!(open(disk, applied).unwrap_err().to_string(), expected);
}

const FIRST: &str = "log-0000000000000001";
const SECOND: &str = "log-0000000000000002";

/// A file never gets shorter by a crash.
#[test]
fn a_file_cut_anywhere_is_refused() {
    let disk = written(&[1, 1, 1]);
    let whole = disk.bytes(FIRST);
    for length in 0..whole.len() {
        let cut = disk.copy();
        cut.put(FIRST, whole[..length].to_vec());
        check_refused(&cut, 0, "disk/log-0000000000000001 is damaged at byte 0");
    }
}

/// As if the power had gone before the rest was on the disk.
#[test]
fn a_file_of_zeros_from_anywhere_has_what_stands_before() {
    let disk = written(&[2, 1, 3]);
    let whole = disk.bytes(FIRST);
    let mut found = std::collections::BTreeSet::new();
    for length in 4096..whole.len() {
        let cut = disk.copy();
        let mut bytes = whole.clone();
        bytes[length..].fill(0);
        cut.put(FIRST, bytes);
        let (opened, entries) = open(&cut, 0).unwrap();
        assert!(entries.iter().copied().eq(1..=opened.last()));
        found.insert(opened.last());
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [0, 2, 3, 6]);
}

/// Each bit of both heads, of what an entry says of itself, and of what it says.
#[test]
fn a_flipped_bit_in_the_middle_is_named_with_its_place() {
    let disk = written(&[2, 1, 3]);
    let whole = disk.bytes(FIRST);
    for (bytes, offset) in [(0..48, 0), (4096..4096 + 56 + 36, 4096)] {
        for bit in bytes.start * 8..bytes.end * 8 {
            let flipped = disk.copy();
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            flipped.put(FIRST, bytes);
            check_refused(&flipped, 0, &format!("disk/{FIRST} is damaged at byte {offset}"));
        }
    }
}

/// What was written last may be torn, whatever of it is there. Nothing that was kept stands behind it.
#[test]
fn a_flipped_bit_in_the_last_group_cuts_it() {
    let disk = written(&[2, 1, 1]);
    let mut bytes = disk.bytes(FIRST);
    let at = 4096 * 3 + 60;
    bytes[at] ^= 1;
    disk.put(FIRST, bytes);
    assert_eq!(open(&disk, 0).unwrap().0.last(), 3);
    // It is not there at the next start either, and what is written goes on behind what was left.
    let mut writer = open(&disk, 0).unwrap().0.into_writer();
    write(&disk, &mut writer, 2).unwrap();
    writer.sync().unwrap();
    assert_eq!(open(&disk, 0).unwrap().0.last(), 5);
    // A checkpoint that has it knows better.
    let disk = written(&[2, 1, 1]);
    let mut bytes = disk.bytes(FIRST);
    bytes[at] ^= 1;
    disk.put(FIRST, bytes);
    check_refused(&disk, 4, "the log in disk/ ends with entry 3, and the checkpoint has 4 already");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let disk = written(&[4; 30]);
    let names = disk.names();
    assert!(names.len() > 4, "{names:?}");
    disk.remove_file(SECOND);
    check_refused(&disk, 0, "disk/log-0000000000000002 is missing");
    let disk = written(&[4; 30]);
    disk.remove_file(FIRST);
    let first = open(&disk, 0).unwrap_err().to_string();
    assert!(first.starts_with("the log in disk/ begins with entry "), "{first}");
    disk.names().iter().for_each(|name| disk.remove_file(name));
    check_refused(&disk, 7, "the log in disk/ ends with entry 0, and the checkpoint has 7 already");
}

#[test]
fn a_later_format_is_refused() {
    let disk = written(&[1]);
    let mut bytes = disk.bytes(FIRST);
    bytes[8] = 9;
    let sum = xxhash_rust::xxh3::xxh3_64_with_seed(&bytes[..40], 0);
    bytes[40..48].copy_from_slice(&sum.to_le_bytes());
    disk.put(FIRST, bytes);
    let refused = "disk/log-0000000000000001 has format 9, and this version reads 1 at most";
    check_refused(&disk, 0, refused);
    assert_eq!(Journal::look(&disk, 0, &mut |_| {}).unwrap_err().to_string(), refused);
}

/// Whoever only looks finds what a start would, and leaves it for that.
#[test]
fn a_look_changes_nothing() {
    let disk = written(&[2, 1, 3]);
    let look = |disk: &Disk, applied| {
        let mut found = Vec::new();
        let seen = Journal::look(disk, applied, &mut |entry| found.push(entry.position)).unwrap();
        (seen.last, seen.is_torn, found)
    };
    assert_eq!(look(&disk, 2), (6, false, vec![3, 4, 5, 6]));
    let mut torn = disk.bytes(FIRST);
    torn[4096 * 3 + 60] ^= 1;
    disk.put(FIRST, torn.clone());
    assert_eq!(look(&disk, 0), (3, true, vec![1, 2, 3]));
    disk.steps();
    assert_eq!(look(&disk, 0), (3, true, vec![1, 2, 3]));
    assert!(disk.steps().is_empty() && disk.bytes(FIRST) == torn);
    assert_eq!(open(&disk, 0).unwrap().0.last(), 3);
}

/// What a client writes into a message stands there as bytes, though it be the image of a group.
#[test]
fn a_group_within_a_message_is_none() {
    let disk = written(&[1, 1]);
    let group = disk.bytes(FIRST)[4096..8192].to_vec();
    let other = Disk::new(1);
    let mut writer = open(&other, 0).unwrap().0.into_writer();
    let mut bytes = vec![0; GROUP_HEAD];
    let mut says = vec![0; 4096 - GROUP_HEAD - 6];
    says.extend_from_slice(&group);
    says.extend_from_slice(&[0; 4096]);
    append_entry(&mut bytes, &[], &says);
    writer.write(&mut bytes, 1).unwrap();
    // Torn: its head is not there.
    let mut file = other.bytes(FIRST);
    file[4096..8192].fill(0);
    other.put(FIRST, file);
    assert_eq!(open(&other, 0).unwrap().0.last(), 0);
}
