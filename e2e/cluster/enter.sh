#!/usr/bin/env bash
# Runs a command inside the node: its network, mounts and processes, and its programs in PATH.
#
#   enter.sh COMMAND [ARGUMENT…]
#
# Paths are the node's: /tmp, /run, /var/lib and /var/log are its own, the working
# directory is /, and the cluster's state is /run/edge/state.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

(($# > 0)) || die "usage: $(basename "$0") COMMAND [ARGUMENT…]"
need_local "entering the node"
need_root
need_up
enter_node "$@"
