# The command blocks of README.md: which of them the booted Debian runs as they stand, and why it does not
# run the others. Read by booted.sh, and by tests/it/documented.rs, which holds that every block is here
# once and that nothing else is.
#
# A line of the table is: the heading above the block, the number of the block below that heading, `run` or
# `not`, and for `not` the reason.

blocks() {
    cat <<'TABLE'
Start|1|not|it compiles everything; `make demo` then serves until it is ended, and `make test` is what .ci/run runs
Start|2|run
Import your own files|1|run
API|1|run
Configuration|1|run
Install it on a machine|1|run
Install it on a machine|2|run
Install it on a machine|3|run
Run it|1|run
Run it|2|run
Run it|3|run
Run it|4|run
Run it|5|run
Run it|6|run
Run it|7|run
Run it|8|run
Look after it|1|run
Look after it|2|run
Look after it|3|run
Back it up|1|run
Back it up|2|run
When the primary is lost|1|run
When the primary is lost|2|run
When the primary is lost|3|run
When the primary is lost|4|run
Personal data|1|run
Personal data|2|run
Moderate|1|run
Figures|1|not|it takes wrk, 12 GB of disk and many minutes: its shop has a million products
Figures|2|run
TABLE
}

# The lines of a block, each after `$ ` where it is a command: all lines of a `sh` block are.
lines() {
    awk -v heading="$1" -v number="$2" '
        /^## / && !inside { at = substr($0, 4) == heading; seen = 0; next }
        !inside && /^ *```(sh|console)$/ {
            seen++; inside = 1; console = /console/; indent = match($0, /`/) - 1; next
        }
        !inside && /^ *```/ { inside = 2; next }
        inside && /^ *```$/ { inside = 0; next }
        inside == 1 && at && seen == number {
            line = substr($0, indent + 1)
            print console ? line : "$ " line
        }' "$readme"
}

# The commands of a block.
block() {
    lines "$@" | sed -n 's/^\$ //p'
}

# The output that a block shows, as patterns of bash: `…` stands for anything.
shown() {
    lines "$@" | sed -e '/^\$ /d' -e '/^$/d' -e 's/[][*?\\]/\\&/g' -e 's/…/*/g'
}
