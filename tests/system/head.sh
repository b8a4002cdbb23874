# A head of its own, on loopback and a unix socket, for tests that need neither root nor guests: source this file.
#
#	. "$(dirname "$0")/head.sh"
#	head_start		# tenured, until it answers; `tenure` talks to it
#	check "text" COMMAND...	# counts, and says what failed
#	finish "figures"	# the last line, and the exit status
#
# Everything lives in $DIR, which goes away with the test, as do all processes it started.

set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$ROOT" || exit 1
BUILD=$(cd "${BUILD:-build}" && pwd) || exit 1
PATH=$BUILD:$PATH
export LC_ALL=C.UTF-8 NO_COLOR=1
unset TENURE_TOKEN_FILE

TEST=$(basename "$0")
DIR=$(mktemp -d "${TMPDIR:-/tmp}/tenure-test.XXXXXX") || exit 1
CONF=$DIR/tenured.conf
SOCKET=$DIR/tenured.sock
LOG=$DIR/tenured.log
export TENURE_SERVER=unix:$SOCKET
HEAD_PID='' AGENT_PID=''
checks=0 failures=0

clean_up() {
	[ -z "$HEAD_PID$AGENT_PID" ] || kill -9 $HEAD_PID $AGENT_PID 2>/dev/null
	wait 2>/dev/null
	rm -rf "$DIR"
}
trap clean_up EXIT
trap 'exit 130' INT TERM
trap '' PIPE

die() {
	printf '%s: %s\n' "$TEST" "$*" >&2
	[ ! -s "$LOG" ] || { echo "the head's last words:"; tail -n 5 "$LOG"; } >&2
	exit 1
}

# check TEXT COMMAND...: one thing that must hold.
check() {
	local text=$1
	shift
	checks=$((checks + 1))
	"$@" || bad "$text"
}

bad() {
	failures=$((failures + 1))
	printf 'not so: %s\n' "$*" >&2
}

# finish FIGURES: the test's last line. A head that still runs must end well: sanitizers speak up then.
finish() {
	if [ -n "$HEAD_PID" ]; then
		head_stop
		check "the head ends with status 0, not $head_status" test "$head_status" = 0
	fi
	printf '%s: checks=%d failures=%d%s\n' "${TEST#*-}" "$checks" "$failures" "${1:+ $1}"
	[ "$failures" = 0 ]
	exit
}

# run COMMAND...: its words in $out and $error, its exit status in $status.
run() {
	"$@" >"$DIR/out" 2>"$DIR/error" </dev/null
	status=$?
	out=$(cat "$DIR/out") error=$(cat "$DIR/error")
}

# expect TEXT STATUS PATTERN COMMAND...: the exit status, and an extended regular expression in what it printed.
expect() {
	local text=$1 want=$2 pattern=$3
	shift 3
	run "$@"
	checks=$((checks + 1))
	if [ "$status" != "$want" ]; then
		bad "$text: exit status $status instead of $want; it said: $out$error"
	elif ! grep -Eq -- "$pattern" "$DIR/out" "$DIR/error"; then
		bad "$text: '$pattern' is not in: $out$error"
	fi
}

one_line() {
	[ "$(printf '%s\n' "$1" | wc -l)" = 1 ] && [ -n "$1" ]
}

# wait_until TEXT COMMAND...: waits until the command succeeds, WAIT_MAX seconds at most.
wait_until() {
	local text=$1 end=$((SECONDS + ${WAIT_MAX:-30}))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || { echo "gave up waiting: $text" >&2; return 1; }
		sleep 0.02
	done
}

now_us() {
	local t=${EPOCHREALTIME/./}
	echo "${t/,/}"
}

# ---- the head ----------------------------------------------------------------------------------------------------------

port_is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Below the range from which the kernel takes ports for others.
pick_port() {
	local port
	until port=$((10000 + RANDOM % 20000)) && port_is_free $port; do :; done
	echo $port
}

