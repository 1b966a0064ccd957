#!/usr/bin/env bash
# The demo: from an empty machine to readings of a simulated sensor at a site's broker.
#
#   run.sh                     in the local cluster, which is started if need be
#   CLUSTER=current run.sh     in your own cluster; IMAGE_REGISTRY names a registry for the images
#   PROFILE=fast run.sh        without link-time optimisation: a quicker build
#
# Ends well only if readings of this very run arrived, none at or below the threshold, none missing and none out of order.
# A second run builds and loads only what changed. Ends with how to look around and how to tear down.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=images.sh
source "$DEMO/images.sh"
# shellcheck source=readings.sh
source "$DEMO/readings.sh"
# shellcheck source=diagnose.sh
source "$DEMO/diagnose.sh"

THRESHOLD=25
# Readings that have to arrive.
ENOUGH=5
STEPS=7
# Bounds of the waits, in seconds.
INSTALL_SECONDS=120
READY_SECONDS=180
READINGS_SECONDS=180

number=0
clusterless=yes
step() {
    number=$((number + 1))
    printf '\n[%d/%d, %d s] %s\n' "$number" "$STEPS" "$SECONDS" "$*"
}

work=$(mktemp -d)
finish() {
    local status=$?
    rm -rf "$work"
    if ((status != 0)); then
        [[ -n $clusterless ]] || diagnose 2>&1 || true
        ((number == 0)) || printf '\nthe demo failed in step %d of %d, after %d s: %s\n' "$number" "$STEPS" "$SECONDS" "${FAILURE:-the reason stands above}" >&2
    fi
    exit "$status"
}
trap finish EXIT

# follow_until SECONDS PREDICATE LOG…: reads a log as it grows until the predicate is true of a line.
follow_until() {
    local seconds=$1 predicate=$2 line follower status=1
    shift 2
    exec 5< <(exec timeout "$seconds" "$CLUSTER_SCRIPTS/kubectl.sh" logs --namespace "$NAMESPACE" --follow "$@" 2>/dev/null)
    follower=$!
    while IFS= read -r -u 5 line; do
        "$predicate" "$line" && { status=0; break; }
    done
    exec 5<&-
    kill "$follower" 2>/dev/null || true
    return "$status"
}

arrived=0
# One reading at a time, with the shell's own means: a log line is no reason to start three processes.
is_enough() {
    [[ $1 == *"\"nonce\":\"$nonce\""* ]] || return
    arrived=$((arrived + 1))
    ((arrived >= ENOUGH))
}
is_not_above() { [[ $1 == *"\"nonce\": \"$nonce\""* && -n $(readings <<<"$1" | not_above "$THRESHOLD") ]]; }

check_registry
nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')

step "installing what is missing on this machine"
[[ $CLUSTER == current ]] || "$CLUSTER_SCRIPTS/install-packages.sh"

step "building the images: operator, site broker, and the two modules in Python"
build_images

step "bringing the cluster up"
"$CLUSTER_SCRIPTS/up.sh"
clusterless=

step "bringing the images to the cluster"
deliver_images

