#!/usr/bin/env bash
# Fuzzes Micro MQ with cargo-fuzz and says what came of it.
#
#   scripts/fuzz.sh [--seconds N] [TARGET...]   each target (default: all) for N seconds (default 900), one by one
#   scripts/fuzz.sh --replay TARGET FILE        one input once: what it does and the panic it ends in
#
# A target starts from the inputs in tests/fuzz/corpus and from what earlier runs found, which stays in the cache. It
# ends with status 1 if an input crashed, hung or took too much memory; that input is kept and named. A stable
# toolchain is enough.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"
cd "$root"

readonly CARGO_FUZZ_VERSION=0.13.2
readonly INPUT_BYTES_MAX=4096
readonly INPUT_SECONDS_MAX=10
readonly MEBIBYTES_MAX=2048
readonly fuzz_folder="$cache_folder/fuzz"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/fuzz.sh"; }

seconds=900
replay=
targets=()
while (($# > 0)); do
    case "$1" in
    --seconds)
        seconds=${2:-}
        [[ "$seconds" =~ ^[1-9][0-9]*$ ]] || fail "--seconds: a whole number above 0"
        shift 2
        ;;
    --replay)
        (($# == 3)) || fail "--replay takes a target and a file"
        [ -f "$3" ] || fail "--replay: no file $3"
        targets=("$2")
        replay=$3
        break
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    -*) fail "unknown option '$1' (see --help)" ;;
    *)
        targets+=("$1")
        shift
        ;;
    esac
done
if ((${#targets[@]} == 0)); then
    for file in tests/fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi
for target in "${targets[@]}"; do
    [ -f "tests/fuzz/fuzz_targets/$target.rs" ] || fail "there is no target $target in tests/fuzz/fuzz_targets"
done

install_cargo_fuzz() {
    if ! has cargo-fuzz; then
        say "installing cargo-fuzz"
        CARGO_TARGET_DIR="$cache_folder/target-cargo-fuzz" \
            cargo install --quiet --locked --root "$cache_folder/cargo" --version "$CARGO_FUZZ_VERSION" cargo-fuzz
        rm -rf "$cache_folder/target-cargo-fuzz"
    fi
}

# fuzz COMMAND ARGUMENT...: a command of cargo-fuzz. No sanitizer: this is safe Rust (a lint denies the rest), where
# AddressSanitizer finds nothing and makes a run two to three times slower. Debug assertions and overflow checks are on.
fuzz() {
    local command=$1
    shift
    # cargo-fuzz asks the compiler for coverage, which is a nightly option of rustc.
    RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$cache_folder/target-fuzz" \
        cargo fuzz "$command" --fuzz-dir tests/fuzz --sanitizer none "$@"
}

# final NAME LOG: one of libFuzzer's closing numbers.
final() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

# run_target TARGET: fuzzes it, and minimises what it found; false when there is a crash.
run_target() {
    local target=$1 status=0 artifact before
    local corpus="$fuzz_folder/corpus/$target" artifacts="$fuzz_folder/artifacts/$target" log="$fuzz_folder/$target.log"
    mkdir -p "$corpus" "$artifacts"
    cp "tests/fuzz/corpus/$target"/* "$corpus/"
    before=$(find "$artifacts" -type f | sort)
    say "$target for $seconds s (log: $log)"
    fuzz run "$target" "$corpus" -- -max_total_time="$seconds" -max_len="$INPUT_BYTES_MAX" \
        -timeout="$INPUT_SECONDS_MAX" -rss_limit_mb="$MEBIBYTES_MAX" -artifact_prefix="$artifacts/" \
        -print_final_stats=1 >"$log" 2>&1 || status=$?
    if ((status == 0)); then
        fuzz cmin "$target" "$corpus" >"$fuzz_folder/$target-cmin.log" 2>&1 || fail "cmin of $target failed: $log"
        printf '%s: %s executions (%s per second), coverage %s, corpus %s inputs (%s KiB)\n' "$target" \
            "$(final number_of_executed_units "$log")" "$(final average_exec_per_sec "$log")" \
            "$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)" \
            "$(find "$corpus" -type f | wc -l)" "$(($(cat "$corpus"/* | wc -c) / 1024))"
        return 0
    fi
    tail -n 40 "$log"
    artifact=$(comm -13 <(echo "$before") <(find "$artifacts" -type f | sort) | head -n 1)
    if [ -z "$artifact" ]; then
        say "$target ended with status $status and no input: see $log"
    else
        say "$target FAILED on $artifact"
        say "replay it: scripts/fuzz.sh --replay $target $artifact"
    fi
    return 1
}

need_packages fuzz
export PATH="$PATH:$cache_folder/cargo/bin"
with_cache_lock install_cargo_fuzz

say "building"
fuzz build
if [ -n "$replay" ]; then
    RUST_BACKTRACE=1 MICRO_MQ_FUZZ_TRACE=1 fuzz run "${targets[0]}" "$replay"
    say "the input passed"
    exit 0
fi
failed=()
for target in "${targets[@]}"; do
    run_target "$target" || failed+=("$target")
done
if ((${#failed[@]} > 0)); then
    fail "crashes in: ${failed[*]}"
fi
say "no crash in: ${targets[*]}"
