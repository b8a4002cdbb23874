/* Command lines that are read, and every kind of bad value. No head is needed. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "suite.h"
#include "util.h"

#define TODAY INT64_C(1795269600000000)
#define WORDS_MAX 16

static const uint64_t submit_options = OPTION_GLOBAL | BIT(VMS) | BIT(CPU) | BIT(MEMORY) | BIT(DISK) | BIT(IMAGE) |
				       BIT(FOR) | BIT(AT) | BIT(NOW) | BIT(WAIT) | BIT(NAME) | BIT(REQUEST_ID) |
				       BIT(SHA256);

/* Splits the line at spaces and reads all of it; returns the number of words that are no options, or -1. */
static int parse(const char *line, struct options *options, struct err *err)
{
	static char buffer[512];
	static const char *argv[WORDS_MAX];
	char *rest = buffer, *word;
	int words = 0;

	*options = (struct options){.now = TODAY, .argv = argv};
	snprintf(buffer, sizeof(buffer), "%s", line);
	while ((word = strsep(&rest, " "))) {
		ck_assert_uint_lt(options->argc, WORDS_MAX);
		argv[options->argc++] = word;
	}
	while (option_next_word(options, submit_options, err)) {
		words++;
	}
	return err->code == ERR_NONE ? words : -1;
}

static const struct {
	const char *line;
	enum option_id id;
	int64_t number;
	const char *text;
	int words;
} good[] = {
	{"--vms 4", OPT(VMS), 4, "4", 0},
	{"--vms=4096", OPT(VMS), 4096, "4096", 0},
	{"-n 3 a b", OPT(VMS), 3, "3", 2},
	{"-n3 a -- --b -c", OPT(VMS), 3, "3", 3},
	{"a -n3 -", OPT(VMS), 3, "3", 2},
	{"--cpu 0.5", OPT(CPU), 500, "0.5", 0},
	{"--memory 512M", OPT(MEMORY), INT64_C(512) << 20, "512M", 0},
	{"--disk 0", OPT(DISK), 0, "0", 0},
	{"--for 1h30m", OPT(FOR), 90 * USEC_PER_MINUTE, "1h30m", 0},
	{"--at +10s", OPT(AT), TODAY + 10 * USEC_PER_SEC, "+10s", 0},
	{"--at -10s", OPT(AT), TODAY - 10 * USEC_PER_SEC, "-10s", 0},
	{"-o csv", OPT(OUTPUT), SHOW_CSV, "csv", 0},
	{"-ojson", OPT(OUTPUT), SHOW_JSON, "json", 0},
	{"--output=table", OPT(OUTPUT), SHOW_TABLE, "table", 0},
	{"--image web-1.2", OPT(IMAGE), 0, "web-1.2", 0},
	{"--now", OPT(NOW), 0, NULL, 0},
	{"--wait active", OPT(WAIT), 0, NULL, 1},
	{"--wait=active", OPT(WAIT), 0, "active", 0},
};

START_TEST(good_lines)
{
	struct options options;
	struct err err;

	ck_assert_int_eq(parse(good[_i].line, &options, &err), good[_i].words);
	ck_assert(options.value[good[_i].id].given);
	ck_assert_int_eq(options.value[good[_i].id].number, good[_i].number);
	ck_assert_pstr_eq(options.value[good[_i].id].text, good[_i].text);
}
END_TEST

