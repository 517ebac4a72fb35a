# The command blocks of the documents: which of them the booted Debian runs as they stand, and why it does not
# run the others. Read by booted.sh, and by tests/it/documented.rs, which holds that every block is here
# once and that nothing else is.
#
# A line of the table is: the page, without its ending, the number of the block on that page, `run` or `not`, and
# for `not` the reason.

blocks() {
    cat <<'TABLE'
README|1|not|it compiles everything; `make demo` then serves until it is ended, and `make test` is what .ci/run runs
README|2|run
docs/using/quick-start|1|not|it compiles everything; `make demo` then serves until it is ended, and `make test` is what .ci/run runs
docs/using/quick-start|2|run
docs/using/quick-start|3|run
docs/using/your-own-csvs|1|run
docs/using/importing|1|not|a test of the program runs it over the exports that are kept with the tests
docs/using/importing|2|not|a test of the program runs it over the exports that are kept with the tests
docs/using/importing|3|not|a test of the program runs it over the exports that are kept with the tests
docs/using/importing|4|not|a test of the program runs it over the exports that are kept with the tests
docs/using/merging|1|not|tests of the program merge files into stores that are served and not; here it would change the shop of other pages
docs/using/api|1|run
docs/using/catalogue|1|not|tests of the program send these requests; here they would change the shop that other pages show
docs/using/catalogue|2|not|tests of the program send such lines; here they would change the shop that other pages show
docs/operating/install|1|run
docs/operating/install|2|run
docs/operating/install|3|run
docs/operating/install|4|run
docs/operating/new-installation|1|run
docs/operating/containers|1|not|it takes Docker; .ci/run runs the same image by `make test-image`
docs/operating/containers|2|not|it takes Docker; the release workflow runs it by packaging/compose-test.sh
docs/operating/nginx|1|run
docs/operating/configuration|1|run
docs/operating/access|1|not|a token differs each time; tests/it/serve/access.rs runs the same commands
docs/operating/access|2|not|it takes servers with tokens; tests/it/serve/access.rs runs the same commands
docs/operating/replicas|1|run
docs/operating/replicas|2|run
docs/operating/replicas|3|run
docs/operating/replicas|4|run
docs/operating/replicas|5|run
docs/operating/backups|1|run
docs/operating/backups|2|run
docs/operating/backups|3|run
docs/operating/maintenance|1|run
docs/operating/maintenance|2|run
docs/operating/maintenance|3|run
docs/operating/maintenance|4|run
docs/operating/moderation|1|run
docs/operating/moderation|2|not|the number of the entry that is undone depends on what was done before
docs/runbooks/primary-lost|1|run
docs/runbooks/primary-lost|2|run
docs/runbooks/primary-lost|3|run
docs/runbooks/primary-lost|4|run
docs/runbooks/primary-lost|5|run
docs/runbooks/primary-lost|6|run
docs/runbooks/primary-lost|7|run
docs/runbooks/primary-lost|8|run
docs/runbooks/primary-came-back-empty|1|run
docs/runbooks/primary-came-back-empty|2|run
docs/runbooks/primary-came-back-empty|3|run
docs/runbooks/primary-came-back-empty|4|run
docs/runbooks/primary-came-back-empty|5|run
docs/runbooks/primary-came-back-empty|6|run
docs/runbooks/restore|1|run
docs/runbooks/restore|2|run
docs/runbooks/restore|3|run
docs/runbooks/restore|4|run
docs/runbooks/restore|5|run
docs/runbooks/restore|6|run
docs/runbooks/restore|7|run
docs/runbooks/disk-full|1|run
docs/runbooks/disk-full|2|run
docs/runbooks/disk-full|3|run
docs/runbooks/replica-diverged|1|run
docs/runbooks/replica-diverged|2|run
docs/runbooks/replica-diverged|3|run
docs/runbooks/replica-diverged|4|run
docs/runbooks/replica-diverged|5|run
docs/runbooks/erase-a-person|1|run
docs/runbooks/erase-a-person|2|run
docs/runbooks/erase-a-person|3|run
docs/runbooks/erase-a-person|4|run
docs/reference/benchmarks|1|not|it takes wrk, 12 GB of disk and many minutes: its shop has a million products
docs/reference/benchmarks|2|run
TABLE
}

# The lines of a block, each after `$ ` where it is a command: all lines of a `sh` block are.
lines() {
    awk -v number="$2" '
        !inside && /^ *```(sh|console)$/ {
            seen++; inside = 1; console = /console/; indent = match($0, /`/) - 1; next
        }
        !inside && /^ *```/ { inside = 2; next }
        inside && /^ *```$/ { inside = 0; next }
        inside == 1 && seen == number {
            line = substr($0, indent + 1)
            print console ? line : "$ " line
        }' "$root/$1.md"
}

# The commands of a block.
block() {
    lines "$@" | sed -n 's/^\$ //p'
}

# The output that a block shows, as patterns of bash: `…` stands for anything.
shown() {
    lines "$@" | sed -e '/^\$ /d' -e '/^$/d' -e 's/[][*?\\]/\\&/g' -e 's/…/*/g'
}
