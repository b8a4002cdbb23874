/* Whole commands against a head in the test: what they send, what they show, how they exit. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "fakehead.h"
#include "suite.h"
#include "util.h"
#include "wait.h"

#define WORDS_MAX 32
#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* What the head answers, in turn; the last one is repeated. */
struct answer {
	const char *method;
	enum err_code code; /* ERR_NONE: json is the result; ERR_UNAVAILABLE: the connection breaks */
	const char *json;   /* result or error data */
};

static const struct answer *answers;
static size_t answer_count;
static struct event_base *base;
static struct fakehead *head;
static char *out, *messages;
static size_t out_len, messages_len;
static bool terminal; /* messages go to one */

static enum fakehead_deed answer(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				 struct json_object **result, struct err *err, struct json_object **data)
{
	const struct answer *now = &answers[n < answer_count ? n : answer_count - 1];

	(void)fake;
	(void)params;
	ck_assert_str_eq(method, now->method);
	if (now->code == ERR_UNAVAILABLE) {
		return FAKE_BREAK;
	}
	*(now->code ? data : result) = now->json ? json_tokener_parse(now->json) : NULL;
	if (now->code) {
		err_set(err, now->code, "the head says no");
		return FAKE_ERROR;
	}
	return FAKE_RESULT;
}

static void begin(const struct answer *list, size_t n)
{
	answers = list;
	answer_count = n;
	base = event_base_new();
	head = fakehead_new(base, answer);
}

static void finish(void)
{
	fakehead_free(head);
	event_base_free(base);
	free(steal(&out));
	free(steal(&messages));
}

#define BEGIN(...)                                         \
	static const struct answer list[] = {__VA_ARGS__}; \
	begin(list, ARRAY_SIZE(list))

/* Runs a line split at spaces; '_' in it stands for a space inside a word. */
static int run(const char *line)
{
	static char buffer[512];
	const char *argv[WORDS_MAX] = {"tenure", "--server", fakehead_address(head)};
	char *rest = buffer, *word;
	int argc = 3;
	struct show show = {.err_tty = terminal};

	free(steal(&out));
	free(steal(&messages));
	show.out = open_memstream(&out, &out_len);
	show.err = open_memstream(&messages, &messages_len);
	snprintf(buffer, sizeof(buffer), "%s", line);
	while ((word = strsep(&rest, " "))) {
		for (char *p = word; (p = strchr(p, '_'));) {
			*p = ' ';
		}
		argv[argc++] = word;
	}
	int status = client_run(base, argc, argv, &show);

	fclose(show.out);
	fclose(show.err);
	return status;
}

