//! The mark around what is counted.

/// Runs a part of a case with its instructions counted.
pub(crate) fn count<R>(part: impl FnOnce() -> R) -> R {
    let (mut part, mut result) = (Some(part), None);
    counted_part_of_case(&mut || result = part.take().map(|part| part()));
    result.expect("the part was run")
}

/// valgrind is told this name, and counts from its call to its return. It has no type parameters and no closures, which
/// would bear the name as well.
#[inline(never)]
fn counted_part_of_case(part: &mut dyn FnMut()) {
    part();
    // Behind the call there is something left to do, so that it is one.
    std::hint::black_box(());
}
