/* tenure-sim replay: a head's recorded decisions, made again and compared. */
#include <inttypes.h>

#include "replay.h"
#include "sim_command.h"
#include "usec.h"

static int run(int argc, char **argv, struct err *err)
{
	struct replay_figures figures;
	int words = options_read(NULL, 0, argc, argv, 1, NULL, NULL, err);

	if (words < 0) {
		return SIM_USAGE;
	}
	if (words == 0) {
		err_set(err, ERR_PARAMS, "which database? DATABASE is missing");
		return SIM_USAGE;
	}
	if (replay(argv[0], &figures, stderr, err) < 0) {
		return SIM_FAILED;
	}
	printf("steps=%" PRIu64 " seconds=%" PRId64 " rows=%" PRIu64 " differences=%" PRIu64 "\n", figures.steps,
	       (figures.to_us - figures.from_us) / USEC_PER_SEC, figures.rows, figures.differences);
	if (figures.differences > 0) {
		err_set(err, ERR_CONFLICT, "%s: not what this program decides", argv[0]);
		return SIM_FAILED;
	}
	return SIM_OK;
}

const struct sim_command command_replay = {
	.name = "replay",
	.words = "DATABASE",
	.help = "makes a head's recorded decisions again, and compares them row by row",
	.run = run,
};
