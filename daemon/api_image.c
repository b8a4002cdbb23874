/*
 * Methods about images. Adding one first copies its files into the repository, one after another in the repository's
 * thread, and then asks the manager; the catalogue never names a file that is not there.
 */
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "api.h"
#include "log.h"
#include "query.h"
#include "sha256.h"
#include "util.h"

#define FILE_SIZE_MAX (INT64_C(1) << 47) /* 4096 VMs with working space for two of them can still be counted */
#define PATH_TEXT_MAX 4095

/* An image.add under way; outlives its session. */
struct image_add {
	struct head *head;
	struct rpc_request *request;
	char *owner;
	bool is_operator;
	char *request_id; /* NULL = none */
	char params_digest[SHA256_HEX];
	struct image image;
	char *path[PART_FILES_MAX]; /* NULL: at an URL, or copied already */
	char want[PART_FILES_MAX][SHA256_HEX];
	struct image_add *prev, *next;
};

static void add_free(struct image_add *add)
{
	image_fini(&add->image);
	for (size_t i = 0; i < PART_FILES_MAX; i++) {
		free(add->path[i]);
	}
	free(add->owner);
	free(add->request_id);
	free(add);
}

/* ---- parameters ---- */

/* A string of printable characters in a file's object; NULL if absent, -1 if it is something else. */
static int file_string(struct json_object *file, const char *key, size_t max, const char **out, struct err *err)
{
	struct json_object *value;
	const char *text;

	*out = NULL;
	if (!json_object_object_get_ex(file, key, &value)) {
		return 0;
	}
	text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
	if (!text || !*text || strlen(text) > max || strlen(text) != (size_t)json_object_get_string_len(value)) {
		return err_set(err, ERR_PARAMS, "files: %s must be a string of 1 to %zu characters", key, max);
	}
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f) {
			return err_set(err, ERR_PARAMS, "files: %s holds a control character", key);
		}
	}
	*out = text;
	return 0;
}

static int check_keys(struct json_object *file, struct err *err)
{
	static const char *const keys[] = {"role", "path", "url", "digest", "size"};

	json_object_object_foreach (file, key, value) {
		bool known = false;

		(void)value;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			known = known || strcmp(key, keys[i]) == 0;
		}
		if (!known) {
			return err_set(err, ERR_PARAMS, "files: there is no field \"%.64s\" in a file", key);
		}
	}
	return 0;
}

static int read_url_file(struct json_object *file, const char *url, const char *digest, struct part_file *out,
			 struct err *err)
{
	struct json_object *size = json_object_object_get(file, "size");

	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
		return err_set(err, ERR_PARAMS, "files: url must begin with http:// or https://");
	}
	if (!digest) {
		return err_set(err, ERR_PARAMS, "files: a file at an URL needs its digest (sha256)");
	}
	if (!json_object_is_type(size, json_type_int) || json_object_get_int64(size) < 1 ||
	    json_object_get_int64(size) > FILE_SIZE_MAX) {
		return err_set(err, ERR_PARAMS, "files: a file at an URL needs its size in bytes, 1 to 2^47");
	}
	out->url = xstrdup(url);
	out->size = json_object_get_int64(size);
	memcpy(out->digest, digest, SHA256_HEX);
	return 0;
}

static int read_path_file(struct json_object *file, const char *path, const char *digest, struct image_add *add,
			  size_t i, struct err *err)
{
	if (path[0] != '/') {
		return err_set(err, ERR_PARAMS, "files: path must be absolute, it is looked up on the head");
	}
	if (json_object_object_get(file, "size")) {
		return err_set(err, ERR_PARAMS, "files: size goes with url, not with path");
	}
	add->image.file[i].url = xstrdup("");
	add->path[i] = xstrdup(path);
	if (digest) {
		memcpy(add->want[i], digest, SHA256_HEX);
	}
	return 0;
}

