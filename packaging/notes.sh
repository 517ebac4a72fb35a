#!/usr/bin/env bash
# Prints the section of CHANGELOG.md on a version. Fails if there is none.
#
# usage: notes.sh VERSION

set -euo pipefail
cd "$(dirname "$0")/.."
notes=$(awk -v version="$1" '/^## / { is_it = $2 == version || $2 == "[" version "]"; next } is_it' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || {
    echo "CHANGELOG.md has no section '## $1'" >&2
    exit 1
}
printf '%s\n' "$notes"