step "installing the chart into namespace $OPERATOR_NAMESPACE"
operator=${IMAGE_REFERENCES[edge-operator:dev]}
image=(--set-string "image.repository=${operator%@*}" --set-string "image.digest=${operator##*@}")
[[ $operator == *@* ]] || image=(--set-string "image.repository=${operator%:*}" --set-string "image.tag=${operator##*:}")
was_there=$(kubectl get deployment "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --ignore-not-found --output=name)
helm upgrade --install "$RELEASE" "$REPOSITORY/charts/edge-operator" --namespace "$OPERATOR_NAMESPACE" --create-namespace \
    "${image[@]}" --wait --timeout "${INSTALL_SECONDS}s" >"$work/helm.log" 2>&1 || { cat "$work/helm.log" >&2; die "helm could not install the chart"; }
# A new image under an old tag starts nothing by itself.
if [[ -n $was_there && " ${NEW_IMAGES[*]} " == *" edge-operator:dev "* ]]; then
    say "the operator's image is new: restarting what runs the old one"
    kubectl rollout restart deployment "$RELEASE" --namespace "$OPERATOR_NAMESPACE"
    kubectl rollout status deployment "$RELEASE" --namespace "$OPERATOR_NAMESPACE" --timeout="${INSTALL_SECONDS}s"
fi

step "applying the site broker and EdgeDeployment $DEPLOYMENT in namespace $NAMESPACE"
# Broker, hub and modules of an earlier run would go on with an older image.
((${#NEW_IMAGES[@]} == 0)) || kubectl delete pods --namespace "$NAMESPACE" --all --wait=false --ignore-not-found
with_references <"$DEMO/site-broker.yaml" | kubectl apply --filename=-
kubectl rollout status deployment site-broker --namespace "$NAMESPACE" --timeout="${INSTALL_SECONDS}s"
sed -e "s/@NONCE@/$nonce/" -e "s/@THRESHOLD@/$THRESHOLD/" "$DEMO/line-7.yaml" | with_references | kubectl apply --filename=-
edge=(--namespace "$NAMESPACE" "edgedeployment/$DEPLOYMENT")
generation=$(kubectl get "${edge[@]}" --output='jsonpath={.metadata.generation}')
# What is Ready before the controller has seen the change is the old state.
kubectl wait "${edge[@]}" --for="jsonpath={.status.observedGeneration}=$generation" --timeout="${READY_SECONDS}s" >/dev/null ||
    die "the controller did not look at generation $generation of $DEPLOYMENT within $READY_SECONDS s"
kubectl wait "${edge[@]}" --for=condition=Ready --timeout="${READY_SECONDS}s" ||
    die "$DEPLOYMENT was not Ready within $READY_SECONDS s"

step "waiting for $ENOUGH readings of this run ($nonce) above $THRESHOLD at the site broker, and one that is filtered out"
follow_until "$READINGS_SECONDS" is_enough deployment/site-broker ||
    die "$arrived of $ENOUGH readings arrived at the site broker within $READINGS_SECONDS s"
follow_until "$READINGS_SECONDS" is_not_above "$DEPLOYMENT-tempsensor" --container=module ||
    die "the sensor sent nothing at or below $THRESHOLD within $READINGS_SECONDS s, so there was nothing to filter"

kubectl logs --namespace "$NAMESPACE" "$DEPLOYMENT-tempsensor" --container=module | grep -F "\"nonce\": \"$nonce\"" >"$work/sent.log"
kubectl logs --namespace "$NAMESPACE" deployment/site-broker | grep -F "\"nonce\":\"$nonce\"" >"$work/arrived.log"
readings <"$work/sent.log" >"$work/sent"
above "$THRESHOLD" <"$work/sent" >"$work/sent-above"
readings <"$work/arrived.log" >"$work/arrived"
(($(wc -l <"$work/arrived") == $(wc -l <"$work/arrived.log"))) || die "a message at the broker is not a reading: $(tail -n 1 "$work/arrived.log")"
wrong=$(not_above "$THRESHOLD" <"$work/arrived")
[[ -z $wrong ]] || die "readings arrived that the filter should have dropped (number, temperature): $wrong"
wrong=$(lost "$work/sent-above" "$work/arrived")
[[ -z $wrong ]] || die "readings were lost on the way (number, temperature): $wrong"
wrong=$(out_of_order <"$work/arrived")
[[ -z $wrong ]] || die "readings arrived out of order (number, temperature): $wrong"

say
kubectl get edep --namespace "$NAMESPACE"
say
kubectl describe "${edge[@]}" | sed -n '/^Status:/,$p' | head -n 80
say
say "the last messages at the site broker:"
tail -n "$ENOUGH" "$work/arrived.log"
say
say "$(wc -l <"$work/sent") readings sent, $(wc -l <"$work/sent-above") of them above $THRESHOLD, $(wc -l <"$work/arrived") arrived: none at or below the threshold, none lost, in order. $SECONDS s in all."
kubeconfig=" (with CLUSTER=current)"
[[ $CLUSTER == current ]] || kubeconfig=" (or export KUBECONFIG=${EDGE_CLUSTER_DIR:-$EDGE_CACHE/cluster}/kubeconfig)"
say
say "Look around$kubeconfig:"
say "  make kubectl ARGS='get edep,pods -n $NAMESPACE'"
say "  make kubectl ARGS='describe edep $DEPLOYMENT -n $NAMESPACE'"
say "  make kubectl ARGS='logs -n $NAMESPACE deploy/site-broker -f'       readings as they arrive"
say "  make kubectl ARGS='logs -n $NAMESPACE $DEPLOYMENT-filter -f'            what the filter decides"
say "  make kubectl ARGS='logs -n $NAMESPACE $DEPLOYMENT-edgehub-0 -f'         the hub"
say "Tear down:"
say "  make demo-down         the demo and the operator"
say "  make cluster-down      the local cluster as a whole"