# head_configure [LINE...]: the settings; lines are added to them ("[plan]" "lead = 2s").
head_configure() {
	PORT=$(pick_port) HTTP_PORT=$(pick_port)
	{
		cat <<-END
			[head]
			state_dir = $DIR/state
			socket = $SOCKET
			listen = 127.0.0.1:$PORT
			http_listen = 127.0.0.1:$HTTP_PORT
			heartbeat = 1m
		END
		[ $# = 0 ] || printf '%s\n' "$@"
	} > "$CONF"
}

head_answers() {
	[ -S "$SOCKET" ] && tenure node list >/dev/null 2>&1
}

head_has_ended() {
	! kill -0 "$HEAD_PID" 2>/dev/null
}

# head_start: until it answers. On a machine where somebody took a port meanwhile, with others.
head_start() {
	[ -e "$CONF" ] || head_configure
	tenured --config "$CONF" 2>>"$LOG" &
	HEAD_PID=$!
	wait_until "the head answers" eval 'head_answers || head_has_ended' || die "the head does not answer"
	head_has_ended && die "the head ended instead of answering"
	return 0
}

# head_stop [SIGNAL]: ends the head and waits for it; KILL is a crash. Its status in $head_status.
head_stop() {
	kill -"${1:-TERM}" "$HEAD_PID"
	wait "$HEAD_PID" 2>/dev/null
	head_status=$?
	HEAD_PID=''
}

db() {
	sqlite3 -readonly -cmd '.timeout 5000' "$DIR/state/tenure.db" "$@"
}

# What the database says, whatever its pages look like.
db_digest() {
	db .dump | sha256sum
}

invariants_hold() {
	local broken
	broken=$(db < schema/invariants.sql) && [ -z "$broken" ] || { printf '%s\n' "$broken"; return 1; }
}

# image_add NAME [BYTES]: any raw file does as long as nobody boots it.
image_add() {
	head -c "${2:-1048576}" /dev/zero > "$DIR/$1.img" &&
		tenure image add "$1" --disk "$DIR/$1.img" --format raw >/dev/null
}

# ---- raw lines ---------------------------------------------------------------------------------------------------------

# raw_open unix|tcp: a connection of lines, RAW_IN to write to and RAW_OUT to read from.
raw_open() {
	if [ "$1" = tcp ]; then
		exec {RAW_IN}<>"/dev/tcp/127.0.0.1/$PORT" || return
		RAW_OUT=$RAW_IN
	else
		coproc RAW { exec socat - "UNIX-CONNECT:$SOCKET" 2>/dev/null; }
		# of our own: bash takes a coprocess's away from subshells, and at its end
		exec {RAW_IN}>&"${RAW[1]}" {RAW_OUT}<&"${RAW[0]}"
		eval "exec ${RAW[1]}>&- ${RAW[0]}<&-"
	fi
}

raw_close() {
	local in=$RAW_IN out=$RAW_OUT
	exec {in}>&-
	[ "$in" = "$out" ] || exec {out}<&-
	[ -z "${RAW_PID:-}" ] || wait "$RAW_PID" 2>/dev/null
	RAW_PID=''
}

# ---- a node that is only said to be there --------------------------------------------------------------------------------

# node_queue: a node that takes nothing new, so that best-effort leases queue and nothing happens by itself.
node_queue() {
	node_pretend n1 1000000 1099511627776 1099511627776 && tenure node drain n1 >/dev/null
}

# node_pretend NAME CPU MEMORY DISK: an agent that says hello, has the first image, takes every part of the plan, and
# starts nothing.
node_pretend() {
	local sizes="\"cpu\":$2,\"memory\":$3,\"disk\":$4,\"net_in\":125000000,\"net_out\":125000000"
	local report='"report":{"epoch":0,"version":0,"degraded":false,"text":"","vms":[],"images":['
	report+='{"id":1,"state":"present","bytes":0,"text":""}]}'
	local rates='"pool":10000000000,"suspend_rate":50000000,"resume_rate":100000000,"hypervisor":"none","version":"0"'
	local hello="{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.hello\",\"params\":{\"node\":\"$1\",$rates,"
	hello+="\"capacity\":{$sizes},$report}}"
	printf '%s\n' '{"id":1}' > "$DIR/agent.log"
	{
		coproc AGENT { exec socat - "UNIX-CONNECT:$SOCKET" 2>/dev/null; }
		exec >&"${AGENT[1]}" <&"${AGENT[0]}"
		printf '%s\n' "$hello"
		while IFS= read -r line; do
			printf '%s\n' "$line" >> "$DIR/agent.log"
			case $line in
			*'"part.set"'*)
				jq -c '{jsonrpc: "2.0", id, result: {epoch: .params.epoch, version: .params.version}}' <<<"$line"
				;;
			esac
		done
	} &
	AGENT_PID=$!
	wait_until "node $1 is up" eval "tenure -o json node show $1 | grep -q '\"state\": *\"up\"'"
}
