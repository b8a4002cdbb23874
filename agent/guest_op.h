/*
 * One operation on a guest, between the queue (guest.c, on the event loop) and the worker that carries it out
 * (guest_work.c, guest_list.c, on a thread of its own). Private to these files.
 */
#ifndef TENURE_GUEST_OP_H
#define TENURE_GUEST_OP_H

#include <pthread.h>
#include <stdatomic.h>

#include "guest.h"
#include "mail.h"
#include "uuid5.h"
#include "virt.h"

/* Files of a guest's folder. */
#define GUEST_DISK "disk.qcow2"
/* Whole: the guest is suspended. */
#define GUEST_SAVE "memory.save"
/* Being saved, or left by a save that was cut; made before the guest is paused. */
#define GUEST_PART "memory.save.part"
/* A memory.save that the guest has been set running from: never to be used again. */
#define GUEST_SPENT "memory.resumed"

enum op_kind {
	OP_PREPARE,
	OP_RESTORE,
	OP_RUN,
	OP_PAUSE,  /* a suspend begins as this, at once, ... */
	OP_SAVE,   /* ... and goes on as this when it is its turn to write */
	OP_SETTLE, /* a save that ended without us is put in its place */
	OP_STOP,
	OP_REMOVE,
	OP_LIST
};

/* What all workers need. Outlives the struct guests while one of them is still in a call. */
struct guest_env {
	atomic_int refs;
	char *guests_dir;
	char *pool_dir;
	char *console_dir;
	span_us call_deadline_us;
	struct virt *virt;
	struct mail *mail;
};
struct guest_env *guest_env_ref(struct guest_env *env);
void guest_env_unref(struct guest_env *env);

struct guest_entry;

struct op {
	atomic_int refs;

	/* Constant while the worker runs. */
	enum op_kind kind;
	uint64_t lease;
	uint32_t vm;
	uint32_t generation;
	char uuid[UUID5_TEXT];
	char *dir; /* the guest's folder */
	struct guest_env *env;
	wall_us at_us;  /* RUN */
	char *xml;      /* PREPARE */
	char *console;  /* RESTORE */
	char *base;     /* PREPARE, RESTORE: the pooled disk image, NULL = none */
	char *files[2]; /* PREPARE, RESTORE: what else must be in the pool */
	enum image_format format;
	int64_t disk;    /* PREPARE: bytes */
	unsigned shares; /* PREPARE: weight among the guests; 100 = one core */

	/* The worker's answer; the loop's once the worker has sent it. */
	bool already; /* nothing was to be done, so no event will come */
	wall_us reached_us;
	struct guest *listed; /* LIST */
	size_t listed_count;

	/* Between both. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool called_off;    /* the loop does not want it any more: make no further call */
	const char *call;   /* the call of libvirt under way, NULL = none */
	mono_us call_until; /* its deadline */
	uint64_t serial;    /* its connection */

	/* The loop's. */
	guest_done *done;
	guests_listed *list_done;
	void *arg;
	struct guest_entry *entry; /* NULL for LIST */
	bool failed;               /* and err says why */
	struct err err;
	bool started;
	bool answered;
	mono_us event_until; /* done, but for libvirt's event; 0 = not waiting for one */
	wall_us event_us;    /* when that event came; 0 = not yet */
	uint64_t change;     /* LIST: of the last change before it began */
	struct op *prev, *next;
};

/* What threads send to the loop. */
enum note_kind { NOTE_OP, NOTE_UP, NOTE_DOWN, NOTE_LIFECYCLE };
struct note {
	enum note_kind kind;
	struct op *op; /* OP: one reference */
	bool failed;   /* OP: and err says why */
	struct err err;
	struct virt_info info;
	char text[256]; /* DOWN: why; LIFECYCLE: the domain's name */
	int event, detail;
	wall_us at_us;
};

/* With one reference. */
struct op *op_new(enum op_kind kind, struct guest_env *env, uint64_t lease, uint32_t vm, uint32_t generation);
struct op *op_ref(struct op *op);
void op_unref(struct op *op);
/* Any thread: what waits stops waiting, and no further call is made. */
void op_call_off(struct op *op);

/*
 * Around each call of libvirt. op_begin() fails if the operation was called off meanwhile. libvirt's functions between
 * them may take limit; then the loop gives the operation up.
 */
int op_begin(struct op *op, const char *call, span_us limit, struct err *err);
void op_end(struct op *op);

/* Path of a file in the guest's folder; the caller frees. */
char *op_path(const struct op *op, const char *file);
/* True if the file holds a whole saved guest: libvirt marks it so as the last thing it does. */
bool save_whole(const char *path);

/* Carries the operation out on a worker thread, whose reference goes back with the note that answers. */
void *op_thread(void *op);
/* OP_LIST. */
int op_list(struct op *op, virConnectPtr conn, struct err *err);

#endif
