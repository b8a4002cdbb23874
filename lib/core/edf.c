/*
 * Earliest deadline first on one CPU. Budgets, their order, and the moments at which something about it may change; the
 * priorities, clocks and threads are the caller's.
 *
 * A blocked task keeps its budget until its deadline, but may not collect: what it could have used and did not is taken
 * off, as if it had run, down to what its rate allows for the rest of the period. So one that blocks and wakes never
 * asks for more in any interval than one that always runs, and harms nobody.
 */
#include "edf.h"

#include <string.h>

#define SHARE_OF_FIRST 4 /* a budget behind the first's is looked after if it is not smaller than this part of it */
#define PAY_PART 200     /* of its slice at most a task pays back in one period, so that no period looks like a miss */
#define PAY_TIME 16      /* periods in which a debt that is not small is paid */
#define OVERRUN_PART 16  /* of its slice at most a task that sleeps is trusted not to use while nobody looks */
#define TRIES 3          /* doublings of the time until the next look, if there was no progress */
#define LAG_WEIGHT 8     /* of past experience against the latest */

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* of * a / b, which a product of two days in nanoseconds would not survive otherwise */
static int64_t part(int64_t of, int64_t a, int64_t b)
{
	return (int64_t)((__int128)of * a / b);
}

static double rate(const struct edf_constraint *c)
{
	return (double)c->slice_ns / (double)c->period_ns;
}

/* What may be missing from a slice without being a miss. */
static int64_t tolerated(const struct edf_task *task)
{
	return most(10000, task->constraint.slice_ns / 100);
}

struct edf_floor edf_floor_default(void)
{
	return (struct edf_floor){
		.wake_ns = 20000, .spent_ns = 2000, .look_ns = 50000, .poll_ns = 500000, .limit_ppm = 900000};
}

void edf_init(struct edf *edf, const struct edf_floor *floor, int64_t now_ns)
{
	memset(edf, 0, sizeof(*edf));
	edf->floor = *floor;
	edf->looked_ns = now_ns;
}

/* ---- what was used, and what was not ---- */

/* What is left of the task's budget may not be more than this once it slept: its rate, and its part of what is free. */
static int64_t allowed(const struct edf *edf, const struct edf_task *task, int64_t now_ns)
{
	double free = (double)edf->floor.limit_ppm / 1000000 / edf->rate;
	double keep = (double)(task->deadline_ns - now_ns) * rate(&task->constraint) * (free > 1 ? free : 1);

	return now_ns >= task->deadline_ns ? 0 : (int64_t)keep;
}

/*
 * The task slept while it could have had so much: how much of that its budget was charged with. Down to nothing if it
 * kept someone off the ladder, who is served as if it had run.
 */
static int64_t drain(const struct edf *edf, struct edf_task *task, int64_t slept_ns, int64_t now_ns)
{
	int64_t keep = edf->waiting ? 0 : allowed(edf, task, now_ns);
	int64_t off = most(0, least(slept_ns, task->left_ns - keep));

	task->drained_ns += off;
	task->left_ns -= off;
	return off;
}

/*
 * The end of the budget is asked for so much sooner, or later, that it is seen a little late: that is owed, while early
 * costs another look. One look that was very late says little about the next.
 */
static void learn_lag(const struct edf *edf, struct edf_task *task, int64_t late_ns)
{
	int64_t bound = edf->floor.look_ns, step = 4 * edf->floor.spent_ns, aim = edf->floor.spent_ns;

	if (late_ns >= 0 && late_ns <= aim) {
		return;
	}
	late_ns = most(-step, least(step, late_ns - aim));
	task->lag_ns = most(-bound, least(bound, task->lag_ns + late_ns / LAG_WEIGHT));
}

/* It ran until the end of its budget was expected, and that was too soon. */
static void learn_early(const struct edf *edf, struct edf_task *task, int64_t rest_ns, int64_t now_ns)
{
	if (!task->early && now_ns >= task->aim_ns && task->charged_ns > edf->floor.wake_ns &&
	    task->charged_ns >= rest_ns && task->left_ns >= edf->floor.spent_ns) {
		learn_lag(edf, task, -task->left_ns);
		task->early = true;
	}
}

/* Did it make progress, or does it sleep? Of `rest` it could have had all; several short looks may be needed to tell.
 */
