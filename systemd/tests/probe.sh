#!/bin/bash
# Runs in the place of the server and tries all that the server needs, and all that no process may do from there.
# Ends with 1 when something is not as it should be.

bad=0
may() {
    "$@" 2>/dev/null || { echo "this fails: $*"; bad=1; }
}
may_not() {
    ! "$@" 2>/dev/null || { echo "this succeeds: $*"; bad=1; }
}

may touch /var/lib/reviewsd/probe
may rm /var/lib/reviewsd/probe
may cat /etc/reviewsd/reviewsd.toml
may grep -q MemTotal /proc/meminfo
[ "$(id -un)" = reviewsd ] || { echo "it runs as $(id -un)"; bad=1; }

for place in / /etc /etc/reviewsd /usr/bin /var/lib /var/log /root /home /srv /run; do
    may_not touch "$place/probe"
done
may_not ls /root
may_not ls /proc/1/fd
may_not cat /proc/kcore
may_not cat /dev/kmsg
may_not mknod /var/lib/reviewsd/device c 1 3
may_not unshare --user true
may_not mount -t tmpfs none /tmp
may_not chown root /var/lib/reviewsd
may_not chmod u+s /usr/bin/reviewsd
may_not renice -n 5 $$
may_not hostname elsewhere
may_not date --set 2001-01-01
[ -z "$(ls /tmp)" ] || { echo 'it sees the files of others in /tmp'; bad=1; }
exit $bad
