/*
 * seriallog FOLDER: prints every line that appears in a file of FOLDER as "MICROSECONDS FILE LINE", with the wall clock
 * at the moment the line's first byte was seen. Watches with inotify, so that the time is good to well under a
 * millisecond. Runs until killed; what the files held before it began is not shown.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "clock.h"

#define FILES_MAX 256 /* guests in one test */
#define LINE_LEN_MAX 512

struct source {
	char name[256];
	off_t offset;
	wall_us begun_us; /* when the first byte of the unfinished line was seen */
	char line[LINE_LEN_MAX];
	size_t len;
};

static struct source sources[FILES_MAX];
static size_t source_count;

static struct source *source_find(const char *name)
{
	for (size_t i = 0; i < source_count; i++) {
		if (strcmp(sources[i].name, name) == 0) {
			return &sources[i];
		}
	}
	if (source_count == FILES_MAX) {
		fprintf(stderr, "seriallog: more than %d files\n", FILES_MAX);
		exit(1);
	}
	struct source *source = &sources[source_count++];
	snprintf(source->name, sizeof(source->name), "%s", name);
	return source;
}

static void source_byte(struct source *source, char c, wall_us now)
{
	if (source->len == 0) {
		source->begun_us = now;
	}
	if (c == '\n' || source->len == LINE_LEN_MAX - 1) {
		source->line[source->len] = '\0';
		printf("%lld %s %s\n", (long long)source->begun_us, source->name, source->line);
		source->len = 0;
		return;
	}
	if (c != '\r') {
		source->line[source->len++] = c;
	}
}

static void source_read(struct source *source, int folder, wall_us now)
{
	int fd = openat(folder, source->name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	char buf[4096];
	ssize_t n;
	while ((n = pread(fd, buf, sizeof(buf), source->offset)) > 0) {
		source->offset += n;
		for (ssize_t i = 0; i < n; i++) {
			source_byte(source, buf[i], now);
		}
	}
	close(fd);
	fflush(stdout);
}

/* What is there already is not ours to report. */
static void skip_present(int folder)
{
	DIR *dir = fdopendir(dup(folder));
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		int fd = openat(folder, entry->d_name, O_RDONLY | O_CLOEXEC);
		if (entry->d_name[0] != '.' && fd >= 0) {
			source_find(entry->d_name)->offset = lseek(fd, 0, SEEK_END);
		}
		if (fd >= 0) {
			close(fd);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seriallog FOLDER\n");
		return 2;
	}
	int folder = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int watch = inotify_init1(IN_CLOEXEC);
	if (folder < 0 || watch < 0 || inotify_add_watch(watch, argv[1], IN_MODIFY | IN_CREATE) < 0) {
		fprintf(stderr, "seriallog: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	skip_present(folder);
	_Alignas(struct inotify_event) char buf[8192];
	ssize_t n;
	while ((n = read(watch, buf, sizeof(buf))) > 0) {
		wall_us now = clock_wall();
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *event = (const struct inotify_event *)p;
			if (event->len > 0) {
				source_read(source_find(event->name), folder, now);
			}
			p += sizeof(*event) + event->len;
		}
	}
	return 1;
}
