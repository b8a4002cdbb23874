/* Child processes and the memory in which they leave their results. What they do is the caller's. */
#include "parallel.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "util.h"

/* In memory shared with the children. The result of result_size bytes follows. */
struct place {
	struct err err;
	max_align_t result[];
};

struct crew {
	const struct parallel *parallel;
	char *places;
	size_t place_size;
	pid_t *child; /* by item; 0 = not begun, or over */
	bool *kept;   /* by item: need not be done */
	struct parallel_used *used;
	uint32_t part;
	size_t begun;
	int64_t running;
	bool failed;
	sigset_t before; /* signals that were blocked when it began */
};

static int interrupted;

static struct place *place_of(const struct crew *crew, size_t item)
{
	return (struct place *)(crew->places + item * crew->place_size);
}

static void work(const struct crew *crew, size_t item, pid_t parent)
{
	struct place *place = place_of(crew, item);

	sigprocmask(SIG_SETMASK, &crew->before, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(1);
	}
	_exit(crew->parallel->work(crew->parallel->arg, item, place->result, &place->err) < 0);
}

static void begin(struct crew *crew)
{
	size_t item = crew->begun;
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		work(crew, item, parent);
	}
	if (child < 0) {
		err_set(&place_of(crew, item)->err, ERR_LIMIT, "no process for a simulation: %s", strerror(errno));
		crew->failed = true;
		return;
	}
	crew->child[item] = child;
	crew->begun++;
	crew->running++;
}

static size_t item_of(const struct crew *crew, pid_t child)
{
	size_t item = 0;

	while (crew->child[item] != child) {
		item++;
		assert(item < crew->begun);
	}
	return item;
}

static struct kept_piece piece_of(const struct crew *crew, size_t item)
{
	return (struct kept_piece){
		.part = crew->part,
		.item = (uint32_t)item,
		.result_size = (uint32_t)crew->parallel->result_size,
		.used_size = sizeof(crew->used[item]),
		.result = place_of(crew, item)->result,
		.used = &crew->used[item],
	};
}

static void is_over(struct crew *crew, pid_t child, int status, const struct rusage *usage)
{
	const struct parallel *parallel = crew->parallel;
	size_t item = item_of(crew, child);
	struct place *place = place_of(crew, item);
	struct kept_piece piece;

	if (WIFSIGNALED(status)) {
		err_set(&place->err, ERR_INTERNAL, "a simulation was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	}
	crew->child[item] = 0;
	crew->running--;
	crew->used[item] = (struct parallel_used){
		.user_s = (double)usage->ru_utime.tv_sec + (double)usage->ru_utime.tv_usec / 1e6,
		.peak_rss_kb = usage->ru_maxrss,
	};
	piece = piece_of(crew, item);
	if (status != 0 || kept_add(parallel->kept, &piece, &place->err) < 0) {
		crew->failed = true;
	} else if (parallel->done) {
		parallel->done(parallel->arg, item, false);
	}
}

static void take_ended(struct crew *crew)
{
	struct rusage usage;
	int status;
	pid_t child;

	while (crew->running > 0 && (child = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		is_over(crew, child, status, &usage);
	}
}

static void interrupt(struct crew *crew, int number)
{
	interrupted = number;
	crew->failed = true;
	for (size_t item = 0; item < crew->begun; item++) {
		if (crew->child[item]) {
			kill(crew->child[item], SIGKILL);
		}
	}
}

/* Until something has happened; what did before is not missed, as the signals are blocked. */
static void await(struct crew *crew, const sigset_t *signals)
{
	int number = sigwaitinfo(signals, NULL);

	if (number == SIGCHLD) {
		take_ended(crew);
	} else if (number > 0) {
		interrupt(crew, number);
	}
}

static int take_results(const struct crew *crew, char *results, struct err *err)
{
	const struct parallel *parallel = crew->parallel;

	if (interrupted) {
		return err_set(err, ERR_UNAVAILABLE, "interrupted");
	}
	for (size_t i = 0; crew->failed && i < parallel->items; i++) {
		const struct err *why = &place_of(crew, i)->err;
		if (why->code) {
			return err_set(err, why->code, "%s", why->text);
		}
	}
	if (crew->failed) {
		return err_set(err, ERR_INTERNAL, "a simulation failed and did not say why");
	}
	for (size_t i = 0; i < parallel->items; i++) {
		memcpy(results + i * parallel->result_size, place_of(crew, i)->result, parallel->result_size);
	}
	return 0;
}

static void find_kept(struct crew *crew)
{
	const struct parallel *parallel = crew->parallel;

	crew->part = kept_part(parallel->kept);
	for (size_t item = 0; item < parallel->items; item++) {
		struct kept_piece piece = piece_of(crew, item);

		crew->kept[item] = kept_find(parallel->kept, &piece, place_of(crew, item)->result, &crew->used[item]);
		if (crew->kept[item] && parallel->done) {
			parallel->done(parallel->arg, item, true);
		}
	}
}

/* But for those that are to be ignored, as by nohup: blocked they would come all the same. */
static void what_ends(sigset_t *signals)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;

	sigemptyset(signals);
	sigaddset(signals, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) {
			sigaddset(signals, numbers[i]);
		}
	}
}

static void work_all(struct crew *crew)
{
	const struct parallel *parallel = crew->parallel;
	sigset_t signals;

	what_ends(&signals);
	sigprocmask(SIG_BLOCK, &signals, &crew->before);
	while (crew->running > 0 || (!crew->failed && crew->begun < parallel->items)) {
		if (!crew->failed && crew->begun < parallel->items && crew->kept[crew->begun]) {
			crew->begun++;
		} else if (!crew->failed && crew->begun < parallel->items && crew->running < parallel->processes) {
			begin(crew);
		} else {
			await(crew, &signals);
		}
	}
	sigprocmask(SIG_SETMASK, &crew->before, NULL);
}

int parallel_run(const struct parallel *parallel, void *results, struct parallel_used *used, struct err *err)
{
	size_t align = _Alignof(max_align_t);
	_cleanup_free_ pid_t *child = xcalloc(parallel->items + 1, sizeof(*child));
	_cleanup_free_ bool *kept = xcalloc(parallel->items + 1, sizeof(*kept));
	_cleanup_free_ struct parallel_used *own = xcalloc(parallel->items + 1, sizeof(*own));
	struct crew crew = {
		.parallel = parallel,
		.place_size = (sizeof(struct place) + parallel->result_size + align - 1) / align * align,
		.child = child,
		.kept = kept,
		.used = used ? used : own,
	};
	size_t size = parallel->items * crew.place_size;

	assert(parallel->processes >= 1 && parallel->processes <= PARALLEL_MAX);
	if (parallel->items == 0) {
		return 0;
	}
	crew.places = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew.places == MAP_FAILED) {
		return err_set(err, ERR_LIMIT, "no memory for results: %s", strerror(errno));
	}
	fflush(NULL);
	find_kept(&crew);
	if (parallel->begin) {
		parallel->begin(parallel->arg);
	}
	work_all(&crew);
	int bad = take_results(&crew, results, err);
	munmap(crew.places, size);
	return bad;
}

int parallel_interrupted(void)
{
	return interrupted;
}

int64_t parallel_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > PARALLEL_MAX ? PARALLEL_MAX : n;
}
