/* What systemd is told, through a socket of our own in its place. */
#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "notify.h"
#include "suite.h"
#include "util.h"

static int fd;
static struct sockaddr_un address;

static void setup(void)
{
	char folder[] = "/tmp/tenure-test-notify-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(folder));
	address.sun_family = AF_UNIX;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void teardown(void)
{
	close(fd);
	unlink(address.sun_path);
	*strrchr(address.sun_path, '/') = '\0';
	rmdir(address.sun_path);
}

/* The next message, "" if there is none. */
static const char *told(void)
{
	static char text[500];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	return text;
}

START_TEST(messages)
{
	notify_ready("3 nodes");
	ck_assert_str_eq(told(), "READY=1\nSTATUS=3 nodes");
	notify_status("4 nodes\nREADY=0");
	ck_assert_str_eq(told(), "STATUS=4 nodes");
	notify_reloading();
	ck_assert_int_eq(strncmp(told(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	notify_stopping();
	ck_assert_str_eq(told(), "STOPPING=1");
}
END_TEST

START_TEST(nobody_listens)
{
	unsetenv("NOTIFY_SOCKET");
	notify_ready("x");
	notify_stopping();
	ck_assert_str_eq(told(), "");
}
END_TEST

START_TEST(watchdog)
{
	struct event_base *base = event_base_new();

	setenv("WATCHDOG_USEC", "20000", 1);
	notify_watchdog(base);
	ck_assert_str_eq(told(), "WATCHDOG=1");
	ck_assert_str_eq(told(), "");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
		ck_assert_str_eq(told(), "WATCHDOG=1");
	}
	event_base_free(base);
}
END_TEST

START_TEST(no_watchdog)
{
	struct event_base *base = event_base_new();

	notify_watchdog(base);
	ck_assert_str_eq(told(), "");
	/* Nothing to wait for. */
	ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 1);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("notify");
	TCase *tcase = tcase_create("notify");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, messages);
	tcase_add_test(tcase, nobody_listens);
	tcase_add_test(tcase, watchdog);
	tcase_add_test(tcase, no_watchdog);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
