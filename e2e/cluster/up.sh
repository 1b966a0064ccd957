#!/usr/bin/env bash
# Brings the local cluster up, and returns when it is ready for use.
#
# Installs and builds what is missing first. A cluster that runs is left alone; one that
# was killed half-way is cleared away and started anew. With CLUSTER=current nothing is
# started: it is only checked that the person's own cluster can be reached.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

# Longest silence of a starting cluster, in seconds. Each step inside has a shorter limit of its own.
SILENCE_SECONDS=90
# The API's port outside is the first free one from here on.
FIRST_API_PORT=16443
LAST_API_PORT=16499

if [[ $CLUSTER == current ]]; then
    command -v kubectl >/dev/null || die "CLUSTER=current uses your own kubectl, and there is none in PATH"
    kubectl version --request-timeout=10s >&2 || die "your current cluster cannot be reached (kubectl config current-context)"
    say "using your current cluster; nothing was started"
    exit 0
fi

[[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] || die "the local cluster runs on Linux on x86-64; elsewhere use CLUSTER=current"
need_root

# How long a running cluster may take to answer before it is taken for broken, in seconds:
# tests kill the API server, which then needs a moment to be back.
ANSWER_SECONDS=20

# api_ready: does the API say that it is ready?
api_ready() {
    "$(tool_dir kubernetes)/kubectl" --kubeconfig "$EDGE_CLUSTER_DIR/kubeconfig" \
        get --raw /readyz --request-timeout=5s >/dev/null 2>&1
}

# answers: does a cluster run, and does its API answer, now or soon?
answers() {
    local deadline=$((SECONDS + ANSWER_SECONDS)) announced=
    while is_up; do
        api_ready && return
        ((SECONDS < deadline)) || { say "the running cluster does not answer: it is started anew"; return 1; }
        [[ -n $announced ]] || { say "waiting for the running cluster to answer"; announced=yes; }
        sleep 0.2
    done
    return 1
}

# free_port: the first port of ours that nobody listens on.
free_port() {
    local port
    for ((port = FIRST_API_PORT; port <= LAST_API_PORT; port++)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s' "$port"; return; }
    done
    die "no free port for the API between $FIRST_API_PORT and $LAST_API_PORT"
}

# follow PID: prints what the start says until it is over; succeeds when the cluster got ready.
follow() {
    local part line='' follower status=1 last_word=$SECONDS code
    exec 6< <(exec tail --lines=+1 --follow --sleep-interval=0.1 "$EDGE_CLUSTER_DIR/log/main.log" 2>/dev/null 7>&-)
    follower=$!
    while true; do
        code=0
        IFS= read -r -t 1 -u 6 part || code=$?
        line+=$part # a time-out may fall into the middle of a line
        if ((code > 128)); then
            started_at "$1" >/dev/null || break
            ((SECONDS - last_word < SILENCE_SECONDS)) || { say "error: no progress for $SILENCE_SECONDS s"; break; }
            continue
        fi
        last_word=$SECONDS
        case $line in
            ready) status=0 && break ;;
            failed) break ;;
            *) say "$line" ;;
        esac
        line=
    done
    exec 6<&-
    kill "$follower" 2>/dev/null || true
    return "$status"
}

lock_cluster
if answers; then
    say "the cluster is already up: export KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig"
    exit 0
fi
"$CLUSTER_SCRIPTS/install-packages.sh"
"$CLUSTER_SCRIPTS/build-tools.sh"

began=$SECONDS
end_cluster
mkdir -p "$EDGE_CLUSTER_DIR"
chmod 0700 "$EDGE_CLUSTER_DIR"
mkdir "$EDGE_CLUSTER_DIR/log"
touch "$EDGE_CLUSTER_DIR/$MARKER"
"$CLUSTER_SCRIPTS/../images/build-pause.sh" "$EDGE_CLUSTER_DIR/pause.tar"

say "starting the cluster in $EDGE_CLUSTER_DIR"
OUTSIDE_API_PORT=$(free_port)
export OUTSIDE_API_PORT
# A session of its own: neither the end of this terminal nor Ctrl-C in it is meant for the cluster.
: >"$EDGE_CLUSTER_DIR/log/main.log" # before anybody can look for it
setsid "$CLUSTER_SCRIPTS/lib/launch.sh" >>"$EDGE_CLUSTER_DIR/log/main.log" 2>&1 </dev/null &
holder=$!
disown "$holder" # its end is told by what it did not do, and not by the shell
if ! follow "$holder"; then
    log=$EDGE_CLUSTER_DIR.failed-log
    rm -rf "$log"
    cp -r "$EDGE_CLUSTER_DIR/log" "$log"
    end_cluster
    die "the cluster did not come up; all its logs are in $log"
fi
rm -rf "$EDGE_CLUSTER_DIR.failed-log"
say "the cluster is up after $((SECONDS - began)) s: export KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig"