/* Each must name the option it is about. */
static const struct {
	const char *line, *about;
} bad[] = {
	{"--vms", "--vms needs a value"},
	{"--vms 0", "--vms"},
	{"--vms -1", "--vms"},
	{"--vms 4097", "from 1 to 4096"},
	{"--vms 1.5", "not a whole number"},
	{"--vms 0x10", "not a whole number"},
	{"--vms 99999999999999999999", "not a whole number"},
	{"--vms nan", "--vms"},
	{"--vms=", "--vms"},
	{"--vms 1 --vms 2", "twice"},
	{"-n 1 --vms 2", "twice"},
	{"--cpu 0", "--cpu"},
	{"--cpu -1", "--cpu"},
	{"--cpu many", "--cpu"},
	{"--cpu 1e400", "--cpu"},
	{"--memory 512", "--memory"},
	{"--memory 1K", "--memory: must be from 1 MiB"},
	{"--memory -1M", "--memory"},
	{"--memory 9999999999T", "--memory"},
	{"--disk 1Q", "--disk"},
	{"--for 60", "--for"},
	{"--for 0s", "--for"},
	{"--for -5s", "--for"},
	{"--for 1ms", "--for: must be from 1s"},
	{"--for forever", "--for"},
	{"--at 1700000000", "--at"},
	{"--at yesterday", "--at"},
	{"--at 2026-13-01T00:00", "--at"},
	{"--at -x", "--at"},
	{"--at -99999d", "--at: is before 1970"},
	{"--image", "--image needs a value: NAME"},
	{"--image ../etc", "--image"},
	{"--image -x", "--image"},
	{"--name =", "--name"},
	{"--request-id", "--request-id"},
	{"--request-id=", "1 to 64 bytes"},
	{"--request-id 12345678901234567890123456789012345678901234567890123456789012345", "1 to 64 bytes"},
	{"--request-id \033[2J", "control character"},
	{"--sha256 abc", "--sha256"},
	{"--sha256 ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789", "--sha256"},
	{"-o xml", "'xml' is not one of table|json|csv"},
	{"-o js", "--output"},
	{"-o", "--output needs a value"},
	{"--now=yes", "--now takes no value"},
	{"--timeout 5", "--timeout"},
	{"--vm 1", "unknown option --vm"},
	{"--vmss 1", "unknown option --vmss"},
	{"--drain", "unknown option --drain"},
	{"-x", "unknown option -x"},
	{"-n", "--vms needs a value"},
};

START_TEST(bad_lines)
{
	struct options options;
	struct err err;

	ck_assert_msg(parse(bad[_i].line, &options, &err) == -1, "%s", bad[_i].line);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_msg(strstr(err.text, bad[_i].about) != NULL, "%s: %s", bad[_i].line, err.text);
	for (const char *p = err.text; *p; p++) {
		ck_assert_msg(*p != '\n', "%s", err.text);
	}
}
END_TEST

