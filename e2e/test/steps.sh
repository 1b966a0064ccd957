# shellcheck shell=bash
# Steps with logs, and their end. Sourced by test.sh, never run.

LOGS=${EDGE_TEST_LOGS:-$EDGE_CACHE/test/$(date +%Y%m%d-%H%M%S)}
# Runs whose logs are kept.
KEPT_RUNS=5
# What is skipped without a cluster runs in a later step, with one.
LATER='EDGE_TEST_KUBECONFIG is not set'
# Lines of a log that are shown when its step fails.
SHOWN_LINES=40
# The step that is being done, and its log.
current='' log=''

# What a step says goes into its log; what is meant for people at once goes here.
exec 3>&1

# run_steps: the functions step_NAME for each NAME of STEPS, with what DESCRIPTIONS say of them. Ends the script.
run_steps() {
    local number=0 began next
    mkdir -p "$LOGS"
    find "$(dirname "$LOGS")" -mindepth 1 -maxdepth 1 -type d -name '20*' | sort | head -n "-$KEPT_RUNS" | xargs --no-run-if-empty rm -rf
    say "logs: $LOGS"
    for current in "${STEPS[@]}"; do
        number=$((number + 1))
        next=${STEPS[number]:-}
        say "[$number/${#STEPS[@]}, $(clock)] ${DESCRIPTIONS[$current]}${next:+; next: ${DESCRIPTIONS[$next]}}"
        began=$SECONDS
        log=$LOGS/$(printf '%02d' "$number")-$current.log
        # Not as part of a condition: inside one, `set -e` would not end the step at its first failure.
        "step_$current" >"$log" 2>&1
        say "    done in $((SECONDS - began)) s"
    done
    current=''
    exit 0
}

# clock: minutes and seconds since the beginning.
clock() { printf '%d:%02d min' $((SECONDS / 60)) $((SECONDS % 60)); }

# counted WORD: the sum of `N WORD` over all results of tests.
counted() { cat "$LOGS"/*.log 2>/dev/null | sed -n 's/^test result: .*[ .]\([0-9][0-9]*\) '"$1"'.*/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'; }

# finish: the end, whatever it is. The cluster is left as it was found.
finish() {
    local status=$? passed failed skipped
    trap - EXIT
    # A step that was cut short has left its own outputs in place.
    exec 1>&3 2>&3
    set +e
    if ((status != 0)) && [[ -n $current ]]; then
        say "failed: ${DESCRIPTIONS[$current]}; its log is $log, and ends like this:"
        tail -n "$SHOWN_LINES" "$log"
    fi
    [[ ! -d $LOGS/failures ]] || say "what the failed scenarios left behind: $LOGS/failures"
    if ((status != 0)) && [[ ${EDGE_KEEP_FAILED:-} == 1 ]]; then
        say "the cluster is left as it is (EDGE_KEEP_FAILED=1)"
    else
        tidy_up >"$LOGS/tidying-up.log" 2>&1 || { say "could not leave the cluster as it was found: $LOGS/tidying-up.log"; status=1; }
    fi
    passed=$(counted passed) failed=$(counted failed) skipped=$(cat "$LOGS"/*.log 2>/dev/null | grep '^SKIPPED' | grep -vc "$LATER")
    # A step without tests that failed is a failure too.
    ((status == 0 || failed > 0)) || failed=1
    say "$((SECONDS / 60)) min $((SECONDS % 60)) s, $skipped skipped for want of something, logs in $LOGS"
    say "$passed passed, $failed failed"
    exit "$status"
}
