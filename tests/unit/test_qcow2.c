/* The qcow2 header check: what QEMU itself makes passes, what could open other files or ask for absurd sizes does not.
 */
#include <check.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qcow2.h"
#include "suite.h"
#include "util.h"

#define CLUSTER 65536

static unsigned char head[CLUSTER];
static struct err err;

static void put32(size_t at, uint32_t value)
{
	value = htobe32(value);
	memcpy(head + at, &value, sizeof(value));
}

static void put64(size_t at, uint64_t value)
{
	value = htobe64(value);
	memcpy(head + at, &value, sizeof(value));
}

/* As qemu-img create makes it: version 3, 64 KiB clusters, 1 GiB, a table of feature names, no data. */
static void setup(void)
{
	memset(head, 0, sizeof(head));
	memset(&err, 0, sizeof(err));
	memcpy(head, "QFI\xfb", 4);
	put32(4, 3);
	put32(20, 16);
	put64(24, INT64_C(1) << 30);
	put32(36, 2);
	put64(40, 3 * CLUSTER);
	put64(48, CLUSTER);
	put32(56, 1);
	put32(96, 4);
	put32(100, 112);
	put32(112, 0x6803f857);
	put32(116, 48);
}

static int check(size_t len)
{
	int64_t size = -7;
	int ret = qcow2_check(head, len, &size, &err);

	ck_assert_int_eq(size == -7, ret < 0);
	ck_assert_int_eq(ret < 0, err.code == ERR_IMAGE);
	return ret;
}

static void refused(const char *why)
{
	ck_assert_int_eq(check(sizeof(head)), -1);
	ck_assert_msg(strstr(err.text, why) != NULL, "\"%s\" does not say \"%s\"", err.text, why);
}

START_TEST(accepts_what_qemu_makes)
{
	int64_t size;

	ck_assert_int_eq(qcow2_check(head, sizeof(head), &size, &err), 0);
	ck_assert_int_eq(size, INT64_C(1) << 30);
	ck_assert_int_eq(qcow2_least(head), 3 * CLUSTER + 16);
}
END_TEST

START_TEST(accepts_version_2)
{
	put32(4, 2);
	memset(head + 72, 0, sizeof(head) - 72);
	ck_assert_int_eq(check(sizeof(head)), 0);
}
END_TEST

/* Extended L2 entries halve what a table reaches: 512 MiB of disk an entry becomes 256 MiB. */
START_TEST(extended_l2_needs_a_longer_table)
{
	put64(72, 16);
	refused("does not match");
	put32(36, 4);
	err.code = 0;
	ck_assert_int_eq(check(sizeof(head)), 0);
}
END_TEST

START_TEST(refuses_other_files)
{
	put64(8, 1024);
	put32(16, 11);
	strcpy((char *)head + 1024, "/etc/passwd");
	refused("backing file");

	setup();
	put32(16, 11);
	refused("backing file");

	setup();
	put64(72, 4);
	refused("another file");

	setup();
	put32(112, 0x44415441);
	refused("data file");

	setup();
	put32(112, 0xe2792aca);
	refused("backing file");
}
END_TEST

START_TEST(refuses_features)
{
	static const struct {
		int bit;
		const char *why;
	} rows[] = {{0, "dirty"}, {1, "corrupt"}, {5, "unknown features 0x20"}, {63, "unknown"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup();
		put64(72, UINT64_C(1) << rows[i].bit);
		refused(rows[i].why);
	}
	setup();
	put32(32, 2);
	refused("encrypted");
	setup();
	put32(112, 0x0537be77);
	refused("encrypted");
}
END_TEST

START_TEST(refuses_sizes)
{
	static const struct {
		size_t at;
		int bytes;
		uint64_t value;
		const char *why;
	} rows[] = {
		{4, 4, 1, "version 1"},
		{4, 4, 4, "version 4"},
		{20, 4, 8, "clusters"},
		{20, 4, 22, "clusters"},
		{20, 4, UINT32_MAX, "clusters"},
		{24, 8, 0, "disk of 0"},
		{24, 8, UINT64_C(1) << 50, "64 TiB"},
		{24, 8, UINT64_MAX, "64 TiB"},
		{36, 4, 0, "table"},
		{36, 4, 1, "table"},
		{36, 4, (4 << 20) + 1, "table"},
		{36, 4, UINT32_MAX, "table"},
		{40, 8, 0, "no table can be"},
		{40, 8, 3 * CLUSTER + 1, "no table can be"},
		{40, 8, UINT64_MAX - CLUSTER + 1, "no table can be"},
		{48, 8, 17, "no table can be"},
		{56, 4, 0, "reference table"},
		{56, 4, UINT32_MAX, "reference table"},
		{60, 4, 65537, "snapshot count"},
		{96, 4, 7, "damaged"},
		{100, 4, 72, "damaged"},
		{100, 4, 105, "damaged"},
		{100, 4, CLUSTER + 8, "damaged"},
		{116, 4, CLUSTER, "beyond the header"},
		{116, 4, UINT32_MAX, "beyond the header"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		setup();
		if (rows[i].bytes == 4) {
			put32(rows[i].at, (uint32_t)rows[i].value);
		} else {
			put64(rows[i].at, rows[i].value);
		}
		refused(rows[i].why);
	}
}
END_TEST

/* Clusters of 2 MiB, of which we see 64 KiB: what we cannot see could name another file. */
START_TEST(refuses_extensions_out_of_sight)
{
	put32(20, 21);
	put64(40, 3 << 21);
	put64(48, 1 << 21);
	ck_assert_int_eq(check(sizeof(head)), 0);
	put32(116, CLUSTER - 120);
	refused("cut off");
}
END_TEST

START_TEST(refuses_other_formats_and_short_ones)
{
	memcpy(head, "KDMV", 4);
	refused("not a qcow2");
	setup();
	for (size_t len = 0; len < 176; len++) {
		unsigned char *exact = malloc(len + 1);
		int64_t size;

		/* An exact copy, so that the address sanitizer sees reads beyond it. */
		memcpy(exact, head, len);
		ck_assert_int_eq(qcow2_check(exact, len, &size, &err), -1);
		free(exact);
	}
}
END_TEST

START_TEST(survives_noise)
{
	unsigned seed = (unsigned)time(NULL);

	printf("seed %u\n", seed);
	srand(seed);
	for (int i = 0; i < 20000; i++) {
		int64_t size;

		setup();
		for (int k = rand() % 8; k >= 0; k--) {
			head[4 + rand() % 180] = (unsigned char)rand();
		}
		if (qcow2_check(head, sizeof(head), &size, &err) == 0) {
			ck_assert_int_gt(size, 0);
			ck_assert_int_le(size, QCOW2_SIZE_MAX);
			ck_assert_int_gt(qcow2_least(head), 0);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qcow2");
	TCase *tcase = tcase_create("qcow2");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, accepts_what_qemu_makes);
	tcase_add_test(tcase, accepts_version_2);
	tcase_add_test(tcase, extended_l2_needs_a_longer_table);
	tcase_add_test(tcase, refuses_other_files);
	tcase_add_test(tcase, refuses_features);
	tcase_add_test(tcase, refuses_sizes);
	tcase_add_test(tcase, refuses_extensions_out_of_sight);
	tcase_add_test(tcase, refuses_other_formats_and_short_ones);
	tcase_add_test(tcase, survives_noise);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
