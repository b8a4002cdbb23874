/* Threads for libraries that block: detached, and without the program's signals, which are the event loop's. */
#ifndef TENURE_THREAD_H
#define TENURE_THREAD_H

#include "err.h"

/* ERR_LIMIT if the system gives no thread. */
int thread_start(void *(*run)(void *), void *arg, struct err *err);

#endif