static void watch(const struct edf *edf, struct edf_task *task, int64_t rest_ns)
{
	if (task->charged_ns >= edf->floor.spent_ns) {
		task->still_ns = task->tries = 0;
	} else if (task->awake) {
		task->still_ns = 0;
	} else {
		task->still_ns += most(rest_ns, 0);
		task->tries += task->tries < TRIES;
	}
	task->idle = task->still_ns > edf->floor.look_ns;
}

/* Takes what was charged since the last look off the budgets, and finds out who slept. */
static void settle(struct edf *edf, int64_t now_ns)
{
	int64_t elapsed = now_ns - edf->looked_ns;
	int64_t rest = elapsed - edf->floor.wake_ns - elapsed / 256; /* interrupts are nobody's sleep */
	int64_t drained = 0; /* of it: two that sleep at the same time keep the others from it only once */

	for (unsigned k = 0; elapsed > 0 && k < edf->ladder; k++) {
		struct edf_task *task = &edf->task[edf->order[k]];

		if (task->rank != k + 1) {
			continue; /* left the ladder since */
		}
		watch(edf, task, rest);
		task->left_ns -= task->charged_ns;
		task->stat.used_ns += task->charged_ns;
		task->back_ns = most(0, task->back_ns - task->charged_ns);
		learn_early(edf, task, rest, now_ns);
		/* Behind one that is ready nobody runs, and nobody can be said to sleep. */
		rest = task->awake ? 0 : rest - task->charged_ns;
		task->charged_ns = 0;
		task->idle_ns += task->left_ns > 0 ? most(rest, 0) : 0;
		/* Less than that is what looks and interrupts take when they are slow, not sleep. */
		if (rest > edf->floor.look_ns && task->left_ns > 0) {
			drained += drain(edf, task, most(0, rest - drained), now_ns);
		}
	}
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		/* Of no time at all it says nothing, and nothing of the time to come. */
		edf->task[i].awake = false;
		if (elapsed > 0) {
			edf->task[i].stat.slack_ns += edf->task[i].charged_ns;
			edf->task[i].charged_ns = 0;
		}
	}
	edf->looked_ns = now_ns;
}

void edf_charge(struct edf *edf, unsigned slot, int64_t used_ns)
{
	edf->task[slot].charged_ns += used_ns;
}

void edf_awake(struct edf *edf, unsigned slot)
{
	edf->task[slot].awake = true;
}

/* ---- periods ---- */

/*
 * The present period is over, and so are `more` whole ones that nobody looked at. Returns what is missing of its slice
 * though it did not sleep; not more than one slice, for more could hardly be made good.
 */
static int64_t close_period(const struct edf *edf, struct edf_task *task, int64_t more)
{
	int64_t slice = task->constraint.slice_ns;
	int64_t missing = (task->left_ns += more * slice) + task->drained_ns - task->idle_ns;
	int64_t own = missing - task->back_ns; /* the rest was told a period ago */

	if (task->left_ns < edf->floor.spent_ns) {
		if (!task->early) {
			learn_lag(edf, task, -task->left_ns);
		}
		task->stat.owed_ns -= task->left_ns;
		task->stat.over_max_ns = most(task->stat.over_max_ns, -task->left_ns);
		missing = 0;
	}
	if (!task->partial) {
		task->stat.periods += (uint64_t)(1 + more);
		if (own > tolerated(task)) {
			task->stat.misses += (uint64_t)((own - 1) / slice + 1);
			task->stat.short_max_ns = most(task->stat.short_max_ns, own);
		} else if (task->idle_ns > tolerated(task)) {
			task->stat.idle++;
		}
	}
	return most(0, least(slice, missing));
}

static void renew(const struct edf *edf, struct edf_task *task, int64_t now_ns)
{
	const struct edf_constraint *c = &task->constraint;
	int64_t more = (now_ns - task->deadline_ns) / c->period_ns;
	int64_t spent = edf->floor.spent_ns;
	int64_t back = close_period(edf, task, more);
	int64_t pay = least(task->stat.owed_ns, most(spent, task->stat.owed_ns / PAY_TIME));

	pay = most(-spent, least(pay, most(least(3 * spent, c->slice_ns / 2), c->slice_ns / PAY_PART)));
	task->stat.owed_ns -= pay;
	task->back_ns = back;
	task->left_ns = back + c->slice_ns - pay;
	task->release_ns = task->deadline_ns + more * c->period_ns;
	task->deadline_ns = task->release_ns + c->period_ns;
	task->idle_ns = task->drained_ns = 0;
	task->partial = task->early = false;
}

