/* Starts detached threads. They answer through a mailbox; nobody waits for them. */
#include "thread.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* libvirt keeps its buffers on the heap, and a node may have hundreds of threads that wait for a start. */
#define STACK_SIZE (512 * 1024)

int thread_start(void *(*run)(void *), void *arg, struct err *err)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	rc = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0 ? 0 : err_set(err, ERR_LIMIT, "cannot start a thread: %s", strerror(rc));
}
