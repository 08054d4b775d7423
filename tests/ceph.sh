#!/usr/bin/env bash
# Start Ceph with a RADOS gateway on the loopback, in a folder, and print its address when it answers.
# usage: ceph.sh FOLDER PORT; ends, and ends Ceph, when its standard input is closed.
set -euo pipefail
folder=$1 port=$2
mkdir -p "$folder"/{mon,mgr,osd,rgw,run}
cd "$folder"
fsid=$(cat /proc/sys/kernel/random/uuid)
mon_port=$((port + 1))
cat > ceph.conf <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
public network = 127.0.0.0/8
ms bind ipv4 = true
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default pg num = 8
osd pool default pgp num = 8
mon max pg per osd = 1000
admin socket = $folder/run/\$name.sock
run dir = $folder/run
log file = $folder/\$name.log
pid file = $folder/run/\$name.pid
mon data = $folder/mon
mgr data = $folder/mgr
osd data = $folder/osd
rgw data = $folder/rgw
rgw enable usage log = false
debug rgw = 0
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 64
CONF
export CEPH_CONF=$folder/ceph.conf
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; wait' EXIT
monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" monmap > /dev/null
ceph-mon -c ceph.conf --mkfs -i a --monmap monmap > /dev/null 2>&1
ceph-mon -c ceph.conf -f -i a > mon.out 2>&1 & pids+=($!)
for _ in $(seq 60); do timeout 5 ceph -c ceph.conf -s > /dev/null 2>&1 && break; sleep 0.5; done
ceph-mgr -c ceph.conf -f -i x > mgr.out 2>&1 & pids+=($!)
osd_uuid=$(cat /proc/sys/kernel/random/uuid)
ceph -c ceph.conf osd new "$osd_uuid" > /dev/null 2>&1
ceph-osd -c ceph.conf -i 0 --mkfs --osd-uuid "$osd_uuid" > osd-mkfs.out 2>&1
ceph-osd -c ceph.conf -f -i 0 > osd.out 2>&1 & pids+=($!)
for _ in $(seq 120); do ceph -c ceph.conf osd stat 2>/dev/null | grep -q "1 up" && break; sleep 0.5; done
# What the file says of keys the gateway does not take from it.
radosgw -c ceph.conf -f -n client.rgw --auth_client_required=none --auth_cluster_required=none \
  --auth_service_required=none --ms_mon_client_mode=crc > rgw.out 2>&1 & pids+=($!)
for _ in $(seq 240); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.5; done
radosgw-admin -c ceph.conf user create --uid=test --display-name=test --access-key=test --secret-key=unheard-of-secret \
  > user.out 2>&1
echo "http://127.0.0.1:$port"
cat > /dev/null
