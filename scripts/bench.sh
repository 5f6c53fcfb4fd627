#!/usr/bin/env bash
# Measures Micro MQ beside other brokers with mqtt-bench, and writes JSON, a Markdown report and plots.
#
#   scripts/bench.sh                 all scenarios against all that is found: hours on an otherwise idle machine
#   scripts/bench.sh --quick         the most telling ones beside mosquitto: within 3 minutes once all is built
#   scripts/bench.sh --list          the scenarios, their groups and their command lines
#
# What is run
#   --group NAME         this group of scenarios: table, latency, memory, connections, growth, go, large
#   --only NAME          this scenario. Both may be repeated and combined
#   --rounds N           at least 3 [table and connections 5, paced 7, others 3]; a round runs each scenario against
#                        each broker in turn
#   --seconds S          length of one timed run, warm-up included [5, quick 1.5]
# The node
#   --workers N[,N]      worker threads; with 1,2 both tables come from the same rounds [1,2, quick 1]
#   --set KEY=VALUE      a further setting; may be repeated
#   --node PROGRAM       one built elsewhere, instead of building this checkout's
#   --generator PROGRAM  likewise mqtt-bench
# Its peers: mosquitto always, installed with apt-get where that is missing, as matplotlib is with pip, into the cache
#   --install NAME       rumqttd or rmqttd from crates.io, into the cache outside the checkout (many minutes)
#   --peer NAME          only mosquitto and this one: rumqttd, rmqttd (on PATH or installed), or relay, the stateless
#                        relay of mqtt-bench: the limit of the machine. May be repeated [all that are found]
#   --peer NAME=COMMAND  any other broker: COMMAND stays in the foreground as one process and listens on
#                        127.0.0.1:{port}; {folder} is a folder of its own, gone after the run. May be repeated
# Results
#   --output FOLDER      [results/DATE]
#   --into FILE          the report also into this Markdown file, between its lines "<!-- results -->" and
#                        "<!-- end of results -->"
#   --again              nothing is run: the report is written anew from the results in the folder of --output
#
# Every run gets a freshly started broker on free loopback ports, with its limits lifted or at their defaults, as the
# report says. A peer that fails is shown as such. The exit status is 0 if in no run the node lost, duplicated or
# reordered a message, or it or mqtt-bench failed otherwise; a goal that is missed does not change it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"
# shellcheck source=scripts/lib/requirements.sh
. "$root/scripts/lib/requirements.sh"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/bench.sh"; }

# install_peer CRATE: a broker that is published as a crate, into the cache, unless it is there.
install_peer() {
    local folder="$cache_folder/peers" version locked=(--locked)
    [ ! -x "$folder/bin/$1" ] || return 0
    case "$1" in
    rumqttd)
        version=0.20.0
        locked=() # its lock file names a crate that today's compilers refuse
        ;;
    rmqttd) version=0.24.0 ;;
    esac
    say "installing $1 $version"
    cargo install "${locked[@]}" --root "$folder" --target-dir "$folder/target-$1" "$1@$version" &&
        rm -rf "$folder/target-$1"
}

node=
generator=
runs=true
lists=false
passed=()
crates=()
while (($# > 0)); do
    case "$1" in
    -h | --help)
        usage
        exit 0
        ;;
    --node | --generator)
        printf -v "${1#--}" %s "$(realpath -- "${2:?$1 needs a program}")"
        shift 2
        ;;
    --install)
        case "${2:-}" in
        rumqttd | rmqttd) crates+=("$2") ;;
        *) fail "unknown crate '${2:-}' (rumqttd, rmqttd)" ;;
        esac
        shift 2
        ;;
    --quick)
        passed+=("$1")
        shift
        ;;
    --list)
        lists=true
        passed+=("$1")
        shift
        ;;
    --again)
        runs=false
        passed+=("$1")
        shift
        ;;
    --group | --only | --rounds | --workers | --seconds | --set | --peer | --output | --into)
        passed+=("$1" "${2:?$1 needs a value}")
        shift 2
        ;;
    *) fail "unknown argument '$1' (see --help)" ;;
    esac
done

# The mosquitto broker, for a user whose PATH lacks it, and peers that were built once.
export PATH="$PATH:/usr/sbin:$cache_folder/peers/bin"
export PYTHONDONTWRITEBYTECODE=1
! $lists || exec python3 "$root/bench/report/run.py" "${passed[@]}"
if ! $runs; then
    install_packages plots || fail "cannot go on without them"
    python=$(with_cache_lock python_environment "$root/bench/report/requirements.txt")
    exec "$python" "$root/bench/report/run.py" "${passed[@]}"
fi

need_packages mosquitto plots "${crates[@]}"
python=$(with_cache_lock python_environment "$root/bench/report/requirements.txt")
for crate in "${crates[@]}"; do with_cache_lock install_peer "$crate"; done
cd "$root"
packages=()
[ -n "$generator" ] || packages+=(-p mqtt-bench)
[ -n "$node" ] || packages+=(-p micro-mq)
if ((${#packages[@]} > 0)); then
    say "building"
    cargo build --release --locked "${packages[@]}"
fi
target="${CARGO_TARGET_DIR:-$root/target}/release"

# The Python side starts and ends the brokers, by process identifier, on signals too.
exec "$python" "$root/bench/report/run.py" \
    --generator "${generator:-$target/mqtt-bench}" --node "${node:-$target/micro-mq}" "${passed[@]}"
