# A cluster on one machine, for tests and the demo: source this file.
#
#	. tests/cluster/cluster.sh
#	cluster_sandbox "$0" "$@"	# runs the script again inside the sandbox; returns only there
#	cluster_start 2			# a head and nodes n1, n2
#
# The sandbox is a process, mount and network namespace of its own: whatever happens to the script, also kill -9, every
# process, mount, address and rule of the cluster ends with it. What it wrote is in $CLUSTER_DIR, which the outer
# process deletes (KEEP=1 keeps it and says where it is), or after a kill -9 the next run.
#
# The head runs at 10.77.0.1 on a bridge; node nK is a mount and network namespace with address 10.77.0.(10+K), its own
# libvirtd and its own agent. Functions wait for what they start, by its own signs, and fail after a minute.

BUILD=${BUILD:-build}
HEAD_ADDRESS=10.77.0.1
CLUSTER_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# ---- sandbox -----------------------------------------------------------------------------------------------------------

cluster_sandbox() {
	[ -z "${CLUSTER_INSIDE:-}" ] || { cluster_inside; return; }
	if [ "$(id -u)" != 0 ]; then
		echo "$1: namespaces and libvirtd need root; run it with sudo" >&2
		exit 1
	fi
	cluster_sweep
	CLUSTER_DIR=$(mktemp -d /var/tmp/tenure-cluster.XXXXXX) || exit 1
	echo $$ > "$CLUSTER_DIR/owner"
	chmod 755 "$CLUSTER_DIR"
	export CLUSTER_DIR CLUSTER_INSIDE=1
	# The sandbox dies with this shell, also when that is killed with -9. unshare itself heeds no lesser signal.
	setpriv --pdeathsig KILL -- \
		unshare --pid --fork --kill-child --mount-proc --mount --propagation private --net --uts -- "$@" &
	local inside=$! status
	trap 'kill -KILL $inside 2>/dev/null' INT TERM HUP
	wait $inside
	status=$?
	# A trap ends wait before its time.
	while kill -0 $inside 2>/dev/null; do wait $inside; status=$?; done
	if [ -n "${KEEP:-}" ]; then
		echo "kept: $CLUSTER_DIR"
	else
		rm -rf "$CLUSTER_DIR"
	fi
	exit $status
}

# What a run that was killed with -9 left on disk.
cluster_sweep() {
	local owner
	for owner in /var/tmp/tenure-cluster.*/owner; do
		[ -e "$owner" ] && ! kill -0 "$(cat "$owner")" 2>/dev/null && rm -rf "$(dirname "$owner")"
	done
}

cluster_inside() {
	trap 'exit 130' INT TERM HUP
	mount -t tmpfs tmpfs /run
	mkdir -p "$CLUSTER_DIR/head" "$CLUSTER_DIR/logs"
	ip link set lo up
	ip link add br0 type bridge
	ip address add $HEAD_ADDRESS/24 dev br0
	ip link set br0 up
	export TENURE_SERVER=unix:$CLUSTER_DIR/head/tenured.sock
	PATH=$(cd "$BUILD" && pwd):$PATH
}

# wait_until TEXT COMMAND...: waits until the command succeeds, a minute at most.
wait_until() {
	local wait_text=$1 wait_end=$((SECONDS + ${WAIT_MAX:-60}))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $wait_end ]; then
			echo "gave up waiting: $wait_text" >&2
			return 1
		fi
		sleep 0.05
	done
}

# ---- head --------------------------------------------------------------------------------------------------------------

# settings_with LINE...: the settings file on stdin, with lines of it replaced ("lead = 2s").
settings_with() {
	local line script=
	for line; do
		script="$script;s|^${line%% =*} = .*|$line|"
	done
	sed "$script"
}

