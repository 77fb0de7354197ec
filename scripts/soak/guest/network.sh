# Name spaces, links of all kinds, filters, queues, transformations.
reach() { ping -c 2 -i 0.2 -W 1 "$1"; }
ip link set lo up
for i in 1 2 3; do
	try ip netns add n$i
	try ip link add v$i type veth peer name p$i netns n$i
	try ip addr add 10.0.$i.1/24 dev v$i
	try ip link set v$i up
	try ip -n n$i addr add 10.0.$i.2/24 dev p$i
	try ip -n n$i link set p$i up
	try reach 10.0.$i.2
done
try ip link add br0 type bridge && {
	try ip link set v1 master br0
	try ip link set v2 master br0
	try ip link set br0 up
}
for i in d0 d1; do
	try ip link add $i type dummy && try ip link set $i up
done
try ip link add x0 type vxlan id 5 dstport 4789 dev v3 remote 10.0.3.2
try ip link add x1 type gre remote 10.0.3.2 local 10.0.3.1
try ip link add x2 type bond
try ip link add link d0 name x3 type vlan id 4
try ip link add x4 type wireguard
try ip link add link d0 name x5 type macvlan
try ip link add link d1 name x6 type ipvlan
try ip link add x7 type ifb
try ip link add x8 type vcan
for i in 0 1 2 3 4 5 6 7 8; do
	try ip link set x$i up
done
modprobe tun 2>/dev/null
try ip tuntap add dev t0 mode tap && {
	try ip link set t0 up
	try ip tuntap del dev t0 mode tap
}
try tc qdisc add dev v3 root handle 1: htb default 10 && {
	try tc class add dev v3 parent 1: classid 1:10 htb rate 10mbit
	try tc qdisc add dev v3 parent 1:10 fq_codel
	try tc filter add dev v3 parent 1: protocol ip u32 match ip dst 10.0.3.2 flowid 1:10
	try reach 10.0.3.2
}
try nft add table inet t && {
	try nft 'add chain inet t c { type filter hook input priority 0; }'
	try nft 'add set inet t s { type ipv4_addr; flags dynamic, timeout; timeout 5s; }'
	try nft 'add rule inet t c ct state established counter accept'
	try nft 'add rule inet t c update @s { ip saddr } counter'
	try reach 10.0.3.2
	try nft list ruleset
	try nft flush ruleset
}
try iptables-legacy -A INPUT -m conntrack --ctstate NEW -j ACCEPT && {
	try iptables-legacy -t nat -A POSTROUTING -j MASQUERADE
	try reach 10.0.3.2
	try iptables-legacy -F
	try iptables-legacy -t nat -F
}
try ipset create s hash:ip && {
	try ipset add s 10.0.3.2
	try ipset destroy s
}
try ip xfrm state add src 10.0.3.1 dst 10.0.3.2 proto esp spi 1 enc 'cbc(aes)' \
	0x000102030405060708090a0b0c0d0e0f auth 'hmac(sha1)' 0x000102030405060708090a0b0c0d0e0f10111213 && {
	try ip xfrm policy add src 10.0.3.1 dst 10.0.3.2 dir out tmpl proto esp
	reach 10.0.3.2 >/dev/null 2>&1 # nobody answers
	try ip xfrm state flush
	try ip xfrm policy flush
}
(sleep 1; reach 10.0.3.2) >/dev/null 2>&1 &
try timeout 20 tcpdump -i v3 -c 2 -Z root -w /dev/null
wait
for i in x0 x1 x2 x3 x4 x5 x6 x7 x8 d0 d1 br0 v1 v2 v3; do
	ip link del $i 2>/dev/null
done
for i in 1 2 3; do
	try ip netns del n$i
done
