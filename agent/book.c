/*
 * The agent's book on disk: two lines of JSON, the first with format and digest of the second, so that a damaged file
 * is recognised whatever the damage. What follows from the book is work.c's.
 */
#include "book.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "sha256.h"
#include "text.h"
#include "util.h"

#define BOOK_FORMAT 1
#define BOOK_MAX (32u << 20) /* 4096 VMs and 1024 images take about 6 MB */

struct book {
	char *path;
	struct part *part;
	struct book_guest *guests;
	bool dirty;
};

/* ---- guests ---- */

struct book_guest *book_find(const struct book *book, uint64_t lease, uint32_t vm, uint32_t generation)
{
	struct book_key key = {.lease = lease, .vm = vm, .generation = generation};
	struct book_guest *guest;

	HASH_FIND(hh, book->guests, &key, sizeof(key), guest);
	return guest;
}

struct book_guest *book_add(struct book *book, uint64_t lease, uint32_t vm, uint32_t generation)
{
	struct book_guest *guest = book_find(book, lease, vm, generation);

	if (!guest) {
		guest = xcalloc(1, sizeof(*guest));
		guest->key = (struct book_key){.lease = lease, .vm = vm, .generation = generation};
		HASH_ADD(hh, book->guests, key, sizeof(guest->key), guest);
		book->dirty = true;
	}
	return guest;
}

void book_forget(struct book *book, struct book_guest *guest)
{
	HASH_DEL(book->guests, guest);
	free(guest);
	book->dirty = true;
}

struct book_guest *book_guests(const struct book *book)
{
	return book->guests;
}

/* ---- to JSON ---- */

static struct json_object *guest_to_json(const struct book_guest *guest)
{
	struct json_object *value = json_object_new_object();

	json_object_object_add(value, "lease", json_object_new_uint64(guest->key.lease));
	json_object_object_add(value, "vm", json_object_new_int64(guest->key.vm));
	json_object_object_add(value, "generation", json_object_new_int64(guest->key.generation));
	json_object_object_add(value, "stage", json_object_new_string(work_stage_name(guest->stage)));
	json_object_object_add(value, "at_us", json_object_new_int64(guest->at_us));
	json_object_object_add(value, "text", json_object_new_string(guest->text));
	return value;
}

static struct json_object *body_to_json(const struct book_guest *guests, const struct part *part)
{
	struct json_object *value = json_object_new_object(), *list = json_object_new_array();

	for (const struct book_guest *guest = guests; guest; guest = guest->hh.next) {
		json_object_array_add(list, guest_to_json(guest));
	}
	json_object_object_add(value, "part", part ? part_to_json(part) : NULL);
	json_object_object_add(value, "guests", list);
	return value;
}

static int write_book(const struct book *book, const struct part *part, struct err *err)
{
	struct json_object *value = body_to_json(book->guests, part);
	const char *body = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN);
	_cleanup_free_ char *text = NULL;
	char digest[SHA256_HEX];
	struct err cause;
	int rc;

	sha256_hex(body, strlen(body), digest);
	text = xasprintf("{\"format\":%d,\"sha256\":\"%s\"}\n%s\n", BOOK_FORMAT, digest, body);
	rc = file_replace(book->path, text, strlen(text), 0600, &cause);
	json_object_put(value);
	return rc < 0 ? err_set(err, ERR_STORE, "%s", cause.text) : 0;
}

/* ---- from JSON ---- */

static int get_int(struct json_object *value, const char *key, int64_t min, int64_t max, int64_t *out)
{
	struct json_object *member;

	if (!json_object_object_get_ex(value, key, &member) || !json_object_is_type(member, json_type_int)) {
		return -1;
	}
	*out = json_object_get_int64(member);
	return *out < min || *out > max ? -1 : 0;
}

static const char *get_string(struct json_object *value, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(value, key, &member) || !json_object_is_type(member, json_type_string)) {
		return NULL;
	}
	return json_object_get_string(member);
}

static int guest_from_json(struct book *book, struct json_object *value, struct err *err)
{
	const char *stage = get_string(value, "stage"), *text = get_string(value, "text");
	int64_t lease, vm, generation, at_us;
	struct book_guest *guest;
	enum work_stage parsed;

	if (get_int(value, "lease", 1, INT64_MAX, &lease) < 0 || get_int(value, "vm", 0, UINT32_MAX, &vm) < 0 ||
	    get_int(value, "generation", 0, UINT32_MAX, &generation) < 0 ||
	    get_int(value, "at_us", 0, WALL_NEVER, &at_us) < 0 || !text || !stage ||
	    work_stage_parse(stage, &parsed) < 0) {
		return err_set(err, ERR_PARSE, "a guest's entry is not understood");
	}
	guest = book_add(book, (uint64_t)lease, (uint32_t)vm, (uint32_t)generation);
	guest->stage = parsed;
	guest->at_us = at_us;
	text_put(guest->text, "%s", text);
	return 0;
}

static int body_from_json(struct book *book, struct json_object *value, struct err *err)
{
	struct json_object *part, *list;

	if (!json_object_object_get_ex(value, "part", &part) || !json_object_object_get_ex(value, "guests", &list) ||
	    !json_object_is_type(list, json_type_array)) {
		return err_set(err, ERR_PARSE, "part or guests are missing");
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		if (guest_from_json(book, json_object_array_get_idx(list, i), err) < 0) {
			return -1;
		}
	}
	if (part) {
		book->part = part_from_json(part, err);
	}
	return part && !book->part ? -1 : 0;
}

