#!/usr/bin/env bash
# Removes the demo: the EdgeDeployment, the site broker, the operator and their namespaces. The cluster stays.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# Longest wait for one thing to be gone, in seconds.
GONE_SECONDS=120

if [[ $CLUSTER == local ]] && ! "$CLUSTER_SCRIPTS/status.sh" >/dev/null 2>&1; then
    say "the local cluster is not running, so there is nothing to remove"
    exit 0
fi
# While there is a controller to end it in order.
if kubectl get crd edgedeployments.iotedge.dev >/dev/null 2>&1; then
    kubectl delete edep "$DEPLOYMENT" --namespace "$NAMESPACE" --ignore-not-found --timeout="${GONE_SECONDS}s"
fi
kubectl delete namespace "$NAMESPACE" --ignore-not-found --timeout="${GONE_SECONDS}s"
others=$(kubectl get edep --all-namespaces --output=name 2>/dev/null || true)
if [[ -n $others ]]; then
    say "other EdgeDeployments exist, so the operator stays:" "$others"
    exit 0
fi
helm uninstall "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --ignore-not-found --wait --timeout "${GONE_SECONDS}s"
kubectl delete namespace "$OPERATOR_NAMESPACE" --ignore-not-found --timeout="${GONE_SECONDS}s"
say "the demo is gone; the definition of EdgeDeployment stays, and so does the cluster (make cluster-down ends it)"
