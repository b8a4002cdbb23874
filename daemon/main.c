/* tenured: options, signals, the loop. What the head is made of is head.c's. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "head.h"
#include "log.h"
#include "notify.h"
#include "util.h"

struct options {
	const char *config; /* NULL = SETTINGS_PATH if it exists, else defaults */
	bool check, print;
};

struct daemon {
	struct event_base *base;
	struct head *head;
	struct head_settings settings;
	const char *path; /* of the settings; NULL = defaults only */
};

static const char usage[] = "usage: tenured [--config FILE] [--check | --print-config]\n"
			    "       tenured --version | --help\n"
			    "\n"
			    "  -c, --config FILE  settings; default " SETTINGS_PATH " if it exists\n"
			    "      --check        read the settings, say what is wrong with them, and exit\n"
			    "      --print-config print the settings in effect, as a settings file, and exit\n"
			    "      --version      print the version and exit\n"
			    "  -h, --help         print this and exit\n"
			    "\n"
			    "tenured(8) and tenured.conf(5) say more.\n";

/* -1: go on; otherwise the exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	enum { OPTION_CHECK = 256, OPTION_PRINT, OPTION_VERSION };
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, OPTION_CHECK},
		{"print-config", no_argument, NULL, OPTION_PRINT},
		{"version", no_argument, NULL, OPTION_VERSION},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case OPTION_CHECK:
			options->check = true;
			break;
		case OPTION_PRINT:
			options->print = true;
			break;
		case OPTION_VERSION:
			puts("tenured " TENURE_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tenured: unexpected argument \"%s\"\n%s", argv[optind], usage);
		return 2;
	}
	return -1;
}

static void on_stop(evutil_socket_t signal, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)what;
	log_info("stopping: signal %d", (int)signal);
	notify_stopping();
	event_base_loopbreak(daemon->base);
}

static void on_reload(evutil_socket_t signal, short what, void *arg)
{
	struct daemon *daemon = arg;
	const char *restart = NULL;
	struct err err = {0};

	(void)signal;
	(void)what;
	notify_reloading();
	if (head_reload(daemon->head, daemon->path, &restart, &err) < 0) {
		log_error("settings not reloaded, the old ones stay: %s", err.text);
	} else {
		log_init(settings_log_level(&daemon->settings));
		log_info("settings reloaded from %s", daemon->path ? daemon->path : "the defaults");
		if (restart) {
			log_warning("settings: %s has changed; that needs a restart", restart);
		}
	}
	notify_ready("running");
}

static int run(struct daemon *daemon)
{
	static const int stops[] = {SIGTERM, SIGINT};
	struct event *events[ARRAY_SIZE(stops) + 1];
	struct err err = {0};
	size_t n = 0;

	signal(SIGPIPE, SIG_IGN);
	daemon->base = event_base_new();
	/* Signals first: one that comes while the database is being opened is answered after it. */
	for (; n < ARRAY_SIZE(stops); n++) {
		events[n] = evsignal_new(daemon->base, stops[n], on_stop, daemon);
		event_add(events[n], NULL);
	}
	events[n] = evsignal_new(daemon->base, SIGHUP, on_reload, daemon);
	event_add(events[n++], NULL);
	signal_hold(SIGHUP, SIG_UNBLOCK);
	daemon->head = head_new(daemon->base, &daemon->settings, &err);
	if (daemon->head) {
		log_info("tenured " TENURE_VERSION " ready: epoch %llu, %s",
			 (unsigned long long)manager_epoch(daemon->head->manager), daemon->settings.socket);
		notify_watchdog(daemon->base);
		notify_ready("running");
		event_base_dispatch(daemon->base);
		head_free(daemon->head);
		log_info("stopped");
	} else {
		log_error("cannot start: %s", err.text);
	}
	while (n > 0) {
		event_free(events[--n]);
	}
	event_base_free(daemon->base);
	return err.code ? 1 : 0;
}

/* What the settings name must be there, as far as a start would ask before it makes anything. */
static int check(const struct daemon *daemon)
{
	const char *path = daemon->path ? daemon->path : "defaults";
	struct err err = {0};
	struct auth *auth = auth_new(&daemon->settings, &err);

	if (!auth) {
		fprintf(stderr, "tenured: %s: %s\n", path, err.text);
		return 1;
	}
	auth_free(auth);
	printf("%s: ok\n", path);
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct daemon daemon = {0};
	struct err err = {0};
	int status;

	program_begin();
	signal_hold(SIGHUP, SIG_BLOCK);
	status = parse_options(argc, argv, &options);

	if (status >= 0) {
		return output_end("tenured", status);
	}
	log_init(LOG_LEVEL_INFO);
	daemon.path = options.config ? options.config : access(SETTINGS_PATH, F_OK) == 0 ? SETTINGS_PATH : NULL;
	if (settings_load(daemon.path, &daemon.settings, &err) < 0) {
		fprintf(stderr, "tenured: %s\n", err.text);
		return 1;
	}
	if (options.print) {
		conf_print(settings_table, settings_count, &daemon.settings, stdout);
	} else if (options.check) {
		status = check(&daemon);
	} else {
		log_init(settings_log_level(&daemon.settings));
		status = run(&daemon);
	}
	settings_free(&daemon.settings);
	return output_end("tenured", status < 0 ? 0 : status);
}
