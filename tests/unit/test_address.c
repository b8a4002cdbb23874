/* Addresses and networks as people write them, and which of them may carry plain text. */
#include <check.h>
#include <string.h>

#include "address.h"
#include "suite.h"
#include "util.h"

static const struct {
	const char *networks;
	const char *address;
	bool ok;
} plaintext[] = {
	{"", "unix:/x", true},
	{"", "127.0.0.1:1", true},
	{"", "127.9.9.9:1", true},
	{"", "localhost:1", true},
	{"", "[::1]:1", true},
	{"", "[::ffff:127.0.0.1]:1", true},
	{"", "10.0.0.1:1", false},
	{"", "128.0.0.1:1", false},
	{"", "[::2]:1", false},
	{"10.0.0.0/8", "10.255.0.1:1", true},
	{"10.0.0.0/8", "11.0.0.1:1", false},
	{"10.0.0.0/8", "[::ffff:10.1.2.3]:1", true},
	{" 192.168.7.0/24  10.1.2.3/32 ", "192.168.7.255:1", true},
	{"192.168.7.0/24 10.1.2.3/32", "192.168.8.0:1", false},
	{"192.168.7.0/24 10.1.2.3/32", "10.1.2.3:1", true},
	{"192.168.7.0/24 10.1.2.3/32", "10.1.2.2:1", false},
	{"172.16.0.0/12", "172.31.255.255:1", true},
	{"172.16.0.0/12", "172.32.0.0:1", false},
	{"0.0.0.0/0", "203.0.113.9:1", true},
	{"0.0.0.0/0", "[2001:db8::1]:1", false},
	{"fd00::/8", "[fdff::1]:1", true},
	{"fd00::/8", "[fe00::1]:1", false},
	{"::/0", "203.0.113.9:1", true},
};

START_TEST(plaintext_rule)
{
	struct address at;
	struct err err;

	ck_assert_int_eq(address_networks_check(plaintext[_i].networks, &err), 0);
	ck_assert_int_eq(address_parse(plaintext[_i].address, &at, &err), 0);
	ck_assert_msg(address_plaintext_ok((struct sockaddr *)&at.sa, plaintext[_i].networks) == plaintext[_i].ok,
		      "\"%s\" and %s", plaintext[_i].networks, plaintext[_i].address);
}
END_TEST

static const char *const bad_networks[] = {"10.0.0.0",
					   "10.0.0.0/33",
					   "10.0.0/8",
					   "10.0.0.0/-1",
					   "10.0.0.0/",
					   "/8",
					   "fd00::/129",
					   "x/8",
					   "10.0.0.0/8 y",
					   "10.0.0.0/8x",
					   "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8"};

START_TEST(network_refused)
{
	struct err err;

	ck_assert_int_eq(address_networks_check(bad_networks[_i], &err), -1);
	ck_assert_int_eq(err.code, ERR_PARAMS);
}
END_TEST

static const char *const bad_addresses[] = {
	"",
	":",
	"unix:",
	"unix:relative",
	"127.0.0.1",
	"127.0.0.1:",
	":7440",
	"127.0.0.1:x",
	"127.0.0.1:-1",
	"127.0.0.1:65536",
	"127.0.0.1:7440 ",
	"::1:7440",
	"[::1]",
	"[::1]7440",
	"[]:7440",
	"[:7440",
	"head.example:7440",
	"[127.0.0.1]:7440",
	"127.1:7440",
	"1.2.3.4.5:7440",
};

START_TEST(address_refused)
{
	struct address at = {.len = 77};
	struct err err;

	ck_assert_msg(address_parse(bad_addresses[_i], &at, &err) == -1, "%s", bad_addresses[_i]);
	ck_assert_int_eq(err.code, ERR_PARAMS);
	ck_assert_uint_eq(at.len, 77);
}
END_TEST

START_TEST(address_texts)
{
	static const char *const texts[] = {"127.0.0.1:7440", "[::1]:1", "[2001:db8::ff]:65535", "unix:/run/x.sock"};
	char text[ADDRESS_TEXT];
	struct address at;
	char path[200];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		ck_assert_int_eq(address_parse(texts[i], &at, NULL), 0);
		address_text((struct sockaddr *)&at.sa, text);
		ck_assert_str_eq(text, texts[i]);
	}
	memset(path, 'x', sizeof(path));
	memcpy(path, "unix:/", 6);
	path[5 + 107] = '\0';
	ck_assert_int_eq(address_parse(path, &at, NULL), 0);
	address_text((struct sockaddr *)&at.sa, text);
	path[5 + 107] = 'x';
	path[5 + 108] = '\0';
	ck_assert_int_eq(address_parse(path, &at, NULL), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");

	tcase_add_loop_test(tcase, plaintext_rule, 0, ARRAY_SIZE(plaintext));
	tcase_add_loop_test(tcase, network_refused, 0, ARRAY_SIZE(bad_networks));
	tcase_add_loop_test(tcase, address_refused, 0, ARRAY_SIZE(bad_addresses));
	tcase_add_test(tcase, address_texts);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
