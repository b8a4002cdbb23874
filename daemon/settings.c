/*
 * The head's settings table and the checks that span more than one row. Reading files is lib/conf.c's; what the
 * settings mean is said in tenured.conf(5), which a test compares with this table.
 */
#include "settings.h"

#include <string.h>

#include "address.h"
#include "policy.h"
#include "util.h"

#define ROW(section, name, type, value, min, max, reloadable, help, check)                                           \
	{                                                                                                            \
		section, #name, type, offsetof(struct head_settings, name), value, min, max, reloadable, help, check \
	}
#define HEAD(name, type, value, min, max, reloadable, help) \
	ROW("head", name, type, value, min, max, reloadable, help, NULL)
#define HEAD_CHECKED(name, type, value, min, max, reloadable, help, check) \
	ROW("head", name, type, value, min, max, reloadable, help, check)
#define PLAN(name, value, min, max, help) ROW("plan", name, SETTING_SPAN, value, min, max, false, help, NULL)

/* A name of the policy set of the same name. */
#define CHOICE(name, value, help) ROW("plan", name, SETTING_STRING, value, 1, 32, false, help, check_##name)

/* ---- what a row's type and range do not say ---- */

int settings_check_policy(enum policy_set set, const char *text, struct err *err)
{
	char names[256] = "";
	const char *name;

	if (policy_find(set, text) >= 0) {
		return 0;
	}
	for (size_t i = 0; (name = policy_name(set, i)); i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", name);
	}
	return err_set(err, ERR_PARAMS, "\"%s\" is none of %s", text, names);
}

#define CHECK_CHOICE(name, set)                                    \
	static int check_##name(const char *text, struct err *err) \
	{                                                          \
		return settings_check_policy(set, text, err);      \
	}
CHECK_CHOICE(suspension, POLICY_SUSPENSION)
CHECK_CHOICE(exclusion, POLICY_EXCLUSION)

/* "free" is for comparisons in simulations only. */
static int check_migration(const char *text, struct err *err)
{
	return strcmp(text, "no") != 0 && strcmp(text, "yes") != 0 && strcmp(text, "aside") != 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is none of no, yes, aside", text)
		       : 0;
}

CHECK_CHOICE(queue, POLICY_QUEUE)
CHECK_CHOICE(backfill, POLICY_BACKFILL)
CHECK_CHOICE(host, POLICY_HOST)
CHECK_CHOICE(victim, POLICY_VICTIM)
CHECK_CHOICE(admission, POLICY_ADMISSION)
CHECK_CHOICE(price, POLICY_PRICE)

static int check_level(const char *text, struct err *err)
{
	enum log_level level;

	return log_level_parse(text, &level) < 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" is none of error, warning, info, debug", text)
		       : 0;
}

static int parse_mode(const char *text, mode_t *mode)
{
	char *end;

	if (text[strspn(text, "01234567")] != '\0' || strlen(text) < 3) {
		return -1;
	}
	*mode = (mode_t)strtoul(text, &end, 8);
	return *mode <= 0777 ? 0 : -1;
}

static int check_mode(const char *text, struct err *err)
{
	mode_t mode;

	return parse_mode(text, &mode) < 0 ? err_set(err, ERR_PARAMS, "\"%s\" is not an octal mode such as 0660", text)
					   : 0;
}

static int check_address(const char *text, struct err *err)
{
	struct address address;

	return *text ? address_parse(text, &address, err) : 0;
}

static int check_url(const char *text, struct err *err)
{
	return *text && strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0
		       ? err_set(err, ERR_PARAMS, "\"%s\" begins with neither http:// nor https://", text)
		       : 0;
}

