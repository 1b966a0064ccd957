# shellcheck shell=bash
# Writes container images as docker-archive files, with nothing but tar and sha256sum.
#
# The same input gives the same bytes: entries are sorted, owned by root and dated
# at the epoch. So the digest of an image says whether its content changed.
# Sourced by the build-*.sh scripts, never run.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# require COMMAND PACKAGE: a missing program is named together with its Debian package.
require() {
    command -v "$1" >/dev/null || die "'$1' is missing; it is in the Debian package $2 (see e2e/cluster/install-packages.sh)"
}

# image_cache: the folder for reusable layers and images.
image_cache() {
    local cache=${EDGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME must be set}/.cache}/edge-operator}/images
    mkdir -p "$cache"
    printf '%s' "$cache"
}

# reproducible_tar FOLDER FILE: the folder's content as a tar that depends on nothing else.
reproducible_tar() {
    tar --create --file="$2" --directory="$1" \
        --sort=name --format=gnu --mtime=@0 --numeric-owner --owner=0 --group=0 .
}

# digest FILE: its SHA-256 in hex.
digest() {
    local line
    line=$(sha256sum <"$1")
    printf '%s' "${line%% *}"
}

# content_key PATH_OR_TEXT…: one hash over texts, files and folders (names, modes, contents).
content_key() {
    local input
    for input; do
        if [[ -d $input ]]; then
            reproducible_tar "$input" - | sha256sum
        elif [[ -f $input ]]; then
            sha256sum <"$input"
        else
            printf '%s\n' "$input" | sha256sum
        fi
    done | sha256sum | cut -c1-32
}

# json_strings TEXT…: a JSON array of strings.
json_strings() {
    local text separator=
    printf '['
    for text; do
        text=${text//\\/\\\\}
        text=${text//\"/\\\"}
        printf '%s"%s"' "$separator" "$text"
        separator=,
    done
    printf ']'
}

# check_name NAME:TAG: refuses what would not be a valid image reference, or would break the JSON.
check_name() {
    local part='[a-z0-9]+([._-]+[a-z0-9]+)*'
    [[ $1 =~ ^([a-z0-9.-]+(:[0-9]+)?/)?$part(/$part)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        die "image name '$1' is not of the form [registry[:port]/]name:tag in lower case"
}

# write_image OUTPUT NAME:TAG CONFIG LAYER…
# CONFIG is the inside of the image's "config" object as JSON, without the braces.
# The layers are uncompressed tar files, lowest first.
write_image() {
    local output=$1 name=$2 config=$3
    shift 3
    check_name "$name"
    local work layer number=0 diff_ids=() files=()
    work=$(mktemp -d "$(dirname "$output")/.image.XXXXXX")
    for layer; do
        number=$((number + 1))
        # Hard links: a base layer of 150 MB is not copied only to be packed. Other file systems get a copy.
        ln "$layer" "$work/layer$number.tar" 2>/dev/null || cp "$layer" "$work/layer$number.tar"
        files+=("layer$number.tar")
        diff_ids+=("sha256:$(digest "$layer")")
    done
    printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{%s},"rootfs":{"type":"layers","diff_ids":%s}}' \
        "$(image_architecture)" "$config" "$(json_strings "${diff_ids[@]}")" >"$work/config.json"
    printf '[{"Config":"config.json","RepoTags":%s,"Layers":%s}]' \
        "$(json_strings "$name")" "$(json_strings "${files[@]}")" >"$work/manifest.json"
    chmod 0644 "$work"/*.json
    tar --create --file="$work/image" --directory="$work" --format=gnu --mtime=@0 --numeric-owner --owner=0 --group=0 --mode=0644 \
        manifest.json config.json "${files[@]}"
    mv "$work/image" "$output"
    rm -rf "$work"
}

# image_architecture: this machine's, in the words of image configurations.
image_architecture() {
    case $(uname -m) in
        x86_64) echo amd64 ;;
        aarch64) echo arm64 ;;
        *) die "no image can be built on $(uname -m)" ;;
    esac
}

# write_users FOLDER: the accounts an image without a distribution needs. 65532 is what images call nonroot.
write_users() {
    mkdir -p "$1/etc"
    printf '%s\n' 'root:x:0:0:root:/:/sbin/nologin' 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >"$1/etc/passwd"
    printf '%s\n' 'root:x:0:' 'nonroot:x:65532:' >"$1/etc/group"
}

# publish CACHED OUTPUT: gives a cached image to the caller; never a hard link, since the caller may write to its file.
publish() {
    mkdir -p "$(dirname "$2")"
    cp --reflink=auto "$1" "$2"
}
