#!/usr/bin/env bash
# Lets a node run under mixed traffic with churn, watches it from outside, and judges.
#
#   scripts/soak.sh MINUTES          at least 2; 60 is what docs/soak.md shows
#
#   --seed N         who does what and when [1]
#   --set KEY=VALUE  a further setting of the node; may be repeated
#   --output FOLDER  [results/soak-DATE]
#   --node PROGRAM   a node built elsewhere, instead of building this checkout's
#
# Phases under load alternate with phases of rest, in which memory, open files, threads, connections, sessions and
# ledger are compared. The folder takes soak.json, soak.md and soak.svg. The exit status is 0 if every criterion holds.
# The load is moderate: less than half a core for node and driver together.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/soak.sh"; }

node=
minutes=
passed=()
while (($# > 0)); do
    case "$1" in
    -h | --help)
        usage
        exit 0
        ;;
    --node)
        node=$(realpath -- "${2:?--node needs a program}")
        shift 2
        ;;
    --seed | --set | --output)
        passed+=("$1" "${2:?$1 needs a value}")
        shift 2
        ;;
    -*) fail "unknown argument '$1' (see --help)" ;;
    *)
        [ -z "$minutes" ] || fail "unknown argument '$1' (see --help)"
        minutes=$1
        shift
        ;;
    esac
done
[ -n "$minutes" ] || fail "how many minutes? (see --help)"

export PYTHONDONTWRITEBYTECODE=1
need_packages plots
python=$(with_cache_lock python_environment "$root/bench/report/requirements.txt")
cd "$root"
packages=(-p mqtt-bench)
[ -n "$node" ] || packages+=(-p micro-mq)
say "building"
cargo build --release --locked "${packages[@]}"
target="${CARGO_TARGET_DIR:-$root/target}/release"

# The Python side starts and ends node and driver, by process identifier, on signals too.
exec "$python" "$root/bench/report/soak_run.py" \
    --driver "$target/mqtt-bench" --node "${node:-$target/micro-mq}" --minutes "$minutes" "${passed[@]}"