const struct setting settings_table[] = {
	HEAD(state_dir, SETTING_PATH, "/var/lib/tenure", 1, 0, false,
	     "folder of the database and the image repository"),
	HEAD(socket, SETTING_PATH, "/run/tenure/tenured.sock", 1, 107, false, "unix socket of the API"),
	HEAD_CHECKED(socket_mode, SETTING_STRING, "0666", 0, 4, false,
		     "octal mode of the socket: who may connect at all", check_mode),
	HEAD_CHECKED(listen, SETTING_STRING, "127.0.0.1:7440", 0, 255, false, "TCP address of the API; empty: none",
		     check_address),
	HEAD_CHECKED(http_listen, SETTING_STRING, "127.0.0.1:7441", 0, 255, false,
		     "TCP address of the image repository; empty: none", check_address),
	HEAD_CHECKED(image_url, SETTING_STRING, "", 0, 1024, false,
		     "URL under which agents fetch images; empty: http://HTTP_LISTEN/images", check_url),
	HEAD_CHECKED(plaintext, SETTING_LIST, "", 0, 4096, false,
		     "networks where TCP without TLS is allowed, as 10.0.0.0/8; loopback always is",
		     address_networks_check),
	HEAD(agent_token_file, SETTING_PATH, "", 0, 0, true,
	     "file with the secret that agents show over TCP; empty: no agents over TCP"),
	HEAD(operators, SETTING_LIST, "", 0, 4096, true,
	     "users and @groups who may act on nodes, images and others' leases"),
	HEAD_CHECKED(log_level, SETTING_STRING, "info", 1, 16, true, "error, warning, info or debug", check_level),
	HEAD(heartbeat, SETTING_SPAN, "2s", 100 * USEC_PER_MSEC, USEC_PER_MINUTE, false,
	     "agents report at least this often; a node is silent after three"),
	HEAD(max_connections, SETTING_INT, "1024", 1, 65536, false, "connections to the API, per listening address"),
	PLAN(lead, "1s", 0, USEC_PER_HOUR, "time for a plan to reach a node; nothing is planned to begin sooner"),
	PLAN(prepare, "10s", 0, USEC_PER_HOUR, "time to create a guest, paused"),
	PLAN(stop, "5s", 0, USEC_PER_HOUR, "time to stop a guest"),
	PLAN(suspend_fixed, "2s", 0, USEC_PER_HOUR,
	     "fixed part of suspending a guest; the rest is memory over the node's rate"),
	PLAN(resume_fixed, "2s", 0, USEC_PER_HOUR, "fixed part of resuming a guest"),
	PLAN(min_run, "1m", 0, USEC_PER_DAY,
	     "a best-effort lease is not started for less than this before a suspension"),
	PLAN(grace, "30s", 0, USEC_PER_DAY, "a VM on a silent node counts as ended this long after its time"),
	PLAN(late, "1s", 0, USEC_PER_HOUR, "a start later than this breaks the promise of an advance reservation"),
	PLAN(stage_ahead, "1d", 0, 365 * USEC_PER_DAY,
	     "images of reservations are brought, while nothing else is, from that long ahead; 0s: just in time"),
	ROW("plan", repository_rate, SETTING_SIZE, "100M", 1, INT64_C(1) << 50, false,
	    "bytes per second that leave the image repository", NULL),
	CHOICE(suspension, "all", "which best-effort leases may be suspended for reservations: none, serial or all"),
	CHOICE(exclusion, "local",
	       "what suspends one guest at a time: each node (local) or the whole cluster (global)"),
	CHOICE(migration, "no",
	       "suspended guests may go on on other nodes: no, yes, or aside: meanwhile others have the room there"),
	ROW("plan", learn, SETTING_BOOL, "yes", 0, 0, false,
	    "how long suspending and resuming take is learnt from how long they took", NULL),
	CHOICE(queue, "trial", "order of the best-effort queue"),
	ROW("plan", share_half, SETTING_SPAN, "7d", USEC_PER_SEC, 3650 * USEC_PER_DAY, false,
	    "queue = fair: what was used that long ago counts half", NULL),
	CHOICE(backfill, "aggressive",
	       "who in the queue holds a reservation: none, first-fit, aggressive, intermediate or conservative"),
	ROW("plan", backfill_depth, SETTING_INT, "10", 1, 1000000, false,
	    "how many reservations intermediate backfilling gives", NULL),
	CHOICE(host, "image", "which of the nodes with room a lease takes"),
	CHOICE(victim, "youngest", "which best-effort lease is suspended first for a reservation"),
	CHOICE(admission, "all", "which requests are considered at all"),
	CHOICE(price, "free", "what a lease costs"),
	ROW("plan", price_rate, SETTING_INT, "0", 0, INT64_C(1) << 40, false,
	    "credits for an hour of one CPU, where the price policy asks for any", NULL),
	ROW("history", keep, SETTING_SPAN, "30d", USEC_PER_HOUR, 36500 * USEC_PER_DAY, true,
	    "finished leases, their slots and events are kept this long", NULL),
	ROW("history", record, SETTING_BOOL, "no", 0, 0, false,
	    "write down what the planner is told, for tenure-sim replay; nothing is deleted meanwhile", NULL),
};
const size_t settings_count = ARRAY_SIZE(settings_table);

/* No address, or the wildcard: nothing to make an URL of. */
static bool http_listen_anywhere(const char *address)
{
	return !*address || strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
}

