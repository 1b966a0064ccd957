#!/usr/bin/env bash
# An image for modules written in Python: Debian's Python 3.11, pinned packages, and sources.
#
#   build-python.sh REQUIREMENTS SOURCES NAME:TAG OUTPUT [SCRIPT [ARGUMENT…]]
#
# REQUIREMENTS pins every package, dependencies included: none is looked for beyond it.
# Packages with compiled code must have a wheel for it; any other is built by the host's Python.
# SOURCES becomes /app, and SCRIPT (such as main.py) is run from there, as user 65532.
# Nothing is built when the same inputs were built before.
set -euo pipefail
# shellcheck source=lib/archive.sh
source "$(dirname "$0")/lib/archive.sh"
# shellcheck source=lib/debian.sh
source "$(dirname "$0")/lib/debian.sh"

(($# >= 4)) || die "usage: $(basename "$0") REQUIREMENTS SOURCES NAME:TAG OUTPUT [SCRIPT [ARGUMENT…]]"
requirements=$1 sources=$2 name=$3 output=$4
shift 4
check_name "$name"
[[ -f $requirements ]] || die "'$requirements' is not a file"
[[ -d $sources ]] || die "'$sources' is not a folder"
# Of the Debian release in lib/debian.sh.
PYTHON_VERSION=3.11

scripts=$(cd "$(dirname "$0")" && pwd)
cache=$(image_cache)
family=$cache/python-image-$(content_key "$name")
cached=$family-$(content_key "$requirements" "$sources" "$name" "$*" "$0" "$scripts/lib/archive.sh" "$scripts/lib/debian.sh").tar
if [[ -f $cached ]]; then
    publish "$cached" "$output"
    exit 0
fi

base=$(debian_layer python3 ca-certificates)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022

packages=$cache/python-packages-$(content_key "$requirements" "$PYTHON_VERSION").tar
if [[ ! -f $packages ]]; then
    say "fetching the Python packages of $requirements"
    mkdir -p "$work/packages/app/lib"
    # --no-deps: the file is complete, and only so may a package without a wheel be built for another Python.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --ignore-installed \
        --python-version "$PYTHON_VERSION" --target "$work/packages/app/lib" \
        --requirement "$requirements" >&2 || die "pip could not install what $requirements names"
    rm -rf "$work/packages/app/lib/bin"
    # A wheel is chosen for the image's Python; what was compiled here is for this machine's.
    foreign=$(find "$work/packages" -name '*.so' ! -name "*.cpython-${PYTHON_VERSION/./}-*" ! -name '*.abi3.so' -print -quit)
    [[ -z $foreign ]] || die "$requirements names a package without a wheel for Python $PYTHON_VERSION, with compiled code: $(basename "$foreign")"
    reproducible_tar "$work/packages" "$packages.part"
    mv "$packages.part" "$packages"
fi

mkdir -p "$work/sources/app"
cp -r "$sources/." "$work/sources/app/"
find "$work/sources" -name __pycache__ -prune -exec rm -rf {} +
chmod -R a+rX "$work/sources"
reproducible_tar "$work/sources" "$work/sources.tar"

environment='"PATH=/usr/local/bin:/usr/bin:/bin","PYTHONPATH=/app/lib","PYTHONUNBUFFERED=1","PYTHONDONTWRITEBYTECODE=1","HOME=/tmp"'
config="\"User\":\"65532:65532\",\"WorkingDir\":\"/app\",\"Env\":[$environment],\"Entrypoint\":[\"python3\"]"
(($# == 0)) || config+=",\"Cmd\":$(json_strings "$@")"
write_image "$cached" "$name" "$config" "$base" "$packages" "$work/sources.tar"
# One image per name is kept: each is some 170 MB, and there is a new one with every edit of a source file.
find "$cache" -name "$(basename "$family")-*" ! -name "$(basename "$cached")" -delete
publish "$cached" "$output"
