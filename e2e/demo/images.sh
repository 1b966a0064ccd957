# shellcheck shell=bash
# The images of the demo: built when their sources changed, and put where the cluster finds them. Sourced after lib.sh, never run.

IMAGES=$EDGE_CACHE/images/demo
# Name in the manifests, and file.
declare -A IMAGE_FILES=(
    [edge-operator:dev]=$IMAGES/edge-operator.tar
    [edge-e2e/site-broker:1]=$IMAGES/site-broker.tar
    [edge-samples/temp-sensor:1.0]=$IMAGES/temp-sensor.tar
    [edge-samples/filter:1.0]=$IMAGES/filter.tar
)
# What the cluster is told to run for each name.
declare -A IMAGE_REFERENCES=()

build_images() {
    local modules=$REPOSITORY/e2e/modules
    mkdir -p "$IMAGES"
    "$IMAGE_SCRIPTS/build-operator.sh" "${IMAGE_FILES[edge-operator:dev]}" edge-operator:dev
    "$REPOSITORY/e2e/site-broker/build-image.sh" "${IMAGE_FILES[edge-e2e/site-broker:1]}" edge-e2e/site-broker:1
    # The same layers under two names: what differs is the script that runs.
    "$IMAGE_SCRIPTS/build-python.sh" "$modules/requirements.txt" "$modules" edge-samples/temp-sensor:1.0 \
        "${IMAGE_FILES[edge-samples/temp-sensor:1.0]}" temperature_sensor.py
    "$IMAGE_SCRIPTS/build-python.sh" "$modules/requirements.txt" "$modules" edge-samples/filter:1.0 \
        "${IMAGE_FILES[edge-samples/filter:1.0]}" filter.py
}

# on_node NAME FILE: does the node have this very image under this name?
on_node() {
    local manifest config
    manifest=$("$CLUSTER_SCRIPTS/enter.sh" ctr --namespace k8s.io images list "name==docker.io/$([[ $1 == */* ]] || echo library/)$1" |
        awk 'NR == 2 { print $3 }')
    [[ -n $manifest ]] || return
    config=$(tar --extract --to-stdout --file="$2" config.json | sha256sum)
    "$CLUSTER_SCRIPTS/enter.sh" ctr --namespace k8s.io content get "$manifest" | grep -q "sha256:${config%% *}"
}

# deliver_images: to the local node, or to the registry that the person named. Sets NEW_IMAGES to the names that changed.
deliver_images() {
    local name file
    NEW_IMAGES=()
    for name in "${!IMAGE_FILES[@]}"; do
        file=${IMAGE_FILES[$name]}
        if [[ $CLUSTER == current ]]; then
            push_image "$name" "$file"
        else
            IMAGE_REFERENCES[$name]=$name
            on_node "$name" "$file" && continue
            "$CLUSTER_SCRIPTS/load-image.sh" "$file"
            NEW_IMAGES+=("$name")
        fi
    done
}

# check_registry: said before anything is built, since nothing works without it.
check_registry() {
    [[ $CLUSTER == current ]] || return 0
    [[ -n ${IMAGE_REGISTRY:-} ]] || die "CLUSTER=current cannot load images into your nodes. Name a registry that you may push to and
that your nodes pull from, such as IMAGE_REGISTRY=registry.example.com/edge (log in with 'skopeo login'), and run this again.
IMAGE_REGISTRY_PLAIN=1 is for one without TLS."
    command -v skopeo >/dev/null || die "pushing images needs skopeo (Debian package skopeo)"
}

# push_image NAME FILE: and refer to it by digest, so that the nodes never run an older image of the same tag.
push_image() {
    local digest_file digest
    digest_file=$(mktemp)
    skopeo --insecure-policy copy --quiet --digestfile "$digest_file" ${IMAGE_REGISTRY_PLAIN:+--dest-tls-verify=false} \
        "docker-archive:$2" "docker://$IMAGE_REGISTRY/$1" || die "could not push $IMAGE_REGISTRY/$1 (IMAGE_REGISTRY); try 'skopeo login'"
    digest=$(<"$digest_file")
    rm -f "$digest_file"
    IMAGE_REFERENCES[$1]=$IMAGE_REGISTRY/${1%:*}@$digest
}

# with_references: a manifest on standard input, its images replaced by what the cluster is told to run.
with_references() {
    local name script=
    for name in "${!IMAGE_REFERENCES[@]}"; do script+="s|image: $name\$|image: ${IMAGE_REFERENCES[$name]}|;"; done
    sed "$script"
}