/* Whether we may listen there; whether we can is found out by doing it. */
static int check_listen(const char *key, const char *address, const char *plaintext, struct err *err)
{
	struct address parsed;

	if (!*address) {
		return 0;
	}
	if (address_parse(address, &parsed, err) < 0 || address_plaintext_check(&parsed, plaintext, err) < 0) {
		return err_prefix(err, "%s", key);
	}
	return 0;
}

/* What spans more than one row. */
static int check(const struct head_settings *settings, struct err *err)
{
	if (!*settings->image_url && http_listen_anywhere(settings->http_listen)) {
		return err_set(err, ERR_PARAMS,
			       "image_url: must be set, as http_listen \"%s\" is no address that agents can be given",
			       settings->http_listen);
	}
	if (strcmp(settings->queue, "trial") == 0 && strcmp(settings->backfill, "aggressive") != 0) {
		log_warning("settings: backfill = %s does nothing with queue = trial; it needs another queue, say fcfs",
			    settings->backfill);
	}
	if (check_listen("listen", settings->listen, settings->plaintext, err) < 0) {
		return -1;
	}
	return check_listen("http_listen", settings->http_listen, settings->plaintext, err);
}

int settings_load(const char *path, struct head_settings *settings, struct err *err)
{
	struct head_settings loaded = {0};

	if (conf_load(settings_table, settings_count, path, &loaded, err) < 0) {
		return -1;
	}
	if (check(&loaded, err) < 0) {
		settings_free(&loaded);
		return path ? err_prefix(err, "%s", path) : -1;
	}
	*settings = loaded;
	return 0;
}

void settings_free(struct head_settings *settings)
{
	conf_free(settings_table, settings_count, settings);
}

static void swap_text(char **a, char **b)
{
	char *kept = *a;

	*a = *b;
	*b = kept;
}

void settings_take(struct head_settings *settings, struct head_settings *fresh)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		void *a = (char *)settings + row->offset;
		void *b = (char *)fresh + row->offset;

		if (!row->reloadable) {
			continue;
		}
		switch (row->type) {
		case SETTING_STRING:
		case SETTING_PATH:
		case SETTING_LIST:
			swap_text(a, b);
			break;
		case SETTING_INT:
		case SETTING_SIZE:
		case SETTING_SPAN:
		case SETTING_CPU:
			*(int64_t *)a = *(int64_t *)b;
			break;
		case SETTING_BOOL:
			*(bool *)a = *(bool *)b;
			break;
		}
	}
}

struct plan_settings settings_plan(const struct head_settings *settings)
{
	struct plan_settings defaults = plan_defaults();

	return (struct plan_settings){
		.lead_us = settings->lead,
		.prepare_us = settings->prepare,
		.stop_us = settings->stop,
		.suspend_us = settings->suspend_fixed,
		.resume_us = settings->resume_fixed,
		.min_run_us = settings->min_run,
		.grace_us = settings->grace,
		.late_us = settings->late,
		.stage_ahead_us = settings->stage_ahead,
		.repository_rate = settings->repository_rate,
		.staging = defaults.staging,
		.migration = (enum migration)policy_find(POLICY_MIGRATION, settings->migration),
		.disks = defaults.disks,
		.suspension = (enum suspension)policy_find(POLICY_SUSPENSION, settings->suspension),
		.exclusion = (enum exclusion)policy_find(POLICY_EXCLUSION, settings->exclusion),
		.learn = settings->learn,
		.backfill = (enum backfill)policy_find(POLICY_BACKFILL, settings->backfill),
		.backfill_depth = (uint32_t)settings->backfill_depth,
		.queue = policy_queue(settings->queue),
		.share_half_us = settings->share_half,
		.host = policy_host(settings->host),
		.victim = policy_victim(settings->victim),
		.admission = policy_admission(settings->admission),
		.price = policy_price(settings->price),
		.price_rate = settings->price_rate,
	};
}

mode_t settings_socket_mode(const struct head_settings *settings)
{
	mode_t mode = 0;

	parse_mode(settings->socket_mode, &mode);
	return mode;
}

enum log_level settings_log_level(const struct head_settings *settings)
{
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(settings->log_level, &level);
	return level;
}

char *settings_image_url(const struct head_settings *settings)
{
	char *url = *settings->image_url ? xstrdup(settings->image_url)
					 : xasprintf("http://%s/images", settings->http_listen);
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/') {
		url[--len] = '\0';
	}
	return url;
}
