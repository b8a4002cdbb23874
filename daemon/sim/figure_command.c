/* tenure-sim figures: makes a run's figures again. */
#include "figure.h"
#include "sim_command.h"
#include "util.h"
#include "when.h"

enum { FROM, TO };

static const struct sim_option options[] = {
	{"from", "SPAN", "gantt.svg begins there, counted from the beginning: 12h", false},
	{"to", "SPAN", "and ends there; default: as much as can be read", false},
};

static int take(void *to, size_t option, const char *text, struct err *err)
{
	struct figure_window *window = to;
	span_us span;

	if (when_parse_span(text, &span, err)) {
		return -1;
	}
	*(option == FROM ? &window->from_s : &window->to_s) = (double)span / USEC_PER_SEC;
	return 0;
}

static int figures(int argc, char **argv, struct err *err)
{
	struct figure_window window = {0};
	int words = options_read(options, ARRAY_SIZE(options), argc, argv, 1, take, &window, err);

	if (words < 0) {
		return SIM_USAGE;
	}
	if (words != 1) {
		err_set(err, ERR_PARAMS, "a folder is needed that \"tenure-sim run\" has written");
		return SIM_USAGE;
	}
	if (window.to_s > 0 && window.to_s <= window.from_s) {
		err_set(err, ERR_PARAMS, "--to must be after --from");
		return SIM_USAGE;
	}
	return figure_make(argv[0], &window, stderr, err) ? SIM_FAILED : SIM_OK;
}

const struct sim_command command_figures = {
	.name = "figures",
	.words = "DIR",
	.help = "draws a run's figures from its CSV files",
	.options = options,
	.option_count = ARRAY_SIZE(options),
	.run = figures,
};
