/* The head's settings: defaults, refusals, reloading, and that file and manual say what the table says. */
#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "method.h"
#include "policy.h"
#include "settings.h"
#include "suite.h"
#include "util.h"

static char path[64];
static struct head_settings settings;
static struct err err;

static void setup(void)
{
	int fd;

	strcpy(path, "/tmp/tenure-test-settings-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	unlink(path);
}

static int load(const char *text)
{
	FILE *out = fopen(path, "we");

	fputs(text, out);
	fclose(out);
	return settings_load(path, &settings, &err);
}

START_TEST(defaults)
{
	_cleanup_free_ char *url = NULL;
	struct plan_settings plan;

	ck_assert_msg(settings_load(NULL, &settings, &err) == 0, "%s", err.text);
	ck_assert_str_eq(settings.state_dir, "/var/lib/tenure");
	ck_assert_str_eq(settings.listen, "127.0.0.1:7440");
	ck_assert_int_eq(settings.heartbeat, 2 * USEC_PER_SEC);
	ck_assert_uint_eq(settings_socket_mode(&settings), 0666);
	ck_assert_int_eq(settings_log_level(&settings), LOG_LEVEL_INFO);
	url = settings_image_url(&settings);
	ck_assert_str_eq(url, "http://127.0.0.1:7441/images");
	plan = settings_plan(&settings);
	ck_assert_int_eq(plan.lead_us, USEC_PER_SEC);
	ck_assert_int_gt(plan.repository_rate, 0);
	ck_assert_int_eq(plan.suspension, SUSPENSION_ALL);
	ck_assert_int_eq(plan.backfill, BACKFILL_AGGRESSIVE);
	ck_assert_ptr_eq(plan.queue, policy_queue(settings.queue));
	ck_assert_ptr_eq(plan.queue, plan_defaults().queue);
	settings_free(&settings);
}
END_TEST

START_TEST(refusals)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"[head]\nlog_level = loud\n", "log_level"},
		{"[head]\nsocket_mode = 0999\n", "socket_mode"},
		{"[head]\nsocket_mode = 7\n", "socket_mode"},
		{"[head]\nstate_dir =\n", "state_dir"},
		{"[head]\nsocket = tenured.sock\n", ":2:"},
		{"[head]\nimage_url = ftp://x\n", "image_url"},
		{"[head]\nhttp_listen =\n", "image_url"},
		{"[head]\nhttp_listen = 0.0.0.0:7441\n", "image_url"},
		{"[head]\nlisten = 0.0.0.0:7440\n", "listen"},
		{"[head]\nhttp_listen = 10.0.0.1:7441\n", "http_listen"},
		{"[head]\nlisten = nowhere\n", "listen"},
		{"[head]\nplaintext = 10.0.0.0\n", "not a network"},
		{"[head]\nheartbeat = 5\n", ":2:"},
		{"[plan]\nlead = -1s\n", ":2:"},
		{"[plan]\nsuspension = perhaps\n", ":2:"},
		{"[plan]\nqueue = fcfs,fair\n", "none of fcfs, shortest, fair"},
		{"[plan]\nadmission = ALL\n", "none of all, no-ar, half"},
		{"[plan]\nprice = dear\n", "none of free, constant, load"},
		{"[plan]\nhost =\n", ":2:"},
		{"[plan]\nvictim = nobody\n", ":2:"},
		{"[plan]\nbackfill = 1\n", ":2:"},
		{"[plan]\nprice_rate = -1\n", ":2:"},
		{"[plan]\nshare_half = 0s\n", ":2:"},
		{"[plan]\nnonsense = 1\n", ":2:"},
		{"[history]\nkeep = 0s\n", ":2:"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_msg(load(rows[i].text) == -1, "accepted: %s", rows[i].text);
		ck_assert_msg(strstr(err.text, rows[i].why) && strstr(err.text, path), "%s", err.text);
	}
}
END_TEST

START_TEST(takes_only_what_is_reloadable)
{
	struct head_settings fresh;
	const struct setting *row = NULL;

	ck_assert_int_eq(load("[head]\noperators = ada\nsocket_mode = 0600\n"), 0);
	fresh = settings;
	ck_assert_int_eq(load("[head]\noperators = bob\nsocket_mode = 0660\nlog_level = debug\n[history]\nkeep = 2d\n"),
			 0);
	/* settings holds the new ones, fresh the old; swap names. */
	ck_assert(conf_needs_restart(settings_table, settings_count, &fresh, &settings, &row));
	ck_assert_str_eq(row->key, "socket_mode");
	settings_take(&fresh, &settings);
	ck_assert_str_eq(fresh.operators, "bob");
	ck_assert_str_eq(fresh.log_level, "debug");
	ck_assert_int_eq(fresh.keep, 2 * USEC_PER_DAY);
	ck_assert_str_eq(fresh.socket_mode, "0600");
	ck_assert_str_eq(settings.operators, "ada");
	settings_free(&settings);
	settings_free(&fresh);
}
END_TEST

