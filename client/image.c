/* The commands about images. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "util.h"

#define ADD_TIMEOUT USEC_PER_HOUR /* the head copies and hashes the file before it answers */

static const struct show_column list_columns[] = {
	SHOW_COLUMN("name", "NAME", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("format", "FORMAT", SHOW_TEXT),
	SHOW_COLUMN("size", "SIZE", SHOW_SIZE),
	SHOW_COLUMN("owner", "OWNER", SHOW_TEXT, .cut = true),
	SHOW_COLUMN("added", "ADDED", SHOW_TIME),
	SHOW_COLUMN("nodes", "ON NODES", SHOW_LIST, .cut = true),
	SHOW_COLUMN("cmdline", "CMDLINE", SHOW_TEXT, .csv_only = true),
};

static const struct show_column show_columns[] = {
	SHOW_COLUMN("name", "", SHOW_TEXT),  SHOW_COLUMN("format", "", SHOW_TEXT),
	SHOW_COLUMN("size", "", SHOW_SIZE),  SHOW_COLUMN("cmdline", "", SHOW_TEXT),
	SHOW_COLUMN("owner", "", SHOW_TEXT), SHOW_COLUMN("added", "", SHOW_TIME),
	SHOW_COLUMN("nodes", "", SHOW_LIST),
};

static const struct show_column file_columns[] = {
	SHOW_COLUMN("role", "FILE", SHOW_TEXT),
	SHOW_COLUMN("size", "SIZE", SHOW_SIZE),
	SHOW_COLUMN("digest", "SHA256", SHOW_TEXT),
	SHOW_COLUMN("url", "URL", SHOW_TEXT, .cut = true),
};

static bool is_url(const char *text)
{
	return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* "raw" or "qcow2" by the file's first bytes, else by its name; NULL if neither tells. */
static const char *guess_format(const char *disk)
{
	_cleanup_fclose_ FILE *file = is_url(disk) ? NULL : fopen(disk, "re");
	char magic[4];

	if (file && fread(magic, 1, sizeof(magic), file) == sizeof(magic)) {
		return memcmp(magic, "QFI\xfb", sizeof(magic)) == 0 ? "qcow2" : "raw";
	}
	return ends_with(disk, ".qcow2") ? "qcow2" : ends_with(disk, ".raw") || ends_with(disk, ".img") ? "raw" : NULL;
}

/* The head knows nothing of our working folder, so it gets the whole path. */
static int add_path(struct json_object *files, const char *role, const char *path, struct err *err)
{
	struct json_object *file;
	_cleanup_free_ char *folder = path[0] == '/' ? xstrdup("") : realpath(".", NULL);

	if (!folder) {
		return err_set(err, ERR_PARAMS, "--%s %s: give the whole path: the present folder has none", role,
			       path);
	}
	_cleanup_free_ char *whole = xasprintf("%s%s%s", folder, path[0] == '/' ? "" : "/", path);

	file = json_object_new_object();
	json_object_object_add(file, "role", json_object_new_string(role));
	json_object_object_add(file, "path", json_object_new_string(whole));
	json_object_array_add(files, file);
	return 0;
}

static int add_disk(struct client *client, struct json_object *params, struct json_object *files, struct err *err)
{
	const struct option_value *value = client->options.value;
	const char *disk = value[OPT(IMAGE_DISK)].text;
	const char *format = value[OPT(FORMAT)].given ? value[OPT(FORMAT)].text : guess_format(disk);

	if (!format) {
		return err_set(err, ERR_PARAMS, "--disk %s: say --format raw or --format qcow2", disk);
	}
	json_object_object_add(params, "format", json_object_new_string(format));
	if (!is_url(disk) && add_path(files, "disk", disk, err) < 0) {
		return -1;
	}
	if (is_url(disk)) {
		struct json_object *file = json_object_new_object();

		json_object_object_add(file, "role", json_object_new_string("disk"));
		json_object_object_add(file, "url", json_object_new_string(disk));
		json_object_array_add(files, file);
		if (!value[OPT(SHA256)].given || !value[OPT(SIZE)].given) {
			return err_set(err, ERR_PARAMS, "--disk URL needs --sha256 and --size: the nodes check them");
		}
	}
	client_add_text(client, OPT(SHA256), json_object_array_get_idx(files, 0), "digest");
	client_add_number(client, OPT(SIZE), json_object_array_get_idx(files, 0), "size");
	return 0;
}

static int add_kernel(struct client *client, struct json_object *params, struct json_object *files, struct err *err)
{
	const struct option_value *value = client->options.value;
	const char *kernel = value[OPT(KERNEL)].text, *initrd = value[OPT(INITRD)].text;

	if (value[OPT(FORMAT)].given || value[OPT(SHA256)].given || value[OPT(SIZE)].given) {
		return err_set(err, ERR_PARAMS, "--format, --sha256 and --size go with --disk");
	}
	if (is_url(kernel) || (initrd && is_url(initrd))) {
		return err_set(err, ERR_PARAMS,
			       "--kernel and --initrd are files on the head; only --disk may be a URL");
	}
	json_object_object_add(params, "format", json_object_new_string("kernel"));
	client_add_text(client, OPT(CMDLINE), params, "cmdline");
	if (add_path(files, "kernel", kernel, err) < 0) {
		return -1;
	}
	return initrd ? add_path(files, "initrd", initrd, err) : 0;
}

static int add_params(struct client *client, struct json_object *params, struct err *err)
{
	const struct option_value *value = client->options.value;
	struct json_object *files = json_object_new_array();

	json_object_object_add(params, "files", files);
	client_add_text(client, OPT(REQUEST_ID), params, "request_id");
	if (client_add_name(client, 0, params, err) < 0) {
		return -1;
	}
	if (value[OPT(IMAGE_DISK)].given == value[OPT(KERNEL)].given) {
		return err_set(err, ERR_PARAMS, "give either --disk FILE|URL or --kernel FILE [--initrd FILE]");
	}
	if (value[OPT(IMAGE_DISK)].given && (value[OPT(INITRD)].given || value[OPT(CMDLINE)].given)) {
		return err_set(err, ERR_PARAMS, "--initrd and --cmdline go with --kernel");
	}
	return value[OPT(KERNEL)].given ? add_kernel(client, params, files, err) : add_disk(client, params, files, err);
}

static void show_image(const struct client *client, struct json_object *image)
{
	show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), image);
	show_part(&client->show, file_columns, ARRAY_SIZE(file_columns), image, "files");
}

