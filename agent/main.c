/*
 * tenure-agent: reads its options and settings, makes the agent's parts known to each other, and runs the loop until
 * it is told to end. Guests outlive it.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>

#include "alarm.h"
#include "book.h"
#include "clock.h"
#include "link.h"
#include "log.h"
#include "notify.h"
#include "offers.h"
#include "pace.h"
#include "settings.h"
#include "stage.h"
#include "token.h"
#include "util.h"
#include "work.h"

#define STAGE_RETRY_US USEC_PER_SEC

struct agent {
	const char *settings_path;
	struct agent_settings settings;
	struct settings_capacity capacity;
	struct event_base *base;
	struct book *book;
	struct pool *pool;
	struct stage *stage;
	struct copies *copies; /* guests that come */
	struct offers *offers; /* guests that go */
	struct guests *guests;
	struct pace *pace;
	struct work *work;
	struct alarm *alarm;
	struct link *link;
	struct event *pass; /* a pass over the book, at the end of this loop pass */
	struct event *term, *interrupt, *hangup;
	int lock_fd;
	bool head_connected;
	bool hypervisor_told;
};

/* ---- joining the parts ---- */

static void on_wake(void *arg)
{
	static const struct timeval at_once = {0};
	struct agent *agent = arg;

	if (agent->pass) {
		event_add(agent->pass, &at_once);
	}
}

static void on_pass(evutil_socket_t fd, short what, void *arg)
{
	struct agent *agent = arg;

	(void)fd;
	(void)what;
	copies_want(agent->copies, agent->book);
	alarm_set(agent->alarm, work_pass(agent->work, clock_wall()));
}

static void on_alarm(void *arg)
{
	on_pass(-1, 0, arg);
}

/* libvirt's name and version are known only after its first answer; hello was said without them. */
static void tell_hypervisor(struct agent *agent)
{
	if (!agent->hypervisor_told && agent->head_connected && *guests_hypervisor(agent->guests)) {
		agent->hypervisor_told = true;
		link_again(agent->link);
	}
}

static void on_report_changed(void *arg)
{
	struct agent *agent = arg;

	if (agent->link) {
		link_changed(agent->link);
		tell_hypervisor(agent);
	}
}

static bool image_present(const struct part_image *image, void *arg)
{
	struct agent *agent = arg;
	struct report_image state;

	stage_image(agent->stage, image, &state);
	return state.state == POOL_PRESENT;
}

static enum copy_state copy_state(const struct book_key *key, const char **text, void *arg)
{
	struct agent *agent = arg;

	return copies_state(agent->copies, key, text);
}

static bool lies_still(const struct book_key *key, void *arg)
{
	struct agent *agent = arg;

	return work_lies_still(agent->work, key);
}

static void on_pace(const struct book_key *key, const struct part_vm *vm, void *arg)
{
	struct agent *agent = arg;

	pace_set(agent->pace, key, vm);
}

static void on_staged(bool finished, void *arg)
{
	on_report_changed(arg);
	if (finished) {
		on_wake(arg);
	}
}

static void make_report(struct report *report, void *arg)
{
	struct agent *agent = arg;
	const struct part *part = book_part(agent->book);

	work_report(agent->work, report);
	pace_tasks(agent->pace, report);
	if (!part) {
		return;
	}
	for (size_t i = 0; i < report->vm_count; i++) {
		struct report_vm *vm = &report->vms[i];
		struct book_key key = {.lease = vm->lease, .vm = vm->vm, .generation = vm->generation};

		pace_report(agent->pace, &key, &vm->edf);
	}
	report->images = xcalloc(part->image_count, sizeof(*report->images));
	for (size_t i = 0; i < part->image_count; i++) {
		stage_image(agent->stage, &part->images[i], &report->images[report->image_count++]);
	}
}

static int on_part(struct part *part, struct err *err, void *arg)
{
	struct agent *agent = arg;

	if (book_accept(agent->book, part, clock_wall(), err) < 0) {
		return -1;
	}
	stage_want(agent->stage, part);
	work_part_changed(agent->work);
	return 0;
}

static int on_task(uint64_t id, span_us slice_us, span_us period_us, struct err *err, void *arg)
{
	struct agent *agent = arg;

	if (pace_tune(agent->pace, id, slice_us, period_us, err) < 0) {
		return -1;
	}
	log_info("edf: task %llu: slice %lld us, period %lld us, asked by the head", (unsigned long long)id,
		 (long long)slice_us, (long long)period_us);
	link_changed(agent->link);
	return 0;
}

