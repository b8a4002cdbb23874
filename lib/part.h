/*
 * What head and agent tell each other: a node's part of the plan (desired state, head to agent) and the node's report
 * (observed state, agent to head). Both are whole pictures, so that repeating or missing one is harmless. The agent
 * keeps its part on disk in the same JSON.
 */
#ifndef TENURE_PART_H
#define TENURE_PART_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "event.h"
#include "lease.h"

#define PART_FILES_MAX 2   /* a disk, or kernel and initrd */
#define PART_RUNS_MAX 4096 /* VMs on one node */
#define PART_IMAGES_MAX 1024
#define PART_URL_MAX 2048
#define PART_CMDLINE_MAX 1024
#define PART_TEXT_MAX 256

enum image_format { IMAGE_RAW, IMAGE_QCOW2, IMAGE_KERNEL, IMAGE_FORMAT_COUNT };
const char *image_format_name(enum image_format format); /* "raw" "qcow2" "kernel" */
int image_format_parse(const char *name, enum image_format *format);

struct part_file {
	char *role; /* "disk", "kernel" or "initrd" */
	char *url;
	char digest[65]; /* sha256, lower-case hex */
	int64_t size;    /* bytes */
};

/* An image the node needs, and when to fetch it. */
struct part_image {
	uint64_t id;
	char *name;
	enum image_format format;
	char *cmdline; /* kernel images; "" otherwise */
	struct part_file file[PART_FILES_MAX];
	size_t files;
	wall_us begin_us;    /* fetch from then on; 0 = it should be there already */
	wall_us deadline_us; /* earliest need; WALL_NEVER = none */
};

/* A VM the node holds: it runs, will run, or is suspended there. */
struct part_vm {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	char *name;     /* of the lease, for the domain's title; may be "" */
	uint64_t image; /* id of a part_image */
	enum lease_kind kind;
	struct capacity use; /* cpu as asked for */
	span_us slice_us;    /* constraint of each vCPU; both 0 = none */
	span_us period_us;
	bool aligned;   /* one of a gang: periods begin at multiples of their length on the common clock */
	bool planned;   /* false: suspended, keep its saved memory and disk until further notice */
	struct run run; /* if planned */
	/*
	 * It goes on elsewhere. On the node it lies on, where it is not planned: the node that may fetch it, else NULL.
	 * On that node, until it was seen to run there: where to fetch it, which is "URL/memory" and "URL/disk", or
	 * "" as long as nobody knows; else NULL.
	 */
	char *to, *from;
	wall_us fetch_us; /* from: not before */
};

struct part {
	uint64_t epoch;   /* grows at each start of the head from this database or a restored copy */
	uint64_t version; /* grows with each change; compared after epoch */
	struct part_image *images;
	size_t image_count;
	struct part_vm *vms;
	size_t vm_count;
};

/* What the caller puts. */
struct json_object *part_to_json(const struct part *part);
/* Checks everything: names, ranges, order of times, duplicates. Caller frees with part_free(). NULL on failure. */
struct part *part_from_json(struct json_object *value, struct err *err);
void part_free(struct part *part); /* NULL is allowed */
/* Lives as long as the part; NULL if it has none of that number. */
const struct part_image *part_find_image(const struct part *part, uint64_t id);

/* "absent" "prepared" "running" "suspending" "suspended" "ended" "failed"; -1 if the name is none of them. */
const char *vm_seen_name(enum vm_seen seen);
int vm_seen_parse(const char *name, enum vm_seen *seen);

#define REPORT_BACKEND 16
#define REPORT_CPUS 64
#define REPORT_NAME 64
#define REPORT_TASKS_MAX 1024

/* What a node can do about constraints, as its agent's hello says. */
struct hello_edf {
	char backend[REPORT_BACKEND]; /* by which means; "none" = by none */
	struct edf_node can;
	char text[PART_TEXT_MAX]; /* what was detected, and why it is no more */
};
struct json_object *hello_edf_to_json(const struct hello_edf *edf);
/* Of the member "edf" of an agent's hello; one without it can do nothing. */
int hello_edf_from_json(struct json_object *params, struct hello_edf *edf, struct err *err);

/* What is done about a VM's constraint. Figures since it was attached, of its vCPUs together or the worst of them. */
struct report_edf {
	char backend[REPORT_BACKEND]; /* "" = none: it has no constraint, does not run, or text says why not */
	char cpus[REPORT_CPUS];       /* of its vCPUs: "2,3" */
	span_us slice_us, period_us;  /* in force */
	span_us change_us;            /* from the last change of them until it was in force */
	int64_t used_ppm;             /* of a CPU, each vCPU got lately, in millionths */
	int64_t periods, misses;
	span_us late_us;          /* the most of a slice that was not received by its deadline */
	int64_t alarms;           /* how often it missed more than the node's miss_threshold allows */
	char text[PART_TEXT_MAX]; /* what is wrong; "" otherwise */
};

struct report_vm {
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	enum vm_seen seen;
	wall_us at_us;            /* when it came to be so, by the node's clock (from libvirt's event) */
	char text[PART_TEXT_MAX]; /* what failed; "" otherwise */
	struct report_edf edf;
};

enum pool_state { POOL_STAGING, POOL_PRESENT, POOL_BAD, POOL_STATE_COUNT }; /* BAD: given up, text says why */
const char *pool_state_name(enum pool_state state);
int pool_state_parse(const char *name, enum pool_state *state);

struct report_image {
	uint64_t id;
	enum pool_state state;
	int64_t bytes; /* received so far */
	char text[PART_TEXT_MAX];
};

/* A task of tenure-edf that the node's scheduler serves beside guests; used_ppm since it was attached. */
struct report_task {
	uint64_t id;
	char name[REPORT_NAME];
	int64_t pid, uid; /* of its process; of who attached it */
	struct report_edf edf;
};

struct report {
	uint64_t epoch, version;  /* of the part the agent works from */
	bool degraded;            /* libvirt does not answer */
	char text[PART_TEXT_MAX]; /* why degraded */
	struct report_vm *vms;
	size_t vm_count;
	struct report_image *images;
	size_t image_count;
	struct report_task *tasks;
	size_t task_count;
};

/* As part_to_json(), part_from_json() and part_free(). */
struct json_object *report_to_json(const struct report *report);
struct report *report_from_json(struct json_object *value, struct err *err);
void report_free(struct report *report);

#endif
