#!/usr/bin/env bash
# Counts the instructions that Micro MQ takes for named pieces of work, and compares them with what was recorded.
#
#   scripts/instructions.sh                  every case; status 1 if one takes more than 5 % above its record
#   scripts/instructions.sh --record         records what is counted, in place of what was
#   scripts/instructions.sh --only PATTERN   the cases that match, such as 'codec/*'; may be repeated
#   scripts/instructions.sh --profile CASE   where one case's instructions go, by function, callees included and not
#   scripts/instructions.sh --list           the cases
#
# valgrind's callgrind counts, so neither the machine's speed nor its load matters; see tests/instructions/README.md. The
# compiler does: there is a record for each version that was used, and with another one nothing is compared and the
# status is 0. What is built stays in the cache; on Debian valgrind is installed with apt-get where it is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"
cd "$root"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/instructions.sh"; }

passed=()
while (($# > 0)); do
    case "$1" in
    --record | --list)
        passed+=("$1")
        shift
        ;;
    --only | --profile)
        passed+=("$1" "${2:?$1 needs a value}")
        shift 2
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done

install_packages instructions

# The counts are those of the profile in tests/instructions/Cargo.toml, whatever the caller has set.
for name in RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET $(compgen -e CARGO_PROFILE_); do
    unset "$name"
done
target="$cache_folder/target-instructions"
say "building"
cargo build --release --locked --quiet --manifest-path tests/instructions/Cargo.toml --target-dir "$target"

compiler=$(rustc -vV | sed -n 's/^release: //p')-$(rustc -vV | sed -n 's/^host: //p')
exec python3 -B scripts/lib/instructions.py --program "$target/release/micro-mq-instructions" \
    --records "tests/instructions/recorded/rustc-$compiler.tsv" "${passed[@]}"