/* ---- who comes and goes ---- */

static void sum_up(struct edf *edf)
{
	int64_t shortest = EDF_NEVER;

	edf->tasks = 0;
	edf->rate = edf->overhead = 0;
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		const struct edf_constraint *c = &edf->task[i].constraint;

		if (edf->task[i].taken) {
			edf->tasks++;
			edf->rate += rate(c);
			edf->overhead += 2 * (double)edf->floor.wake_ns / (double)c->period_ns;
			shortest = least(shortest, c->period_ns);
		}
	}
	double free = 1 - edf->rate - edf->overhead;

	edf->guard_ns = edf->tasks && free > 0 ? (int64_t)(free * (double)shortest / edf->tasks) : 0;
}

/* What the task can ask for until then: of this budget, and of those to come. */
static double demand(const struct edf_task *task, int64_t until_ns)
{
	if (!task->taken || task->deadline_ns > until_ns) {
		return (double)task->back_ns;
	}
	return (double)most(task->left_ns, 0) + rate(&task->constraint) * (double)(until_ns - task->deadline_ns);
}

/* The part of what the new task wants by its deadline that nobody will miss: demand(t) <= t - now, for every t. */
static int64_t granted(const struct edf *edf, const struct edf_task *fresh, int64_t want_ns, int64_t now_ns)
{
	double grant = (double)want_ns;

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		int64_t until = edf->task[i].deadline_ns;

		if (!edf->task[i].taken || until < fresh->deadline_ns) {
			continue;
		}
		double room = (double)(until - now_ns) * (1 - edf->overhead);

		for (unsigned j = 0; j < EDF_TASKS; j++) {
			room -= demand(&edf->task[j], until);
		}
		grant = room < grant ? room : grant;
	}
	return grant > 0 ? (int64_t)grant : 0;
}

void edf_set(struct edf *edf, unsigned slot, const struct edf_constraint *constraint, int64_t first_release_ns,
	     int64_t now_ns)
{
	struct edf_task *task = &edf->task[slot];
	int64_t period = constraint->period_ns;
	int64_t since = (now_ns - first_release_ns) % period;

	settle(edf, now_ns);
	since += since < 0 ? period : 0;
	memset(task, 0, sizeof(*task));
	task->constraint = *constraint;
	task->release_ns = now_ns;
	task->deadline_ns = now_ns - since + period;
	task->lag_ns = -edf->floor.wake_ns; /* it runs only when the look is over */
	task->taken = true;
	sum_up(edf);
	int64_t want = part(constraint->slice_ns, period - since, period);

	task->left_ns = granted(edf, task, want, now_ns);
	task->partial = task->left_ns < constraint->slice_ns;
}

void edf_clear(struct edf *edf, unsigned slot, int64_t now_ns)
{
	settle(edf, now_ns);
	memset(&edf->task[slot], 0, sizeof(edf->task[slot]));
	sum_up(edf);
}

/* ---- the order ---- */

/* What came too late of the period before is due first: so it is late by what was missing, not by a period. */
static bool goes_back(const struct edf *edf, const struct edf_task *task)
{
	return task->back_ns >= edf->floor.spent_ns && task->back_ns < task->left_ns;
}

static int64_t due(const struct edf *edf, const struct edf_task *task)
{
	return goes_back(edf, task) ? task->release_ns : task->deadline_ns;
}

/* Those with budget, by deadline. */
static unsigned sort_ready(const struct edf *edf, uint8_t ready[EDF_TASKS])
{
	unsigned n = 0;

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		unsigned at = n;

		if (!edf->task[i].taken || edf->task[i].left_ns < edf->floor.spent_ns) {
			continue;
		}
		for (; at > 0 && due(edf, &edf->task[ready[at - 1]]) > due(edf, &edf->task[i]); at--) {
			ready[at] = ready[at - 1];
		}
		ready[at] = (uint8_t)i;
		n++;
	}
	return n;
}

/*
 * May it stand behind `first`, which is expected to run? If it then does not, the end of this one's budget has to be
 * seen in time, so that it is looked for all the while: too often if the budget is small.
 */
static bool worth_a_place(const struct edf *edf, const struct edf_task *task, const struct edf_task *first)
{
	return task->left_ns >= most(edf->floor.poll_ns, first->left_ns / SHARE_OF_FIRST);
}

