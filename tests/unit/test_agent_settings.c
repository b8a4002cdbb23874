/*
 * The agent's settings: good and bad files, what is measured, and that the settings file that is installed, the manual
 * and the table say the same. Run from the top of the source tree.
 */
#include <check.h>
#include <string.h>
#include <unistd.h>

#include "../../agent/settings.h"
#include "suite.h"
#include "util.h"

static char path[64];
static struct agent_settings settings;
static struct err err;

static void setup(void)
{
	strcpy(path, "/tmp/tenure-test-settings-XXXXXX");
	close(mkstemp(path));
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	unlink(path);
}

static int load(const char *text)
{
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
	return settings_load(path, &settings, &err);
}

START_TEST(defaults)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = '\0';
	ck_assert_msg(settings_load(NULL, &settings, &err) == 0, "%s", err.text);
	ck_assert_str_eq(settings.node, host);
	ck_assert_str_eq(settings.console_dir, "/var/lib/tenure-agent/console");
	ck_assert_int_eq(settings.call_deadline, 30 * USEC_PER_SEC);
	ck_assert_int_eq(settings.cpu, 0);
	ck_assert_int_eq(settings.reserve_memory, 512 << 20);
	ck_assert_int_eq(settings_log_level(&settings), LOG_LEVEL_INFO);
	settings_free(&settings);
}
END_TEST

START_TEST(every_key)
{
	ck_assert_msg(load("[agent]\nnode = n1\nhead = unix:/run/x\nplaintext = 10.0.0.0/8\ntoken_file = /t\n"
			   "state_dir = /s\nconsole_dir = /c\nuri = test:///default\ndomain_type = qemu\n"
			   "log_level = debug\ncall_deadline = 5s\n[capacity]\ncpu = 1.5\nmemory = 2G\ndisk = 3G\n"
			   "pool = 4G\nnet_in = 5M\nnet_out = 6M\nreserve_cpu = 1\nreserve_memory = 0\n"
			   "reserve_disk = 0\nsuspend_rate = 7M\nresume_rate = 8M\n[stage]\nmax_size = 9G\n"
			   "parallel = 3\nconnect_timeout = 1s\nstall_timeout = 2s\nstall_rate = 1K\n") == 0,
		      "%s", err.text);
	ck_assert_str_eq(settings.console_dir, "/c");
	ck_assert_int_eq(settings.cpu, 1500);
	ck_assert_int_eq(settings.resume_rate, 8 << 20);
	ck_assert_int_eq(settings.parallel, 3);
	settings_free(&settings);
}
END_TEST

START_TEST(bad_values)
{
	static const struct {
		const char *text;
		const char *in_error;
	} bads[] = {
		{"[agent]\nnode = a b\n", "node"},
		{"[agent]\nnode = ../x\n", "node"},
		{"[agent]\nnoed = x\n", ":2: unknown setting \"noed\""},
		{"[agnet]\nnode = x\n", ":1: unknown section [agnet]"},
		{"[agent]\nhead =\n", ":2"},
		{"[agent]\ndomain_type = xen\n", "domain_type: \"xen\""},
		{"[agent]\nlog_level = loud\n", "log_level: \"loud\""},
		{"[agent]\nstate_dir = relative\n", ":2"},
		{"[agent]\nstate_dir =\n", "state_dir"},
		{"[agent]\ncall_deadline = 30\n", ":2"},
		{"[agent]\ncall_deadline = 1ms\n", ":2"},
		{"[capacity]\ncpu = many\n", ":2"},
		{"[capacity]\nmemory = -1G\n", ":2"},
		{"[capacity]\nsuspend_rate = 0\n", ":2"},
		{"[stage]\nparallel = 0\n", ":2"},
		{"[stage]\nparallel = 65\n", ":2"},
		{"[stage]\nstall_timeout = 10ms\n", ":2"},
		{"node = x\n", ":1"},
	};
	ck_assert_uint_eq(ARRAY_SIZE(bads), 18);
	ck_assert_int_eq(load(bads[_i].text), -1);
	ck_assert_msg(strstr(err.text, bads[_i].in_error) && strstr(err.text, path), "case %d: %s", _i, err.text);
}
END_TEST

