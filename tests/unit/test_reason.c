/* The planner's reasons as sentences. */
#include <check.h>
#include <string.h>

#include "reason.h"
#include "suite.h"
#include "util.h"

#define T INT64_C(1795269600000000) /* 2026-11-21T14:00:00Z */

static const char *text_of(struct reason reason)
{
	static char text[REASON_TEXT];

	reason_text(&reason, text);
	return text;
}

START_TEST(names)
{
	enum reason_code code;

	for (int i = 0; i < REASON_CODE_COUNT; i++) {
		ck_assert_int_eq(reason_parse(reason_name((enum reason_code)i), &code), 0);
		ck_assert_int_eq(code, i);
	}
	code = REASON_LATE;
	ck_assert_int_eq(reason_parse("No_Room", &code), -1);
	ck_assert_int_eq(reason_parse("", &code), -1);
	ck_assert_int_eq(code, REASON_LATE);
	ck_assert_str_eq(reason_name(REASON_CODE_COUNT), "unknown");
}
END_TEST

START_TEST(sentences)
{
	ck_assert_str_eq(text_of((struct reason){.code = REASON_NONE}), "");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_START_PAST, .arg0 = T}),
			 "the start is too soon: the earliest possible is 2026-11-21T14:00:00.000Z");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_NO_ROOM, .res = RES_MEMORY, .lease = 12, .arg0 = 2}),
			 "no room at that time: 2 VMs would fit, memory is taken by lease 12");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_NO_ROOM, .res = RES_CPU, .arg0 = 1}),
			 "no room at that time: 1 VM would fit, cpu is taken");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_NEVER_FITS, .res = RES_DISK}),
			 "more than the cluster has: not one VM would fit on empty nodes, disk is short");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_POOL_FULL, .arg0 = INT64_C(3) << 29}),
			 "the image (1.5 GiB) does not fit in any node's pool");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_PREEMPTED, .lease = 57}), "preempted by lease 57");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_LATE, .arg0 = 1500000}),
			 "started 1.5s later than agreed");
}
END_TEST

START_TEST(no_earliest_time)
{
	ck_assert_str_eq(text_of((struct reason){.code = REASON_IMAGE_LATE, .arg0 = WALL_NEVER}),
			 "the image cannot be on the nodes in time");
	ck_assert_str_eq(text_of((struct reason){.code = REASON_SUSPEND_LATE}),
			 "best-effort guests cannot be suspended in time");
}
END_TEST

/* Also with the greatest numbers: one line that fits, without a full stop. */
START_TEST(every_code)
{
	struct reason reason = {.lease = UINT64_MAX, .arg0 = INT64_MAX, .res = RES_NET_OUT};

	for (int i = REASON_NONE + 1; i < REASON_CODE_COUNT; i++) {
		const char *text;

		reason.code = (enum reason_code)i;
		text = text_of(reason);
		ck_assert_uint_gt(strlen(text), 10);
		ck_assert_uint_lt(strlen(text), REASON_TEXT - 1);
		ck_assert_ptr_null(strchr(text, '\n'));
		ck_assert_int_ne(text[strlen(text) - 1], '.');
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reason");
	TCase *tcase = tcase_create("reason");

	tcase_add_test(tcase, names);
	tcase_add_test(tcase, sentences);
	tcase_add_test(tcase, no_earliest_time);
	tcase_add_test(tcase, every_code);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
