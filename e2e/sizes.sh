#!/usr/bin/env bash
# Prints what the operator weighs (make sizes): its image, and the memory of controller, idle hub and sidecar, beside their targets.
#
# Built as it is released, installed in the local cluster and measured there, as the kernel counts it: VmRSS, file pages of the
# program included, the highest of several samples. Fails if a target is missed. Leaves the cluster as it was found.
set -euo pipefail
# shellcheck source=demo/lib.sh
source "$(dirname "$0")/demo/lib.sh"
# shellcheck source=demo/images.sh
source "$DEMO/images.sh"
# shellcheck source=test/operator.sh
source "$REPOSITORY/e2e/test/operator.sh"

[[ $CLUSTER == local ]] || die "make sizes reads the memory of processes on the node: it runs in the local cluster only, and CLUSTER is '$CLUSTER'"
((EUID == 0)) || die "make sizes starts a cluster: it needs root"

# Targets, in millions of bytes for what is stored and in MiB for what is resident.
IMAGE_MB=28
CONTROLLER_MIB=20
HUB_MIB=12
SIDECAR_MIB=4
# Samples of each process, and the seconds between two.
SAMPLES=10
PAUSE=1
READY_SECONDS=180

TAG=sizes
SIZED=sizes
FILE=$EDGE_CACHE/images/sizes/edge-operator.tar
IMAGE_FILES=([edge-operator:$TAG]=$FILE [edge-e2e/busybox:1]=$EDGE_CACHE/images/sizes/busybox.tar)

was_up='' revision=''
finish() {
    local status=$?
    trap - EXIT
    set +e
    if [[ -n $was_up ]]; then
        kubectl delete namespace "$SIZED" --ignore-not-found --timeout="${GONE_SECONDS}s" >&2
        [[ -z $revision ]] || helm rollback "$RELEASE" "$revision" --namespace "$OPERATOR_NAMESPACE" --wait --timeout "${INSTALL_SECONDS}s" >&2
    fi
    tidy_up >&2 || say "the cluster is not as it was found" >&2
    exit "$status"
}

# on_stderr COMMAND…: what is not the table.
on_stderr() { "$@" >&2; }

# pid_of NAMESPACE POD CONTAINER: its first process, as the node numbers it.
pid_of() {
    local id
    id=$(kubectl get pod "$2" --namespace "$1" \
        --output="jsonpath={.status.containerStatuses[?(@.name=='$3')].containerID}{.status.initContainerStatuses[?(@.name=='$3')].containerID}")
    [[ -n $id ]] || die "container $3 of pod $2 does not run"
    "$CLUSTER_SCRIPTS/enter.sh" ctr --namespace k8s.io tasks list | awk -v id="${id##*/}" '$1 == id { print $2 }'
}

# resident PID…: the highest VmRSS of each process in KiB, in the order given.
resident() {
    # shellcheck disable=SC2016  # expanded by the shell inside
    "$CLUSTER_SCRIPTS/enter.sh" bash -c '
        samples=$1 pause=$2
        shift 2
        for ((i = 0; i < samples; i++)); do
            ((i == 0)) || sleep "$pause"
            for pid; do awk -v pid="$pid" "/^VmRSS:/ { print pid, \$2 }" "/proc/$pid/status"; done
        done' resident "$SAMPLES" "$PAUSE" "$@" |
        awk -v pids="$*" '$2 > highest[$1] { highest[$1] = $2 }
            END { n = split(pids, order, " "); for (i = 1; i <= n; i++) print highest[order[i]] + 0 }'
}

failed=0
# row WHAT BYTES UNIT_BYTES UNIT TARGET
row() {
    local verdict=PASS
    if (($2 == 0 || $2 > $5 * $3)); then
        verdict=FAIL
        failed=1
    fi
    awk -v what="$1" -v bytes="$2" -v one="$3" -v unit="$4" -v target="$5" -v verdict="$verdict" \
        'BEGIN { printf "%-44s %8.1f %-3s  <= %3d %-3s  %s\n", what, bytes / one, unit, target, unit, verdict }'
}

trap finish EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
! "$CLUSTER_SCRIPTS/status.sh" >/dev/null 2>&1 || was_up=yes

say "building the image as it is released" >&2
on_stderr "$CLUSTER_SCRIPTS/install-packages.sh"
mkdir -p "$(dirname "$FILE")"
PROFILE=release on_stderr "$IMAGE_SCRIPTS/build-operator.sh" "$FILE" "edge-operator:$TAG"
on_stderr "$IMAGE_SCRIPTS/build-busybox.sh" "${IMAGE_FILES[edge-e2e/busybox:1]}" edge-e2e/busybox:1

say "installing it in the local cluster" >&2
on_stderr "$CLUSTER_SCRIPTS/up.sh"
if [[ -n $was_up ]]; then
    remember_operator
    [[ -z $had_operator ]] || revision=$(helm history "$RELEASE" --namespace "$OPERATOR_NAMESPACE" | awk '$0 ~ /deployed/ { print $1 }')
fi
on_stderr deliver_images
on_stderr helm upgrade --install "$RELEASE" "$REPOSITORY/charts/edge-operator" --namespace "$OPERATOR_NAMESPACE" --create-namespace \
    --reset-values --set-string image.repository=edge-operator --set-string "image.tag=$TAG" --wait --timeout "${INSTALL_SECONDS}s"

say "starting an EdgeDeployment that has nothing to do" >&2
on_stderr kubectl delete namespace "$SIZED" --ignore-not-found --timeout="${GONE_SECONDS}s"
on_stderr kubectl create namespace "$SIZED"
on_stderr kubectl apply --namespace "$SIZED" --filename=- <<'YAML'
apiVersion: iotedge.dev/v1alpha1
kind: EdgeDeployment
metadata: {name: idle}
spec:
  modules:
  - name: a
    image: edge-e2e/busybox:1
    createOptions: {Cmd: [/bin/sh, -c, "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"]}
YAML
on_stderr kubectl wait --namespace "$SIZED" --for=condition=Ready edep/idle --timeout="${READY_SECONDS}s"

say "measuring for $((SAMPLES * PAUSE)) s" >&2
# Of several pods only one acts; the others stand by and weigh less.
controller=$(kubectl get pods --namespace "$OPERATOR_NAMESPACE" --selector=app.kubernetes.io/name=edge-operator \
    --field-selector=status.phase=Running --sort-by=.metadata.creationTimestamp --output='jsonpath={.items[-1:].metadata.name}')
pids=("$(pid_of "$OPERATOR_NAMESPACE" "$controller" controller)" "$(pid_of "$SIZED" idle-edgehub-0 edge-hub)" "$(pid_of "$SIZED" idle-a edge-workload)")
mapfile -t kib < <(resident "${pids[@]}")
((${#kib[@]} == 3)) || die "one of the processes could not be measured: ${pids[*]}"

printf '%-44s %12s  %10s\n' "" measured target
row "image, layers unpacked" "$(stat --format=%s "$FILE")" 1000000 MB "$IMAGE_MB"
row "image, layers packed as a registry keeps them" "$(gzip --stdout "$FILE" | wc -c)" 1000000 MB "$IMAGE_MB"
row "controller, resident" "$((kib[0] * 1024))" $((1024 * 1024)) MiB "$CONTROLLER_MIB"
row "hub, idle, resident" "$((kib[1] * 1024))" $((1024 * 1024)) MiB "$HUB_MIB"
row "sidecar, resident" "$((kib[2] * 1024))" $((1024 * 1024)) MiB "$SIDECAR_MIB"
((failed == 0))