/* Whole command lines that must end before anything is sent: the address is one where nobody listens. */
static const struct {
	const char *line;
	int status;
	const char *says; /* on either stream */
} lines[] = {
	{"", STATUS_USAGE, "usage: tenure"},
	{"--help", STATUS_OK, "lease request"},
	{"-h", STATUS_OK, "event follow"},
	{"lease", STATUS_USAGE, "lease explain ID"},
	{"lease --help", STATUS_OK, "lease explain ID"},
	{"lease show --help", STATUS_OK, "usage: tenure lease show ID"},
	{"submit --help", STATUS_OK, "--memory SIZE"},
	{"--version", STATUS_OK, "tenure " TENURE_VERSION},
	{"lease list --version", STATUS_OK, "tenure " TENURE_VERSION},
	{"bogus", STATUS_USAGE, "unknown command 'bogus'; see tenure --help"},
	{"lease bogus", STATUS_USAGE, "unknown command 'lease bogus'; see tenure lease --help"},
	{"--vms 2 submit", STATUS_USAGE, "unknown option --vms"},
	{"lease --vms 2 list", STATUS_USAGE, "unknown option --vms"},
	{"list --vms 2", STATUS_USAGE, "list: unknown option --vms"},
	{"list extra", STATUS_USAGE, "'extra' is one argument too many"},
	{"lease show", STATUS_USAGE, "usage: tenure lease show ID"},
	{"lease show 1 2", STATUS_USAGE, "'2' is one argument too many"},
	{"lease show x", STATUS_USAGE, "'x' is not a lease id"},
	{"lease show 0", STATUS_USAGE, "not a lease id"},
	{"lease show -- -1", STATUS_USAGE, "not a lease id"},
	{"lease show 1e3", STATUS_USAGE, "not a lease id"},
	{"cancel 99999999999999999999", STATUS_USAGE, "not a lease id"},
	{"cancel 1 2 --request-id x", STATUS_USAGE, "--request-id goes with one lease"},
	{"lease wait 1 --state asleep", STATUS_USAGE, "--state asleep: there is no such state"},
	{"node show ../x", STATUS_USAGE, "is not a name"},
	{"node drain", STATUS_USAGE, "usage: tenure node drain NODE"},
	{"submit --for 1m", STATUS_USAGE, "--image NAME is missing"},
	{"submit --image a", STATUS_USAGE, "--for DURATION is missing"},
	{"submit --image a --for 1m --at +1m --now", STATUS_USAGE, "--at, --now, --deadline and --open exclude"},
	{"submit --image a --for 1m --at +1m --deadline +2m", STATUS_USAGE, "--deadline and --open exclude"},
	{"submit --image a --for 1m --now --open now", STATUS_USAGE, "--deadline and --open exclude"},
	{"submit --image a --for 1m --open now --until +1h", STATUS_USAGE, "--open needs --until TIME"},
	{"submit --image a --for 1m --open now --response 9s", STATUS_USAGE, "--open needs --until TIME"},
	{"submit --image a --for 1m --at now --until +1h", STATUS_USAGE, "--until and --response go with --open"},
	{"submit --image a --for 1m --response 9s", STATUS_USAGE, "--until and --response go with --open"},
	{"submit --image a --for 1m --open now --until +1h --response 1", STATUS_USAGE, "--response: "},
	{"submit --image a --for 1m --open now --until +1h --response 9s --serial", STATUS_USAGE, "--serial is for"},
	{"lease call", STATUS_USAGE, "usage: tenure lease call ID"},
	{"lease call x", STATUS_USAGE, "'x' is not a lease id"},
	{"submit --image a --for 1m --latest +1m", STATUS_USAGE, "--latest goes with --at"},
	{"submit --image a --for 1m --at +1m --not-before +1m", STATUS_USAGE, "--not-before goes with --deadline"},
	{"submit --image a --for 1m --deadline +1h --serial", STATUS_USAGE, "--serial is for best-effort"},
	{"submit --image a --for 1m --price-max 0", STATUS_USAGE, "--price-max: must be from 1 to"},
	{"lease extend 7", STATUS_USAGE, "one of --by, --to and --duration must be given"},
	{"lease extend 7 --by 1h --to +1h", STATUS_USAGE, "one of --by, --to and --duration must be given"},
	{"lease extend 7 --by 60", STATUS_USAGE, "--by: "},
	{"lease extend 7 --by +-1h", STATUS_USAGE, "--by: "},
	{"lease extend 7 --by -40000d", STATUS_USAGE, "--by: must be from -36500d to 36500d"},
	{"lease extend 7 --duration 1ms", STATUS_USAGE, "--duration: must be from 1s"},
	{"lease extend x --by 1h", STATUS_USAGE, "'x' is not a lease id"},
	{"submit --image a --for 1m --at +1m --serial", STATUS_USAGE, "--serial is for best-effort"},
	{"submit --image a --for 1m --now --serial", STATUS_USAGE, "--serial is for best-effort"},
	{"submit --image a --for 1m --wait --dry-run", STATUS_USAGE, "--wait and --dry-run exclude each other"},
	{"submit --image a --for 1m --wait=asleep", STATUS_USAGE, "--wait=asleep: there is no such state"},
	{"gantt --from +2h --to +1h", STATUS_USAGE, "--to must be later than --from"},
	{"gantt --width 39", STATUS_USAGE, "--width: must be from 40 to 1000"},
	{"image add", STATUS_USAGE, "usage: tenure image add NAME"},
	{"image add a", STATUS_USAGE, "either --disk FILE|URL or --kernel"},
	{"image add a --disk x.img --kernel y", STATUS_USAGE, "either --disk FILE|URL or --kernel"},
	{"image add a --disk x.img --initrd y", STATUS_USAGE, "go with --kernel"},
	{"image add a --disk x.img --cmdline y", STATUS_USAGE, "go with --kernel"},
	{"image add a --disk http://h/x.img", STATUS_USAGE, "needs --sha256 and --size"},
	{"image add a --disk http://h/x", STATUS_USAGE, "say --format"},
	{"image add a --disk /nowhere/x", STATUS_USAGE, "say --format"},
	{"image add a --disk x.img --format vmdk", STATUS_USAGE, "'vmdk' is not one of raw|qcow2"},
	{"image add a --kernel k --format raw", STATUS_USAGE, "go with --disk"},
	{"image add a --kernel http://h/k", STATUS_USAGE, "are files on the head"},
	{"image add a,b --disk x.img", STATUS_USAGE, "is not a name"},
	{"--server bogus list", STATUS_USAGE, "--server bogus"},
	{"list", STATUS_UNAVAILABLE, "cannot reach the head at unix:/nonexistent/socket"},
	{"lease wait 1", STATUS_UNAVAILABLE, "is tenured running?"},
	{"event follow", STATUS_UNAVAILABLE, "TENURE_SERVER"},
};

