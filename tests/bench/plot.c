/* Runs gnuplot on the benchmark's tables. The columns are those bench_plan.c writes. */
#include "plot.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char script[] = "set terminal svg size 1200,560 dynamic\n"
			     "set output 'plan.svg'\n"
			     "set datafile separator ','\n"
			     "set datafile missing ''\n"
			     "set logscale xy\n"
			     "set grid\n"
			     "set key left top\n"
			     "set multiplot layout 1,2\n"
			     "set title 'Admission of a reservation, 99 of 100'\n"
			     "set xlabel 'reservations booked'\n"
			     "set ylabel 'microseconds'\n"
			     "plot for [n in '10 100 1000 10000'] 'admission.csv' every ::1 "
			     "using 3:($1 == n ? $16 : NaN) with linespoints title n.' nodes'\n"
			     "set title 'Queue pass over all leases'\n"
			     "set xlabel 'leases in the queue'\n"
			     "set ylabel 'milliseconds'\n"
			     "plot for [p in 'easy trial conservative conservative-cut'] "
			     "for [n in '10 100 1000'] 'queue.csv' every ::1 "
			     "using 3:($1 == n && strcol(2) eq p ? $6 : NaN) with linespoints title p.', '.n.' nodes'\n"
			     "unset multiplot\n";

static int run(const char *folder)
{
	char *argv[] = {"gnuplot", "plan.gnuplot", NULL};
	posix_spawn_file_actions_t actions;
	int status = 0;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions) != 0) {
		return -1;
	}
	int failed = posix_spawn_file_actions_addchdir_np(&actions, folder);
	failed = failed ? failed : posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (failed || waitpid(pid, &status, 0) != pid) {
		return -1;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int plot(const char *folder)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/plan.gnuplot", folder);
	FILE *file = fopen(path, "we");
	if (!file) {
		return -1;
	}
	int failed = fputs(script, file) < 0;
	failed |= fclose(file) != 0;
	return failed ? -1 : run(folder);
}
