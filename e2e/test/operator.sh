# shellcheck shell=bash
# The operator in the cluster of the tests: installed from this checkout, and gone afterwards if it was not there before.
# Sourced by test.sh, never run.

INSTALL_SECONDS=180
# Longest wait for the namespaces of the scenarios to be gone, in seconds.
GONE_SECONDS=180
SCENARIOS=e2e.iotedge.dev/scenario
DEFINITION=edgedeployments.iotedge.dev

had_operator=
had_definition=

# remember_operator: what is there before we come.
remember_operator() {
    [[ -z $(helm list --namespace "$OPERATOR_NAMESPACE" --filter "^$RELEASE\$" --short) ]] || had_operator=yes
    [[ -z $(kubectl get customresourcedefinition "$DEFINITION" --ignore-not-found --output=name) ]] || had_definition=yes
}

# install_operator: this checkout's chart and image, and nothing of an earlier run.
install_operator() {
    kubectl delete namespaces --selector="$SCENARIOS" --timeout="${GONE_SECONDS}s"
    helm upgrade --install "$RELEASE" "$REPOSITORY/charts/edge-operator" --namespace "$OPERATOR_NAMESPACE" --create-namespace \
        --set-string image.repository=edge-operator --set-string image.tag=dev --reset-values --wait --timeout "${INSTALL_SECONDS}s"
    # A new image under an old tag starts nothing by itself.
    if [[ " ${NEW_IMAGES[*]} " == *" edge-operator:dev "* ]]; then
        kubectl rollout restart deployment "$RELEASE" --namespace "$OPERATOR_NAMESPACE"
    fi
    kubectl rollout status deployment "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --timeout="${INSTALL_SECONDS}s"
}

# tidy_up: the cluster as it was found.
tidy_up() {
    "$CLUSTER_SCRIPTS/status.sh" >/dev/null 2>&1 || return 0
    if [[ -z $was_up ]]; then
        # Each status is named: this runs in a trap, where a plain `return` gives the status of what led there.
        "$CLUSTER_SCRIPTS/down.sh" || return 1
        return 0
    fi
    # While there is a controller that ends them in order.
    kubectl delete namespaces --selector="$SCENARIOS" --timeout="${GONE_SECONDS}s" || return 1
    if [[ -z $had_operator ]]; then
        helm uninstall "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --ignore-not-found --wait --timeout "${GONE_SECONDS}s" || return 1
        kubectl delete namespace "$OPERATOR_NAMESPACE" --ignore-not-found --timeout="${GONE_SECONDS}s" || return 1
    fi
    [[ -n $had_definition ]] || kubectl delete customresourcedefinition "$DEFINITION" --ignore-not-found --timeout="${GONE_SECONDS}s" || return 1
}
