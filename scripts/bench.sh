#!/usr/bin/env bash
# Measures Micro MQ beside mosquitto with mqtt-bench, and writes JSON and a Markdown report.
#
#   scripts/bench.sh                 all scenarios, three rounds (about 15 minutes)
#   scripts/bench.sh --quick         the most telling ones, within 3 minutes once everything is built
#
#   --rounds N       rounds, at least 3; a round runs each scenario against each broker in turn [3]
#   --workers N      worker threads of the node [what its configuration says]
#   --seconds S      length of one bulk run, warm-up included [6, quick 2]
#   --only NAME      this scenario; may be repeated. --list names them all
#   --set KEY=VALUE  a further setting of the node; may be repeated
#   --output FOLDER  [results/DATE]
#   --node PROGRAM   a node built elsewhere, instead of building this checkout's
#   --list           the scenarios and their command lines
#
# Every run gets a freshly started broker on free loopback ports; both have the same limits lifted or at their
# defaults, as the report says. mosquitto is installed with apt-get where that is missing. The exit status is 0 if no
# message was lost, duplicated or out of order in any run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/bench.sh"; }

node=
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
    --quick | --list)
        passed+=("$1")
        shift
        ;;
    --rounds | --workers | --seconds | --only | --set | --output)
        passed+=("$1" "${2:?$1 needs a value}")
        shift 2
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done

export PATH="$PATH:/usr/sbin" # the mosquitto broker, for a user whose PATH lacks it
export PYTHONDONTWRITEBYTECODE=1
if [[ " ${passed[*]} " == *" --list "* ]]; then
    exec python3 "$root/scripts/lib/bench_run.py" "${passed[@]}"
fi

install_packages mosquitto
cd "$root"
packages=(-p mqtt-bench)
[ -n "$node" ] || packages+=(-p micro-mq)
say "building"
cargo build --release --locked "${packages[@]}"
target="${CARGO_TARGET_DIR:-$root/target}/release"

# The Python side starts and ends the brokers, by process identifier, on signals too.
exec python3 "$root/scripts/lib/bench_run.py" \
    --generator "$target/mqtt-bench" --node "${node:-$target/micro-mq}" "${passed[@]}"
