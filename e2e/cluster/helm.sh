#!/usr/bin/env bash
# helm for the cluster: the local one with the helm built for it, or the person's own with theirs.
#
#   helm.sh ARGUMENT…
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

if [[ $CLUSTER == current ]]; then
    command -v helm >/dev/null || die "CLUSTER=current uses your own helm, and there is none in PATH"
    exec helm "$@"
fi
need_up
KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig exec "$(tool_dir helm)/helm" "$@"
