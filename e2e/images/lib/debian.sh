# shellcheck shell=bash
# A Debian root file system as an image layer, cached. Sourced by the build-*.sh scripts, never run.

# bookworm: its Python, 3.11, is one that the SDKs of the modules support.
DEBIAN_SUITE=bookworm
# Every file is dated then, so that the same packages give the same bytes.
DEBIAN_EPOCH=1700000000

# debian_layer PACKAGE…: prints the path of a tar with a minimal Debian and these packages.
# Kept until the cache is removed: that is also how to get newer packages.
debian_layer() {
    local packages layer log
    packages=$(IFS=, && printf '%s' "$*")
    layer=$(image_cache)/debian-$(content_key "$DEBIAN_SUITE" "$packages" "$(declare -f debian_layer)").tar
    if [[ ! -f $layer ]]; then
        require mmdebstrap mmdebstrap
        ((EUID == 0)) || die "building a Debian image needs root"
        say "building a Debian $DEBIAN_SUITE base with $packages (once, about half a minute)"
        log=$(mktemp)
        # Documentation and translations are half of the size, and nobody reads them in a container.
        # Device nodes are made by the container runtime.
        # shellcheck disable=SC2016  # the hook's own $1, which is the new root
        if ! SOURCE_DATE_EPOCH=$DEBIAN_EPOCH nice -n 5 mmdebstrap --mode=root --variant=minbase --include="$packages" \
            --skip=output/dev \
            --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
            --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
            --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
            --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/*' \
            "$DEBIAN_SUITE" "$layer.part.tar" >"$log" 2>&1; then
            tail -n 20 "$log" >&2
            rm -f "$log" "$layer.part.tar"
            die "mmdebstrap could not build a Debian $DEBIAN_SUITE with $packages"
        fi
        rm -f "$log"
        mv "$layer.part.tar" "$layer"
    fi
    printf '%s' "$layer"
}
