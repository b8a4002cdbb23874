/*
 * Guests as the agent sees them: what is known of each, the connection's state, and how operations are asked for. Their
 * order and deadlines are guest_queue.c's, what libvirt tells is guest_event.c's, what is done is guest_work.c's.
 */
#include "guest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "guest_state.h"
#include "guestxml.h"
#include "util.h"

/* ---- what is known of a guest ---- */

struct guest_entry *entry_get(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation)
{
	struct guest_key key = {.lease = lease, .vm = vm, .generation = generation};
	struct guest_entry *entry;

	HASH_FIND(hh, guests->entries, &key, sizeof(key), entry);
	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		entry->key = key;
		entry->guest = (struct guest){.lease = lease, .vm = vm, .generation = generation, .seen = SEEN_ABSENT};
		HASH_ADD(hh, guests->entries, key, sizeof(entry->key), entry);
	}
	return entry;
}

void entry_drop(struct guests *guests, struct guest_entry *entry)
{
	HASH_DEL(guests->entries, entry);
	free(entry);
}

void entry_see(struct guests *guests, struct guest_entry *entry, enum vm_seen seen, wall_us at_us, const char *text)
{
	struct guest copy;

	if (entry->guest.seen == seen) {
		return;
	}
	entry->guest.seen = seen;
	entry->guest.at_us = at_us;
	entry->change = ++guests->change;
	copy = entry->guest;
	guests->ops->changed(&copy, text, guests->arg);
}

/* ---- the connection ---- */

void guests_go_down(struct guests *guests, const char *why)
{
	bool news = guests->connected || !guests->told || strcmp(guests->why, why) != 0;

	guests->connected = false;
	snprintf(guests->why, sizeof(guests->why), "%s", why);
	if (news) {
		guests->told = true;
		guests->ops->connected(false, guests->why, guests->arg);
	}
	event_active(guests->kick, EV_TIMEOUT, 0);
}

static void go_up(struct guests *guests, const struct virt_info *info)
{
	guests->info = *info;
	guests->connected = true;
	guests->told = true;
	guests->ops->connected(true, guests->info.text, guests->arg);
	event_active(guests->kick, EV_TIMEOUT, 0);
}

static void on_impatience(evutil_socket_t fd, short what, void *arg)
{
	struct guests *guests = arg;

	(void)fd;
	(void)what;
	if (!guests->told) {
		guests_go_down(guests, "libvirt does not answer");
	}
}

/* ---- what comes by mail ---- */

static void drop_note(void *item)
{
	struct note *note = item;

	op_unref(note->op);
	free(note);
}

static void on_note(void *item, void *arg)
{
	struct guests *guests = arg;
	struct note *note = item;

	switch (note->kind) {
	case NOTE_OP:
		queue_returned(guests, note->op, note->failed ? &note->err : NULL);
		break;
	case NOTE_UP:
		go_up(guests, &note->info);
		break;
	case NOTE_DOWN:
		guests_go_down(guests, note->text);
		break;
	case NOTE_LIFECYCLE:
		guest_event(guests, note->text, note->event, note->detail, note->at_us);
		break;
	}
	drop_note(note);
}

static void note_up(const struct virt_info *info, void *arg)
{
	struct note *note = xcalloc(1, sizeof(*note));

	note->kind = NOTE_UP;
	note->info = *info;
	mail_post(arg, note);
}

static void note_down(const char *why, void *arg)
{
	struct note *note = xcalloc(1, sizeof(*note));

	note->kind = NOTE_DOWN;
	snprintf(note->text, sizeof(note->text), "%s", why);
	mail_post(arg, note);
}

static void note_lifecycle(const char *name, int event, int detail, wall_us at_us, void *arg)
{
	struct note *note = xcalloc(1, sizeof(*note));

	note->kind = NOTE_LIFECYCLE;
	snprintf(note->text, sizeof(note->text), "%s", name);
	note->event = event;
	note->detail = detail;
	note->at_us = at_us;
	mail_post(arg, note);
}

static void release_mail(void *arg)
{
	mail_unref(arg);
}

static const struct mail_ops mail_ops = {.got = on_note, .drop = drop_note};
static const struct virt_ops virt_ops = {
	.up = note_up, .down = note_down, .lifecycle = note_lifecycle, .release = release_mail};