/* The parameters of the n-th request as text, without a random request_id. */
static const char *sent(size_t n)
{
	struct json_object *request = json_object_array_get_idx(fakehead_requests(head), n);
	struct json_object *params = json_object_object_get(request, "params");

	if (strlen(show_string(params, "request_id")) == 36) {
		json_object_object_del(params, "request_id");
	}
	return json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

#define LEASE(state)                                                                                 \
	"{\"id\":7,\"state\":\"" state "\",\"nodes\":[\"n1\",\"n2\"],\"start_us\":1795269605000000," \
	"\"end_us\":1795273205000000,\"reason\":\"why\"}"

START_TEST(submit_best_effort)
{
	BEGIN({"lease.request", ERR_NONE, LEASE("queued")});
	ck_assert_int_eq(run("submit --image web --for 10m"), STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"kind\":\"best-effort\",\"vms\":1,\"cpu\":1000,\"memory\":536870912,"
				  "\"image\":\"web\",\"duration_us\":600000000}");
	ck_assert_str_eq(messages, "");
	ck_assert_ptr_nonnull(strstr(out, "lease 7: queued on n1,n2, "));
	ck_assert_ptr_nonnull(strstr(out, ": why\n"));
	finish();
}
END_TEST

START_TEST(submit_everything)
{
	BEGIN({"lease.request", ERR_NONE, LEASE("scheduled")});
	ck_assert_int_eq(run("-o json lease request --vms 4 --cpu 0.5 --memory 1G --disk 2G --image web --for 1h "
			     "--at 2026-11-21T14:00:05Z --name x --request-id mine"),
			 STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"kind\":\"ar\",\"vms\":4,\"cpu\":500,\"memory\":1073741824,"
				  "\"disk\":2147483648,\"image\":\"web\",\"start_us\":1795269605000000,"
				  "\"duration_us\":3600000000,\"name\":\"x\",\"request_id\":\"mine\"}");
	ck_assert_ptr_nonnull(strstr(out, "\"id\":7"));
	ck_assert_int_eq(run("submit --now --image web --for 1h --vms 2"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(1), "\"kind\":\"immediate\""));
	ck_assert_int_eq(run("submit --serial --image web --for 1h --vms 2"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(2), "\"serial\":true"));
	finish();
}
END_TEST

START_TEST(submit_other_kinds)
{
	BEGIN({"lease.request", ERR_NONE, LEASE("scheduled")});
	ck_assert_int_eq(run("submit --image web --for 1h --at 2026-11-21T14:00:05Z --latest 2026-11-21T14:00:06Z"),
			 STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(0), "\"kind\":\"ar\""));
	ck_assert_ptr_nonnull(strstr(sent(0), "\"start_us\":1795269605000000,\"latest_us\":1795269606000000,"));
	ck_assert_int_eq(run("submit --image web --for 1h --deadline 2026-11-21T14:00:06Z --price-max 9"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(1), "\"kind\":\"deadline\""));
	ck_assert_ptr_nonnull(strstr(sent(1), "\"deadline_us\":1795269606000000,\"price_max\":9,"));
	ck_assert_ptr_null(strstr(sent(1), "start_us"));
	ck_assert_int_eq(run("submit --image web --for 1s --deadline 2026-11-21T14:00:06Z --not-before "
			     "2026-11-21T14:00:05Z"),
			 STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(2), "\"start_us\":1795269605000000,\"deadline_us\":1795269606000000"));
	finish();
}
END_TEST

