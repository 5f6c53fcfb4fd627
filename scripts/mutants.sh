#!/usr/bin/env bash
# Do the tests see breakage? Breaks the code in one place after the other, with cargo-mutants, and runs the tests on
# each of these mutants: at most 5 % may survive, each with its reason in tests/mutants.tsv.
#
#   scripts/mutants.sh                   330 mutants, 150 of the codec and 180 of the core: half an hour
#   scripts/mutants.sh --sample N        so many of each crate
#   scripts/mutants.sh --sample all      all there are: hours
#   scripts/mutants.sh --only CRATE      codec or core
#   scripts/mutants.sh --seed TEXT       another random sample; the same seed gives the same sample
#   scripts/mutants.sh --file GLOB       mutants of these files alone, e.g. 'actors/core/src/session/*'
#   scripts/mutants.sh --own-tests       without the tests of the node: quick, and some more survive
#
# Mutated are the codec, and the core, which decides: topic trie, groups, sessions, timers, retained messages, outbox. A
# mutant meets the tests of its own crate first; one that survives these, and is not explained already, meets
# simulated nodes, and then whole ones (node/tests/it). One that makes a test hang is caught by the time limit; one that
# does not compile does not count.
#
# All of it happens in copies outside the checkout, in $MICRO_MQ_CACHE (by default ~/.cache/micro-mq), where the logs
# are afterwards (mutants/CRATE/STAGE/mutants.out).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"

readonly CARGO_MUTANTS_VERSION=27.1.0
# What the tests of a crate need, in seconds, on a machine that is busy with other things.
readonly FIRST_TIMEOUT_SECONDS=40 SECOND_TIMEOUT_SECONDS=300 THIRD_TIMEOUT_SECONDS=600 BUILD_TIMEOUT_SECONDS=1200
readonly MODEL_SEEDS=200
# A mutant that allocates without end is stopped before it stops the machine.
readonly MEMORY_KIBIBYTES_MAX=12000000

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/mutants.sh"; }

codec_files=('codec/src/**')
core_files=('actors/core/src/**')

