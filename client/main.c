/* tenure: the command-line client. Finds out what it writes to; client.c does the rest. */
#include <event2/event.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "log.h"
#include "util.h"

/* Columns of the terminal on stdout; 0 if it is none. */
static size_t terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO)) {
		return 0;
	}
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* https://no-color.org */
static bool wants_colour(void)
{
	const char *term = getenv("TERM");
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

int main(int argc, char **argv)
{
	struct show show = {.out = stdout, .err = stderr, .err_tty = isatty(STDERR_FILENO)};
	struct event_base *base;

	program_begin();
	base = event_base_new();
	if (!base) {
		return STATUS_FAILED;
	}
	setlocale(LC_ALL, "");
	log_init(LOG_LEVEL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	show.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	show.width = terminal_width();
	show.colour = wants_colour();
	int status = client_run(base, argc, (const char *const *)argv, &show);

	event_base_free(base);
	return output_end("tenure", status);
}
