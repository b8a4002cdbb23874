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

# cpu_of PID: CPU time received, now, and what the hypervisor took from EDF_CPU so far, all in nanoseconds; nothing is
# started in between, which would take its time.
cpu_of() {
	local used now
	read -r used _ < "/proc/$1/schedstat"
	now=${EPOCHREALTIME/[.,]/}000
	stolen
	echo "$used $now $stolen_ns"
}

# stolen: in $stolen_ns. The kernel counts it in hundredths of a second.
stolen() {
	local name ticks
	while read -r name _ _ _ _ _ _ _ ticks _; do
		[ "$name" != "cpu$EDF_CPU" ] || break
	done < /proc/stat
	stolen_ns=${ticks:-0}0000000
}

# rates BEFORE AFTER: of two answers of cpu_of, what it got of the CPU and what was stolen of it, in percent.
rates() {
	awk -v a="$1" -v b="$2" 'BEGIN { split(a, x); split(b, y); t = (y[2] - x[2]) / 100
		printf "%.2f %.2f", (y[1] - x[1]) / t, (y[3] - x[3]) / t }'
}

# rate_is TEXT PID SECONDS LEAST MOST: what it gets of a CPU, in percent, into $got, is within; the first of three
# measurements that is, since where in a period they begin and end is chance. What the hypervisor took in one of them
# nobody could have got.
rate_is() {
	local before lost
	for _ in 1 2 3; do
		before=$(cpu_of "$2")
		sleep "$3"
		read -r got lost <<< "$(rates "$before" "$(cpu_of "$2")")"
		rate_fits "$got" "$lost" "$4" "$5" && break
	done
	check "$1: $got % got, $lost % stolen" rate_fits "$got" "$lost" "$4" "$5"
}
rate_fits() { between "$1" "$(awk -v l="$3" -v s="$2" 'BEGIN { print l - s }')" "$4"; }

policy_of() {
	chrt -p "$1" | sed -n 's/.*policy: //p'
}

# between VALUE LEAST MOST
between() {
	awk -v v="$1" -v a="$2" -v b="$3" 'BEGIN { exit !(v >= a && v <= b) }'
}
