/*
 * The watchdog: a process of its own that gives all managed threads back when the engine's owner dies, or when a
 * dispatcher has not looked for half a second although it has tasks (the owner is stopped).
 */
#ifndef TENURE_WATCHDOG_H
#define TENURE_WATCHDOG_H

#include <sys/types.h>

#include "err.h"
#include "table.h"

struct watchdog {
	pid_t pid;
	int pid_fd;  /* readable when it has ended */
	int wake_fd; /* an eventfd it waits on while nothing is held */
};

/* Forks it. It ends with its parent. */
int watchdog_start(struct watchdog *watchdog, struct table *table, struct err *err);
/* Something is held from now on. */
void watchdog_wake(const struct watchdog *watchdog);
/* Ends it and waits for that. */
void watchdog_stop(struct watchdog *watchdog);

#endif
