# shellcheck shell=bash
# What the cluster offers beside Kubernetes itself. Sourced by main.sh.

# start_api_relay: the API on 127.0.0.1 outside, without an interface between the two networks: a Unix socket
# is a file, and does not care which network its two ends are in. Needs descriptor 9, the network outside.
start_api_relay() {
    local socket=$STATE/api.sock
    start api-relay-inside socat -t 60 "UNIX-LISTEN:$socket,fork,unlink-early,mode=600,backlog=128" \
        "TCP:127.0.0.1:$API_PORT,nodelay"
    wait_for 10 api-relay-inside "the API's relay" test -S "$socket"
    keep_running api-relay-outside nsenter --net=/proc/self/fd/9 \
        socat -t 60 "TCP-LISTEN:$OUTSIDE_API_PORT,bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128" "UNIX-CONNECT:$socket" \
        >>"$STATE/log/api-relay-outside.log" 2>&1 </dev/null &
    wait_for 10 api-relay-outside "the API's port outside" outside_port_open
    write_kubeconfig "$STATE/kubeconfig" "https://127.0.0.1:$OUTSIDE_API_PORT" "$STATE/pki" admin
}

outside_port_open() {
    nsenter --net=/proc/self/fd/9 bash -c "exec 3<>/dev/tcp/127.0.0.1/$OUTSIDE_API_PORT"
}

# start_registries: one that anybody may use, and one that asks for a password.
start_registries() {
    local password
    mkdir -p "$STATE/registry/"{open,closed}
    password=$(openssl rand -hex 16)
    (
        umask 077
        printf '%s\n' "$password" >"$STATE/registry-password"
        # Read from standard input: arguments are visible to every user of the machine.
        htpasswd -i -B -C 5 -n "$REGISTRY_USER" <<<"$password" >"$STATE/registry/users"
        printf '{"auths":{"%s":{"auth":"%s"}}}\n' "$CLOSED_REGISTRY" \
            "$(printf '%s:%s' "$REGISTRY_USER" "$password" | base64 -w0)" >"$STATE/registry-auth.json"
    )
    local kind
    for kind in open closed; do
        render "$SCRIPTS/config/registry-$kind.yaml" >"$STATE/registry/$kind.yaml"
        start "registry-$kind" docker-registry serve "$STATE/registry/$kind.yaml"
    done
}

# start_dns: CoreDNS beside the cluster, so that it needs no image and no node to be ready.
start_dns() {
    render "$SCRIPTS/config/Corefile" >"$STATE/Corefile"
    start coredns coredns -conf "$STATE/Corefile"
}

# start_volume_permissions: the provisioner makes a volume's folder for root alone, and host path volumes do not
# follow fsGroup; other local provisioners open the folder for all, so that a pod that is not root can use it.
start_volume_permissions() {
    mkdir -p /tmp/hostpath_pv
    start volume-permissions "$SCRIPTS/inside/open-volumes.sh" /tmp/hostpath_pv
}

# node_ready NAME
node_ready() {
    kubectl wait --for=condition=Ready --timeout=1s "node/$1"
}
