#!/usr/bin/env bash
# Tests the local cluster itself: what the other tests stand on. The cluster must be up.
#
# Each check is one promise of README.md, made from outside with a plain kubeconfig
# unless it says otherwise. Leaves nothing behind in the cluster.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"
# shellcheck source=lib/instance.sh
source "$CLUSTER_SCRIPTS/lib/instance.sh"

need_local "the self-test"
need_root
need_up
NAMESPACE=cluster-selftest
IMAGE=edge-e2e/busybox:1
work=$(mktemp -d)
background=()

kubectl() { "$CLUSTER_SCRIPTS/kubectl.sh" "$@"; }
kn() { kubectl --namespace "$NAMESPACE" "$@"; }

clean_up() {
    local pid
    for pid in "${background[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    kubectl delete namespace "$NAMESPACE" --ignore-not-found --timeout=60s >/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

# check WHAT COMMAND…: one line per promise; the first one broken ends the test.
check() {
    local what=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        say "ok      $what"
    else
        say "FAILED  $what"
        tail -n 10 "$work/output" | sed 's/^/        /' >&2
        kn get pods,pvc >&2 || true
        kn get events --sort-by=.lastTimestamp >&2 || true
        exit 1
    fi
}

# eventually SECONDS COMMAND…
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return
        sleep 0.2
    done
}

in_client() { kn exec client -- "$@"; }
says() { [[ $("${@:2}") == "$1" ]]; }

# image_pod NAME IMAGE EXTRA_SPEC: a pod that pulls its image every time.
pulling_pod() {
    kn apply --filename - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "$2", imagePullPolicy: Always, command: [sleep, "3600"]}]
  $3
EOF
}

waiting_reason() {
    [[ $(kn get pod "$1" --output 'jsonpath={.status.containerStatuses[0].state.waiting.reason}') =~ ^(ErrImagePull|ImagePullBackOff)$ ]]
}

port_forward_works() {
    kn port-forward pod/server :8080 >"$work/forward" 2>&1 &
    background+=("$!")
    eventually 10 grep -q '^Forwarding from 127' "$work/forward" || return
    local port
    port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$work/forward")
    says "hello from server" http_body 127.0.0.1 "$port"
}

# http_body ADDRESS PORT: without curl, which not every machine has.
http_body() {
    exec 3<>"/dev/tcp/$1/$2" || return
    printf 'GET / HTTP/1.0\r\n\r\n' >&3
    sed '1,/^\r*$/d' <&3
    exec 3>&-
}

kubectl delete namespace "$NAMESPACE" --ignore-not-found --timeout=60s >/dev/null
kubectl create namespace "$NAMESPACE" >/dev/null

"$CLUSTER_SCRIPTS/../images/build-busybox.sh" "$work/busybox.tar" "$IMAGE"
check "an image is loaded without a registry" "$CLUSTER_SCRIPTS/load-image.sh" "$work/busybox.tar"
check "the API server is the version its go.mod names" \
    grep -q "\"$(family_version kubernetes)\"" <(kubectl get --raw /version)
check "pods, a claim and a Service are accepted" kn apply --filename "$CLUSTER_SCRIPTS/selftest.yaml"
check "the claim binds to the default StorageClass" kn wait --for=jsonpath='{.status.phase}'=Bound pvc/data --timeout=30s
check "the pods become ready" kn wait --for=condition=Ready pod/client pod/server --timeout=60s
check "a volume is writable without root" in_client sh -c 'echo kept >/data/file && cat /data/file'
check "the name of a Service resolves" in_client nslookup server."$NAMESPACE".svc.cluster.local
check "the Service is reached by its name" eventually 10 says "hello from server" in_client wget -q -O - http://server
check "a pod reaches its own Service" eventually 10 says "hello from server" kn exec server -- wget -q -O - "http://server.$NAMESPACE.svc"
check "the API is reached from a pod" in_client sh -c 'nc -w 5 kubernetes.default.svc 443 </dev/null'
check "an unknown name is refused at once" in_client sh -c 'timeout 2 nslookup no.such.name; test $? -eq 1'
check "the node reaches a Service (inside)" "$CLUSTER_SCRIPTS/enter.sh" \
    bash -c "exec 3<>/dev/tcp/$(kn get service server --output 'jsonpath={.spec.clusterIP}')/80"
check "logs are read" says "server started" kn logs server
check "port-forward works" port_forward_works

"$CLUSTER_SCRIPTS/push-image.sh" "$work/busybox.tar" selftest/open:1
"$CLUSTER_SCRIPTS/push-image.sh" "$work/busybox.tar" "$CLOSED_REGISTRY/selftest/closed:1"
check "an image is pulled from the open registry" pulling_pod open "$OPEN_REGISTRY/selftest/open:1" ""
check "... and runs" kn wait --for=condition=Ready pod/open --timeout=30s
check "without a password the closed registry refuses" pulling_pod refused "$CLOSED_REGISTRY/selftest/closed:1" ""
check "... and the pod says so" eventually 30 waiting_reason refused
check "with a pull secret it gives the image" kn create secret generic pull --type=kubernetes.io/dockerconfigjson \
    --from-file=.dockerconfigjson="$EDGE_CLUSTER_DIR/registry-auth.json"
check "... to a pod that names the secret" pulling_pod closed "$CLOSED_REGISTRY/selftest/closed:1" "imagePullSecrets: [{name: pull}]"
check "... which runs" kn wait --for=condition=Ready pod/closed --timeout=30s
check "a missing image is an error, not a wait" pulling_pod missing "$OPEN_REGISTRY/selftest/nothing:1" ""
check "... and the pod says so" eventually 30 waiting_reason missing
check "helm reaches the cluster" "$CLUSTER_SCRIPTS/helm.sh" list --all-namespaces
say "the cluster keeps its promises"