/* Each kind's offer is a request of that kind. */
START_TEST(offers_of_other_kinds)
{
	BEGIN({"lease.request", ERR_REJECTED,
	       "{\"id\":7,\"offer\":{\"start_us\":1795269605000001,\"vms\":3,\"duration_us\":600000000}}"},
	      {"lease.request", ERR_REJECTED,
	       "{\"id\":7,\"offer\":{\"start_us\":1795269605000001,\"vms\":3,\"duration_us\":600000000}}"},
	      {"lease.request", ERR_REJECTED,
	       "{\"id\":7,\"offer\":{\"start_us\":1795269605000001,\"vms\":3,\"duration_us\":600000000}}"},
	      {"lease.request", ERR_REJECTED,
	       "{\"id\":7,\"offer\":{\"start_us\":0,\"vms\":3,\"duration_us\":600000000}}"});
	ck_assert_int_eq(run("submit --image web --for 10m --at 2026-11-21T14:00Z --latest 2026-11-21T14:00:05Z"),
			 STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --vms 3 --for 10m --at 2026-11-21T14:00:05.000001Z\n"));
	ck_assert_int_eq(run("submit --image web --for 10m --deadline 2026-11-21T14:01Z --price-max 5"),
			 STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --image web --price-max 5 --vms 3 --for 10m "
					       "--deadline 2026-11-21T14:12:00.000Z\n"));
	ck_assert_int_eq(run("submit --image web --for 10m --deadline 2026-11-21T15:00Z --not-before "
			     "2026-11-21T14:00Z"),
			 STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --not-before 2026-11-21T14:00:00.000Z "
					       "--deadline 2026-11-21T15:00:00.000Z\n"));
	ck_assert_int_eq(run("submit --image web --for 10m --vms 9"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --image web --vms 3 --for 10m\n"));
	finish();
}
END_TEST

#define WINDOW "--open 2026-11-21T14:00Z --until 2026-11-21T15:00Z "
#define OFFER(response)                                                                           \
	"{\"id\":7,\"offer\":{\"start_us\":1795269605000000,\"vms\":2,\"duration_us\":600000000," \
	"\"response_us\":" response "}}"

START_TEST(open_lease)
{
	BEGIN({"lease.request", ERR_NONE,
	       "{\"id\":7,\"kind\":\"open\",\"state\":\"standby\",\"nodes\":[\"n1\"],\"start_us\":0,"
	       "\"not_before_us\":1795269600000000,\"latest_us\":1795273200000000,\"response_us\":30000000}"},
	      {"lease.request", ERR_NONE, "{\"accepted\":true,\"start_us\":1795269600000000,\"nodes\":[\"n1\"]}"},
	      {"lease.request", ERR_REJECTED, OFFER("9000000")}, {"lease.request", ERR_REJECTED, OFFER("10500001")},
	      {"lease.call", ERR_NONE, LEASE("scheduled")}, {"lease.call", ERR_REJECTED, "{\"id\":7}"});
	ck_assert_int_eq(run("submit --image web --for 1h " WINDOW "--response 30s"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(0), "\"kind\":\"open\""));
	ck_assert_ptr_nonnull(strstr(sent(0), "\"start_us\":1795269600000000,\"latest_us\":1795273200000000,"
					      "\"response_us\":30000000,\"duration_us\":3600000000"));
	ck_assert_ptr_nonnull(strstr(out, "lease 7: standby on n1, can be called "));
	ck_assert_int_eq(run("submit --image web --for 1h --dry-run " WINDOW "--response 30s"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(out, "would be accepted: on standby from "));
	/* The offer is of an open lease too: what need not change stays as it was given, the rest is never too little.
	 */
	ck_assert_int_eq(run("submit --image web --vms 3 --for 10m " WINDOW "--response 9s"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --vms 2 --for 10m --open 2026-11-21T14:00:05.000Z "
					       "--until 2026-11-21T15:00:00.000Z --response 9s\n"));
	ck_assert_int_eq(run("submit --image web --for 10m " WINDOW "--response 9s"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, " --response 10501ms\n"));
	ck_assert_int_eq(run("lease call 7 --request-id r"), STATUS_OK);
	ck_assert_str_eq(sent(4), "{\"id\":7,\"request_id\":\"r\"}");
	ck_assert_ptr_nonnull(strstr(out, "lease 7: scheduled on n1,n2, "));
	ck_assert_int_eq(run("lease call 7"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, "the head says no"));
	finish();
}
END_TEST

START_TEST(extend)
{
	BEGIN({"lease.extend", ERR_NONE, LEASE("active")}, {"lease.extend", ERR_NONE, LEASE("active")},
	      {"lease.extend", ERR_NONE, LEASE("active")},
	      {"lease.show", ERR_NONE, "{\"id\":7,\"end_us\":1795269605000000,\"duration_us\":60000000}"},
	      {"lease.extend", ERR_NONE, LEASE("active")},
	      {"lease.extend", ERR_REJECTED,
	       "{\"id\":7,\"offer\":{\"start_us\":1,\"vms\":1,\"duration_us\":90500000}}"},
	      {"lease.show", ERR_NONE, "{\"id\":7,\"end_us\":0,\"duration_us\":60000000}"});
	ck_assert_int_eq(run("lease extend 7 --by +1h --request-id r"), STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"id\":7,\"add_us\":3600000000,\"request_id\":\"r\"}");
	ck_assert_ptr_nonnull(strstr(out, "lease 7: active"));
	ck_assert_int_eq(run("lease extend 7 --by -30m"), STATUS_OK);
	ck_assert_str_eq(sent(1), "{\"id\":7,\"add_us\":-1800000000}");
	ck_assert_int_eq(run("lease extend 7 --duration 90s"), STATUS_OK);
	ck_assert_str_eq(sent(2), "{\"id\":7,\"duration_us\":90000000}");
	ck_assert_int_eq(run("lease extend 7 --to 2026-11-21T14:00:35Z"), STATUS_OK);
	ck_assert_str_eq(sent(4), "{\"id\":7,\"duration_us\":90000000}");
	ck_assert_int_eq(run("lease extend 7 --by 1h"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, "tenure: the head says no\nThis could be kept:\n"));
	ck_assert_ptr_nonnull(strstr(messages, " 7 --duration 90s\n"));
	ck_assert_int_eq(run("lease extend 7 --to 2026-11-21T14:00:35Z"), STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(messages, "when lease 7 ends is not known yet"));
	finish();
}
END_TEST

START_TEST(rejected_with_offer)
{
	BEGIN({"lease.request", ERR_REJECTED,
	       "{\"id\":7,\"reason\":\"no room\",\"code\":\"no_room\",\"offer\":{\"start_us\":1795269605000001,"
	       "\"vms\":3,\"duration_us\":599500000}}"});
	ck_assert_int_eq(run("submit --vms 4 --image web --for 10m --at +10s --memory 1G --request-id r"),
			 STATUS_REJECTED);
	ck_assert_str_eq(out, "");
	ck_assert_ptr_nonnull(strstr(messages, "tenure: rejected: the head says no\n"));
	ck_assert_ptr_nonnull(strstr(messages, "  tenure submit --server unix:"));
	ck_assert_ptr_nonnull(strstr(messages, " --memory 1G --image web --vms 3 --for 599s "
					       "--at 2026-11-21T14:00:05.000001Z\n"));
	ck_assert_ptr_null(strstr(messages, "--request-id"));
	ck_assert_int_eq(run("-o json submit --vms 4 --image web --for 10m --at +10s"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, "\"code\": \"no_room\""));
	ck_assert_ptr_null(strstr(messages, "tenure submit"));
	finish();
}
END_TEST

START_TEST(rejected_without_offer)
{
	BEGIN({"lease.request", ERR_REJECTED, "{\"offer\":null}"}, {"lease.request", ERR_REJECTED, NULL},
	      {"lease.request", ERR_REJECTED, "{\"offer\":\"\\u001b[2J\"}"});
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(run("submit --image web --for 10m --now"), STATUS_REJECTED);
		ck_assert_str_eq(messages, "tenure: rejected: the head says no\n");
	}
	finish();
}
END_TEST

START_TEST(dry_run)
{
	BEGIN({"lease.request", ERR_NONE, "{\"accepted\":true,\"start_us\":1795269605000000,\"nodes\":[\"n1\"]}"},
	      {"lease.request", ERR_NONE,
	       "{\"accepted\":false,\"reason\":\"no room\",\"offer\":{\"start_us\":1795269605000000,\"vms\":1,"
	       "\"duration_us\":600000000}}"});
	ck_assert_int_eq(run("submit --image web --for 10m --dry-run"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(0), "\"dry_run\":true"));
	ck_assert_ptr_nonnull(strstr(out, "would be accepted: start "));
	ck_assert_ptr_nonnull(strstr(out, "without promise"));
	ck_assert_int_eq(run("submit --image web --for 10m --dry-run"), STATUS_REJECTED);
	ck_assert_ptr_nonnull(strstr(messages, "would be rejected: no room\n"));
	ck_assert_ptr_nonnull(strstr(messages, "--for 10m --at 2026-11-21T14:00:05.000Z\n"));
	ck_assert_int_eq(run("-o csv submit --image web --for 10m --dry-run"), STATUS_REJECTED);
	ck_assert_str_eq(out, "accepted,start,nodes,price,reason\nfalse,,,,no room\n");
	finish();
}
END_TEST

static const struct {
	const char *wait, *state;
	int status;
} waits[] = {
	{"lease wait 7", LEASE("done"), STATUS_OK},
	{"lease wait 7", LEASE("failed"), STATUS_LEASE_FAILED},
	{"lease wait 7", LEASE("cancelled"), STATUS_LEASE_FAILED},
	{"lease wait 7", LEASE("rejected"), STATUS_LEASE_FAILED},
	{"lease wait 7 --state active", LEASE("active"), STATUS_OK},
	{"lease wait 7 --state active", LEASE("done"), STATUS_OK},
	{"lease wait 7 --state active", LEASE("failed"), STATUS_LEASE_FAILED},
	{"lease wait 7 --state suspended", LEASE("done"), STATUS_LEASE_FAILED},
	{"lease wait 7 --state cancelled", LEASE("cancelled"), STATUS_OK},
	{"lease wait 7 --state cancelled", LEASE("done"), STATUS_LEASE_FAILED},
	{"lease wait 7", LEASE("unheard-of"), STATUS_LEASE_FAILED},
	{"lease wait 7", LEASE("active"), STATUS_FAILED},
	{"lease wait 7", "null", STATUS_LEASE_FAILED},
};

START_TEST(wait_statuses)
{
	const struct answer list[] = {{"lease.wait", ERR_NONE, waits[_i].state}};

	begin(list, 1);
	ck_assert_int_eq(run(waits[_i].wait), waits[_i].status);
	finish();
}
END_TEST

START_TEST(wait_goes_on)
{
	BEGIN({"lease.wait", ERR_TIMEOUT, "{\"state\":\"queued\"}"}, {"lease.wait", ERR_UNAVAILABLE, NULL},
	      {"lease.wait", ERR_UNAVAILABLE, NULL}, {"lease.wait", ERR_NONE, LEASE("done")});
	ck_assert_int_eq(run("lease wait 7"), STATUS_OK);
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 4);
	finish();
}
END_TEST