static int read_file(struct json_object *file, struct image_add *add, size_t i, struct err *err)
{
	const char *role, *path, *url, *digest;

	if (!json_object_is_type(file, json_type_object)) {
		return err_set(err, ERR_PARAMS, "files: each must be an object");
	}
	if (check_keys(file, err) < 0 || file_string(file, "role", 16, &role, err) < 0 ||
	    file_string(file, "path", PATH_TEXT_MAX, &path, err) < 0 ||
	    file_string(file, "url", PART_URL_MAX, &url, err) < 0 ||
	    file_string(file, "digest", SHA256_HEX - 1, &digest, err) < 0) {
		return -1;
	}
	if (!role || !path == !url) {
		return err_set(err, ERR_PARAMS, "files: each needs a role, and either path or url");
	}
	if (digest && !digest_valid(digest)) {
		return err_set(err, ERR_PARAMS, "files: digest must be 64 lower-case hex digits (sha256)");
	}
	add->image.files = i + 1;
	add->image.file[i].role = xstrdup(role);
	return url ? read_url_file(file, url, digest, &add->image.file[i], err)
		   : read_path_file(file, path, digest, add, i, err);
}

/* disk alone, or kernel and perhaps initrd. */
static int check_roles(const struct image *image, struct err *err)
{
	const char *first = image->file[0].role;
	const char *second = image->files > 1 ? image->file[1].role : "";

	if (image->format != IMAGE_KERNEL && (image->files != 1 || strcmp(first, "disk") != 0)) {
		return err_set(err, ERR_PARAMS, "files: a %s image has one file, of role disk",
			       image_format_name(image->format));
	}
	if (image->format == IMAGE_KERNEL && (strcmp(first, "kernel") != 0 || (*second && strcmp(second, "initrd")))) {
		return err_set(err, ERR_PARAMS, "files: a kernel image has a file of role kernel, then perhaps initrd");
	}
	if (image->format != IMAGE_KERNEL && *image->cmdline) {
		return err_set(err, ERR_PARAMS, "cmdline: only kernel images have one");
	}
	return 0;
}

static int read_image(struct json_object *params, struct image_add *add, struct err *err)
{
	struct json_object *files = json_object_object_get(params, "files");
	const char *format = api_string(params, "format");
	const char *cmdline = api_string(params, "cmdline");

	add->image.name = xstrdup(api_string(params, "name"));
	add->image.cmdline = xstrdup(cmdline ? cmdline : "");
	if (image_format_parse(format, &add->image.format) < 0) {
		return err_set(err, ERR_PARAMS, "format: \"%s\" is none of raw, qcow2, kernel", format);
	}
	/* The number was checked by files' row in method.tbl. */
	for (size_t i = 0; i < json_object_array_length(files) && i < PART_FILES_MAX; i++) {
		if (read_file(json_object_array_get_idx(files, i), add, i, err) < 0) {
			return -1;
		}
	}
	return check_roles(&add->image, err);
}

/* ---- adding ---- */

static void add_end(struct image_add *add)
{
	DL_DELETE(add->head->adding, add);
	add_free(add);
}

static void on_added(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct image_add *add = arg;
	struct head *head = add->head;

	if (err) {
		rpc_reply_error(add->request, err, json_object_get(data));
	} else {
		rpc_reply(add->request, json_object_get(result));
	}
	add_end(add);
	if (err) {
		api_image_sweep(head);
	}
}

static void submit_add(struct image_add *add)
{
	struct command command = {
		.kind = COMMAND_IMAGE_ADD,
		.owner = add->owner,
		.is_operator = add->is_operator,
		.method = method_at(METHOD_IMAGE_ADD)->name,
		.request_id = add->request_id,
		.params_digest = add->request_id ? add->params_digest : NULL,
		.name = add->image.name,
		.add = &add->image,
	};

	add->image.size = 0;
	if (add->image.format == IMAGE_RAW) {
		add->image.disk = add->image.file[0].size; /* also at an URL */
	}
	for (size_t i = 0; i < add->image.files; i++) {
		add->image.size += add->image.file[i].size;
	}
	manager_submit(add->head->manager, &command, on_added, add);
}

