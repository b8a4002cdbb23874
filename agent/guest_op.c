/* The life of one operation: references, deadlines of its calls, being called off. What it does is guest_work.c's. */
#include "guest_op.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "util.h"

/* The first bytes of what libvirt's QEMU driver saves; an unfinished file begins "LibvirtQemudPart". */
#define SAVE_MAGIC "LibvirtQemudSave"

struct guest_env *guest_env_ref(struct guest_env *env)
{
	env->refs++;
	return env;
}

void guest_env_unref(struct guest_env *env)
{
	if (!env || --env->refs > 0) {
		return;
	}
	virt_unref(env->virt);
	mail_unref(env->mail);
	free(env->guests_dir);
	free(env->pool_dir);
	free(env->console_dir);
	free(env);
}

struct op *op_new(enum op_kind kind, struct guest_env *env, uint64_t lease, uint32_t vm, uint32_t generation)
{
	struct op *op = xcalloc(1, sizeof(*op));

	op->refs = 1;
	op->kind = kind;
	op->env = guest_env_ref(env);
	op->lease = lease;
	op->vm = vm;
	op->generation = generation;
	uuid5_guest(lease, vm, generation, op->uuid);
	op->dir = xasprintf("%s/%" PRIu64 "-%" PRIu32 "-%" PRIu32, env->guests_dir, lease, vm, generation);
	pthread_mutex_init(&op->lock, NULL);
	pthread_cond_init(&op->cond, NULL); /* on CLOCK_REALTIME: starts are agreed in wall-clock time */
	return op;
}

struct op *op_ref(struct op *op)
{
	op->refs++;
	return op;
}

void op_unref(struct op *op)
{
	if (!op || --op->refs > 0) {
		return;
	}
	pthread_cond_destroy(&op->cond);
	pthread_mutex_destroy(&op->lock);
	for (size_t i = 0; i < ARRAY_SIZE(op->files); i++) {
		free(op->files[i]);
	}
	free(op->dir);
	free(op->xml);
	free(op->console);
	free(op->base);
	free(op->listed);
	guest_env_unref(op->env);
	free(op);
}

void op_call_off(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	op->called_off = true;
	pthread_cond_broadcast(&op->cond);
	pthread_mutex_unlock(&op->lock);
}

int op_begin(struct op *op, const char *call, span_us limit, struct err *err)
{
	bool called_off;

	pthread_mutex_lock(&op->lock);
	called_off = op->called_off;
	if (!called_off) {
		op->call = call;
		op->call_until = clock_mono() + limit;
	}
	pthread_mutex_unlock(&op->lock);
	return called_off ? err_set(err, ERR_CONFLICT, "called off before %s", call) : 0;
}

void op_end(struct op *op)
{
	pthread_mutex_lock(&op->lock);
	op->call = NULL;
	pthread_mutex_unlock(&op->lock);
}

char *op_path(const struct op *op, const char *file)
{
	return xasprintf("%s/%s", op->dir, file);
}

bool save_whole(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[sizeof(SAVE_MAGIC) - 1];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
	       memcmp(magic, SAVE_MAGIC, sizeof(magic)) == 0;
}