START_TEST(wait_shows_progress)
{
	BEGIN({"lease.wait", ERR_TIMEOUT, "{\"state\":\"preparing\"}"},
	      {"lease.show", ERR_NONE,
	       "{\"id\":7,\"state\":\"preparing\",\"image\":\"web\",\"nodes\":[\"n1\",\"n2\"]}"},
	      {"slot.list", ERR_NONE,
	       "{\"transfers\":[{\"image\":\"web\",\"node\":\"n1\",\"state\":\"planned\",\"bytes\":0,"
	       "\"size\":1048576},{\"image\":\"web\",\"node\":\"n2\",\"state\":\"planned\",\"bytes\":1048576,"
	       "\"size\":1048576},{\"image\":\"web\",\"node\":\"n3\",\"state\":\"planned\",\"bytes\":0,"
	       "\"size\":5},{\"image\":\"db\",\"node\":\"n1\",\"state\":\"planned\",\"bytes\":0,\"size\":5},"
	       "{\"image\":\"web\",\"node\":\"n1\",\"state\":\"done\",\"bytes\":5,\"size\":5}]}"},
	      {"lease.wait", ERR_NONE, LEASE("done")});
	terminal = true;
	ck_assert_int_eq(run("lease wait 7"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(messages, "\r\033[Klease 7: preparing, staging [###############               ]  "
					       "50% 1 MiB of 2 MiB"));
	/* The line is gone before the result is shown. */
	ck_assert_str_eq(messages + strlen(messages) - 4, "\r\033[K");
	finish();
}
END_TEST

START_TEST(progress_bar)
{
	static const struct {
		int64_t done, total;
		const char *bar;
	} bars[] = {{0, 10, "[    ]   0%"},
		    {5, 10, "[##  ]  50%"},
		    {10, 10, "[####] 100%"},
		    {0, 0, "[    ]   0%"},
		    {20, 10, "[####] 100%"},
		    {-5, 10, "[    ]   0%"},
		    {INT64_MAX, INT64_MAX, "[####] 100%"}};

	for (size_t i = 0; i < ARRAY_SIZE(bars); i++) {
		_cleanup_free_ char *bar = wait_bar(bars[i].done, bars[i].total, 4, false);

		ck_assert_str_eq(bar, bars[i].bar);
	}
	_cleanup_free_ char *bar = wait_bar(1, 2, 4, true);

	ck_assert_str_eq(bar, "[██░░]  50%");
}
END_TEST

START_TEST(wait_times_out)
{
	BEGIN({"lease.wait", ERR_TIMEOUT, "{\"state\":\"queued\"}"});
	ck_assert_int_eq(run("lease wait 7 --timeout 50ms"), STATUS_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(messages, "lease 7"));
	ck_assert_int_le(
		show_number(json_object_object_get(json_object_array_get_idx(fakehead_requests(head), 0), "params"),
			    "timeout_us"),
		50000);
	finish();
}
END_TEST

START_TEST(submit_and_wait)
{
	BEGIN({"lease.request", ERR_NONE, LEASE("scheduled")}, {"lease.wait", ERR_NONE, LEASE("active")});
	ck_assert_int_eq(run("submit --image web --for 10m --wait=active"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(1), "\"id\":7,\"state\":\"active\""));
	ck_assert_ptr_nonnull(strstr(out, "lease 7: scheduled"));
	ck_assert_ptr_nonnull(strstr(out, "\nlease 7: active"));
	finish();
}
END_TEST

START_TEST(submit_and_wait_in_json)
{
	struct json_object *shown;

	BEGIN({"lease.request", ERR_NONE, LEASE("scheduled")}, {"lease.wait", ERR_NONE, LEASE("failed")});
	ck_assert_int_eq(run("submit --image web --for 10m --wait -o json"), STATUS_LEASE_FAILED);
	shown = json_tokener_parse(out);
	ck_assert_str_eq(show_string(shown, "state"), "failed");
	json_object_put(shown);
	finish();
}
END_TEST

START_TEST(head_errors)
{
	static const enum err_code codes[] = {ERR_PARAMS,   ERR_DENIED, ERR_NOT_FOUND,
					      ERR_CONFLICT, ERR_STORE,  ERR_TIMEOUT};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		const struct answer list[] = {{"node.drain", codes[i], NULL}};

		begin(list, 1);
		ck_assert_int_eq(run("node drain n1"), client_status(codes[i]));
		ck_assert_int_eq(strncmp(messages, "tenure: the head says no", 24), 0);
		finish();
	}
}
END_TEST