# head_configure [LINE...]: writes the head's settings; each line replaces the one with its key.
head_configure() {
	[ -e "$CLUSTER_DIR/token" ] || (umask 077; head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$CLUSTER_DIR/token")
	settings_with "$@" > "$CLUSTER_DIR/tenured.conf" <<-END
		[head]
		state_dir = $CLUSTER_DIR/head
		socket = $CLUSTER_DIR/head/tenured.sock
		listen = $HEAD_ADDRESS:7440
		http_listen = $HEAD_ADDRESS:7441
		plaintext = 10.77.0.0/24
		agent_token_file = $CLUSTER_DIR/token
		heartbeat = 1s
		[plan]
		lead = 500ms
		prepare = 3s
		stop = 1s
		suspend_fixed = 3s
		resume_fixed = 3s
		min_run = 3s
		repository_rate = 50MB
	END
}

head_start() {
	[ -e "$CLUSTER_DIR/tenured.conf" ] || head_configure
	"${HEAD_WRAP[@]}" tenured --config "$CLUSTER_DIR/tenured.conf" 2>> "$CLUSTER_DIR/logs/tenured.log" &
	HEAD_PID=$!
	wait_until "head answers" tenure node list || { tail -n 5 "$CLUSTER_DIR/logs/tenured.log" >&2; return 1; }
}

# head_stop [SIGNAL]: ends the head and waits for it; KILL is a crash.
head_stop() {
	kill -"${1:-TERM}" "$HEAD_PID"
	wait "$HEAD_PID" 2>/dev/null
	HEAD_PID=
}

head_db() {
	sqlite3 -readonly -cmd '.timeout 5000' "$CLUSTER_DIR/head/tenure.db" "$@"
}

# ---- nodes -------------------------------------------------------------------------------------------------------------

declare -A NODE_PID AGENT_PID LIBVIRTD_PID VIRTLOGD_PID

# node_run NODE COMMAND...: inside the node's namespaces. node_start_process is the same in the background, with its
# output in FILE; $! is the command's own pid.
node_run() {
	local node=$1
	shift
	nsenter --target "${NODE_PID[$node]}" --mount --net -- "$@"
}

node_start_process() {
	local node=$1 file=$2
	shift 2
	nsenter --target "${NODE_PID[$node]}" --mount --net -- "$@" >> "$file" 2>&1 &
}

# node_create NODE: the namespaces and their cable.
node_create() {
	local node=$1 k=${1#n} dir=$CLUSTER_DIR/$1
	mkdir -p "$dir"/{libvirt,log,state,etc}
	chmod 755 "$dir" "$dir"/*
	# libvirt would put guests of all nodes into the machine's one cgroup tree under names that may be the same, and
	# cannot build a guest's own /dev around the mount over /dev/kvm below
	printf '%s\n' 'cgroup_controllers = [ ]' 'namespaces = [ ]' > "$dir/etc/qemu.conf"
	# /dev/kvm that root may open and QEMU's user may not makes libvirt probe QEMU anew, seconds long, for each guest
	: > "$dir/no-kvm"
	chmod 000 "$dir/no-kvm"
	unshare --mount --propagation private --net -- sh -c '
		{ ! [ -e /dev/kvm ] || mount --bind "$0/no-kvm" /dev/kvm; } &&
		mount -t tmpfs -o mode=755 tmpfs /run &&
		mount --bind "$0/libvirt" /var/lib/libvirt &&
		mount --bind "$0/log" /var/log/libvirt &&
		mount -t tmpfs tmpfs /var/cache/libvirt &&
		mount --bind "$0/etc" /etc/libvirt &&
		touch "$0/ready" && exec sleep infinity' "$dir" &
	NODE_PID[$node]=$!
	disown
	wait_until "namespaces of $node" test -e "$dir/ready" || return
	ip link add "v$node" type veth peer name eth0 netns "${NODE_PID[$node]}"
	ip link set "v$node" master br0 up
	node_run "$node" ip link set lo up
	node_run "$node" ip address add "10.77.0.$((10 + k))/24" dev eth0
	node_run "$node" ip link set eth0 up
}

libvirtd_start() {
	local node=$1
	if [ -z "${VIRTLOGD_PID[$node]:-}" ] || ! kill -0 "${VIRTLOGD_PID[$node]}" 2>/dev/null; then
		node_start_process "$node" "$CLUSTER_DIR/logs/libvirtd-$node.log" virtlogd
		VIRTLOGD_PID[$node]=$!
		disown
	fi
	node_start_process "$node" "$CLUSTER_DIR/logs/libvirtd-$node.log" libvirtd
	LIBVIRTD_PID[$node]=$!
	disown
	wait_until "libvirtd of $node" node_run "$node" virsh -q -c qemu:///system list
}

# node_virsh NODE ARGUMENT...
node_virsh() {
	local node=$1
	shift
	node_run "$node" virsh -q -c qemu:///system "$@"
}

# agent_configure NODE [LINE...]: likewise.
agent_configure() {
	local node=$1 dir=$CLUSTER_DIR/$1
	shift
	settings_with "$@" > "$CLUSTER_DIR/agent-$node.conf" <<-END
		[agent]
		node = $node
		head = $HEAD_ADDRESS:7440
		plaintext = 10.77.0.0/24
		token_file = $CLUSTER_DIR/token
		state_dir = $dir/state
		console_dir = $dir/console
		domain_type = qemu
		[edf]
		backend = none
		cpus = 1
		housekeeping = 0
		strict = no
		tasks = 0
		run_dir = $dir/edf
		[capacity]
		cpu = 2
		memory = 512MiB
		disk = 2GiB
		pool = 1GiB
		suspend_rate = 100MB
		resume_rate = 100MB
	END
}

agent_start() {
	local node=$1
	[ -e "$CLUSTER_DIR/agent-$node.conf" ] || agent_configure "$node"
	node_start_process "$node" "$CLUSTER_DIR/logs/agent-$node.log" \
		"$BUILD_ABSOLUTE/tenure-agent" --config "$CLUSTER_DIR/agent-$node.conf"
	AGENT_PID[$node]=$!
}

# agent_stop NODE [SIGNAL]
agent_stop() {
	kill -"${2:-TERM}" "${AGENT_PID[$1]}"
	wait "${AGENT_PID[$1]}" 2>/dev/null
	AGENT_PID[$1]=
}

node_is() {
	[ "$(tenure -o json node show "$1" | jq -r .state)" = "$2" ]
}

# node_start NODE: namespaces, libvirtd and agent, until the head calls it up.
node_start() {
	node_create "$1" && libvirtd_start "$1" && agent_start "$1" && wait_until "node $1 is up" node_is "$1" up
}

# partition NODE / heal NODE: no packet between the node and anybody, and back.
partition() {
	node_run "$1" iptables -w -A INPUT ! -i lo -j DROP
	node_run "$1" iptables -w -A OUTPUT ! -o lo -j DROP
}

heal() {
	node_run "$1" iptables -w -F
}

# cluster_start N: the head and nodes n1..nN.
cluster_start() {
	local k
	BUILD_ABSOLUTE=$(cd "$BUILD" && pwd)
	head_start || return
	for k in $(seq "$1"); do
		node_create "n$k" && libvirtd_start "n$k" && agent_start "n$k" || return
	done
	for k in $(seq "$1"); do
		wait_until "node n$k is up" node_is "n$k" up || { tail -n 5 "$CLUSTER_DIR/logs/agent-n$k.log" >&2; return 1; }
	done
}

# ---- leases and guests -------------------------------------------------------------------------------------------------

# image_add_ticker: the boot-sector guest, as image "ticker".
image_add_ticker() {
	tenure image add ticker --disk "$BUILD_ABSOLUTE/tests/cluster/ticker.img" --format raw
}

# cluster_counter: the image of a boot sector that counts for ever: interrupts off, incl 0x500, again.
cluster_counter() {
	printf '\x31\xc0\x8e\xd8\xfa\x66\xff\x06\x00\x05\xeb\xf9'
	head -c 498 /dev/zero
	printf '\x55\xaa'
	head -c 1M /dev/zero
}

# lease_is ID STATE
lease_is() {
	[ "$(tenure -o json lease show "$1" | jq -r .state)" = "$2" ]
}

# consoles_watch NODE...: from now on serial.log gets "NODE MICROSECONDS FILE LINE" for each line a guest prints.
consoles_watch() {
	local node
	for node; do
		mkdir -p "$CLUSTER_DIR/$node/console"
		"$BUILD_ABSOLUTE/tests/cluster/seriallog" "$CLUSTER_DIR/$node/console" |
			sed -u "s/^/$node /" >> "$CLUSTER_DIR/serial.log" &
	done
}

# ticks NODE LEASE VM: the guest's last count; nothing if it has not printed one.
ticks() {
	sed -n 's/^tick \([0-9]*\) pm [0-9]*.$/\1/p' "$CLUSTER_DIR/$1/console/$2-$3.log" 2>/dev/null | tail -n 1
}

# ticks_on NODE LEASE VM COUNT: the guest has counted beyond COUNT.
ticks_on() {
	local now
	now=$(ticks "$1" "$2" "$3")
	[ -n "$now" ] && [ "$now" -gt "$4" ]
}

# lease_vms ID: "VM NODE STATE" a line.
lease_vms() {
	tenure -o json lease show "$1" | jq -r '.vm[] | "\(.vm) \(.node) \(.state)"'
}

fail() {
	echo "$(basename "$0"): $*" >&2
	tail -n 12 "$CLUSTER_DIR"/logs/{tenured,agent-*}.log >&2 2> /dev/null
	exit 1
}
