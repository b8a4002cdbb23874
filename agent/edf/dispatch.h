/*
 * The dispatcher of one managed CPU: a thread on that CPU, at SCHED_FIFO 99, that charges tasks what they received,
 * asks lib/core/edf who may run, and sets their priorities. It allocates nothing, takes no lock and logs nothing; what
 * to manage it reads from the shared table.
 */
#ifndef TENURE_DISPATCH_H
#define TENURE_DISPATCH_H

#include "edf.h"
#include "err.h"
#include "ring.h"
#include "table.h"

#define DISPATCH_PRIORITY 99
#define DISPATCH_CONTROL 98                       /* of the owner while it changes something, and of the watchdog */
#define DISPATCH_TOP 97                           /* of the task that may run first; the next have one less each */
#define DISPATCH_BEAT_NS (200 * INT64_C(1000000)) /* it looks at least so often while it has tasks */

struct dispatcher;

/*
 * Starts it for table->cpu[index], whose `cpu` is set. event_fd (an eventfd, the caller's) counts up when the ring has
 * something, a thread has ended, or the watchdog gave the threads back. ERR_DENIED: the kernel refuses SCHED_FIFO here.
 */
int dispatch_new(struct dispatcher **dispatcher, struct table *table, unsigned index, const struct edf_floor *floor,
		 int event_fd, struct err *err);
/* Parks its threads and ends it. NULL is allowed. */
void dispatch_free(struct dispatcher *dispatcher);

/* Before a slot is mapped to k: descriptors of proc_cpu_open() and proc_state_open(), the caller's. */
void dispatch_prepare(struct dispatcher *dispatcher, unsigned k, int cpu_fd, int state_fd);
/* Waits until the dispatcher has let go of what was mapped to k: its thread is parked then. False: it does not answer.
 */
bool dispatch_released(struct dispatcher *dispatcher, unsigned k);
struct ring *dispatch_ring(struct dispatcher *dispatcher);

#endif
