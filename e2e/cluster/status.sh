#!/usr/bin/env bash
# Says whether the cluster runs, and how each part of it does. Exit code 0: it is up; 3: it is not.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

if [[ $CLUSTER == current ]]; then
    exec kubectl get nodes --output=wide --request-timeout=10s
fi
if ! is_up; then
    echo "the local cluster is not running (state: $EDGE_CLUSTER_DIR)"
    exit 3
fi
echo "state       $EDGE_CLUSTER_DIR"
echo "kubeconfig  $EDGE_CLUSTER_DIR/kubeconfig"
echo "logs        $EDGE_CLUSTER_DIR/log"
echo "registries  $OPEN_REGISTRY (open), $CLOSED_REGISTRY (user $REGISTRY_USER, password in $EDGE_CLUSTER_DIR/registry-password)"
echo
printf '%-24s %8s\n' COMPONENT RESTARTS
for file in "$EDGE_CLUSTER_DIR"/run/*.pid; do
    name=$(basename "$file" .pid)
    restarts=0
    [[ ! -e $EDGE_CLUSTER_DIR/run/$name.exits ]] || restarts=$(wc -l <"$EDGE_CLUSTER_DIR/run/$name.exits")
    printf '%-24s %8d\n' "$name" "$restarts"
done
echo
"$CLUSTER_SCRIPTS/kubectl.sh" get nodes --output=wide --request-timeout=10s
