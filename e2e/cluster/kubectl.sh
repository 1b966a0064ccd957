#!/usr/bin/env bash
# kubectl for the cluster: the local one with the kubectl built for it, or the person's own with theirs.
#
#   kubectl.sh ARGUMENT…
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

if [[ $CLUSTER == current ]]; then
    command -v kubectl >/dev/null || die "CLUSTER=current uses your own kubectl, and there is none in PATH"
    exec kubectl "$@"
fi
need_up
KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig exec "$(tool_dir kubernetes)/kubectl" "$@"