/* ---- the user's side ---- */

/* The folder's full path; others may pass through it, as QEMU's user must to reach a file in it. Caller frees. */
static char *open_dir(const char *path, struct err *err)
{
	struct stat st;
	char *full;

	if (dir_make(path, 0711, err) < 0) {
		return NULL;
	}
	full = realpath(path, NULL);
	if (!full || stat(full, &st) < 0 || chmod(full, (st.st_mode & 07777) | 0111) < 0) {
		err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
		free(full);
		return NULL;
	}
	return full;
}

static int open_dirs(struct guest_env *env, const struct guest_settings *settings, struct err *err)
{
	_cleanup_free_ char *state = open_dir(settings->state_dir, err);
	_cleanup_free_ char *guests = state ? xasprintf("%s/guests", state) : NULL;

	env->guests_dir = guests ? open_dir(guests, err) : NULL;
	env->pool_dir = env->guests_dir ? open_dir(settings->pool_dir, err) : NULL;
	env->console_dir = env->pool_dir ? open_dir(settings->console_dir, err) : NULL;
	return env->console_dir ? 0 : -1;
}

static struct guest_env *env_new(struct guests *guests, struct event_base *base, const struct guest_settings *settings,
				 struct err *err)
{
	struct guest_env *env = xcalloc(1, sizeof(*env));

	env->refs = 1;
	env->call_deadline_us = settings->call_deadline_us;
	env->mail = open_dirs(env, settings, err) == 0 ? mail_new(base, &mail_ops, guests, err) : NULL;
	if (env->mail) {
		env->virt = virt_new(settings->uri, settings->domain_type, &virt_ops, mail_ref(env->mail), err);
		if (env->virt) {
			return env;
		}
		mail_close(env->mail);
		mail_unref(env->mail); /* the connection's reference */
	}
	guest_env_unref(env);
	return NULL;
}

struct guests *guests_new(struct event_base *base, const struct guest_settings *settings, const struct guests_ops *ops,
			  void *arg, struct err *err)
{
	struct guests *guests = xcalloc(1, sizeof(*guests));
	struct timeval patience = {.tv_sec = settings->call_deadline_us / USEC_PER_SEC,
				   .tv_usec = settings->call_deadline_us % USEC_PER_SEC};

	guests->ops = ops;
	guests->arg = arg;
	snprintf(guests->why, sizeof(guests->why), "not yet connected to libvirt");
	guests->env = env_new(guests, base, settings, err);
	if (!guests->env) {
		free(guests);
		return NULL;
	}
	guests->kick = event_new(base, -1, 0, queue_schedule, guests);
	guests->tick = evtimer_new(base, queue_tick, guests);
	guests->patience = evtimer_new(base, on_impatience, guests);
	if (!guests->kick || !guests->tick || !guests->patience || evtimer_add(guests->patience, &patience) < 0) {
		err_set(err, ERR_INTERNAL, "cannot make events");
		guests_free(guests);
		return NULL;
	}
	return guests;
}

static void free_event(struct event *event)
{
	if (event) {
		event_free(event);
	}
}

void guests_free(struct guests *guests)
{
	struct guest_entry *entry, *next;
	struct op *op, *next_op;

	if (!guests) {
		return;
	}
	mail_close(guests->env->mail);
	virt_close(guests->env->virt);
	DL_FOREACH_SAFE (guests->queue, op, next_op) {
		op_call_off(op);
		op_unref(op);
	}
	HASH_ITER (hh, guests->entries, entry, next) {
		entry_drop(guests, entry);
	}
	free_event(guests->kick);
	free_event(guests->tick);
	free_event(guests->patience);
	guest_env_unref(guests->env);
	free(guests);
}

bool guests_connected(const struct guests *guests)
{
	return guests->connected;
}

const char *guests_hypervisor(const struct guests *guests)
{
	return guests->info.text;
}

static const struct part_file *image_file(const struct part_image *image, const char *role)
{
	for (size_t i = 0; i < image->files; i++) {
		if (strcmp(image->file[i].role, role) == 0) {
			return &image->file[i];
		}
	}
	return NULL;
}

