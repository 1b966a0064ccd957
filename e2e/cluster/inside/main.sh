#!/usr/bin/env bash
# Brings the cluster up, as the child of PID 1 in its namespaces, and then stays: PID 1 ends with it.
#
# The order is: a private view of the machine, then the control plane, then the node on
# top of it, then what the cluster offers (DNS, storage, registries). Everything is
# awaited by a condition with a deadline; `ready` is written last.
set -euo pipefail

# Everything below refers to the three places by these names, which stay valid when
# /tmp and /run are replaced and however long the outside paths are.
: "${OUTSIDE_STATE:?}" "${OUTSIDE_SCRIPTS:?}" "${OUTSIDE_TOOLS:?}" "${TOOL_PATH:?}"
# The last line is what up.sh waits for, and it is said whatever happens.
trap 'echo failed' EXIT

enter_private_view() {
    mount --make-rprivate /
    # The outside's folders may lie below what is covered next: hold on to them.
    exec 4<"$OUTSIDE_STATE" 5<"$OUTSIDE_SCRIPTS" 6<"$OUTSIDE_TOOLS"
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/edge/{state,scripts,tools} /run/lock
    mount --no-canonicalize --bind /proc/self/fd/4 /run/edge/state
    mount --no-canonicalize --bind /proc/self/fd/5 /run/edge/scripts
    mount --no-canonicalize --bind /proc/self/fd/6 /run/edge/tools
    exec 4<&- 5<&- 6<&-
    cd /
    # The volumes of the host path provisioner are below /tmp, by its own rule.
    mkdir -p /run/edge/state/tmp
    chmod 1777 /run/edge/state/tmp
    mount --bind /run/edge/state/tmp /tmp
}
enter_private_view

# shellcheck source=../lib/component.sh
source /run/edge/scripts/lib/component.sh
# shellcheck source=../lib/pki.sh
source "$SCRIPTS/lib/pki.sh"
# shellcheck source=../lib/cgroup.sh
source "$SCRIPTS/lib/cgroup.sh"
# shellcheck source=machine.sh
source "$SCRIPTS/inside/machine.sh"
# shellcheck source=services.sh
source "$SCRIPTS/inside/services.sh"
export PATH=$TOOL_PATH:$PATH

own_kernel_views
pretend_kernel_settings
make_lan
# Kubernetes expects mounts made in a container to travel as they do on any node; only within this namespace, though.
mount --make-rshared /

"$SCRIPTS/inside/control-plane.sh"
start_api_relay
"$SCRIPTS/inside/node.sh" "$CONTROL_PLANE_NODE" "$CONTROL_PLANE_IP"
start_registries
start_dns
start_volume_permissions
kubectl apply --server-side -f "$SCRIPTS/manifests/" >"$STATE/log/manifests.log" 2>&1 ||
    fail manifests "the cluster's own manifests were refused"

wait_for 60 "kubelet-$CONTROL_PLANE_NODE" "node $CONTROL_PLANE_NODE to be Ready" node_ready "$CONTROL_PLANE_NODE"
wait_for 30 coredns "CoreDNS to answer" http_ok 127.0.0.1 8181 /ready
wait_for 30 registry-open "the open registry" http_ok "${OPEN_REGISTRY%:*}" "${OPEN_REGISTRY#*:}" /
wait_for 30 registry-closed "the closed registry" http_ok "${CLOSED_REGISTRY%:*}" "${CLOSED_REGISTRY#*:}" /
wait_for 30 kube-controller-manager "the default service account" kubectl get serviceaccount default

# Nothing may have been started twice: what cannot run would otherwise be noticed in the first test that needs it.
for exits in "$STATE"/run/*.exits; do
    [[ ! -e $exits ]] || fail "$(basename "$exits" .exits)" "$(basename "$exits" .exits) ended while the cluster started"
done

touch "$STATE/ready"
trap - EXIT
echo ready
exec sleep infinity 9<&-