START_TEST(cancel_several)
{
	BEGIN({"lease.cancel", ERR_NONE, LEASE("cancelled")}, {"lease.cancel", ERR_NOT_FOUND, NULL},
	      {"lease.cancel", ERR_NONE, LEASE("cancelled")});
	ck_assert_int_eq(run("cancel 7 8 9"), STATUS_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(out, "lease 7: cancelled"));
	ck_assert_str_eq(messages, "tenure: lease 8: the head says no\n");
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 2);
	finish();
}
END_TEST

START_TEST(list_options)
{
	BEGIN({"lease.list", ERR_NONE, "{\"leases\":[" LEASE("done") "," LEASE("active") "]}"});
	ck_assert_int_eq(run("list --state open --owner eve --limit 5 --filter state=active -o csv"), STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"state\":\"open\",\"owner\":\"eve\",\"limit\":5}");
	ck_assert_ptr_null(strstr(out, "done"));
	ck_assert_ptr_nonnull(strstr(out, "active"));
	ck_assert_int_eq(run("list --filter stat=active"), STATUS_USAGE);
	finish();
}
END_TEST

START_TEST(show_and_explain)
{
	BEGIN({"lease.show", ERR_NONE,
	       "{\"id\":7,\"state\":\"active\",\"vm\":[{\"vm\":0,\"node\":\"n1\",\"state\":\"active\"}]}"},
	      {"lease.explain", ERR_NONE,
	       "{\"id\":7,\"state\":\"queued\",\"reason\":\"why\",\"waits_for\":\"room\","
	       "\"history\":[{\"at_us\":1795269605000000,\"text\":\"new -> queued\"}]}"},
	      {"lease.explain", ERR_NONE, "{\"lease\":" LEASE("queued") ",\"waits_for\":\"room\"}"});
	ck_assert_int_eq(run("lease show 7"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(out, "\n\nVM NODE"));
	ck_assert_int_eq(run("lease explain 7"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(out, "lease 7: queued: why\nwaits for room\n"));
	ck_assert_ptr_nonnull(strstr(out, "new -> queued"));
	ck_assert_int_eq(run("lease explain 7"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(out, "lease 7: queued on n1,n2"));
	finish();
}
END_TEST

START_TEST(images)
{
	BEGIN({"image.add", ERR_NONE, "{\"name\":\"web\",\"size\":1048576}"});
	ck_assert_int_eq(run("image add web --disk /nowhere/x.qcow2"), STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"files\":[{\"role\":\"disk\",\"path\":\"/nowhere/x.qcow2\"}],\"name\":\"web\","
				  "\"format\":\"qcow2\"}");
	ck_assert_str_eq(out, "image web: added, 1 MiB\n");
	ck_assert_int_eq(run("image add web --disk http://h/x --format raw --size 10M --sha256 " DIGEST), STATUS_OK);
	ck_assert_str_eq(sent(1), "{\"files\":[{\"role\":\"disk\",\"url\":\"http://h/x\",\"digest\":\"" DIGEST
				  "\",\"size\":10485760}],\"name\":\"web\",\"format\":\"raw\"}");
	ck_assert_int_eq(run("image add web --kernel /boot/k --initrd /boot/i --cmdline console=ttyS0_quiet"),
			 STATUS_OK);
	ck_assert_str_eq(sent(2), "{\"files\":[{\"role\":\"kernel\",\"path\":\"/boot/k\"},{\"role\":\"initrd\","
				  "\"path\":\"/boot/i\"}],\"name\":\"web\",\"format\":\"kernel\","
				  "\"cmdline\":\"console=ttyS0 quiet\"}");
	/* A path is made whole: the head's folder is another one. */
	ck_assert_int_eq(run("image add web --disk Makefile"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(sent(3), "\"path\":\"/"));
	ck_assert_ptr_nonnull(strstr(sent(3), "/Makefile\""));
	ck_assert_ptr_nonnull(strstr(sent(3), "\"format\":\"raw\""));
	finish();
}
END_TEST

START_TEST(gantt)
{
	BEGIN({"slot.list", ERR_NONE,
	       "{\"now_us\":1795269605000000,\"nodes\":[{\"name\":\"n1\",\"state\":\"up\"}],\"transfers\":[],"
	       "\"slots\":[{\"id\":1,\"node\":\"n1\",\"lease\":7,\"vm\":0,\"kind\":\"run\","
	       "\"start_us\":1795269605000000,\"end_us\":1795273205000000}]}"});
	ck_assert_int_eq(run("gantt --from 2026-11-21T14:00:00Z --to 2026-11-21T15:00:00Z --node n1 --width 60"),
			 STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"from_us\":1795269600000000,\"to_us\":1795273200000000,\"node\":\"n1\"}");
	ck_assert_ptr_nonnull(strstr(out, "7####"));
	ck_assert_int_eq(run("gantt -o csv"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(out, "node,lease,vm,kind,start,end,cpu,memory,disk\nn1,7,0,run,2026-11-21T"));
	finish();
}
END_TEST

static struct json_object *event_of(int rev)
{
	struct json_object *event = json_object_new_object();

	json_object_object_add(event, "rev", json_object_new_int(rev));
	json_object_object_add(event, "kind", json_object_new_string("lease.moved"));
	json_object_object_add(event, "lease", json_object_new_int(rev == 7 ? 2 : 1));
	return event;
}

/* Sends two events and says that it is too far behind for more: the rest is on the pages of the list. */
static enum fakehead_deed follow_head(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				      struct json_object **result, struct err *err, struct json_object **data)
{
	static const int after[] = {4, 6, 8, 8};
	bool list = n == 1 || n == 2;

	(void)err;
	(void)data;
	ck_assert_uint_lt(n, ARRAY_SIZE(after));
	ck_assert_str_eq(method, list ? "event.list" : "event.subscribe");
	ck_assert_int_eq(show_number(params, "after_rev"), after[n]);
	*result = json_object_new_object();
	if (n == 0) {
		struct json_object *lagged = json_object_new_object();

		json_object_object_add(lagged, "lagged", json_object_new_int(6));
		fakehead_notify(fake, "event", event_of(5));
		fakehead_notify(fake, "event", event_of(6));
		fakehead_notify(fake, "event", lagged);
	}
	if (list) {
		struct json_object *events = json_object_new_array();

		if (n == 1) {
			json_object_array_add(events, event_of(7));
			json_object_array_add(events, event_of(8));
		}
		json_object_object_add(*result, "events", events);
	}
	return FAKE_RESULT;
}

START_TEST(follow)
{
	base = event_base_new();
	head = fakehead_new(base, follow_head);
	ck_assert_int_eq(run("-o csv event follow --after 4 --lease 1 --timeout 300ms"), STATUS_TIMEOUT);
	ck_assert_str_eq(out,
			 "rev,at,kind,lease,node,data\n5,,lease.moved,1,,\n6,,lease.moved,1,,\n8,,lease.moved,1,,\n");
	finish();
}
END_TEST

START_TEST(event_lines)
{
	BEGIN({"event.list", ERR_NONE,
	       "{\"events\":[{\"rev\":5,\"at_us\":1795269605000000,\"kind\":\"lease.moved\",\"lease\":1,\"node\":\"\","
	       "\"data\":{\"to\":\"active\"}}]}"});
	ck_assert_int_eq(run("event list --after 4 --lease 1 --limit 9 -o csv"), STATUS_OK);
	ck_assert_str_eq(sent(0), "{\"after_rev\":4,\"lease\":1,\"limit\":9}");
	ck_assert_ptr_nonnull(strstr(out, "5,2026-11-21T14:00:05.000Z,lease.moved,1,,\"{\"\"to\"\":\"\"active"));
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_command");
	TCase *tc = tcase_create("commands");

	setenv("TZ", "UTC", 1);
	tzset();
	tcase_add_test(tc, submit_best_effort);
	tcase_add_test(tc, submit_everything);
	tcase_add_test(tc, submit_other_kinds);
	tcase_add_test(tc, offers_of_other_kinds);
	tcase_add_test(tc, open_lease);
	tcase_add_test(tc, extend);
	tcase_add_test(tc, rejected_with_offer);
	tcase_add_test(tc, rejected_without_offer);
	tcase_add_test(tc, dry_run);
	tcase_add_loop_test(tc, wait_statuses, 0, ARRAY_SIZE(waits));
	tcase_add_test(tc, wait_goes_on);
	tcase_add_test(tc, wait_shows_progress);
	tcase_add_test(tc, progress_bar);
	tcase_add_test(tc, wait_times_out);
	tcase_add_test(tc, submit_and_wait);
	tcase_add_test(tc, submit_and_wait_in_json);
	tcase_add_test(tc, head_errors);
	tcase_add_test(tc, cancel_several);
	tcase_add_test(tc, list_options);
	tcase_add_test(tc, show_and_explain);
	tcase_add_test(tc, images);
	tcase_add_test(tc, gantt);
	tcase_add_test(tc, follow);
	tcase_add_test(tc, event_lines);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