static char *pooled(const struct guests *guests, const struct part_file *file)
{
	return file ? xasprintf("%s/%s", guests->env->pool_dir, file->digest) : NULL;
}

/* Within what both versions of cgroups take; only the proportion between guests counts. */
static unsigned shares_of(int64_t millicores)
{
	int64_t shares = millicores / 10;

	return shares < 2 ? 2 : shares > 10000 ? 10000 : (unsigned)shares;
}

/* What the worker needs of VM and image, which may be gone by then. */
static int describe(struct guests *guests, struct op *op, const struct part_vm *vm, const struct part_image *image,
		    struct err *err)
{
	_cleanup_free_ char *disk = op_path(op, GUEST_DISK);
	_cleanup_free_ char *console =
		xasprintf("%s/%" PRIu64 "-%" PRIu32 ".log", guests->env->console_dir, vm->lease, vm->vm);
	struct guestxml spec = {.lease = vm->lease,
				.vm = vm->vm,
				.generation = vm->generation,
				.title = vm->name,
				.cpu = vm->use.amount[RES_CPU],
				.memory = vm->use.amount[RES_MEMORY],
				.kvm = guests->info.kvm,
				.kvm_as_root = guests->info.kvm_as_root,
				.console = console};

	op->format = image->format;
	op->disk = vm->use.amount[RES_DISK];
	op->shares = shares_of(vm->use.amount[RES_CPU]);
	if (image->format == IMAGE_KERNEL) {
		op->files[0] = pooled(guests, image_file(image, "kernel"));
		op->files[1] = pooled(guests, image_file(image, "initrd"));
		spec.kernel = op->files[0];
		spec.initrd = op->files[1];
		spec.cmdline = image->cmdline;
	} else {
		op->base = pooled(guests, image_file(image, "disk"));
		spec.disk = disk;
		spec.base = op->base;
		spec.base_format = image_format_name(image->format);
	}
	if (!spec.kernel && !spec.base) {
		return err_set(err, ERR_IMAGE, "image %s has neither disk nor kernel", image->name);
	}
	if (op->kind == OP_RESTORE) {
		op->console = steal(&console);
		return 0;
	}
	op->xml = guestxml_make(&spec, err);
	return op->xml ? 0 : -1;
}

static struct op *ask(struct guests *guests, enum op_kind kind, uint64_t lease, uint32_t vm, uint32_t generation,
		      guest_done *done, void *arg)
{
	struct op *op = op_new(kind, guests->env, lease, vm, generation);

	op->done = done;
	op->arg = arg;
	return op;
}

void guest_prepare(struct guests *guests, const struct part_vm *vm, const struct part_image *image, guest_done *done,
		   void *arg)
{
	struct op *op = ask(guests, OP_PREPARE, vm->lease, vm->vm, vm->generation, done, arg);

	op->failed = describe(guests, op, vm, image, &op->err) < 0;
	queue_add(guests, op);
}

void guest_restore(struct guests *guests, const struct part_vm *vm, const struct part_image *image, guest_done *done,
		   void *arg)
{
	struct op *op = ask(guests, OP_RESTORE, vm->lease, vm->vm, vm->generation, done, arg);

	op->failed = describe(guests, op, vm, image, &op->err) < 0;
	queue_add(guests, op);
}

void guest_run(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, wall_us at_us, guest_done *done,
	       void *arg)
{
	struct op *op = ask(guests, OP_RUN, lease, vm, generation, done, arg);

	op->at_us = at_us;
	queue_add(guests, op);
}

void guest_suspend(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg)
{
	queue_add(guests, ask(guests, OP_PAUSE, lease, vm, generation, done, arg));
}

void guest_stop(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg)
{
	queue_add(guests, ask(guests, OP_STOP, lease, vm, generation, done, arg));
}

void guest_remove(struct guests *guests, uint64_t lease, uint32_t vm, uint32_t generation, guest_done *done, void *arg)
{
	queue_add(guests, ask(guests, OP_REMOVE, lease, vm, generation, done, arg));
}

void guests_list(struct guests *guests, guests_listed *done, void *arg)
{
	struct op *op = ask(guests, OP_LIST, 0, 0, 0, NULL, arg);

	op->list_done = done;
	queue_add(guests, op);
}
