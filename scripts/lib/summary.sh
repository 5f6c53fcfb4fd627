# Runs suites, counts what their runners report and prints the closing lines. Sourced after common.sh.

summary_lines=()
passed_total=0
failed_total=0

# count_tests LOG: "PASSED FAILED", from the closing lines of cargo test, pytest or node's test runner.
count_tests() {
    # Colours are cut away first; a runner may print them though its output is no terminal.
    sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
        /^test result: / { passed += $4; failed += $6 }
        /^(ℹ|#) pass [0-9]+$/ { passed += $3 }
        /^(ℹ|#) fail [0-9]+$/ { failed += $3 }
        /^=+ .*(passed|failed|error).* in [0-9.]+s.*=+$/ || /^[0-9]+ (passed|failed|error).* in [0-9.]+s/ {
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^passed/) passed += $(i - 1)
                if ($i ~ /^(failed|errors?)/) failed += $(i - 1)
            }
        }
        END { print passed + 0, failed + 0 }'
}

# run_suite NAME COMMAND...: runs it with its output shown, and remembers what passed. A suite that fails without
# naming a failed test (it did not build, say), or that ran none, counts as one failure.
run_suite() {
    local name=$1 log status=0 passed failed
    shift
    say "suite $name"
    log=$(mktemp "${TMPDIR:-/tmp}/micro-mq-suite.XXXXXX")
    "$@" 2>&1 | tee "$log" || status=$?
    read -r passed failed <<<"$(count_tests "$log")"
    rm -f "$log"
    if ((status != 0 && failed == 0)) || ((passed + failed == 0)); then
        failed=1
    fi
    add_result "$name" "$passed" "$failed"
}

# add_result NAME PASSED FAILED
add_result() {
    summary_lines+=("$1: $2 passed, $3 failed")
    passed_total=$((passed_total + $2))
    failed_total=$((failed_total + $3))
}

# print_summary: one line per suite and the sum; false when anything failed.
print_summary() {
    say "summary"
    printf '%s\n' "${summary_lines[@]}"
    printf '%d passed, %d failed\n' "$passed_total" "$failed_total"
    ((failed_total == 0))
}
