# The command blocks of README.md: which of them the booted Debian runs as they stand, and why it does not
# run the others. Read by booted.sh, and by tests/it/documented.rs, which holds that every block is here
# once and that nothing else is.
#
# A line of the table is: the heading above the block, the number of the block below that heading, `run` or
# `not`, and for `not` the reason.

blocks() {
    cat <<'TABLE'
Start|1|not|it builds from source, which made the package that is tested here
Start|2|not|it asks the server of `make demo`, whose data are made up anew
Import your own files|1|not|its last command serves until it is ended; tests/it/import and tests/it/serve run both
API|1|run
Configuration|1|run
Install it on a machine|1|not|`make deb` made the package that is installed here
Install it on a machine|2|run
Install it on a machine|3|run
Run it|1|not|the container has no network to install nginx from; tests/it/replication/front.rs runs the file
Run it|2|run
Run it|3|run
Run it|4|run
Run it|5|run
Run it|6|run
Run it|7|run
Run it|8|not|the name of a diverged store is each time another; tests/it/replication/failover.rs makes one
Look after it|1|run
Look after it|2|run
Look after it|3|run
Back it up|1|run
Back it up|2|run
When the primary is lost|1|not|it takes three machines; tests/it/replication/failover.rs does it with processes
When the primary is lost|2|not|it takes three machines; tests/it/replication/failover.rs does it with processes
When the primary is lost|3|not|the container has no network to install nginx from
When the primary is lost|4|not|it serves until it is ended; tests/it/replication/failover.rs does it
Personal data|1|run
Personal data|2|not|it asks at a terminal before it erases; tests/it/serve/operator/privacy.rs answers it
Moderate|1|run
Figures|1|not|it measures for half an hour; `make bench` does
Figures|2|not|it measures the server of `make demo`
TABLE
}

# The commands of a block: all of a `sh` block; of a `console` block what follows a prompt.
block() {
    awk -v heading="$1" -v number="$2" '
        /^## / && !inside { at = substr($0, 4) == heading; seen = 0; next }
        !inside && /^ *```(sh|console)$/ {
            seen++; inside = 1; console = /console/; indent = match($0, /`/) - 1; next
        }
        !inside && /^ *```/ { inside = 2; next }
        inside && /^ *```$/ { inside = 0; next }
        inside == 1 && at && seen == number {
            line = substr($0, indent + 1)
            if (!console) print line
            else if (sub(/^\$ /, "", line)) print line
        }' "$readme"
}