START_TEST(whole_lines)
{
	static char buffer[512];
	const char *argv[WORDS_MAX] = {"tenure"};
	char *rest = buffer, *word, *text = NULL;
	size_t len;
	int argc = 1;
	FILE *out = open_memstream(&text, &len);
	struct show show = {.out = out, .err = out};
	struct event_base *base = event_base_new();

	setenv("TENURE_SERVER", "unix:/nonexistent/socket", 1);
	snprintf(buffer, sizeof(buffer), "%s", lines[_i].line);
	while ((word = strsep(&rest, " ")) && *word) {
		argv[argc++] = word;
	}
	int status = client_run(base, argc, argv, &show);

	fclose(out);
	ck_assert_msg(strstr(text, lines[_i].says) != NULL, "%s: %s", lines[_i].line, text);
	ck_assert_msg(status == lines[_i].status, "%s: status %d", lines[_i].line, status);
	free(text);
	event_base_free(base);
}
END_TEST

START_TEST(statuses)
{
	static const struct {
		enum err_code code;
		int status;
	} rows[] = {
		{ERR_NONE, 0},     {ERR_PARSE, 1},        {ERR_REQUEST, 1},   {ERR_METHOD, 1},   {ERR_PARAMS, 2},
		{ERR_INTERNAL, 1}, {ERR_DENIED, 5},       {ERR_NOT_FOUND, 4}, {ERR_REJECTED, 3}, {ERR_CONFLICT, 9},
		{ERR_STORE, 1},    {ERR_UNAVAILABLE, 6},  {ERR_LIMIT, 1},     {ERR_TIMEOUT, 7},  {ERR_IMAGE, 1},
		{ERR_STALE, 1},    {(enum err_code)5, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_int_eq(client_status(rows[i].code), rows[i].status);
	}
}
END_TEST

/* A command takes no two options of one name, and no option of its own hides a global one. */
START_TEST(table_is_unambiguous)
{
	for (size_t i = 0; i < command_count; i++) {
		uint64_t set = commands[i].options | OPTION_GLOBAL;

		ck_assert_uint_eq(commands[i].options & OPTION_GLOBAL, 0);
		for (size_t a = 0; a < OPTION_COUNT; a++) {
			for (size_t b = 0; b < a; b++) {
				bool both = (set >> a & 1) && (set >> b & 1);

				ck_assert(!both || strcmp(option_rows[a].name, option_rows[b].name) != 0);
				ck_assert(!both || !option_rows[a].letter ||
					  option_rows[a].letter != option_rows[b].letter);
			}
		}
	}
	ck_assert_uint_le(OPTION_COUNT, 64);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_option");
	TCase *tc = tcase_create("options");

	tcase_add_loop_test(tc, good_lines, 0, ARRAY_SIZE(good));
	tcase_add_loop_test(tc, bad_lines, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(tc, whole_lines, 0, ARRAY_SIZE(lines));
	tcase_add_test(tc, statuses);
	tcase_add_test(tc, table_is_unambiguous);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
