#!/usr/bin/env bash
# Counts the instructions that Micro MQ takes for named pieces of work, and judges them by a record that stays.
#
#   scripts/instructions.sh                  every case; status 1 if one takes more than 1.03 times what is recorded, or
#                                            all together (geometric mean) more than 1.01 times
#   scripts/instructions.sh --only PATTERN   the cases that match, such as 'codec/*'; may be repeated
#   scripts/instructions.sh --profile CASE   where one case's instructions go, by function, callees included and not
#   scripts/instructions.sh --list           the cases
#   scripts/instructions.sh --add [COMMIT]   records the cases that have no record yet, as that commit's code takes them;
#                                            without COMMIT, the one that all is compared with
#
# valgrind's callgrind counts, so neither the machine's speed nor its load matters; see tests/instructions/README.md. The
# compiler does: there is a record for each version that was used, and with another one nothing is judged and the
# status is 0. On Debian valgrind is installed with apt-get where it is missing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"
cd "$root"

# What every later commit is compared with.
readonly FROZEN_COMMIT=55c2cff

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/instructions.sh"; }

passed=()
added=
while (($# > 0)); do
    case "$1" in
    --list)
        passed+=("$1")
        shift
        ;;
    --only | --profile)
        passed+=("$1" "${2:?$1 needs a value}")
        shift 2
        ;;
    --add)
        added=$FROZEN_COMMIT
        shift
        if [ -n "${1:-}" ] && [[ $1 != --* ]]; then
            added=$1
            shift
        fi
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done

need_packages instructions

# The counts are those of the workspace's release profile, whatever the caller has set.
for name in RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET $(compgen -e CARGO_PROFILE_); do
    unset "$name"
done

# build CHECKOUT TARGET [OPTION...]
build() {
    local checkout=$1 target=$2
    shift 2
    (cd "$checkout" && cargo build --release --quiet --package micro-mq-instructions --target-dir "$target" "$@")
}

folder=
trap '[ -z "$folder" ] || rm -rf "$folder"' EXIT
target=${CARGO_TARGET_DIR:-$root/target}
if [ -n "$added" ]; then
    commit=$(git rev-parse --verify --quiet "$added^{commit}") || fail "there is no commit $added in this checkout"
    added=${commit:0:7}
    folder=$(mktemp -d "${TMPDIR:-/tmp}/micro-mq-instructions.XXXXXX")
    target="$folder/target"
    say "building today's cases with the code of $added"
    git archive --prefix=checkout/ "$commit" | tar -x -C "$folder"
    rm -rf "$folder/checkout/tests/instructions"
    cp -r tests/instructions "$folder/checkout/tests/"
    grep -q '^members = .*"tests/instructions"' "$folder/checkout/Cargo.toml" ||
        sed -i 's|^members = \[|&"tests/instructions", |' "$folder/checkout/Cargo.toml"
    build "$folder/checkout" "$target"
    passed+=(--add "$added")
else
    say "building"
    build "$root" "$target" --locked
fi

compiler=$(rustc -vV | sed -n 's/^release: //p')-$(rustc -vV | sed -n 's/^host: //p')
python3 -B scripts/lib/instructions.py --program "$target/release/micro-mq-instructions" \
    --records "tests/instructions/recorded/rustc-$compiler.tsv" --allowances tests/instructions/allowances.tsv \
    "${passed[@]}"