static void import_next(struct image_add *add);

static void on_imported(const struct part_file *file, int64_t disk, const struct err *err, void *arg)
{
	struct image_add *add = arg;
	struct head *head = add->head;
	size_t i = 0;

	if (err) {
		rpc_reply_error(add->request, err, NULL);
		add_end(add);
		api_image_sweep(head);
		return;
	}
	while (!add->path[i]) {
		i++;
	}
	free(steal(&add->path[i]));
	add->image.file[i].size = file->size;
	add->image.disk += disk;
	memcpy(add->image.file[i].digest, file->digest, sizeof(file->digest));
	import_next(add);
}

static void import_next(struct image_add *add)
{
	for (size_t i = 0; i < add->image.files; i++) {
		if (add->path[i]) {
			images_import(add->head->images, add->path[i], add->image.file[i].role, add->image.format,
				      *add->want[i] ? add->want[i] : NULL, on_imported, add);
			return;
		}
	}
	submit_add(add);
}

void api_image_add(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct image_add *add = xcalloc(1, sizeof(*add));
	struct command who = {0};
	struct err err = {0};

	add->head = session->head;
	add->request = request;
	if (read_image(params, add, &err) < 0) {
		rpc_reply_error(request, &err, NULL);
		add_free(add);
		return;
	}
	api_command(session, method_at(METHOD_IMAGE_ADD), params, add->params_digest, &who);
	add->owner = xstrdup(who.owner);
	add->is_operator = who.is_operator;
	add->request_id = who.request_id ? xstrdup(who.request_id) : NULL;
	DL_APPEND(session->head->adding, add);
	import_next(add);
}

/* ---- sweeping, the rest ---- */

void api_image_sweep(struct head *head)
{
	_cleanup_free_ const char **keep = NULL;
	char **digests;
	struct image_add *add;
	struct err err = {0};
	size_t n, count;

	if (query_digests(head->store, &digests, &n, &err) < 0) {
		log_warning("images: cannot tell which files are needed, removing none: %s", err.text);
		return;
	}
	keep = xcalloc(n + 1, sizeof(*keep));
	for (count = 0; count < n; count++) {
		keep[count] = digests[count];
	}
	DL_FOREACH (head->adding, add) {
		keep = xrealloc(keep, count + PART_FILES_MAX, sizeof(*keep));
		for (size_t i = 0; i < add->image.files; i++) {
			keep[count++] = add->image.file[i].digest;
		}
	}
	images_sweep(head->images, keep, count);
	while (n > 0) {
		free(digests[--n]);
	}
	free(digests);
}

void api_image_list(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct err err = {0};

	(void)params;
	api_answer(request, query_images(session->head->store, &err), &err);
}

void api_image_show(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct err err = {0};

	api_answer(request, query_image(session->head->store, api_string(params, "name"), &err), &err);
}

struct removal {
	struct head *head;
	struct rpc_request *request;
};

static void on_removed(struct json_object *result, const struct err *err, struct json_object *data, void *arg)
{
	struct removal *removal = arg;

	if (err) {
		rpc_reply_error(removal->request, err, json_object_get(data));
	} else {
		rpc_reply(removal->request, json_object_get(result));
		api_image_sweep(removal->head);
	}
	free(removal);
}

void api_image_remove(struct session *session, struct rpc_request *request, struct json_object *params)
{
	struct command command = {.kind = COMMAND_IMAGE_REMOVE, .name = api_string(params, "name")};
	struct removal *removal = xcalloc(1, sizeof(*removal));
	char digest[SHA256_HEX];

	removal->head = session->head;
	removal->request = request;
	api_command(session, method_at(METHOD_IMAGE_REMOVE), params, digest, &command);
	manager_submit(session->head->manager, &command, on_removed, removal);
}
