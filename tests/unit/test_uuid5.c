/* UUIDs of guests: fixed values, computed elsewhere, as running guests are recognised by them after an upgrade. */
#include <check.h>
#include <string.h>

#include "suite.h"
#include "util.h"
#include "uuid5.h"

START_TEST(known)
{
	char uuid[UUID5_TEXT];

	uuid5_guest(42, 0, 1, uuid);
	ck_assert_str_eq(uuid, "c77bba0b-4750-596e-928c-e6d5ae68b291");
	uuid5_guest(UINT64_MAX, UINT32_MAX, UINT32_MAX, uuid);
	ck_assert_str_eq(uuid, "bae91171-0d3d-5f5f-b985-afcd08a55ed7");
}
END_TEST

START_TEST(each_part_counts)
{
	char uuid[4][UUID5_TEXT];

	uuid5_guest(1, 1, 1, uuid[0]);
	uuid5_guest(2, 1, 1, uuid[1]);
	uuid5_guest(1, 2, 1, uuid[2]);
	uuid5_guest(1, 1, 2, uuid[3]);
	for (size_t i = 0; i < ARRAY_SIZE(uuid); i++) {
		ck_assert_uint_eq(strlen(uuid[i]), 36);
		for (size_t j = 0; j < i; j++) {
			ck_assert_str_ne(uuid[i], uuid[j]);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("uuid5");
	TCase *tcase = tcase_create("uuid5");

	tcase_add_test(tcase, known);
	tcase_add_test(tcase, each_part_counts);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
