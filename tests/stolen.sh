# shellcheck shell=sh
# Sourced by the runners: what fails while the hypervisor takes much of the CPU time is tried again.

# Ticks of CPU time so far: used by anybody, and stolen by the hypervisor.
cpu_ticks() { awk '$1 == "cpu" { print $2 + $3 + $4 + $9, $9; exit }' /proc/stat; }
# stolen_since "TICKS TICKS": in $stolen, thousandths of what was used since then.
stolen_since() {
	stolen=$(echo "$1 $(cpu_ticks)" | awk '{ used = $3 - $1; print (used > 0 ? int(($4 - $2) * 1000 / used) : 0) }')
}
# A CPU that idles shows nothing stolen, so the question costs a second's work.
second_of_work() {
	over=$(($(date +%s) + 1))
	while [ "$(date +%s)" -le "$over" ]; do :; done
}
# until_given LIMIT: waits, a minute at most, until less than LIMIT thousandths are stolen.
until_given() {
	for _ in $(seq 30); do
		ticks=$(cpu_ticks)
		second_of_work
		stolen_since "$ticks"
		[ "$stolen" -ge "$1" ] || return
	done
}
# tried LIMIT COMMAND...: its status; it has up to three tries ($try) while it fails with LIMIT thousandths of the CPU
# time or more stolen ($stolen, of the last try). After $REPEATS_UNTIL, seconds since 1970, there are no more repeats.
tried() {
	limit=$1 try=1
	shift
	while :; do
		ticks=$(cpu_ticks)
		"$@"
		status=$?
		stolen_since "$ticks"
		if [ "$status" = 0 ] || [ "$stolen" -lt "$limit" ] || [ "$try" = 3 ] ||
			[ "$(date +%s)" -gt "$REPEATS_UNTIL" ]; then
			return "$status"
		fi
		lost=$stolen
		until_given "$limit"
		stolen=$lost try=$((try + 1))
	done
}
