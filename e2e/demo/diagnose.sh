# shellcheck shell=bash
# What a person wants to see when the demo failed. Sourced after lib.sh, never run.

# Lines of each log.
LOG_LINES=25

section() { printf -- '\n--- %s\n' "$*"; }

# diagnose: never fails, since it runs when something has.
diagnose() {
    section "pods"
    kubectl get pods --all-namespaces --output=wide --request-timeout=10s || return 0
    section "EdgeDeployment"
    kubectl describe --namespace "$NAMESPACE" edep --request-timeout=10s | tail -n 60
    section "events in $NAMESPACE"
    kubectl get events --namespace "$NAMESPACE" --sort-by=.lastTimestamp --request-timeout=10s | tail -n 25
    section "controller"
    kubectl logs --namespace "$OPERATOR_NAMESPACE" "deployment/$RELEASE" --tail="$LOG_LINES" --request-timeout=10s
    local pod
    for pod in $(kubectl get pods --namespace "$NAMESPACE" --output=name --request-timeout=10s); do
        section "$pod"
        kubectl logs --namespace "$NAMESPACE" "$pod" --all-containers --prefix --tail="$LOG_LINES" --request-timeout=10s
    done
    return 0
}