static const char *hypervisor(void *arg)
{
	struct agent *agent = arg;
	const char *name = guests_hypervisor(agent->guests);

	agent->hypervisor_told = *name != '\0';
	return name;
}

static char *status_text(const struct agent *agent)
{
	return xasprintf("node %s, head %s: %s", agent->settings.node, agent->settings.head,
			 agent->head_connected ? "connected" : "not connected");
}

static void tell_ready(const struct agent *agent)
{
	_cleanup_free_ char *text = status_text(agent);

	notify_ready(text);
}

static void on_head(bool ok, void *arg)
{
	struct agent *agent = arg;

	_cleanup_free_ char *text = NULL;

	agent->head_connected = ok;
	text = status_text(agent);
	notify_status(text);
	tell_hypervisor(agent);
}

/* ---- signals ---- */

static void on_end(evutil_socket_t signal, short what, void *arg)
{
	struct agent *agent = arg;

	(void)what;
	log_info("ending on signal %d; guests go on", (int)signal);
	notify_stopping();
	event_base_loopbreak(agent->base);
}

static struct stage_settings stage_settings(const struct agent_settings *settings)
{
	return (struct stage_settings){
		.max_size = settings->max_size,
		.parallel = (unsigned)settings->parallel,
		.connect_timeout_us = settings->connect_timeout,
		.stall_timeout_us = settings->stall_timeout,
		.stall_rate = settings->stall_rate,
		.retry_us = STAGE_RETRY_US,
	};
}

/* Only what is marked reloadable is taken over; of the rest one key is named. */
static void on_hangup(evutil_socket_t signal, short what, void *arg)
{
	struct agent *agent = arg;
	struct agent_settings fresh;
	const struct setting *which;
	struct stage_settings stage;
	struct err err;

	(void)signal;
	(void)what;
	notify_reloading();
	if (settings_load(agent->settings_path, &fresh, &err) < 0) {
		log_error("settings: %s; keeping the old ones", err.text);
		tell_ready(agent);
		return;
	}
	if (conf_needs_restart(settings_table, settings_count, &agent->settings, &fresh, &which)) {
		log_warning("settings: %s counts only after a restart", which->key);
	}
	log_init(settings_log_level(&fresh));
	stage = stage_settings(&fresh);
	stage_set(agent->stage, &stage);
	settings_free(&fresh);
	log_info("settings: reloaded");
	tell_ready(agent);
}

static struct event *catch_signal(struct agent *agent, int number, event_callback_fn fn)
{
	struct event *event = evsignal_new(agent->base, number, fn, agent);

	event_add(event, NULL);
	return event;
}

/* ---- starting and ending ---- */

