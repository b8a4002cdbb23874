/* SHA-256 against the examples of FIPS 180-2. */
#include <check.h>
#include <string.h>

#include "sha256.h"
#include "suite.h"
#include "util.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

START_TEST(in_one_call)
{
	char hex[SHA256_HEX];

	sha256_hex("", 0, hex);
	ck_assert_str_eq(hex, EMPTY);
	sha256_hex("abc", 3, hex);
	ck_assert_str_eq(hex, ABC);
	ck_assert(digest_valid(hex));
}
END_TEST

START_TEST(in_pieces)
{
	struct sha256 *hash = sha256_new();
	char block[1000], hex[SHA256_HEX];

	memset(block, 'a', sizeof(block));
	for (int i = 0; i < 1000; i++) {
		sha256_update(hash, block, sizeof(block));
	}
	sha256_update(hash, block, 0);
	sha256_final(hash, hex);
	ck_assert_str_eq(hex, MILLION_A);
	sha256_free(hash);
}
END_TEST

START_TEST(as_new_after_final)
{
	struct sha256 *hash = sha256_new();
	char hex[SHA256_HEX];

	sha256_update(hash, "x", 1);
	sha256_final(hash, hex);
	sha256_final(hash, hex);
	ck_assert_str_eq(hex, EMPTY);
	sha256_update(hash, "ab", 2);
	sha256_update(hash, "c", 1);
	sha256_final(hash, hex);
	ck_assert_str_eq(hex, ABC);
	sha256_free(hash);
	sha256_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sha256");
	TCase *tcase = tcase_create("sha256");

	tcase_add_test(tcase, in_one_call);
	tcase_add_test(tcase, in_pieces);
	tcase_add_test(tcase, as_new_after_final);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
