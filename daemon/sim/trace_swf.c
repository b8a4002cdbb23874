/*
 * Standard Workload Format, version 2.2 (parallel.cs.huji.ac.il/archive/swf.html): one job a line, 18 numbers. Every
 * job is a best-effort gang of as many VMs as it asked for processors. Header lines are comments like others.
 */
#include <stdlib.h>
#include <string.h>

#include "trace_format.h"

#define FIELDS 18
#define PROCESSORS_MAX 1000000000
#define ANY_MAX INT64_C(1000000000000)

/* Status, field 11: 2, 3 and 4 are parts of a job that has a line of its own. */
enum { STATUS_PART_FIRST = 2, STATUS_PART_LAST = 4, STATUS_CANCELLED = 5 };

enum { SUBMIT = 1, RUN = 3, ALLOCATED = 4, ASKED = 7, ASKED_TIME = 8, ASKED_MEMORY = 9, STATUS = 10, USER = 11 };

/* What is not used must be a number all the same: a line of other things is no job. */
static const struct trace_field fields[FIELDS] = {
	{"job", 1, -1, ANY_MAX},
	{"submit time", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	{"wait time", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
	{"run time", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
	{"allocated processors", 1, -1, PROCESSORS_MAX},
	{"average CPU time", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
	{"used memory", 1, -1, ANY_MAX},
	{"requested processors", 1, -1, PROCESSORS_MAX},
	{"requested time", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
	{"requested memory", 1, -1, ANY_MAX}, /* KB of each processor */
	{"status", 1, -1, 5},
	{"user", 1, -1, UINT32_MAX},
	{"group", 1, -1, ANY_MAX},
	{"executable", 1, -1, ANY_MAX},
	{"queue", 1, -1, ANY_MAX},
	{"partition", 1, -1, ANY_MAX},
	{"preceding job", 1, -1, ANY_MAX},
	{"think time", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
};

bool trace_swf_shape(const char *text)
{
	char copy[TRACE_LINE_MAX + 1];
	char *field[1];

	strcpy(copy, text);
	return trace_split(copy, 0, field, 1) == FIELDS && strspn(field[0], "-.0123456789") == strlen(field[0]);
}

static int read_fields(char *text, int64_t value[FIELDS], struct err *err)
{
	char *field[FIELDS];
	size_t n = trace_split(text, 0, field, FIELDS);

	if (n != FIELDS) {
		return err_set(err, ERR_PARAMS, "%zu fields instead of %d", n, FIELDS);
	}
	for (size_t i = 0; i < FIELDS; i++) {
		/* Average CPU times are measured, with as many digits as were at hand; nobody reads them here. */
		if (i == 5 && strspn(field[i], "-.0123456789") == strlen(field[i])) {
			continue;
		}
		if (trace_number(field[i], i + 1, &fields[i], &value[i], err)) {
			return -1;
		}
	}
	return 0;
}

enum trace_verdict trace_swf_line(char *text, struct trace_request *out, struct err *err)
{
	int64_t value[FIELDS] = {0};
	int64_t vms;

	if (read_fields(text, value, err)) {
		return TRACE_WRONG;
	}
	if ((value[STATUS] == STATUS_CANCELLED && value[RUN] < 0) ||
	    (value[STATUS] >= STATUS_PART_FIRST && value[STATUS] <= STATUS_PART_LAST)) {
		return TRACE_LEFT_OUT;
	}
	vms = value[ASKED] == -1 ? value[ALLOCATED] : value[ASKED];
	if (vms < 1 || vms > LEASE_VMS_MAX) {
		err_set(err, ERR_PARAMS, "%jd processors, where a lease has 1 to %d VMs", (intmax_t)vms, LEASE_VMS_MAX);
		return TRACE_WRONG;
	}
	if (value[RUN] < 0) {
		err_set(err, ERR_PARAMS,
			"field 4 (run time) is not known, and the job was not cancelled before it ran");
		return TRACE_WRONG;
	}
	out->kind = LEASE_BEST_EFFORT;
	out->submit_us = value[SUBMIT];
	out->vms = (uint32_t)vms;
	out->per_vm.amount[RES_MEMORY] = value[ASKED_MEMORY] > 0 ? value[ASKED_MEMORY] * 1024 : 0;
	out->real_us = value[RUN] ? value[RUN] : USEC_PER_SEC;
	out->duration_us = value[ASKED_TIME] == -1 ? out->real_us : value[ASKED_TIME];
	out->user = value[USER] > 0 ? (uint32_t)value[USER] : 0;
	return TRACE_REQUEST;
}
