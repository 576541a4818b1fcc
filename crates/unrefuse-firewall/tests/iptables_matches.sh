# Two namespaces with a wire between them: a client and a host whose rules count packets. $1: sets, $2: rules, $3: 4 or 6.
set -e
ip link set lo up
unshare -n sleep 60 &
host=$!
trap 'kill $host' EXIT
own=$(readlink /proc/self/ns/net)
until [ "$(readlink /proc/$host/ns/net)" != "$own" ]; do :; done
in_host="nsenter -t $host -n"
ip link add c type veth peer name s netns $host
ip link set c address 02:00:00:00:00:77
ip address add 198.51.100.77/24 dev c
ip address add 2001:db8:51::77/64 dev c nodad
ip link set c up
$in_host ip link set lo up
$in_host ip link set s address 02:00:00:00:00:10
$in_host ip address add 198.51.100.10/24 dev s
$in_host ip address add 2001:db8:51::10/64 dev s nodad
$in_host ip link set s up
if [ "$3" = 6 ]; then peer=2001:db8:51::77; address=2001:db8:51::10; program=ip6tables-legacy
else peer=198.51.100.77; address=198.51.100.10; program=iptables-legacy; fi
# The neighbours must know each other: a packet that waits for that may be sent twice.
until ip neighbour show to $address | grep -q lladdr; do
    bash -c "echo >/dev/udp/$address/9"
    tries=x$tries
    [ ${#tries} -lt 500 ]
done
$in_host ipset restore <"$1"
$in_host $program-restore <"$2"
bash -c "</dev/tcp/$address/9090" 2>/dev/null || true
bash -c "echo x >/dev/udp/$address/5353" 2>/dev/null || true
if command -v ping >/dev/null; then
    ping -n -c 1 -W 1 $address >/dev/null 2>&1 || true
elif command -v python3 >/dev/null; then
    python3 - $address <<'END'
import socket, sys
six = ":" in sys.argv[1]
kind = (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
message = bytearray([128 if six else 8, 0, 0, 0, 0, 1, 0, 1]) + bytes(56)
total = sum(message[i] << 8 | message[i + 1] for i in range(0, len(message), 2))
message[2:4] = (~(total + (total >> 16)) & 0xffff).to_bytes(2, "big")
socket.socket(*kind).sendto(message, (sys.argv[1], 0))
END
else
    echo '# no echo request was sent'
fi
$in_host bash -c "</dev/tcp/$peer/8080" 2>/dev/null || true
$in_host $program-save -c -t filter
