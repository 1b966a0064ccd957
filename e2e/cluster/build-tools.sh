#!/usr/bin/env bash
# Builds the programs of the cluster from their Go modules, once per version.
#
# Each family of programs has a go.mod of its own below tools/, because their
# dependency graphs disagree. A family is built into a temporary folder of the cache
# and renamed when all of it is there, so that an interrupted build leaves nothing
# that looks finished.
set -euo pipefail
# shellcheck source=lib/env.sh
source "$(dirname "$0")/lib/env.sh"

export GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0

# family_tools FAMILY: the package paths of its go.mod's tool directives.
family_tools() {
    awk '
        $1 == "tool" && $2 == "(" { inside = 1; next }
        inside && $1 == ")"       { inside = 0 }
        inside && NF              { print $1 }
        $1 == "tool" && $2 != "(" { print $2 }
    ' "$CLUSTER_SCRIPTS/tools/$1/go.mod"
}

# program_name PACKAGE: what the built file is called.
program_name() {
    case $1 in
        go.etcd.io/etcd/server/*) echo etcd ;;
        *) basename "$1" ;;
    esac
}

# linker_flags FAMILY VERSION: strip symbols, and tell the program which version it is.
linker_flags() {
    local version=$2 flags="-s -w"
    case $1 in
        kubernetes)
            local minor=${version#v1.}
            flags+=" -X k8s.io/component-base/version.gitVersion=$version"
            flags+=" -X k8s.io/component-base/version.gitMajor=1"
            flags+=" -X k8s.io/component-base/version.gitMinor=${minor%%.*}"
            ;;
        helm) flags+=" -X helm.sh/helm/v4/internal/version.version=$version" ;;
    esac
    echo "$flags"
}

missing=()
total=0
for family in "${TOOL_FAMILIES[@]}"; do
    [[ -d $(tool_dir "$family") ]] && continue
    missing+=("$family")
    count=$(family_tools "$family" | wc -l)
    total=$((total + count))
done
((total > 0)) || exit 0

command -v go >/dev/null || die "building the cluster's tools needs Go (https://go.dev/dl); 'go' is not in PATH"

mkdir -p "$EDGE_CACHE/tools"
# Two builds at once would only do the same work twice.
exec 8>"$EDGE_CACHE/tools/.lock"
flock --nonblock 8 || { say "another build of the cluster's tools is running; waiting for it"; flock 8; }

staging=$(mktemp -d "$EDGE_CACHE/tools/.building.XXXXXX")
trap 'rm -rf "$staging"' EXIT

say "building $total tools for the local cluster (once per version, several minutes; kept in $EDGE_CACHE/tools)"
number=0
for family in "${missing[@]}"; do
    version=$(family_version "$family")
    target=$(tool_dir "$family")
    mapfile -t packages < <(family_tools "$family")
    if [[ -d $target ]]; then # the build we waited for made it
        number=$((number + ${#packages[@]}))
        continue
    fi
    flags=$(linker_flags "$family" "$version")
    mkdir "$staging/$family"
    for package in "${packages[@]}"; do
        number=$((number + 1))
        name=$(program_name "$package")
        printf '[%d/%d] %s %s ... ' "$number" "$total" "$name" "$version" >&2
        started=$SECONDS
        # -quiet downloads: a cold module cache would print a line per module.
        if ! (cd "$CLUSTER_SCRIPTS/tools/$family" &&
            nice -n 5 go build -trimpath -buildvcs=false -ldflags="$flags" -o "$staging/$family/$name" "$package") \
            >"$staging/build.log" 2>&1; then
            say "failed"
            grep -v '^go: downloading' "$staging/build.log" >&2 || true
            die "could not build $name $version of $CLUSTER_SCRIPTS/tools/$family"
        fi
        say "$((SECONDS - started)) s (total $SECONDS s)"
    done
    mv "$staging/$family" "$target"
done
