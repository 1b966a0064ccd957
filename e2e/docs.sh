#!/usr/bin/env bash
# Runs the commands of the documentation, in the order of the page, on the cluster, as a reader would.
#
#   docs.sh            docs/getting-started.md
#
# Every block marked `sh` is run; the first command that fails ends it, with the block printed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
page=docs/getting-started.md

work=$(mktemp -d)
finish() {
    local status=$?
    rm -rf "$work"
    # Only what the page itself made.
    ((status == 0)) || "$here/cluster/kubectl.sh" delete namespace line-7 --ignore-not-found --wait=false >/dev/null 2>&1 || true
    exit "$status"
}
trap finish EXIT

# The reader's kubectl and helm are the cluster's.
mkdir "$work/bin"
for program in kubectl helm; do
    printf '#!/bin/sh\nexec "%s/cluster/%s.sh" "$@"\n' "$here" "$program" >"$work/bin/$program"
    chmod +x "$work/bin/$program"
done

awk -v folder="$work" '
    /^```sh$/ { inside = 1; blocks++; next }
    /^```/ { inside = 0; next }
    inside { print > sprintf("%s/%02d.sh", folder, blocks) }
' "$page"

blocks=("$work"/*.sh)
[[ -e ${blocks[0]} ]] || { echo "$page has no commands" >&2; exit 1; }
for block in "${blocks[@]}"; do
    printf -- '--- %s, block %s\n' "$page" "$(basename "$block" .sh)"
    if ! PATH="$work/bin:$PATH" bash -euo pipefail "$block"; then
        printf '\nthis block of %s failed:\n%s\n' "$page" "$(<"$block")" >&2
        exit 1
    fi
done
echo "${#blocks[@]} blocks of $page ran"
