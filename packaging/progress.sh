#!/usr/bin/env bash
# Runs a build, and reports meanwhile how far RocksDB is: cargo says nothing for as long as a C++ library
# compiles. Silent when RocksDB is compiled already.
#
# usage: progress.sh TARGET COMMAND [ARGUMENT...]
#   TARGET    the directory that cargo builds in
#   COMMAND   the build, whose exit code is this script's
#
# On a terminal one line is rewritten every two seconds; elsewhere there is a line a minute.
# PROGRESS_SECONDS is another interval.

set -euo pipefail
target=$1
shift
here=$(dirname "$(readlink -f "$0")")

if [ -t 2 ]; then
    interval=2 before=$'\r\033[K' after=
else
    interval=60 before='' after=$'\n'
fi
interval=${PROGRESS_SECONDS:-$interval}

stamp=$(mktemp)
watcher=
at_exit() {
    [ -z "$watcher" ] || kill "$watcher" 2>/dev/null || true
    rm -f "$stamp"
}
trap at_exit EXIT

# Files in RocksDB's build directories, once there are any, that are newer than this build: one that was
# interrupted begins anew.
newer() {
    find "$target"/release/build/librocksdb-sys-*/out -maxdepth 1 -name "$1" -newer "$stamp" 2>/dev/null || true
}

# The work of each file that the locked version compiles, in its order: its size, and 10 kB for the
# headers that all of them read. One file is generated beside these.
work() {
    local version list
    version=$(grep -A 1 '^name = "librocksdb-sys"' "$here/../Cargo.lock" | sed -n 's/^version = "\(.*\)"/\1/p')
    for list in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/librocksdb-sys-"$version"/rocksdb_lib_sources.txt; do
        [ ! -e "$list" ] || (cd "${list%/*}/rocksdb" && grep -vx util/build_version.cc "$list" |
            xargs stat --format '%s' -- | awk '{ print $1 + 10000 } END { print 10000 }')
    done
}

minutes() {
    local minutes=$((($1 + 59) / 60))
    if [ "$minutes" -le 1 ]; then echo 'a minute'; else echo "$minutes minutes"; fi
}

# Prints the progress: so many files are compiled, after so many seconds.
tell() {
    local compiled=$1 seconds=$2
    awk -v compiled="$compiled" '{ all += $1 } NR <= compiled { part += $1 } END { print NR, all, part }' <<<"$work" |
        {
            read -r files all part
            printf 'Compiling RocksDB, once: %s of %s files' "$compiled" "$files"
            # A few files are no basis for an estimate.
            if [ "$part" -ge $((all / 30)) ]; then
                printf ', about %s left' "$(minutes $((seconds * (all - part) / part)))"
            fi
        }
}

watch() {
    local compiled seconds work='' begun
    # Never readable: a wait that is no process of its own, and so ends with this one.
    exec {never}<> <(:)
    while :; do
        compiled=$(newer '*.o' | wc -l)
        if [ "$compiled" -gt 0 ]; then
            # The first look may be a minute after the first file.
            [ -n "$work" ] || work=$(work) begun=$(newer '*.o' | xargs stat --format %Y -- | sort -n | sed -n 1p)
            seconds=$(($(date +%s) - begun))
            if [ -n "$(newer librocksdb.a)" ]; then
                printf '%sRocksDB is compiled, in %s.\n' "$before" "$(minutes "$seconds")" >&2
                return
            fi
            printf '%s%s%s' "$before" "$(tell "$compiled" "$seconds")" "$after" >&2
        fi
        read -rt "$interval" -u "$never" || true
    done
}

watch &
watcher=$!
"$@"
