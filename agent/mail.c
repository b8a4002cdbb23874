/*
 * Mailbox from threads to the event loop: a list under a mutex and an eventfd that wakes the loop. Knows nothing of
 * what it carries.
 */
#include "mail.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <utlist.h>

#include "util.h"

struct letter {
	void *item;
	struct letter *prev, *next;
};

struct mail {
	const struct mail_ops *ops;
	void *arg;
	struct event *wake;
	int fd;
	atomic_int refs;
	pthread_mutex_t lock; /* guards what follows */
	struct letter *letters;
	bool closed;
};

static struct letter *take_all(struct mail *mail)
{
	struct letter *all;

	pthread_mutex_lock(&mail->lock);
	all = steal(&mail->letters);
	pthread_mutex_unlock(&mail->lock);
	return all;
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
	struct mail *mail = mail_ref(arg);
	struct letter *all, *letter, *next;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count);
	all = take_all(mail);
	DL_FOREACH_SAFE (all, letter, next) {
		/* A receiver may close the mailbox: the rest has no owner then. */
		if (mail->closed) {
			mail->ops->drop(letter->item);
		} else {
			mail->ops->got(letter->item, mail->arg);
		}
		free(letter);
	}
	mail_unref(mail);
}

struct mail *mail_new(struct event_base *base, const struct mail_ops *ops, void *arg, struct err *err)
{
	struct mail *mail = xcalloc(1, sizeof(*mail));

	mail->ops = ops;
	mail->arg = arg;
	mail->refs = 1;
	pthread_mutex_init(&mail->lock, NULL);
	mail->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mail->fd < 0) {
		err_set(err, ERR_INTERNAL, "eventfd: %s", strerror(errno));
		mail_unref(mail);
		return NULL;
	}
	mail->wake = event_new(base, mail->fd, EV_READ | EV_PERSIST, deliver, mail);
	if (!mail->wake || event_add(mail->wake, NULL) < 0) {
		err_set(err, ERR_INTERNAL, "cannot watch a mailbox");
		mail_close(mail);
		mail_unref(mail);
		return NULL;
	}
	return mail;
}

struct mail *mail_ref(struct mail *mail)
{
	mail->refs++;
	return mail;
}

void mail_unref(struct mail *mail)
{
	struct letter *letter, *next;

	if (!mail || --mail->refs > 0) {
		return;
	}
	DL_FOREACH_SAFE (mail->letters, letter, next) {
		mail->ops->drop(letter->item);
		free(letter);
	}
	if (mail->fd >= 0) {
		close(mail->fd);
	}
	pthread_mutex_destroy(&mail->lock);
	free(mail);
}

void mail_post(struct mail *mail, void *item)
{
	struct letter *letter = xcalloc(1, sizeof(*letter));
	bool closed;

	letter->item = item;
	pthread_mutex_lock(&mail->lock);
	closed = mail->closed;
	if (!closed) {
		DL_APPEND(mail->letters, letter);
	}
	pthread_mutex_unlock(&mail->lock);
	if (closed) {
		mail->ops->drop(item);
		free(letter);
		return;
	}
	eventfd_write(mail->fd, 1);
}

void mail_close(struct mail *mail)
{
	struct letter *all, *letter, *next;

	pthread_mutex_lock(&mail->lock);
	mail->closed = true;
	pthread_mutex_unlock(&mail->lock);
	if (mail->wake) {
		event_free(steal(&mail->wake));
	}
	all = take_all(mail);
	DL_FOREACH_SAFE (all, letter, next) {
		mail->ops->drop(letter->item);
		free(letter);
	}
}
