/* Calls to a head that answers, refuses, is silent, breaks off, or is not there. */
#include <check.h>
#include <stdlib.h>

#include "call.h"
#include "clock.h"
#include "fakehead.h"
#include "show.h"
#include "suite.h"

static struct event_base *base;
static struct fakehead *head;
static struct call *call;
static struct json_object *result;
static struct err err;

static enum fakehead_deed echo(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
			       struct json_object **answer, struct err *error, struct json_object **data)
{
	(void)fake;
	(void)n;
	(void)method;
	(void)error;
	(void)data;
	*answer = json_object_get(params);
	return FAKE_RESULT;
}

static enum fakehead_deed break_once(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				     struct json_object **answer, struct err *error, struct json_object **data)
{
	return n == 0 ? FAKE_BREAK : echo(fake, n, method, params, answer, error, data);
}

static enum fakehead_deed break_always(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				       struct json_object **answer, struct err *error, struct json_object **data)
{
	(void)fake;
	(void)n;
	(void)method;
	(void)params;
	(void)answer;
	(void)error;
	(void)data;
	return FAKE_BREAK;
}

static enum fakehead_deed stop(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
			       struct json_object **answer, struct err *error, struct json_object **data)
{
	fakehead_stop(fake);
	return break_always(fake, n, method, params, answer, error, data);
}

static enum fakehead_deed silence(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				  struct json_object **answer, struct err *error, struct json_object **data)
{
	break_always(fake, n, method, params, answer, error, data);
	return FAKE_SILENCE;
}

static enum fakehead_deed refuse(struct fakehead *fake, size_t n, const char *method, struct json_object *params,
				 struct json_object **answer, struct err *error, struct json_object **data)
{
	(void)fake;
	(void)n;
	(void)method;
	(void)params;
	(void)answer;
	err_set(error, ERR_REJECTED, "no room");
	*data = json_object_new_int(7);
	return FAKE_ERROR;
}

static void begin(fakehead_handler *handler)
{
	base = event_base_new();
	head = fakehead_new(base, handler);
	call = call_new(base, fakehead_address(head));
	result = NULL;
}

static void finish(void)
{
	json_object_put(result);
	call_free(call);
	fakehead_free(head);
	event_base_free(base);
}

static const char *request_id(size_t n)
{
	struct json_object *request = json_object_array_get_idx(fakehead_requests(head), n);

	return show_string(json_object_object_get(request, "params"), "request_id");
}

START_TEST(answers)
{
	begin(echo);
	ck_assert_int_eq(call_make(call, "node.list", NULL, USEC_PER_SEC, &result, &err), 0);
	ck_assert_int_eq(json_object_object_length(result), 0);
	finish();
}
END_TEST

START_TEST(mutating_calls_carry_an_id)
{
	struct json_object *params = json_object_new_object();

	begin(echo);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, USEC_PER_SEC, &result, &err), 0);
	json_object_put(result);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, USEC_PER_SEC, &result, &err), 0);
	json_object_put(result);
	ck_assert_uint_eq(strlen(request_id(0)), 36);
	ck_assert_str_ne(request_id(0), request_id(1));
	json_object_object_add(params, "request_id", json_object_new_string("mine"));
	ck_assert_int_eq(call_make(call, "lease.cancel", params, USEC_PER_SEC, &result, &err), 0);
	ck_assert_str_eq(request_id(2), "mine");
	finish();
}
END_TEST

START_TEST(broken_call_is_repeated_with_its_id)
{
	begin(break_once);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, 5 * USEC_PER_SEC, &result, &err), 0);
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 2);
	ck_assert_uint_eq(strlen(request_id(0)), 36);
	ck_assert_str_eq(request_id(0), request_id(1));
	finish();
}
END_TEST

START_TEST(broken_twice_is_an_error_with_the_id)
{
	begin(break_always);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, 5 * USEC_PER_SEC, &result, &err), -1);
	ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 2);
	ck_assert_ptr_nonnull(strstr(err.text, request_id(0)));
	ck_assert_ptr_nonnull(strstr(err.text, "--request-id"));
	finish();
}
END_TEST

START_TEST(gone_for_good)
{
	begin(stop);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, USEC_PER_SEC, &result, &err), -1);
	ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 1);
	ck_assert_ptr_nonnull(strstr(err.text, request_id(0)));
	finish();
}
END_TEST

START_TEST(not_there)
{
	begin(echo);
	fakehead_stop(head);
	ck_assert_int_eq(call_make(call, "node.list", NULL, USEC_PER_SEC, &result, &err), -1);
	ck_assert_int_eq(err.code, ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(err.text, fakehead_address(head)));
	ck_assert_ptr_nonnull(strstr(err.text, "TENURE_SERVER"));
	fakehead_start(head);
	ck_assert_int_eq(call_make(call, "node.list", NULL, USEC_PER_SEC, &result, &err), 0);
	finish();
}
END_TEST

START_TEST(silent)
{
	mono_us begun = clock_mono();

	begin(silence);
	ck_assert_int_eq(call_make(call, "lease.cancel", NULL, 100 * USEC_PER_MSEC, &result, &err), -1);
	ck_assert_int_eq(err.code, ERR_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(err.text, fakehead_address(head)));
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 1);
	ck_assert_ptr_nonnull(strstr(err.text, request_id(0)));
	ck_assert_int_ge(clock_mono() - begun, 100 * USEC_PER_MSEC);
	finish();
}
END_TEST

START_TEST(refused)
{
	begin(refuse);
	ck_assert_int_eq(call_make(call, "lease.request", NULL, USEC_PER_SEC, &result, &err), -1);
	ck_assert_int_eq(err.code, ERR_REJECTED);
	ck_assert_str_eq(err.text, "no room");
	ck_assert_int_eq(json_object_get_int(call_data(call)), 7);
	ck_assert_uint_eq(json_object_array_length(fakehead_requests(head)), 1);
	finish();
}
END_TEST

static void count(const char *method, struct json_object *params, void *arg)
{
	ck_assert_str_eq(method, "event");
	*(int64_t *)arg += show_number(params, "rev");
}

START_TEST(notifications)
{
	struct json_object *event = json_object_new_object();
	int64_t sum = 0;

	begin(echo);
	ck_assert(!call_pass(call, USEC_PER_SEC));
	call_on_notification(call, count, &sum);
	ck_assert_int_eq(call_make(call, "event.subscribe", NULL, USEC_PER_SEC, &result, &err), 0);
	json_object_object_add(event, "rev", json_object_new_int64(5));
	fakehead_notify(head, "event", event);
	for (int i = 0; i < 10 && !sum; i++) {
		ck_assert(call_pass(call, USEC_PER_SEC));
	}
	ck_assert_int_eq(sum, 5);
	fakehead_break(head);
	for (int i = 0; i < 10 && call_pass(call, USEC_PER_SEC); i++) {
	}
	ck_assert(!call_pass(call, USEC_PER_SEC));
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client_call");
	TCase *tc = tcase_create("calls");

	tcase_add_test(tc, answers);
	tcase_add_test(tc, mutating_calls_carry_an_id);
	tcase_add_test(tc, broken_call_is_repeated_with_its_id);
	tcase_add_test(tc, broken_twice_is_an_error_with_the_id);
	tcase_add_test(tc, gone_for_good);
	tcase_add_test(tc, not_there);
	tcase_add_test(tc, silent);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, notifications);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