/* Fills the ladder; the slot of the first that does not sleep, or EDF_TASKS. */
static unsigned fill_ladder(struct edf *edf)
{
	uint8_t ready[EDF_TASKS];
	unsigned n = sort_ready(edf, ready);
	unsigned first = EDF_TASKS;

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		edf->task[i].rank = 0;
	}
	edf->ladder = 0;
	edf->waiting = false;
	for (unsigned i = 0; i < n; i++) {
		struct edf_task *task = &edf->task[ready[i]];
		/* The last place is for one that runs. */
		bool full = edf->ladder + (first == EDF_TASKS && task->idle) >= EDF_LADDER;

		if (full || (first != EDF_TASKS && !worth_a_place(edf, task, &edf->task[first]))) {
			edf->waiting = true;
			continue;
		}
		if (first == EDF_TASKS && !task->idle) {
			first = ready[i];
		}
		edf->order[edf->ladder++] = ready[i];
		task->rank = edf->ladder;
	}
	return first;
}

/* How long from now until the budget of one on the ladder may end. */
static int64_t may_last(const struct edf *edf, const struct edf_task *task, bool first)
{
	int64_t left = goes_back(edf, task) ? task->back_ns : task->left_ns;

	left -= least(task->lag_ns, left / 2);

	if (first) {
		/* Or it would never get to run; longer if it did not even so. */
		int64_t start = edf->floor.wake_ns - most(0, least(task->lag_ns, edf->floor.wake_ns / 2));

		return most(left, most(start, edf->floor.spent_ns) << task->tries);
	}
	if (task->idle) {
		left += least(edf->guard_ns, task->constraint.slice_ns / OVERRUN_PART);
		return most(left, edf->floor.look_ns);
	}
	return most(left, edf->floor.poll_ns);
}

static int64_t next_look(struct edf *edf, unsigned first, int64_t now_ns)
{
	int64_t again = EDF_NEVER;

	for (unsigned i = 0; i < EDF_TASKS; i++) {
		if (edf->task[i].taken) {
			again = least(again, edf->task[i].deadline_ns);
		}
	}
	for (unsigned k = 0; k < edf->ladder; k++) {
		struct edf_task *task = &edf->task[edf->order[k]];
		int64_t end = now_ns + may_last(edf, task, edf->order[k] == first);

		task->aim_ns = edf->order[k] == first && !goes_back(edf, task) ? end : EDF_NEVER;
		again = least(again, end);
	}
	if (edf->waiting) {
		int64_t left = first == EDF_TASKS ? 0 : edf->task[first].left_ns;

		again = least(again, now_ns + most(edf->floor.poll_ns, left / SHARE_OF_FIRST));
	}
	return again;
}

/*
 * It sleeps, and to find out when so small a rest is used up would cost more than it is worth. What is taken off is
 * never more than it slept.
 */
static void forfeit(const struct edf *edf, struct edf_task *task)
{
	if (task->rank > 0 && task->idle && task->left_ns < edf->floor.look_ns &&
	    task->drained_ns + task->left_ns <= task->idle_ns) {
		task->drained_ns += task->left_ns;
		task->left_ns = 0;
	}
}

unsigned edf_look(struct edf *edf, int64_t now_ns, unsigned order[EDF_LADDER], int64_t *again_ns)
{
	settle(edf, now_ns);
	for (unsigned i = 0; i < EDF_TASKS; i++) {
		struct edf_task *task = &edf->task[i];

		if (task->taken && task->deadline_ns <= now_ns) {
			renew(edf, task, now_ns);
		} else {
			forfeit(edf, task);
		}
	}
	*again_ns = next_look(edf, fill_ladder(edf), now_ns);
	for (unsigned k = 0; k < edf->ladder; k++) {
		order[k] = edf->order[k];
	}
	return edf->ladder;
}

/* ---- questions ---- */

const struct edf_stat *edf_stat(const struct edf *edf, unsigned slot)
{
	return edf->task[slot].taken ? &edf->task[slot].stat : NULL;
}

bool edf_now(const struct edf *edf, unsigned slot, int64_t *release_ns, int64_t *deadline_ns, int64_t *left_ns)
{
	const struct edf_task *task = &edf->task[slot];

	*release_ns = task->release_ns;
	*deadline_ns = task->deadline_ns;
	*left_ns = task->left_ns;
	return task->taken;
}
