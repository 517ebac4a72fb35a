#!/usr/bin/env bash
# Runs an image as a careful operator does: as its own user, without a capability, with a root that cannot
# be written, in namespaces of its own. Imports a small shop, serves it, asks, writes, and serves again.
# The first difference from what is expected ends it with 1.
#
# usage: image-test.sh IMAGE REVIEWSD_BENCH
#   IMAGE           the archive that image.sh made
#   REVIEWSD_BENCH  the program that makes up a shop
#
# Takes root and runc; where it cannot run it says "SKIPPED" and why, and ends with 0.

set -euo pipefail
image=$1 bench=$2

skip() {
    printf 'SKIPPED: %s\n' "$*"
    exit 0
}
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    [ ! -s "$work/log" ] || tail -n 40 "$work/log" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || skip 'running a container here takes root'
for tool in runc curl nsenter python3; do
    command -v "$tool" >/dev/null || skip "there is no $tool (apt-get install runc curl util-linux python3)"
done

work=$(mktemp -d)
name=reviewsd-image-test-$$
at_exit() {
    runc delete --force "$name" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap at_exit EXIT

# What a container runtime makes of an image.
mkdir -p "$work/oci" "$work/bundle/rootfs" "$work/csv"
tar --extract --file "$image" --directory "$work/oci"
python3 - "$work/oci" "$work/bundle/rootfs" >"$work/config" <<'PYTHON'
import hashlib, json, pathlib, subprocess, sys

oci, root = map(pathlib.Path, sys.argv[1:])

def blob(descriptor):
    path = oci / "blobs" / descriptor["digest"].replace(":", "/")
    content = path.read_bytes()
    assert len(content) == descriptor["size"], path
    assert "sha256:" + hashlib.sha256(content).hexdigest() == descriptor["digest"], path
    return path

assert json.loads((oci / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
(manifest,) = json.loads((oci / "index.json").read_text())["manifests"]
manifest = json.loads(blob(manifest).read_text())
config = json.loads(blob(manifest["config"]).read_text())
for layer, unpacked in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
    archive = subprocess.run(["gzip", "-dc", blob(layer)], check=True, stdout=subprocess.PIPE).stdout
    assert "sha256:" + hashlib.sha256(archive).hexdigest() == unpacked, layer
    subprocess.run(["tar", "-xpf", "-", "--numeric-owner", "-C", root], check=True, input=archive)
json.dump(config["config"], sys.stdout)
PYTHON
! find "$work/bundle/rootfs" -perm /6000 | grep . || fail 'the image has programs that change the user'

# A volume is made as the image has the directory.
cp -a "$work/bundle/rootfs/var/lib/reviewsd" "$work/data"

# Describes a container that runs the image's program with these arguments, or with the image's own.
bundle() {
    python3 - "$work" "$@" <<'PYTHON'
import json, pathlib, sys

work = pathlib.Path(sys.argv[1])
image = json.loads((work / "config").read_text())
uid, gid = map(int, image["User"].split(":"))
mount = lambda at, kind, source, *options: {"destination": at, "type": kind, "source": source, "options": list(options)}
spec = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": uid, "gid": gid},
        "args": image["Entrypoint"] + (sys.argv[2:] or image["Cmd"]),
        "env": image["Env"],
        "cwd": image["WorkingDir"],
        "noNewPrivileges": True,
        "capabilities": {},
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "image",
    "mounts": [
        mount("/proc", "proc", "proc"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=64k"),
        mount("/sys", "bind", "/sys", "rbind", "ro"),
        mount("/csv", "bind", str(work / "csv"), "bind", "ro"),
        mount("/var/lib/reviewsd", "bind", str(work / "data"), "bind", "rw"),
    ],
    "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")]},
}
(work / "bundle/config.json").write_text(json.dumps(spec))
PYTHON
}
# Runs it to its end.
run() {
    bundle "$@"
    runc run --bundle "$work/bundle" "$name" </dev/null
}
# Starts it in the background. Its process is $pid.
start() {
    bundle
    rm -f "$work/pid"
    runc run --pid-file "$work/pid" --bundle "$work/bundle" "$name" \
        </dev/null >"$work/log" 2>&1 &
    runtime=$!
    until [ -s "$work/pid" ]; do
        kill -0 "$runtime" 2>/dev/null || fail 'the container does not start'
        sleep 0.1
    done
    pid=$(cat "$work/pid")
    until ask /readyz >/dev/null 2>&1; do
        kill -0 "$runtime" 2>/dev/null || fail 'the server does not start'
        sleep 0.1
    done
}
ask() {
    nsenter --target "$pid" --net curl --silent --show-error --fail --max-time 10 "http://127.0.0.1:8080$1" "${@:2}"
}
stop() {
    local code=0
    runc kill "$name" TERM
    timeout 20 tail --pid="$runtime" --follow /dev/null || fail 'the server is still there 20 s after SIGTERM'
    wait "$runtime" || code=$?
    [ "$code" = 0 ] || fail "the server ended with $code after SIGTERM"
}

"$bench" gen --products 500 --out "$work/csv" --seed 1 >/dev/null
chmod 755 "$work" "$work/csv" && chmod 644 "$work"/csv/*
run --version
run import --csv /csv --data /var/lib/reviewsd --quiet >/dev/null || fail 'the import failed'

start
status() {
    sed -n "s/^$1:\t//p" "/proc/$pid/status" | xargs
}
[ "$(status Uid)" = '65532 65532 65532 65532' ] || fail "the server runs as $(status Uid)"
[ "$(status Groups)" = '' ] || fail "the server is in the groups $(status Groups)"
[ "$(status CapEff) $(status CapBnd)" = '0000000000000000 0000000000000000' ] || fail "the server has capabilities"
awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | grep -q '^ro' || fail 'the root can be written'
ask '/reviews?product_id=1' | grep -q '^{"product":"1","page":0,' || fail 'no reviews are served'
ask /products/500 | grep -q '^{"id":500,' || fail 'no product is served'
ask /reviews --data '{"product_id":1,"rating":5,"summary":"Image","body":"In the box.","recommend":true,"name":"pine","email":"pine@example.org"}' |
    grep -qx Created || fail 'a review is not taken'
stop
start
ask '/reviews?product_id=1&sort=newest' | grep -q '"summary":"Image"' || fail 'a restart lost a review'
stop
run verify --data /var/lib/reviewsd >/dev/null || fail 'the store is not whole'
echo "the image runs as its own user, with a read-only root ($SECONDS s)"
