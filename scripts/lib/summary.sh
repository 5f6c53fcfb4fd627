# Runs suites, counts what their runners report and prints the closing lines. Sourced after common.sh.
#
# A suite that fails keeps none from running. The last lines name what failed and what did not run, and are
# "N passed, N failed" at the end.

summary_lines=()
passed_total=0
failed_total=0
# Names of what failed, "SUITE: TEST", and of suites that did not run, "SUITE: REASON".
failed_names=()
not_run=()
# What is worth telling of what passed.
notes=()

# How many failed tests of one suite are named in the end.
readonly NAMES_MAX=20

# plain LOG: it without colours, which a runner may print though its output is no terminal.
plain() { sed 's/\x1b\[[0-9;]*m//g' "$1"; }

# count_tests LOG: "PASSED FAILED", from the closing lines of cargo test, pytest, unittest, node's test runner, or of
# vitest, or of these scripts, or from each test's of go.
count_tests() {
    plain "$1" | awk '
        /^test result: / { passed += $4; failed += $6 }
        /^(ℹ|#) pass [0-9]+$/ { passed += $3 }
        /^(ℹ|#) fail [0-9]+$/ { failed += $3 }
        /^ *Tests +[0-9]+ (passed|failed)/ {
            for (i = 3; i <= NF; i++) {
                if ($i == "passed") passed += $(i - 1)
                if ($i == "failed") failed += $(i - 1)
            }
        }
        /^--- PASS: / { passed++ }
        /^--- FAIL: / { failed++ }
        /^Ran [0-9]+ tests? in / { ran = $2 }
        /^OK/ && ran { passed += ran; ran = 0 }
        /^FAILED \(/ && ran {
            wrong = 0
            while (match($0, /(failures|errors)=[0-9]+/)) {
                split(substr($0, RSTART, RLENGTH), count, "=")
                wrong += count[2]
                $0 = substr($0, RSTART + RLENGTH)
            }
            passed += ran > wrong ? ran - wrong : 0
            failed += wrong
            ran = 0
        }
        /^=+ .*(passed|failed|error).* in [0-9.]+s.*=+$/ || /^[0-9]+ (passed|failed|error).* in [0-9.]+s/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^(failed|errors?)/) failed += $(i - 1)
            }
        }
        END {
            if (/^[0-9]+ passed, [0-9]+ failed$/) { passed = $1; failed = $3 }
            print passed + 0, failed + 0
        }'
}

# failed_tests LOG: their names, one a line, as the runner says them. One of these scripts says them in the end.
failed_tests() {
    if plain "$1" | tail -n 1 | grep -qE '^[0-9]+ passed, [0-9]+ failed$'; then
        plain "$1" | sed -nE 's/^(failed|did not run): (.+)$/\2/p'
        return
    fi
    plain "$1" | sed -nE \
        -e 's/^test (.+) \.\.\. FAILED$/\1/p' \
        -e 's/^--- FAIL: ([^ ]+) .*/\1/p' \
        -e 's/^(FAILED|ERROR) ([^ ]+::[^ ]+).*/\2/p' \
        -e 's/^(FAIL|ERROR): ([^ ]+ \(.*)/\2/p' \
        -e 's/^ *FAIL +([^ ]+\.test\.ts > .+)$/\1/p' \
        -e 's/^ *✖ (.+) \([0-9.]+ms\)$/\1/p' | awk '!seen[$0]++'
}

# notes_of LOG: what one of these scripts says in the end of tests that passed.
notes_of() { plain "$1" | grep '^failed beside a busy machine (' || true; }

# run_suite NAME COMMAND...: runs it with its output shown, and remembers what passed and what failed.
run_suite() {
    local name=$1 log status=0 passed failed
    local -a names noted
    shift
    say "suite $name"
    log=$(mktemp "${TMPDIR:-/tmp}/micro-mq-suite.XXXXXX")
    "$@" 2>&1 | tee "$log" || status=$?
    read -r passed failed <<<"$(count_tests "$log")"
    mapfile -t names < <(failed_tests "$log")
    mapfile -t noted < <(notes_of "$log")
    rm -f "$log"
    notes+=("${noted[@]}")
    add_run "$name" "$status" "$passed" "$failed" "${names[@]}"
}

# add_run NAME STATUS PASSED FAILED [NAME_OF_FAILED...]: a suite that fails without naming a failed test (it did not build,
# say), or that ran none, counts as one failure.
add_run() {
    local name=$1 status=$2 passed=$3 failed=$4
    shift 4
    if ((status != 0 && failed == 0)); then
        add_result "$name" "$passed" 1 "it ended with status $status"
    elif ((passed + failed == 0)); then
        add_result "$name" 0 1 "it ran no test"
    else
        add_result "$name" "$passed" "$failed" "$@"
    fi
}

# add_result NAME PASSED FAILED [NAME_OF_FAILED...]
add_result() {
    local suite=$1 passed=$2 failed=$3 name
    shift 3
    summary_lines+=("$suite: $passed passed, $failed failed")
    passed_total=$((passed_total + passed))
    failed_total=$((failed_total + failed))
    for name in "${@:1:NAMES_MAX}"; do
        failed_names+=("$suite: $name")
    done
    if ((failed > 0 && $# == 0)); then
        failed_names+=("$suite")
    elif (($# > NAMES_MAX)); then
        failed_names+=("$suite: and $(($# - NAMES_MAX)) more")
    fi
}

# did_not_run NAME REASON: it counts as one failure.
did_not_run() {
    say "suite $1 does not run: $2"
    summary_lines+=("$1: did not run")
    not_run+=("$1: $2")
    failed_total=$((failed_total + 1))
}

# print_summary: one line per suite, what passed at the second attempt, what failed, what did not run, and the sum; false
# when anything failed.
print_summary() {
    say "summary"
    printf '%s\n' "${summary_lines[@]}"
    ((${#notes[@]} == 0)) || printf '%s\n' "${notes[@]}"
    ((${#failed_names[@]} == 0)) || printf 'failed: %s\n' "${failed_names[@]}"
    ((${#not_run[@]} == 0)) || printf 'did not run: %s\n' "${not_run[@]}"
    printf '%d passed, %d failed\n' "$passed_total" "$failed_total"
    ((failed_total == 0))
}