/* etc/tenured.conf is what --print-config prints, under two lines of comment and an empty one. */
START_TEST(file_has_every_default)
{
	_cleanup_free_ char *file = file_read("etc/tenured.conf", 65536, &err);
	char *printed = NULL;
	size_t len;
	FILE *out = open_memstream(&printed, &len);
	const char *body;

	ck_assert_msg(file != NULL, "%s (run from the top folder)", err.text);
	ck_assert_int_eq(settings_load(NULL, &settings, &err), 0);
	conf_print(settings_table, settings_count, &settings, out);
	fclose(out);
	body = strstr(file, "\n\n");
	ck_assert_ptr_nonnull(body);
	ck_assert_str_eq(body + 2, printed);
	settings_free(&settings);
	free(printed);
	ck_assert_int_eq(settings_load("etc/tenured.conf", &settings, &err), 0);
	settings_free(&settings);
}
END_TEST

START_TEST(manual_has_every_key)
{
	_cleanup_free_ char *page = file_read("man/tenured.conf.5", 65536, &err);

	ck_assert_ptr_nonnull(page);
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		_cleanup_free_ char *item = xasprintf("\n.It Ic %s\n", row->key);
		_cleanup_free_ char *value = xasprintf("\n.Pq %s%s\n", *row->value ? row->value : "empty",
						       row->reloadable ? ", reloadable" : "");
		const char *at = strstr(page, item);

		ck_assert_msg(at != NULL, "%s is not on its page", row->key);
		ck_assert_msg(strstr(at, value) == strstr(at, "\n.Pq "), "%s has another default", row->key);
	}
}
END_TEST

/* Every name that a setting takes, and no other, is said on the page, as the planner has it. */
START_TEST(manual_has_every_choice)
{
	static const struct {
		const char *key;
		enum policy_set set;
	} rows[] = {
		{"suspension", POLICY_SUSPENSION}, {"exclusion", POLICY_EXCLUSION}, {"queue", POLICY_QUEUE},
		{"backfill", POLICY_BACKFILL},     {"host", POLICY_HOST},           {"victim", POLICY_VICTIM},
		{"admission", POLICY_ADMISSION},   {"price", POLICY_PRICE},
	};
	_cleanup_free_ char *page = file_read("man/tenured.conf.5", 65536, &err);

	ck_assert_ptr_nonnull(page);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *item = xasprintf("\n.It Ic %s\n", rows[i].key);
		const char *at = strstr(page, item), *end = strstr(at, "\n.Pq "), *name;
		size_t names = 0, said = 0;

		for (const char *p = at; (p = strstr(p, "\n.Cm ")) && p < end; p++) {
			said++;
		}
		for (; (name = policy_name(rows[i].set, names)); names++) {
			_cleanup_free_ char *word = xasprintf("\n.Cm %s", name);
			const char *found = strstr(at, word);
			size_t len = strlen(word);

			ck_assert_msg(found && found < end && (found[len] == '\n' || found[len] == ' '),
				      "%s: %s is not on its page", rows[i].key, name);
		}
		ck_assert_msg(said == names, "%s: the page has %zu names, the planner %zu", rows[i].key, said, names);
	}
}
END_TEST

START_TEST(manual_has_every_method)
{
	_cleanup_free_ char *page = file_read("man/tenure-protocol.7", 65536, &err);

	ck_assert_ptr_nonnull(page);
	for (enum method_id id = 0; id < METHOD_COUNT; id++) {
		const struct method *method = method_at(id);
		_cleanup_free_ char *heading = xasprintf("\n.Ss %s\n", method->name);
		const char *at = strstr(page, heading), *end;

		ck_assert_msg(at != NULL, "%s is not on its page", method->name);
		end = strstr(at + 1, "\n.Ss ");
		for (size_t i = 0; i < method->param_count; i++) {
			_cleanup_free_ char *item = xasprintf("\n.It Ic %s Pq ", method->params[i].name);
			const char *param = strstr(at, item);

			ck_assert_msg(param && (!end || param < end), "%s: %s is not on its page", method->name,
				      method->params[i].name);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_settings");
	TCase *tcase = tcase_create("settings");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, refusals);
	tcase_add_test(tcase, takes_only_what_is_reloadable);
	tcase_add_test(tcase, file_has_every_default);
	tcase_add_test(tcase, manual_has_every_key);
	tcase_add_test(tcase, manual_has_every_choice);
	tcase_add_test(tcase, manual_has_every_method);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
