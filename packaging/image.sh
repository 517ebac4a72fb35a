#!/usr/bin/env bash
# Makes a container image of a program that is built: the program, the shared libraries of this machine
# that it takes, and what it reads of the system. No shell, no package manager, no registry, no root.
# The same inputs make the same bytes.
#
# usage: image.sh PROGRAM OUT
#   PROGRAM  the reviewsd that is packed
#   OUT      the file to write: `docker load`, `podman load` and `skopeo copy oci-archive:OUT` read it
#
# IMAGE is its name, SOURCE_DATE_EPOCH its date (the last commit's, if it is not set).

set -euo pipefail
program=$1 out=$2
cd "$(dirname "$0")/.."
# The user and group that it runs as. They have no name on the machines that run it, and no rights.
readonly user=65532

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

version=$("$program" --version | sed -n '1s/^reviewsd \([^ ]*\).*/\1/p')
[ -n "$version" ] || fail "$program does not tell its version"
image=${IMAGE:-reviewsd:$version}
commit=$(git rev-parse HEAD 2>/dev/null || echo "${REVIEWSD_COMMIT:-unknown}")
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat --format %Y Cargo.lock)}
case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) fail "no name of the architecture $(uname -m) is known" ;;
esac
certificates=/etc/ssl/certs/ca-certificates.crt
[ -s "$certificates" ] || fail "there is no $certificates (apt-get install ca-certificates)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root oci=$work/oci
umask 022
mkdir -p "$root"/{dev,proc,sys,tmp,usr/bin,etc/ssl/certs,etc/reviewsd,var/lib/dpkg/status.d,var/lib/reviewsd} "$oci/blobs/sha256"

# Scanners find out from these which packages the files are of.
packages=$work/packages
of_package() {
    local file=$1 package
    # A file of /lib may be listed in /usr/lib, and the other way round.
    package=$({ dpkg-query --search "$file" "/usr$file" "${file#/usr}" 2>/dev/null || true; } | sed -n '1s/[:,].*//p')
    [ -n "$package" ] || fail "no package has $file"
    echo "$package" >>"$packages"
}

install -m 755 "$program" "$root/usr/bin/reviewsd"
libraries=$(ldd "$program" | grep -o '/[^ ]*')
for library in $libraries; do
    install -D -m 755 "$library" "$root$library"
    of_package "$library"
done
install -m 644 "$certificates" "$root$certificates"
echo ca-certificates >>"$packages"
install -m 644 /etc/os-release "$root/etc/os-release"
printf '%s\n' 'hosts: files dns' >"$root/etc/nsswitch.conf"
printf '%s\n' root:x:0:0:root:/:/nonexistent "reviewsd:x:$user:$user:Ratings and reviews:/var/lib/reviewsd:/nonexistent" \
    >"$root/etc/passwd"
printf '%s\n' root:x:0: "reviewsd:x:$user:" >"$root/etc/group"
cat >"$root/etc/reviewsd/reviewsd.toml" <<'TOML'
# The configuration of the image; mount another one here. A key that is not here has its default.
[store]
data = "/var/lib/reviewsd"

[net]
# All of the container's addresses; which of them are published is for the operator to decide.
listen = "0.0.0.0:8080"
TOML
sort -u "$packages" | while read -r package; do
    dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done
install -D -m 644 -t "$root/usr/share/doc/reviewsd" LICENSE-MIT LICENSE-APACHE

# Adds files of a directory to an archive.
pack() {
    local archive=$1 dir=$2
    shift 2
    tar --append --file "$archive" --directory "$dir" --sort=name --numeric-owner --mtime="@$epoch" --format=gnu "$@"
}
layer=$work/layer.tar
chmod 1777 "$root/tmp"
pack "$layer" "$root" --owner=0 --group=0 --exclude=./var/lib/reviewsd .
chmod 700 "$root/var/lib/reviewsd"
pack "$layer" "$root" --owner=$user --group=$user ./var/lib/reviewsd

digest() {
    sha256sum "$1" | cut -d ' ' -f 1
}
# Moves a file to where its hash is its name, and prints that name.
blob() {
    local digest
    digest=$(digest "$1")
    mv "$1" "$oci/blobs/sha256/$digest"
    echo "$digest"
}
size() {
    stat --format %s "$oci/blobs/sha256/$1"
}

unpacked=$(digest "$layer")
gzip --no-name --best "$layer"
layer=$(blob "$layer.gz")
created=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)
cat >"$work/config" <<JSON
{"created":"$created","architecture":"$architecture","os":"linux","config":{"User":"$user:$user","ExposedPorts":{"8080/tcp":{}},"Env":["PATH=/usr/bin"],"Entrypoint":["/usr/bin/reviewsd"],"Cmd":["serve"],"Volumes":{"/var/lib/reviewsd":{}},"WorkingDir":"/var/lib/reviewsd","StopSignal":"SIGTERM","Labels":{"org.opencontainers.image.title":"reviewsd","org.opencontainers.image.version":"$version","org.opencontainers.image.revision":"$commit","org.opencontainers.image.source":"https://github.com/reviewsd/reviewsd","org.opencontainers.image.licenses":"MIT OR Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:$unpacked"]},"history":[{"created":"$created","created_by":"packaging/image.sh"}]}
JSON
config=$(blob "$work/config")
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$(size "$config")},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$(size "$layer")}]}
JSON
manifest=$(blob "$work/manifest")
cat >"$oci/index.json" <<JSON
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest","size":$(size "$manifest"),"annotations":{"io.containerd.image.name":"docker.io/library/$image","org.opencontainers.image.ref.name":"${image##*:}"}}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}' >"$oci/oci-layout"
# The older form that `docker load` reads.
printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]\n' "$config" "$image" "$layer" \
    >"$oci/manifest.json"

mkdir -p "$(dirname "$out")"
rm -f "$out"
pack "$work/image.tar" "$oci" --owner=0 --group=0 blobs index.json manifest.json oci-layout
mv "$work/image.tar" "$out"
printf '%s: %s, sha256:%s, %s MiB\n' "$out" "$image" "$manifest" $(($(stat --format %s "$out") / 1048576))
