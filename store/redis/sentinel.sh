#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A master, a replica and three Sentinels on this host, to try sipherd with.
#
#   store/redis/sentinel.sh DIR [FIRST_PORT]   start them on five ports from FIRST_PORT, 7000
#   store/redis/sentinel.sh DIR stop
#
# DOWN_AFTER_MS, 2000: how long a silent master is waited for. On machines of your own, take the same
# settings, one server and one Sentinel on each, and leave out what says 127.0.0.1.
set -eu
. "$(dirname "$0")/nodes.sh"

begin 7000 "$@"

start_node master "$first" "$(settings master)" --save '' --repl-diskless-sync-delay 0
start_node replica $((first + 1)) "$(settings replica)" --save '' --repl-diskless-sync-delay 0 \
    --replicaof "127.0.0.1 $first"
for n in 1 2 3; do
    mkdir -p "$dir/sentinel-$n"
    cat >"$dir/sentinel-$n/sentinel.conf" <<END
sentinel monitor sipherd 127.0.0.1 $first 2
sentinel down-after-milliseconds sipherd ${DOWN_AFTER_MS-2000}
sentinel failover-timeout sipherd 10000
END
    start_node sentinel-$n $((first + 1 + n)) "$dir/sentinel-$n/sentinel.conf" --sentinel
done

# A fail-over needs a replica that is in step and Sentinels that know it and each other.
ready() {
    redis-cli -p $((first + 1)) info replication | grep -q master_link_status:up || return 1
    for n in 2 3 4; do
        redis-cli -p $((first + n)) sentinel ckquorum sipherd 2>&1 | grep -q 'OK 3' || return 1
        redis-cli -p $((first + n)) sentinel replicas sipherd |
            grep -q "127.0.0.1:$((first + 1))" || return 1
    done
}
wait_until 30 "the Sentinels do not agree: see $dir/*/redis.log" ready
trap - EXIT
sentinels=127.0.0.1:$((first + 2)),127.0.0.1:$((first + 3)),127.0.0.1:$((first + 4))
echo "store: redis+sentinel://$sentinels/sipherd"