crates=()
seed=1
sample=
files=()
own_tests_alone=false
while (($# > 0)); do
    case "$1" in
    --sample | --seed | --only | --file)
        (($# > 1)) || fail "$1 needs a value (see --help)"
        case "$1" in
        --sample) sample=$2 ;;
        --seed) seed=$2 ;;
        --file) files+=("$2") ;;
        --only)
            case "$2" in
            codec | core) crates+=("$2") ;;
            *) fail "unknown crate '$2' (codec, core)" ;;
            esac
            ;;
        esac
        shift 2
        ;;
    --own-tests)
        own_tests_alone=true
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done
((${#crates[@]} > 0)) || crates=(codec core)
[ "$sample" != all ] || sample=1000000
[[ $sample =~ ^[0-9]*$ ]] || fail "--sample needs a number or 'all', not '$sample'"

install_cargo_mutants() {
    if ! has cargo-mutants; then
        say "installing cargo-mutants"
        CARGO_TARGET_DIR="$cache_folder/target-cargo-mutants" \
            cargo install --quiet --locked --root "$cache_folder/cargo" --version "$CARGO_MUTANTS_VERSION" cargo-mutants
        rm -rf "$cache_folder/target-cargo-mutants"
    fi
}

# mutate CRATE: chooses its sample and takes it through all stages, in the copy of the checkout that is its own.
mutate() {
    local crate=$1 package size folder pattern glob filters=() targets
    case "$crate" in
    codec)
        package=mqtt-codec size=150 targets=(--cargo-arg=--test=it)
        ((${#files[@]} > 0)) || filters=("${codec_files[@]/#/--file=}")
        ;;
    core)
        package=micro-mq-core size=180 targets=(--cargo-arg=--lib)
        ((${#files[@]} > 0)) || filters=("${core_files[@]/#/--file=}" --exclude=actors/core/src/testing.rs)
        ;;
    esac
    for glob in "${files[@]}"; do filters+=("--file=$glob"); done

    folder="$cache_folder/mutants/$crate"
    mkdir -p "$folder/tree"
    exec 8>"$folder/.lock"
    flock --nonblock 8 || fail "another run is under way in $folder"
    rm -rf "$folder"/{first,second,third}
    mkdir "$folder"/{first,second,third}
    python3 "$root/scripts/lib/mutants.py" copy "$root" "$folder/tree"
    cd "$folder/tree"
    export CARGO_TARGET_DIR="$folder/target"
    cargo mutants --list --json --package "$package" "${filters[@]}" >"$folder/listed.json"
    python3 "$root/scripts/lib/mutants.py" choose "$folder" "${sample:-$size}" "$seed"

    pattern=$(python3 "$root/scripts/lib/mutants.py" chosen "$folder")
    say "$crate: $(wc -l <"$folder/chosen") mutants, seed $seed, against its own tests"
    run_stage first "$FIRST_TIMEOUT_SECONDS" "${targets[@]}"
    $own_tests_alone && return
    if [ "$crate" = core ]; then
        MICRO_MQ_MODEL_SEEDS=$MODEL_SEEDS run_later_stage second "simulated nodes" "$SECOND_TIMEOUT_SECONDS" \
            micro-mq-actors model
    fi
    run_later_stage third "whole nodes" "$THIRD_TIMEOUT_SECONDS" micro-mq it
}

# run_later_stage NAME WHAT TIMEOUT PACKAGE TEST: a stage for what survived so far and is not explained, by a test of
# another crate.
run_later_stage() {
    local stage=$1 what=$2 timeout=$3 test_package=$4 test=$5
    pattern=$(python3 "$root/scripts/lib/mutants.py" unexplained "$folder" "$root/tests/mutants.tsv")
    # Some kinds of mutants come whatever the pattern is: at least none of other files.
    mapfile -t filters < <(python3 "$root/scripts/lib/mutants.py" files "$folder" "$root/tests/mutants.tsv")
    say "$crate: what survived and is not explained, against $what"
    if [ -n "$pattern" ]; then
        cargo test --quiet --package "$test_package" --test "$test" >"$folder/$stage/baseline.log" 2>&1 ||
            fail "the tests fail without any mutant: $folder/$stage/baseline.log"
    fi
    # cargo-mutants would look for the test in the mutated crate to see that it passes without a mutant.
    run_stage "$stage" "$timeout" --test-package "$test_package" --cargo-arg="--test=$test" --baseline=skip
}

# run_stage NAME TIMEOUT ARGUMENT...: cargo mutants on those that match the pattern. Its status 2 and 3 say that some
# survived or hung.
run_stage() {
    local stage=$1 timeout=$2 status=0
    shift 2
    [ -n "$pattern" ] || return 0
    cargo mutants --in-place --no-shuffle --colors never --output "$folder/$stage" --package "$package" \
        "${filters[@]}" --re "$pattern" --timeout "$timeout" --build-timeout "$BUILD_TIMEOUT_SECONDS" "$@" 8>&- ||
        status=$?
    case "$status" in
    0 | 2 | 3) ;;
    *) fail "cargo mutants ended with status $status" ;;
    esac
}

export PATH="$PATH:$cache_folder/cargo/bin"
with_cache_lock install_cargo_mutants
# Nobody debugs a mutant: build fast, and do not look for the smallest example of what is wrong.
export CARGO_PROFILE_DEV_DEBUG=false CARGO_INCREMENTAL=1
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=true
ulimit -v "$MEMORY_KIBIBYTES_MAX"

folders=()
for crate in "${crates[@]}"; do
    mutate "$crate"
    folders+=("$cache_folder/mutants/$crate")
done
python3 "$root/scripts/lib/mutants.py" judge "$root/tests/mutants.tsv" "${folders[@]}"
