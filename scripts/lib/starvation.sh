# Whether the machine kept a suite from running: others had the cores while it waited for one. Sourced after summary.sh.
#
# A suite that was starved has what failed in it repeated once, alone, and the closing lines name that, with the figures:
# it says nothing of the tests that the machine did not let run, and nothing is repeated that failed with the machine to
# itself.

# A suite is starved when that much of its time somebody waited for a core, and that much of the cores' time was not its
# own: tests with threads wait for each other on a machine that nobody else uses, too.
readonly WAITED_PERCENT_MIN=25
readonly OTHERS_PERCENT_MIN=10
# More than these are not down to the machine.
readonly REPEATED_MAX=20

# cpu_figures: "WALL WAITED BUSY OWN" in milliseconds: since the start of the machine, how long somebody waited for a core
# (0 where the kernel does not tell), what the cores worked or were taken away (steal), and what those of this shell's
# children used that have ended.
cpu_figures() {
    local tick
    tick=$(getconf CLK_TCK)
    awk '{ printf "%d ", $1 * 1000 }' /proc/uptime
    awk '$1 == "some" { sub("total=", "", $NF); waited = $NF } END { printf "%d ", waited / 1000 }' \
        /proc/pressure/cpu 2>/dev/null || printf '0 '
    awk -v tick="$tick" '$1 == "cpu" { printf "%d ", ($2 + $3 + $4 + $7 + $8 + $9) * 1000 / tick }' /proc/stat
    # Behind the name, which may have blanks: state, parent, and so on.
    sed 's/.*) //' "/proc/$$/stat" | awk -v tick="$tick" '{ printf "%d\n", ($14 + $15) * 1000 / tick }'
}

# starvation BEFORE AFTER CORES: what the machine did between two of `cpu_figures`, in words; false where it starved nobody.
starvation() {
    local -a before after
    local wall waited others
    read -ra before <<<"$1"
    read -ra after <<<"$2"
    wall=$((after[0] - before[0]))
    ((wall > 0)) || return
    waited=$(((after[1] - before[1]) * 100 / wall))
    others=$(((after[2] - before[2] - after[3] + before[3]) * 100 / (wall * $3)))
    ((others >= 0)) || others=0
    printf '%d %% of the time waited for a core, %d %% of the cores were with others' "$waited" "$others"
    ((waited >= WAITED_PERCENT_MIN && others >= OTHERS_PERCENT_MIN))
}

# is_repeatable LOG FAILED NAME...: so many tests of cargo failed and nothing else (no build, no process that was killed),
# each with a name of its own, and not too many.
is_repeatable() {
    local log=$1 failed=$2 of_tests of_targets
    shift 2
    of_tests=$(plain "$log" | grep -c '^test result: FAILED' || true)
    of_targets=$(plain "$log" | grep -cE '^error: (doc)?test failed, to rerun' || true)
    ((0 < $# && $# <= REPEATED_MAX && $# == failed && of_tests == of_targets)) &&
        ! plain "$log" | grep -q "process didn't exit successfully: .*(signal: "
}

# passed_alone LOG NAME...: which of the failed tests a log has as passed, and nowhere as failed.
passed_alone() {
    local log=$1 name
    shift
    for name in "$@"; do
        if plain "$log" | grep -qxF "test $name ... ok" && ! plain "$log" | grep -qxF "test $name ... FAILED"; then
            printf '%s\n' "$name"
        fi
    done
}

# run_unless_starved NAME COMMAND...: as `run_suite`; when tests of cargo failed and the suite was starved, they are run
# once more, alone. The command must take what comes behind `--` of cargo test.
run_unless_starved() {
    local suite=$1 log again status=0 passed failed before figures name
    local -a names right=()
    shift
    say "suite $suite"
    log=$(mktemp "${TMPDIR:-/tmp}/micro-mq-suite.XXXXXX")
    before=$(cpu_figures)
    "$@" 2>&1 | tee "$log" || status=$?
    read -r passed failed <<<"$(count_tests "$log")"
    mapfile -t names < <(failed_tests "$log")
    if ((status != 0)) && is_repeatable "$log" "$failed" "${names[@]}"; then
        if figures=$(starvation "$before" "$(cpu_figures)" "$(nproc)"); then
            say "$figures; what failed is repeated alone"
            again=$(mktemp "${TMPDIR:-/tmp}/micro-mq-suite.XXXXXX")
            "$@" -- --exact --test-threads=1 "${names[@]}" 2>&1 | tee "$again" || true
            mapfile -t right < <(passed_alone "$again" "${names[@]}")
            rm -f "$again"
        else
            say "$figures: that is no reason to fail"
        fi
        for name in "${right[@]}"; do
            notes+=("failed beside a busy machine ($figures), passed alone: $suite: $name")
        done
        passed=$((passed + ${#right[@]}))
        failed=$((failed - ${#right[@]}))
        ((failed > 0)) || status=0
        mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vxFf <(printf '%s\n' "${right[@]}"))
    fi
    rm -f "$log"
    add_run "$suite" "$status" "$passed" "$failed" "${names[@]}"
}
