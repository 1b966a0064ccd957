#!/usr/bin/env bash
# Everything that a release needs (make test): formats, lints, unit tests, licences, and every scenario in the local cluster.
#
#   test.sh [PART_OF_A_NAME…]     with names: only the scenarios whose names contain one of them
#
# Says which step it is at and what comes next; each step has a log of its own. Ends at the first step that fails. Leaves the
# cluster as it was found: a cluster that ran goes on, with the operator if it had one. The last line is `N passed, N failed`.
#
# EDGE_TEST_THREADS   scenarios at once (4)
# VECTORS             a file of reference vectors (the one beside the checkout, if there is one)
# EDGE_KEEP_FAILED=1  leave the cluster, and the namespaces of scenarios that failed, as they are
#
# shellcheck disable=SC2317  # the steps are called by name
set -euo pipefail
# shellcheck source=demo/lib.sh
source "$(dirname "$0")/demo/lib.sh"
# shellcheck source=demo/images.sh
source "$DEMO/images.sh"
# shellcheck source=test/steps.sh
source "$REPOSITORY/e2e/test/steps.sh"
# shellcheck source=test/operator.sh
source "$REPOSITORY/e2e/test/operator.sh"

[[ $CLUSTER == local ]] || die "make test takes over the cluster's operator and reaches into its node: it runs in the local cluster only, and CLUSTER is '$CLUSTER'"
((EUID == 0)) || die "make test starts a cluster and cuts the power of file systems: it needs root"

THREADS=${EDGE_TEST_THREADS:-4}
only=("$@")
EDGE_CLUSTER_DIR=${EDGE_CLUSTER_DIR:-$EDGE_CACHE/cluster}
export EDGE_CLUSTER_DIR
# An image for the cluster need not be a small one.
export PROFILE=${PROFILE:-fast}
# What went wrong is in the messages; where in the test runner is of no interest.
export RUST_BACKTRACE=0
# One folder for what make builds and what the scripts build.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$REPOSITORY/target}
cd "$REPOSITORY"

# What each step is, for people.
declare -A DESCRIPTIONS=(
    [tools]="installing packages and tools"
    [formats]="formats, generated files and scripts"
    [lints]="lints"
    [unit]="unit tests, root's included"
    [vectors]="reference vectors"
    [licences]="licences, banned crates and sources"
    [cluster]="bringing the cluster up"
    [images]="building the images and bringing them to the cluster"
    [install]="installing the operator"
    [definition]="samples of EdgeDeployments, judged by the API server"
    [sdk]="the public SDK against a hub"
    [scenarios]="scenarios in the cluster, $THREADS at once"
    [alone]="scenarios that replace the operator, one after the other"
    [docs]="the commands of the documentation"
)
STEPS=(tools formats lints unit vectors licences cluster images install definition sdk scenarios alone docs)
((${#only[@]} == 0)) || STEPS=(tools cluster images install scenarios alone)

step_tools() {
    "$CLUSTER_SCRIPTS/install-packages.sh"
    if command -v rustup >/dev/null; then
        # Asking for the toolchain by name installs it even where rustup is told not to install anything by itself.
        rustup toolchain list | grep -q "^$(toolchain)" || rustup toolchain install "$(toolchain)" --profile minimal
        rustup component add clippy rustfmt
        rustup target add "$(uname -m)-unknown-linux-musl"
    fi
    "$CLUSTER_SCRIPTS/build-tools.sh"
}

step_formats() {
    make --no-print-directory format generated
    if command -v shellcheck >/dev/null; then
        git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck --external-sources --source-path=SCRIPTDIR
    else
        echo "SKIPPED the scripts: shellcheck is not installed (apt-get install shellcheck)"
    fi
}

step_lints() { make --no-print-directory lint; }

# The cluster comes later: what asks for one is skipped here.
step_unit() { env --unset=EDGE_TEST_KUBECONFIG --unset=EDGE_REQUIRE_CLUSTER EDGE_REQUIRE_ROOT_TESTS=1 make --no-print-directory unit; }

step_vectors() {
    local file=${VECTORS:-$REPOSITORY/../shared/vectors/hub.json}
    if [[ -n ${VECTORS:-} || -f $file ]]; then
        make --no-print-directory vectors VECTORS="$file"
    else
        echo "SKIPPED: there is no file of reference vectors; VECTORS names one"
    fi
}

step_licences() { make --no-print-directory deny; }

step_cluster() { "$CLUSTER_SCRIPTS/up.sh"; }

step_images() {
    IMAGE_FILES[edge-e2e/busybox:1]=$IMAGES/busybox.tar
    IMAGE_FILES[edge-e2e/mosquitto:1]=$IMAGES/mosquitto.tar
    IMAGE_FILES[edge-e2e/load:1]=$IMAGES/load.tar
    build_images
    "$IMAGE_SCRIPTS/build-busybox.sh" "$IMAGES/busybox.tar" edge-e2e/busybox:1
    "$IMAGE_SCRIPTS/build-mosquitto.sh" "$IMAGES/mosquitto.tar" edge-e2e/mosquitto:1
    "$REPOSITORY/e2e/load/build-image.sh" "$IMAGES/load.tar" edge-e2e/load:1
    deliver_images
}

step_install() { install_operator; }

step_definition() { EDGE_TEST_KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig EDGE_REQUIRE_CLUSTER=1 cargo test --quiet --package edge-crds; }

step_sdk() { PROFILE=dev "$REPOSITORY/e2e/sdk-smoke/run.sh"; }

step_scenarios() { scenarios "$THREADS" "${only[@]}"; }

step_alone() { scenarios 1 --ignored "${only[@]}"; }

step_docs() { "$REPOSITORY/e2e/docs.sh"; }

# scenarios THREADS ARGUMENT…: they take minutes, so each is shown as it ends.
scenarios() {
    local threads=$1
    shift
    EDGE_TEST_KUBECONFIG=$EDGE_CLUSTER_DIR/kubeconfig EDGE_REQUIRE_CLUSTER=1 EDGE_TEST_DUMP=$LOGS/failures \
        cargo test --package edge-e2e -- --test-threads="$threads" "$@" 2>&1 |
        tee >(grep --line-buffered -E '^(test .* \.\.\. |FAILED |SKIPPED )' >&3)
}

# toolchain: the version that rust-toolchain.toml asks for.
toolchain() { sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml; }

was_up=''
main() {
    ! "$CLUSTER_SCRIPTS/status.sh" >/dev/null 2>&1 || was_up=yes
    trap finish EXIT
    trap 'exit 143' TERM HUP
    trap 'exit 130' INT
    [[ -z $was_up ]] || remember_operator
    run_steps
}
# Does not return: the shell reads a script as it goes, and this one may be edited while it runs.
main