/* ERR_CONFLICT = a newer version's; any other failure = damaged. */
static int check_head(const char *line, const char *body, struct err *err)
{
	struct json_object *value = json_tokener_parse(line);
	const char *digest = value ? get_string(value, "sha256") : NULL;
	char computed[SHA256_HEX];
	int64_t format;
	int rc = 0;

	sha256_hex(body, strlen(body), computed);
	if (!value || get_int(value, "format", 1, INT64_MAX, &format) < 0) {
		rc = err_set(err, ERR_PARSE, "its first line does not say what it is");
	} else if (format > BOOK_FORMAT) {
		rc = err_set(err, ERR_CONFLICT,
			     "written by a newer tenure-agent (format %" PRId64
			     ", this one knows %d); install that version",
			     format, BOOK_FORMAT);
	} else if (!digest || strcmp(digest, computed) != 0) {
		rc = err_set(err, ERR_PARSE, "its content does not match its digest");
	}
	json_object_put(value);
	return rc;
}

static int read_book(struct book *book, char *text, struct err *err)
{
	char *body = strchr(text, '\n'), *end = body ? strchr(body + 1, '\n') : NULL;
	struct json_object *value;
	int rc;

	if (body) {
		*body++ = '\0';
	}
	if (end) {
		*end = '\0';
	}
	if (check_head(text, body ? body : "", err) < 0) {
		return -1;
	}
	value = body ? json_tokener_parse(body) : NULL;
	rc = value ? body_from_json(book, value, err) : err_set(err, ERR_PARSE, "it is not JSON");
	json_object_put(value);
	return rc;
}

static void clear(struct book *book)
{
	struct book_guest *guest, *next;

	HASH_ITER (hh, book->guests, guest, next) {
		HASH_DEL(book->guests, guest);
		free(guest);
	}
	part_free(steal(&book->part));
	book->dirty = false;
}

/* ---- opening, taking over, saving ---- */

static int set_aside(struct book *book, wall_us now_us, const char *why, struct err *err)
{
	_cleanup_free_ char *aside = xasprintf("%s.damaged-%" PRId64, book->path, now_us);

	if (rename(book->path, aside) < 0) {
		return err_set(err, ERR_STORE, "%s is damaged (%s) and cannot be set aside: %s", book->path, why,
			       strerror(errno));
	}
	log_error("book: %s is damaged (%s); kept as %s; waiting for the head before anything is started or removed",
		  book->path, why, aside);
	clear(book);
	return 0;
}

struct book *book_open(const char *path, wall_us now_us, struct err *err)
{
	struct book *book = xcalloc(1, sizeof(*book));
	_cleanup_free_ char *text = NULL;
	struct err cause = {0};

	book->path = xstrdup(path);
	text = file_read(path, BOOK_MAX, &cause);
	if (!text && cause.code == ERR_NOT_FOUND) {
		return book;
	}
	if (!text && cause.code != ERR_LIMIT) {
		err_set(err, ERR_STORE, "%s", cause.text);
		book_free(book);
		return NULL;
	}
	if (text && read_book(book, text, &cause) == 0) {
		book->dirty = false;
		return book;
	}
	if (cause.code == ERR_CONFLICT) {
		err_set(err, ERR_CONFLICT, "%s: %s", path, cause.text);
		book_free(book);
		return NULL;
	}
	if (set_aside(book, now_us, cause.text, err) < 0) {
		book_free(book);
		return NULL;
	}
	return book;
}

void book_free(struct book *book)
{
	if (!book) {
		return;
	}
	clear(book);
	free(book->path);
	free(book);
}

const struct part *book_part(const struct book *book)
{
	return book->part;
}

static bool is_older(const struct part *part, const struct part *than)
{
	return part->epoch != than->epoch ? part->epoch < than->epoch : part->version < than->version;
}

static void add_vm(struct book *book, const struct part_vm *vm, bool lost, wall_us now_us)
{
	struct book_guest *guest = book_find(book, vm->lease, vm->vm, vm->generation);

	if (guest) {
		return;
	}
	guest = book_add(book, vm->lease, vm->vm, vm->generation);
	guest->fresh = true;
	if (lost && vm->planned && vm->run.from == RUN_BOOT && vm->run.start_us <= now_us) {
		guest->stage = WORK_BOOTED;
	}
}

/* Keeps the guests that add_vm() added, or takes them back. */
static void settle_fresh(struct book *book, bool keep)
{
	struct book_guest *guest, *next;

	HASH_ITER (hh, book->guests, guest, next) {
		if (guest->fresh && !keep) {
			book_forget(book, guest);
			continue;
		}
		guest->fresh = false;
	}
}

int book_accept(struct book *book, struct part *part, wall_us now_us, struct err *err)
{
	bool lost = !book->part;

	if (book->part && is_older(part, book->part)) {
		return err_set(err, ERR_STALE,
			       "part %" PRIu64 ".%" PRIu64 " is older than the %" PRIu64 ".%" PRIu64
			       " this node works from; was the head restored from an older backup?",
			       part->epoch, part->version, book->part->epoch, book->part->version);
	}
	for (size_t i = 0; i < part->vm_count; i++) {
		add_vm(book, &part->vms[i], lost, now_us);
	}
	if (write_book(book, part, err) < 0) {
		settle_fresh(book, false);
		return -1;
	}
	settle_fresh(book, true);
	part_free(book->part);
	book->part = part;
	book->dirty = false;
	return 0;
}

void book_changed(struct book *book)
{
	book->dirty = true;
}

int book_save(struct book *book, struct err *err)
{
	if (!book->dirty) {
		return 0;
	}
	if (write_book(book, book->part, err) < 0) {
		return -1;
	}
	book->dirty = false;
	return 0;
}
