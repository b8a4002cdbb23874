/*
 * The lines of blank-separated columns in which the authors of the HPDC 2008 experiments kept their reservations:
 * "submit start duration real vms cpu memory disk 'image' size", in seconds, cores and MB.
 */
#include <string.h>

#include "trace_format.h"

#define FIELDS 10
#define IMAGE 8
#define MB_MAX (INT64_C(1) << 30)

enum { SUBMIT, START, DURATION, REAL, VMS, CPU, MEMORY, DISK, SIZE = 9 };

static const struct trace_field fields[FIELDS] = {
	[SUBMIT] = {"submit time", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	[START] = {"start", USEC_PER_SEC, -1, TRACE_SECONDS_MAX},
	[DURATION] = {"duration", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	[REAL] = {"real duration", USEC_PER_SEC, 0, TRACE_SECONDS_MAX},
	[VMS] = {"VMs", 1, 1, LEASE_VMS_MAX},
	[CPU] = {"CPUs", 1000, 0, 1000000},
	[MEMORY] = {"memory", TRACE_MEMORY_MB, 0, MB_MAX},
	[DISK] = {"disk", TRACE_MEMORY_MB, 0, MB_MAX},
	[SIZE] = {"image size", TRACE_IMAGE_MB, 0, MB_MAX},
};

bool trace_columns_shape(const char *text)
{
	char copy[TRACE_LINE_MAX + 1];
	char *field[FIELDS];

	strcpy(copy, text);
	return trace_split(copy, 0, field, FIELDS) == FIELDS && field[IMAGE][0] == '\'';
}

static int read_image(const char *text, struct trace_request *out, struct err *err)
{
	size_t length = strlen(text);

	if (length < 2 || text[0] != '\'' || text[length - 1] != '\'') {
		return err_set(err, ERR_PARAMS, "field 9 (image) is not in single quotes");
	}
	/* The name by which the authors said that the image is chosen elsewhere. */
	if (strcmp(text, "'NONE.img'") == 0) {
		out->image_bytes = 0;
		return 0;
	}
	return trace_image(text + 1, length - 2, out->image, err);
}

enum trace_verdict trace_columns_line(char *text, struct trace_request *out, struct err *err)
{
	char *field[FIELDS];
	int64_t value[FIELDS] = {0};
	size_t n = trace_split(text, 0, field, FIELDS);

	if (n != FIELDS) {
		err_set(err, ERR_PARAMS, "%zu fields instead of %d", n, FIELDS);
		return TRACE_WRONG;
	}
	for (size_t i = 0; i < FIELDS; i++) {
		if (i != IMAGE && trace_number(field[i], i + 1, &fields[i], &value[i], err)) {
			return TRACE_WRONG;
		}
	}
	out->submit_us = value[SUBMIT];
	out->kind = value[START] == -1 ? LEASE_BEST_EFFORT : LEASE_AR;
	out->start_us = value[START];
	out->duration_us = value[DURATION];
	out->real_us = value[REAL] ? value[REAL] : USEC_PER_SEC;
	out->vms = (uint32_t)value[VMS];
	out->per_vm.amount[RES_CPU] = value[CPU];
	out->per_vm.amount[RES_MEMORY] = value[MEMORY];
	out->per_vm.amount[RES_DISK] = value[DISK];
	out->image_bytes = value[SIZE];
	return read_image(field[IMAGE], out, err) ? TRACE_WRONG : TRACE_REQUEST;
}
