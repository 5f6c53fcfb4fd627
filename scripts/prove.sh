#!/usr/bin/env bash
# The whole proof of docs/proof.md that Micro MQ does what its README says: about four hours on two cores.
#
#   scripts/prove.sh            tests, lives, kept, kills, docker, instructions, fuzzing, mutants, soak
#   scripts/prove.sh --quick    the same with short runs: about an hour
#
# tests         scripts/test.sh: every statement of MQTT (docs/conformance.md), real clients, model, hostile input, clocks
# lives         20,000 random runs (quick: 2,000) in which a simulated node is killed at any step and another goes on
# attacker      one client that does all it can at once, beside others whose p99 is looked at in seven pairs of five
#               seconds without and with it (quick: 3)
# kept          scripts/kept.sh: by its system calls, no answer leaves before what it promises is on the disk
# kills         scripts/kills.sh: killed 50 times under load (quick: 10), by the histories of all clients every promise is kept
# docker        scripts/docker.sh: docker/docker-compose.yml is one broker, by an engine and images of its own
# instructions  scripts/instructions.sh: no piece of work takes more of them than recorded
# fuzzing       scripts/fuzz.sh: each target for 15 minutes (quick: 1)
# mutants       scripts/mutants.sh: a random sample of 330 (quick: 20 of each crate)
# soak          scripts/soak.sh: 60 minutes (quick: 5), with a plot in results/
#
# A part that fails does not keep the others from running. The exit status is 0 if all passed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=scripts/lib/common.sh
. "$root/scripts/lib/common.sh"

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$root/scripts/prove.sh"; }

fuzz=() mutants=() soak=(60) pairs=7 lives=20000 kills=50
case "${1:-}" in
'') ;;
--quick) fuzz=(--seconds 60) mutants=(--sample 20) soak=(5) pairs=3 lives=2000 kills=10 ;;
-h | --help)
    usage
    exit 0
    ;;
*) fail "unknown argument '$1' (see --help)" ;;
esac
(($# <= 1)) || fail "unknown argument '$2' (see --help)"

verdicts=()
failed=0

# part NAME COMMAND...: runs it and notes how it went.
part() {
    local name=$1 started=$SECONDS verdict=passed
    shift
    say "$name: $*"
    "$@" || {
        verdict=FAILED
        failed=$((failed + 1))
    }
    verdicts+=("$(printf '%-12s %-6s after %d min' "$name" "$verdict" $(((SECONDS - started) / 60)))")
}

part tests "$root/scripts/test.sh"
part lives env MICRO_MQ_MODEL_SEEDS="$lives" \
    cargo test --release -p micro-mq-actors --test model -- a_node_keeps_its_promises_though_it_is_killed
part attacker env MICRO_MQ_HOSTILE_PAIRS="$pairs" \
    cargo test --release -p micro-mq --test hostile growth::everything -- --nocapture
part kept "$root/scripts/kept.sh"
part kills "$root/scripts/kills.sh" --kills "$kills"
part docker "$root/scripts/docker.sh"
part instructions "$root/scripts/instructions.sh"
part fuzzing "$root/scripts/fuzz.sh" "${fuzz[@]}"
part mutants "$root/scripts/mutants.sh" "${mutants[@]}"
part soak "$root/scripts/soak.sh" "${soak[@]}"

printf '\n'
printf '%s\n' "${verdicts[@]}"
((failed == 0))