int image_add(struct client *client, struct err *err)
{
	struct json_object *params = json_object_new_object(), *image;

	if (add_params(client, params, err) < 0) {
		json_object_put(params);
		return -1;
	}
	if (client_call(client, "image.add", params, ADD_TIMEOUT, &image, err) < 0) {
		return -1;
	}
	if (client->show.form == SHOW_TABLE) {
		_cleanup_free_ char *size =
			show_cell(&client->show, &(struct show_column)SHOW_COLUMN("size", "", SHOW_SIZE), image);

		fprintf(client->show.out, "image %s: added, %s\n", client->args[0], size);
	} else {
		show_image(client, image);
	}
	json_object_put(image);
	return STATUS_OK;
}

int image_list(struct client *client, struct err *err)
{
	struct json_object *result;

	if (client_call(client, "image.list", NULL, CALL_TIMEOUT, &result, err) < 0) {
		return -1;
	}
	int failed = show_list(&client->show, result, "images", list_columns, ARRAY_SIZE(list_columns), err);

	json_object_put(result);
	return failed;
}

int image_show(struct client *client, struct err *err)
{
	struct json_object *image;

	if (client_call_name(client, "image.show", 0, &image, err) < 0) {
		return -1;
	}
	show_image(client, image);
	json_object_put(image);
	return STATUS_OK;
}

int image_remove(struct client *client, struct err *err)
{
	struct json_object *result;

	if (client_call_name(client, "image.remove", 0, &result, err) < 0) {
		return -1;
	}
	if (client->show.form == SHOW_TABLE) {
		fprintf(client->show.out, "image %s: removed\n", client->args[0]);
	} else {
		show_object(&client->show, show_columns, ARRAY_SIZE(show_columns), result);
	}
	json_object_put(result);
	return STATUS_OK;
}