/* Two agents on one book would each undo what the other did. The lock ends with the process, however that ends. */
static int lock_state(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/lock", agent->settings.state_dir);

	agent->lock_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (agent->lock_fd < 0) {
		return err_set(err, ERR_INTERNAL, "cannot open %s: %s", path, strerror(errno));
	}
	if (flock(agent->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		return err_set(err, ERR_CONFLICT, "another tenure-agent works in %s; stop it, or set another state_dir",
			       agent->settings.state_dir);
	}
	return 0;
}

static int open_stores(struct agent *agent, struct err *err)
{
	const char *dir = agent->settings.state_dir;
	_cleanup_free_ char *book = xasprintf("%s/book.json", dir);
	_cleanup_free_ char *pool = xasprintf("%s/pool", dir);

	/* 0711: qemu runs as another user and must reach pool and guests. */
	if (dir_make(dir, 0711, err) < 0 || lock_state(agent, err) < 0 ||
	    settings_measure(&agent->settings, pace_capacity(agent->pace), &agent->capacity, err) < 0) {
		return -1;
	}
	agent->book = book_open(book, clock_wall(), err);
	if (!agent->book) {
		return -1;
	}
	agent->pool = pool_open(pool, agent->capacity.pool, err);
	return agent->pool ? 0 : -1;
}

static int open_guests(struct agent *agent, struct err *err)
{
	static const struct work_ops work_ops = {.wake = on_wake,
						 .changed = on_report_changed,
						 .image_present = image_present,
						 .copy = copy_state,
						 .pace = on_pace};
	_cleanup_free_ char *pool = xasprintf("%s/pool", agent->settings.state_dir);
	struct guest_settings settings = {
		.uri = agent->settings.uri,
		.domain_type = agent->settings.domain_type,
		.state_dir = agent->settings.state_dir,
		.pool_dir = pool,
		.console_dir = agent->settings.console_dir,
		.call_deadline_us = agent->settings.call_deadline,
	};

	agent->work = work_new(agent->book, &work_calls_libvirt, &work_ops, agent);
	agent->guests = guests_new(agent->base, &settings, &work_guests_ops, agent->work, err);
	if (!agent->guests) {
		return -1;
	}
	work_set_guests(agent->work, agent->guests);
	return 0;
}

static int open_moves(struct agent *agent, const struct stage_settings *stage, struct err *err)
{
	static const struct stage_ops ops = {.changed = on_staged};
	const struct agent_settings *settings = &agent->settings;
	_cleanup_free_ char *dir = xasprintf("%s/guests", settings->state_dir);
	struct copies_settings copies = {
		.guests_dir = dir, .token_file = settings->token_file, .ca_file = settings->ca_file};
	struct offers_settings offers = {
		.address = settings->listen,
		.plaintext = settings->plaintext,
		.token_file = settings->token_file,
		.guests_dir = dir,
	};

	agent->copies = copies_new(agent->base, &copies, stage, &ops, agent, err);
	if (!agent->copies || !*settings->listen) {
		return agent->copies ? 0 : -1;
	}
	agent->offers = offers_new(agent->base, &offers, agent->book, lies_still, agent, err);
	return agent->offers ? 0 : err_prefix(err, "listen");
}

static int open_link(struct agent *agent, struct err *err)
{
	static const struct link_ops ops = {.report = make_report,
					    .part = on_part,
					    .task = on_task,
					    .hypervisor = hypervisor,
					    .connected = on_head};
	struct link_settings settings = {
		.head = agent->settings.head,
		.plaintext = agent->settings.plaintext,
		.token_file = agent->settings.token_file,
		.node = agent->settings.node,
		.guests = agent->settings.listen,
		.capacity = agent->capacity.capacity,
		.pool = agent->capacity.pool,
		.suspend_rate = agent->settings.suspend_rate,
		.resume_rate = agent->settings.resume_rate,
	};

	pace_hello(agent->pace, &settings.edf);
	agent->link = link_new(agent->base, &settings, &ops, agent, err);
	return agent->link ? 0 : -1;
}

static void open_pace(struct agent *agent)
{
	static const struct pace_ops ops = {.changed = on_report_changed};
	struct pace_settings settings = {
		.engine =
			{
				.cpus = agent->settings.cpus,
				.housekeeping = agent->settings.housekeeping,
				.run_dir = agent->settings.run_dir,
				.limit_ppm = agent->settings.limit * 10000,
				.miss_ppm = agent->settings.miss_threshold * 10000,
			},
		.strict = agent->settings.strict,
		.tasks_ppm = (uint32_t)agent->settings.tasks * 10000,
	};

	engine_backend_parse(agent->settings.backend, &settings.engine.backend);
	agent->pace = pace_new(agent->base, &settings, &ops, agent);
}

static int agent_start(struct agent *agent, struct err *err)
{
	static const struct stage_ops stage_ops = {.changed = on_staged};
	struct stage_settings stage = stage_settings(&agent->settings);

	/* First: one that comes meanwhile is answered when all is there. */
	agent->term = catch_signal(agent, SIGTERM, on_end);
	agent->interrupt = catch_signal(agent, SIGINT, on_end);
	agent->hangup = catch_signal(agent, SIGHUP, on_hangup);
	signal_hold(SIGHUP, SIG_UNBLOCK);
	open_pace(agent); /* before there are threads: its watchdog is a fork */
	agent->pass = evtimer_new(agent->base, on_pass, agent);
	agent->alarm = alarm_new(agent->base, on_alarm, agent, err);
	if (!agent->alarm || open_stores(agent, err) < 0) {
		return -1;
	}
	agent->stage = stage_new(agent->base, agent->pool, agent->settings.ca_file, &stage, &stage_ops, agent, err);
	if (!agent->stage || open_guests(agent, err) < 0 || open_moves(agent, &stage, err) < 0 ||
	    open_link(agent, err) < 0) {
		return -1;
	}
	stage_want(agent->stage, book_part(agent->book));
	return 0;
}

static void event_fini(struct event *event)
{
	if (event) {
		event_free(event);
	}
}

static void agent_fini(struct agent *agent)
{
	struct event *pass = steal(&agent->pass);

	link_free(steal(&agent->link));
	offers_free(agent->offers);
	guests_free(agent->guests);
	work_free(agent->work);
	pace_free(agent->pace);
	copies_free(agent->copies);
	stage_free(agent->stage);
	pool_free(agent->pool);
	book_free(agent->book);
	alarm_free(agent->alarm);
	event_fini(pass);
	event_fini(agent->term);
	event_fini(agent->interrupt);
	event_fini(agent->hangup);
	event_base_free(agent->base);
	cleanup_close(&agent->lock_fd);
	settings_free(&agent->settings);
}

static int run(struct agent *agent)
{
	struct err err;
	int status = 0;

	signal(SIGPIPE, SIG_IGN);
	log_init(settings_log_level(&agent->settings));
	evthread_use_pthreads();
	agent->base = event_base_new();
	if (agent_start(agent, &err) < 0) {
		log_error("%s", err.text);
		status = 1;
	} else {
		log_info("tenure-agent " TENURE_VERSION " on node %s, head %s", agent->settings.node,
			 agent->settings.head);
		notify_watchdog(agent->base);
		tell_ready(agent);
		on_wake(agent);
		event_base_dispatch(agent->base);
	}
	agent_fini(agent);
	return status;
}

/* ---- options ---- */

static void usage(FILE *out)
{
	fputs("usage: tenure-agent [--config FILE] [--check | --print-config]\n"
	      "\n"
	      "  --config FILE   read these settings (default " SETTINGS_PATH ")\n"
	      "  --check         say whether the settings are good, and end\n"
	      "  --print-config  print the settings with their meanings, and end\n"
	      "  --version       print the version, and end\n"
	      "  --help          print this, and end\n",
	      out);
}

/* As written, not as filled in: what is empty stays empty. */
static int print_config(const char *path)
{
	struct agent_settings values = {0};
	struct err err;

	if (conf_load(settings_table, settings_count, path, &values, &err) < 0) {
		fprintf(stderr, "tenure-agent: %s\n", err.text);
		return 1;
	}
	conf_print(settings_table, settings_count, &values, stdout);
	conf_free(settings_table, settings_count, &values);
	return output_end("tenure-agent", 0);
}

/* Of what the settings name, too: what a start would only log. */
static int check(struct agent *agent)
{
	const char *token_file = agent->settings.token_file;
	struct err err;
	_cleanup_token_ char *token = *token_file ? token_read(token_file, "token_file", &err) : NULL;
	bool bad = *token_file && !token;

	if (bad) {
		fprintf(stderr, "tenure-agent: %s: %s\n", agent->settings_path, err.text);
	} else {
		printf("%s: good\n", agent->settings_path);
	}
	settings_free(&agent->settings);
	return output_end("tenure-agent", bad);
}

enum mode { MODE_RUN, MODE_CHECK, MODE_PRINT };

/* -1 = go on, else the exit status. */
static int parse_options(int argc, char **argv, const char **path, enum mode *mode)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
		{"print-config", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			*path = optarg;
			break;
		case 'k':
			*mode = MODE_CHECK;
			break;
		case 'p':
			*mode = MODE_PRINT;
			break;
		case 'v':
			puts("tenure-agent " TENURE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "tenure-agent: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	enum mode mode = MODE_RUN;
	struct agent agent = {.lock_fd = -1};
	struct err err;
	int status;

	program_begin();
	signal_hold(SIGHUP, SIG_BLOCK);
	status = parse_options(argc, argv, &path, &mode);

	if (status >= 0) {
		return output_end("tenure-agent", status);
	}
	/* Without a file of one's own, the defaults are what --print-config is asked for. */
	if (mode == MODE_PRINT) {
		return print_config(path);
	}
	agent.settings_path = path ? path : SETTINGS_PATH;
	if (settings_load(agent.settings_path, &agent.settings, &err) < 0) {
		fprintf(stderr, "tenure-agent: %s\n", err.text);
		return 1;
	}
	return mode == MODE_CHECK ? check(&agent) : run(&agent);
}