START_TEST(missing_file)
{
	ck_assert_int_eq(settings_load("/nonexistent/agent.conf", &settings, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/agent.conf"));
}
END_TEST

START_TEST(measuring)
{
	struct settings_capacity got;

	ck_assert_int_eq(load("[agent]\nstate_dir = /tmp\n[capacity]\nreserve_disk = 0\nreserve_memory = 1M\n"), 0);
	ck_assert_msg(settings_measure(&settings, 0, &got, &err) == 0, "%s", err.text);
	for (int res = 0; res < RES_COUNT; res++) {
		ck_assert_int_gt(got.capacity.amount[res], 0);
	}
	ck_assert_int_eq(got.capacity.amount[RES_CPU] % 1000, 0);
	/* Of managed CPUs, what may be promised. */
	ck_assert_int_eq(settings_measure(&settings, 1350, &got, &err), 0);
	ck_assert_int_eq(got.capacity.amount[RES_CPU], 1350);
	ck_assert_int_gt(got.pool, 0);
	ck_assert_int_ge(got.capacity.amount[RES_DISK], 2 * got.pool);
	settings_free(&settings);
}
END_TEST

START_TEST(stated_wins)
{
	struct settings_capacity got;

	/* state_dir is not looked at when nothing is to be measured. */
	ck_assert_int_eq(load("[agent]\nstate_dir = /nonexistent\n[capacity]\ncpu = 2\nmemory = 1G\ndisk = 2G\n"
			      "pool = 3G\nnet_in = 4M\nnet_out = 5M\n"),
			 0);
	ck_assert_int_eq(settings_measure(&settings, 0, &got, &err), 0);
	ck_assert_int_eq(got.capacity.amount[RES_CPU], 2000);
	ck_assert_int_eq(got.capacity.amount[RES_MEMORY], 1 << 30);
	ck_assert_int_eq(got.capacity.amount[RES_DISK], INT64_C(2) << 30);
	ck_assert_int_eq(got.pool, INT64_C(3) << 30);
	ck_assert_int_eq(got.capacity.amount[RES_NET_IN], 4 << 20);
	ck_assert_int_eq(got.capacity.amount[RES_NET_OUT], 5 << 20);
	settings_free(&settings);
}
END_TEST

START_TEST(nothing_left)
{
	static const char *const texts[] = {
		"[agent]\nstate_dir = /tmp\n[capacity]\nreserve_memory = 1000T\n",
		"[agent]\nstate_dir = /tmp\n[capacity]\nreserve_cpu = 100000\n",
		"[agent]\nstate_dir = /tmp\n[capacity]\nreserve_disk = 100000T\n",
	};
	static const char *const keys[] = {"reserve_memory", "reserve_cpu", "reserve_disk"};
	struct settings_capacity got;

	ck_assert_msg(load(texts[_i]) == 0, "%s", err.text);
	ck_assert_int_eq(settings_measure(&settings, 0, &got, &err), -1);
	ck_assert_msg(strstr(err.text, keys[_i]), "%s", err.text);
	settings_free(&settings);
}
END_TEST

static char *print_defaults(void)
{
	struct agent_settings values = {0};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert_int_eq(conf_load(settings_table, settings_count, NULL, &values, &err), 0);
	conf_print(settings_table, settings_count, &values, out);
	fclose(out);
	conf_free(settings_table, settings_count, &values);
	return text;
}

/* etc/agent.conf is what --print-config prints, below a few lines of comment. */
START_TEST(installed_file)
{
	_cleanup_free_ char *installed = file_read("etc/agent.conf", 1 << 16, &err);
	_cleanup_free_ char *printed = print_defaults();
	char *begin;

	ck_assert_msg(installed, "%s", err.text);
	begin = strstr(installed, "[agent]");
	ck_assert_ptr_nonnull(begin);
	ck_assert_str_eq(begin, printed);
	ck_assert_msg(settings_load("etc/agent.conf", &settings, &err) == 0, "%s", err.text);
	settings_free(&settings);
}
END_TEST

/* Each key has its entry in the manual, which ends with the default in parentheses. */
START_TEST(manual_of_settings)
{
	const struct setting *row = &settings_table[_i];
	_cleanup_free_ char *page = file_read("man/tenure-agent.conf.5", 1 << 16, &err);
	_cleanup_free_ char *entry = xasprintf("\n.It Ic %s\n", row->key);
	_cleanup_free_ char *value = xasprintf("\n.Pq %s\n", *row->value ? row->value : "empty");
	char *begin, *end;

	ck_assert_msg(page, "%s", err.text);
	begin = strstr(page, entry);
	ck_assert_msg(begin, "%s is not in the manual", row->key);
	end = strstr(begin + 1, "\n.It ");
	if (end) {
		end[1] = '\0';
	}
	ck_assert_msg(strstr(begin, value), "the manual states another default for %s than %s", row->key, row->value);
}
END_TEST

START_TEST(manual_of_options)
{
	static const char *const options[] = {"config", "check", "print-config", "version", "help"};
	_cleanup_free_ char *page = file_read("man/tenure-agent.8", 1 << 16, &err);
	_cleanup_free_ char *source = file_read("agent/main.c", 1 << 16, &err);
	size_t known = 0;

	ck_assert_msg(page && source, "%s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		_cleanup_free_ char *entry = xasprintf("\n.It Fl Fl %s", options[i]);
		_cleanup_free_ char *row = xasprintf("{\"%s\", ", options[i]);

		ck_assert_msg(strstr(page, entry), "--%s is not in the manual", options[i]);
		ck_assert_msg(strstr(source, row), "--%s is no option", options[i]);
	}
	for (const char *p = source; (p = strstr(p, "_argument, NULL")); p++) {
		known++;
	}
	ck_assert_uint_eq(known, ARRAY_SIZE(options));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_settings");
	TCase *tcase = tcase_create("settings");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, every_key);
	tcase_add_loop_test(tcase, bad_values, 0, 18);
	tcase_add_test(tcase, missing_file);
	tcase_add_test(tcase, measuring);
	tcase_add_test(tcase, stated_wins);
	tcase_add_loop_test(tcase, nothing_left, 0, 3);
	tcase_add_test(tcase, installed_file);
	tcase_add_loop_test(tcase, manual_of_settings, 0, (int)settings_count);
	tcase_add_test(tcase, manual_of_options);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
