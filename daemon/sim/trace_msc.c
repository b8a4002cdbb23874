/*
 * The traces of the MSc paper of 2007: "submit;image;MB;vms;memory;cpu;access;deadline;duration;AR|BATCH". A batch
 * request's VMs are placed one by one; a reservation starts when its deadline, counted from its submission, is over:
 * by then its images must be there.
 */
#include <string.h>

#include "trace_format.h"

#define FIELDS 10
#define MB_MAX (INT64_C(1) << 30)

enum { SUBMIT, IMAGE, SIZE, VMS, MEMORY, CPU, ACCESS, DEADLINE, DURATION, KIND };

static const struct trace_field fields[FIELDS] = {
	[SUBMIT] = {"submit time", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	[SIZE] = {"image size", TRACE_IMAGE_MB, 0, MB_MAX},
	[VMS] = {"VMs", 1, 1, LEASE_VMS_MAX},
	[MEMORY] = {"memory", TRACE_MEMORY_MB, 0, MB_MAX},
	[CPU] = {"CPU", 10, 0, 100000}, /* hundredths of one */
	[DEADLINE] = {"deadline", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	[DURATION] = {"duration", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
};

static bool is_kind(const char *text)
{
	return strcmp(text, "AR") == 0 || strcmp(text, "BATCH") == 0;
}

bool trace_msc_shape(const char *text)
{
	char copy[TRACE_LINE_MAX + 1];
	char *field[FIELDS];

	strcpy(copy, text);
	return trace_split(copy, ';', field, FIELDS) == FIELDS && is_kind(field[KIND]);
}

static int read_numbers(char **field, int64_t value[FIELDS], struct err *err)
{
	bool batch = strcmp(field[KIND], "BATCH") == 0;

	for (size_t i = 0; i < FIELDS; i++) {
		if (!fields[i].name || (i == DEADLINE && batch)) {
			continue;
		}
		if (trace_number(field[i], i + 1, &fields[i], &value[i], err)) {
			return -1;
		}
	}
	if (batch && strcmp(field[DEADLINE], "NULL") != 0) {
		return err_set(err, ERR_PARAMS, "field 8 (deadline) of a BATCH request is not NULL");
	}
	return 0;
}

enum trace_verdict trace_msc_line(char *text, struct trace_request *out, struct err *err)
{
	char *field[FIELDS];
	int64_t value[FIELDS] = {[DEADLINE] = -1};
	size_t n = trace_split(text, ';', field, FIELDS);

	if (n != FIELDS) {
		err_set(err, ERR_PARAMS, "%zu fields instead of %d", n, FIELDS);
		return TRACE_WRONG;
	}
	if (!is_kind(field[KIND])) {
		err_set(err, ERR_PARAMS, "field 10 is \"%.40s\", neither AR nor BATCH", field[KIND]);
		return TRACE_WRONG;
	}
	if (strcmp(field[ACCESS], "RW") != 0 && strcmp(field[ACCESS], "RO") != 0) {
		err_set(err, ERR_PARAMS, "field 7 is \"%.40s\", neither RW nor RO", field[ACCESS]);
		return TRACE_WRONG;
	}
	if (read_numbers(field, value, err) || trace_image(field[IMAGE], strlen(field[IMAGE]), out->image, err)) {
		return TRACE_WRONG;
	}
	out->submit_us = value[SUBMIT];
	out->kind = value[DEADLINE] == -1 ? LEASE_BEST_EFFORT : LEASE_AR;
	out->serial = out->kind == LEASE_BEST_EFFORT;
	out->start_us = value[DEADLINE] == -1 ? -1 : value[SUBMIT] + value[DEADLINE];
	out->duration_us = value[DURATION];
	out->real_us = value[DURATION];
	out->vms = (uint32_t)value[VMS];
	out->per_vm.amount[RES_CPU] = value[CPU];
	out->per_vm.amount[RES_MEMORY] = value[MEMORY];
	out->image_bytes = value[SIZE];
	return TRACE_REQUEST;
}
