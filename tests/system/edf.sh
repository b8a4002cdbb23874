# A scheduler of its own on one CPU, and spinners to schedule: source after head.sh.
#
#	edf_start		# tenure-edf serve, until it answers; `edf COMMAND...` talks to it
#	spin NAME [CPU]		# in the background, $pid; with a CPU: bound to it
#
# Spinners end by themselves after a minute, and with the test.

EDF=$DIR/edf
EDF_CPU=$(taskset -cp $$ | sed 's/.*[-, ]//')
EDF_PID='' SPINNERS=''

edf() {
	local command=$1
	shift
	tenure-edf "$command" --dir "$EDF" "$@"
}

edf_clean_up() {
	[ -z "$SPINNERS" ] || kill -9 $SPINNERS 2>/dev/null
	[ -z "$EDF_PID" ] || kill -CONT "$EDF_PID" 2>/dev/null
	[ -z "$EDF_PID" ] || kill "$EDF_PID" 2>/dev/null
	wait 2>/dev/null
	clean_up
}
trap edf_clean_up EXIT

# edf_start [OPTION...]: skips the test where real-time priorities are not to be had.
edf_start() {
	tenure-edf serve --dir "$EDF" --cpus "$EDF_CPU" "$@" > "$DIR/edf.log" 2>&1 &
	EDF_PID=$!
	for _ in $(seq 100); do
		edf node > "$DIR/node" 2>/dev/null && break
		kill -0 "$EDF_PID" 2>/dev/null || die "the scheduler ended: $(cat "$DIR/edf.log")"
		sleep 0.1
	done
	if ! grep -q '^backend *edf$' "$DIR/node"; then
		echo "skip  no real-time priorities here: $(sed -n 's/^because *//p' "$DIR/node")"
		finish "skipped"
	fi
}

spin() {
	bash -c 'trap "" PIPE; exec -a "$0" timeout 60 bash -c "while :; do :; done"' "$1" > /dev/null 2>&1 &
	SPINNERS="$SPINNERS $!"
	for _ in $(seq 100); do
		pid=$(pgrep -P $! 2>/dev/null) && break
		sleep 0.02
	done
	SPINNERS="$SPINNERS $pid"
	[ -z "${2:-}" ] || taskset -cp "$2" "$pid" > /dev/null
}

# cpu_of PID: CPU time received, and now, both in nanoseconds; nothing is started in between, which would take its time.
cpu_of() {
	local used
	read -r used _ < "/proc/$1/schedstat"
	echo "$used ${EPOCHREALTIME/[.,]/}000"
}

# rate_of PID SECONDS: what it got of a CPU, in percent, over whole periods as near as can be.
rate_of() {
	local before after
	before=$(cpu_of "$1")
	sleep "$2"
	after=$(cpu_of "$1")
	awk -v a="$before" -v b="$after" 'BEGIN { split(a, x); split(b, y); printf "%.2f", 100 * (y[1] - x[1]) / (y[2] - x[2]) }'
}

policy_of() {
	chrt -p "$1" | sed -n 's/.*policy: //p'
}

# between VALUE LEAST MOST
between() {
	awk -v v="$1" -v a="$2" -v b="$3" 'BEGIN { exit !(v >= a && v <= b) }'
}
