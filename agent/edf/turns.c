/* The records of context switches that a perf event leaves in memory, for nobody but the thread itself. */
#include "turns.h"

#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define PAGES 8 /* a power of two, as the kernel wants it: of 16 bytes a record */

struct turns {
	struct perf_event_mmap_page *page;
	const char *data;
	uint64_t size;
	int64_t out_ns; /* of a record whose other half is to come */
};

/* All that a record of a switch has, with the attributes below. */
struct record {
	struct perf_event_header head;
	uint64_t time;
};

static int open_event(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.context_switch = 1,
		.sample_id_all = 1,
		.sample_type = PERF_SAMPLE_TIME,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		/* Else it is for root only. */
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

struct turns *turns_open(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct turns *turns;
	int fd = open_event();
	char *memory;

	if (fd < 0) {
		return NULL;
	}
	memory = mmap(NULL, (1 + PAGES) * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd); /* what is mapped keeps it */
	if (memory == MAP_FAILED) {
		return NULL;
	}
	turns = xcalloc(1, sizeof(*turns));
	turns->page = (struct perf_event_mmap_page *)memory;
	turns->data = memory + page;
	turns->size = PAGES * page;
	return turns;
}

/* Whether it ends a turn begun before. */
static bool take_record(struct turns *turns, const struct record *record, struct turn *out)
{
	if (record->head.type != PERF_RECORD_SWITCH) {
		return false;
	}
	if (record->head.misc & PERF_RECORD_MISC_SWITCH_OUT) {
		turns->out_ns = (int64_t)record->time;
		return false;
	}
	*out = (struct turn){turns->out_ns, (int64_t)record->time};
	return out->out_ns > 0;
}

bool turns_take(struct turns *turns, struct turn *out)
{
	bool found = false;

	if (!turns) {
		return false;
	}
	uint64_t head = __atomic_load_n(&turns->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = turns->page->data_tail;

	while (tail < head && !found) {
		struct record record;

		memcpy(&record, turns->data + tail % turns->size, sizeof(record));
		found = take_record(turns, &record, out);
		tail += record.head.size;
	}
	__atomic_store_n(&turns->page->data_tail, tail, __ATOMIC_RELEASE);
	return found;
}
