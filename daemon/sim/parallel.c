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
	struct parallel_used *used;
	size_t begun, over;
	int64_t running;
	bool failed;
};

static struct place *place_of(const struct crew *crew, size_t item)
{
	return (struct place *)(crew->places + item * crew->place_size);
}

static void work(const struct crew *crew, size_t item, pid_t parent)
{
	struct place *place = place_of(crew, item);

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

static void await(struct crew *crew)
{
	struct rusage usage;
	int status;
	pid_t child;

	do {
		child = wait4(-1, &status, 0, &usage);
	} while (child < 0 && errno == EINTR);
	assert(child > 0);
	size_t item = item_of(crew, child);
	if (WIFSIGNALED(status)) {
		err_set(&place_of(crew, item)->err, ERR_INTERNAL, "a simulation was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	}
	crew->failed = crew->failed || status != 0;
	crew->child[item] = 0;
	crew->running--;
	crew->over++;
	if (crew->used) {
		crew->used[item] = (struct parallel_used){
			.user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
			.peak_rss_kb = usage.ru_maxrss,
		};
	}
}

static int take_results(const struct crew *crew, char *results, struct err *err)
{
	const struct parallel *parallel = crew->parallel;

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

static void work_all(struct crew *crew)
{
	const struct parallel *parallel = crew->parallel;

	while (crew->running > 0 || (!crew->failed && crew->begun < parallel->items)) {
		if (!crew->failed && crew->begun < parallel->items && crew->running < parallel->processes) {
			begin(crew);
			continue;
		}
		await(crew);
		if (parallel->done) {
			parallel->done(parallel->arg, crew->over);
		}
	}
}

int parallel_run(const struct parallel *parallel, void *results, struct parallel_used *used, struct err *err)
{
	size_t align = _Alignof(max_align_t);
	struct crew crew = {
		.parallel = parallel,
		.place_size = (sizeof(struct place) + parallel->result_size + align - 1) / align * align,
		.used = used,
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
	crew.child = xcalloc(parallel->items, sizeof(*crew.child));
	fflush(NULL);
	work_all(&crew);
	int bad = take_results(&crew, results, err);
	free(crew.child);
	munmap(crew.places, size);
	return bad;
}

int64_t parallel_processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > PARALLEL_MAX ? PARALLEL_MAX : n;
}
