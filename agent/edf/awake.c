/* Sleep told from stolen time, by what the kernel counts of a thread. */
#include "awake.h"

#define DOUBT_NS 20000 /* neither running nor waiting for less than this is what reading two clocks makes */

bool awake_since(bool *asleep, const struct proc_time *since, int64_t elapsed_ns, int state_fd)
{
	int64_t missing = elapsed_ns - since->run_ns - since->wait_ns;
	bool ready, was_ready;

	if (since->wait_ns > elapsed_ns) {
		/* It has been waiting since before the last look. */
		*asleep = false;
		missing = elapsed_ns - since->run_ns;
	}
	if (missing < DOUBT_NS) {
		*asleep = false;
		return true;
	}
	if (*asleep && since->turns == 0) {
		return false;
	}
	ready = proc_ready(state_fd);
	was_ready = !*asleep;
	*asleep = !ready;
	/* Given the CPU but once, and ready now as it was then, it was never without wanting it. */
	return ready && was_ready && since->turns <= 1;
}
