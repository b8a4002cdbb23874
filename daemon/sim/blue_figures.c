/* Figures of the month on SDSC Blue Horizon, drawn by gnuplot from tables written beside them. */
#include <math.h>
#include <string.h>

#include "blue.h"
#include "util.h"

static const struct {
	const char *file, *title, *axis;
} figures[BLUE_METRICS_PUBLISHED] = {
	[BLUE_COMPLETION] = {"completion", "Time to complete all best-effort leases",
			     "longer than without reservations (%)"},
	[BLUE_WAIT] = {"wait", "Mean wait of best-effort leases", "1000 s"},
	[BLUE_SLOWDOWN] = {"slowdown", "Mean bounded slowdown of best-effort leases", "times"},
};

/* gnuplot knows this for a number that is not there. */
static void put(FILE *out, double value)
{
	if (isfinite(value)) {
		fprintf(out, ",%.3f", value);
	} else {
		fputs(",NaN", out);
	}
}

static bool was_measured(const struct blue *blue, size_t load, enum blue_policy policy)
{
	return blue->measured[load][policy][BLUE_COMPLETION].n > 0;
}

static bool is_shown(const struct blue *blue, size_t load)
{
	return blue->load[load].column && was_measured(blue, load, BLUE_DEFAULT);
}

/* The names of the loads that are shown, between spaces. */
static char *shown_names(const struct blue *blue)
{
	char *names = xstrdup("");

	for (size_t load = 0; load < blue->loads; load++) {
		if (is_shown(blue, load)) {
			char *more = xasprintf("%s%s%s", names, *names ? " " : "", blue->load[load].name);
			free(names);
			names = more;
		}
	}
	return names;
}

/* The mean, and the ends of its interval or twice the mean. */
static void put_sample(FILE *out, const struct sample *sample)
{
	double half = sample_half_width(sample);

	put(out, sample->mean);
	put(out, sample->mean - (isfinite(half) ? half : 0));
	put(out, sample->mean + (isfinite(half) ? half : 0));
}

/* ---- the paper's configurations -------------------------------------------------------------------------------- */

static int write_bars(const struct blue *blue, enum blue_metric metric, const char *file, struct err *err)
{
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("configuration", sheet.out);
	for (size_t load = 0; load < blue->loads; load++) {
		const char *name = blue->load[load].name;
		if (is_shown(blue, load)) {
			fprintf(sheet.out, ",published_%s,haizea_%s,measured_%s,low95_%s,high95_%s", name, name, name,
				name, name);
		}
	}
	for (enum blue_policy policy = 0; policy < BLUE_DEFAULT; policy++) {
		fprintf(sheet.out, "\n%s", blue_policy_name(policy));
		for (size_t load = 0; load < blue->loads; load++) {
			if (is_shown(blue, load)) {
				put(sheet.out, blue_published(blue, load, policy, metric));
				put(sheet.out, blue_haizea(blue, load, policy, metric));
				put_sample(sheet.out, &blue->measured[load][policy][metric]);
			}
		}
	}
	fputc('\n', sheet.out);
	return sheet_write(&sheet, blue->run->out, file, err);
}

/* What panels have in common. gnuplot's own legend does not spread over them: labels do, drawn with the first. */
static const char panels[] = "set style fill solid 1.0\n"
			     "set xzeroaxis lt 1 lc rgb '#444444'\n"
			     "set yrange [*<0:0<*]\n" /* a bar says how much by its length */
			     "set xtics scale 0\n"
			     "set offsets 0.6, 0.6, graph 0.04, 0\n"
			     "unset key\n"
			     "set style arrow 1 nohead lw 2 lc rgb '#16324f'\n";

static const char bars[] =
	"set label '■' at screen 0.20, 0.915 right textcolor rgb '#b8bfc6'\n"
	"set label 'published' at screen 0.205, 0.915\n"
	"set label '■' at screen 0.37, 0.915 right textcolor rgb '#2f6db5'\n"
	"set label 'measured' at screen 0.375, 0.915\n"
	"set label '|' at screen 0.54, 0.915 right textcolor rgb '#16324f'\n"
	"set label '95 % interval of the mean' at screen 0.545, 0.915\n"
	"set label '▲' at screen 0.80, 0.915 right textcolor rgb '#b5452f'\n"
	"set label 'Haizea 1.0' at screen 0.805, 0.915\n"
	"set boxwidth 0.36\n"
	"set xtics rotate by 40 right\n"
	"set multiplot layout 1, words(rhos) title heading font ',18' margins 0.07, 0.99, 0.27, 0.82 "
	"spacing 0.055\n"
	"set ylabel axis\n"
	"do for [rho in rhos] {\n"
	"set title 'reservations: '.rho.' % of the CPU' offset 0, -0.6\n"
	"low = 'low95_'.rho\n"
	"high = 'high95_'.rho\n"
	"plot data using ($0 - 0.19):(column('published_'.rho)) with boxes lc rgb '#b8bfc6', \\\n"
	"     data using ($0 + 0.19):(column('measured_'.rho)):xtic(1) with boxes "
	"lc rgb '#2f6db5', \\\n"
	"     data using ($0 + 0.19):(column(low)):(0):(column(high) - column(low)) "
	"with vectors arrowstyle 1, \\\n"
	"     data using ($0 - 0.19):(column('haizea_'.rho)) with points pt 9 ps 1 "
	"lc rgb '#b5452f'\n"
	"unset ylabel\n"
	"unset label\n"
	"}\n"
	"unset multiplot\n";

static int draw_bars(const struct blue *blue, enum blue_metric metric, struct err *err)
{
	_cleanup_free_ char *data = xasprintf("%s.csv", figures[metric].file);
	_cleanup_free_ char *names = shown_names(blue);
	_cleanup_free_ char *script = xasprintf("rhos = '%s'\ndata = '%s'\nheading = '%s'\naxis = '%s'\n%s%s", names,
						data, figures[metric].title, figures[metric].axis, panels, bars);

	return write_bars(blue, metric, data, err) < 0
		       ? -1
		       : experiment_figure(blue->run, figures[metric].file, script, err);
}

/* ---- Tenure's own policy --------------------------------------------------------------------------------------- */

static int write_default(const struct blue *blue, struct err *err)
{
	struct sheet sheet;

	if (sheet_open(&sheet, err) < 0) {
		return -1;
	}
	fputs("rho", sheet.out);
	for (enum blue_metric metric = 0; metric < BLUE_METRICS_PUBLISHED; metric++) {
		const char *name = figures[metric].file;
		fprintf(sheet.out, ",%s_published,%s_fcfs,%s,%s_low95,%s_high95", name, name, name, name, name);
	}
	for (size_t load = 0; load < blue->loads; load++) {
		if (!is_shown(blue, load)) {
			continue;
		}
		fprintf(sheet.out, "\n%s %%", blue->load[load].name);
		for (enum blue_metric metric = 0; metric < BLUE_METRICS_PUBLISHED; metric++) {
			put(sheet.out, blue_published(blue, load, BLUE_DEFAULT, metric));
			put(sheet.out, blue->measured[load][BLUE_FCFS][metric].mean);
			put_sample(sheet.out, &blue->measured[load][BLUE_DEFAULT][metric]);
		}
	}
	fputc('\n', sheet.out);
	return sheet_write(&sheet, blue->run->out, "default.csv", err);
}

static const char own[] =
	"set label '■' at screen 0.16, 0.915 right textcolor rgb '#b8bfc6'\n"
	"set label 'best published' at screen 0.165, 0.915\n"
	"set label '■' at screen 0.34, 0.915 right textcolor rgb '#9cc3e6'\n"
	"set label 'measured, first come first served' at screen 0.345, 0.915\n"
	"set label '■' at screen 0.66, 0.915 right textcolor rgb '#2f6db5'\n"
	"set label 'measured, default' at screen 0.665, 0.915\n"
	"set label '|' at screen 0.84, 0.915 right textcolor rgb '#16324f'\n"
	"set label '95 % interval' at screen 0.845, 0.915\n"
	"set boxwidth 0.25\n"
	"data = 'default.csv'\n"
	"set multiplot layout 1, 3 title 'The default policy, and the best published with virtual machines' "
	"font ',18' margins 0.05, 0.99, 0.15, 0.82 spacing 0.055\n"
	"set xlabel 'reservations, of the CPU'\n"
	"do for [i = 1:3] {\n"
	"name = word('completion wait slowdown', i)\n"
	"low = name.'_low95'\n"
	"high = name.'_high95'\n"
	"set title (i == 1 ? 'completion, longer than alone (%)' : i == 2 ? 'mean wait (1000 s)' : "
	"'mean bounded slowdown') offset 0, -0.6\n"
	"plot data using ($0 - 0.26):(column(name.'_published')) with boxes lc rgb '#b8bfc6', \\\n"
	"     data using 0:(column(name.'_fcfs')):xtic(1) with boxes lc rgb '#9cc3e6', \\\n"
	"     data using ($0 + 0.26):(column(name)) with boxes lc rgb '#2f6db5', \\\n"
	"     data using ($0 + 0.26):(column(low)):(0):(column(high) - column(low)) with vectors arrowstyle 1\n"
	"unset label\n"
	"}\n"
	"unset multiplot\n";

static int draw_default(const struct blue *blue, struct err *err)
{
	_cleanup_free_ char *script = xasprintf("%s%s", panels, own);

	return write_default(blue, err) < 0 ? -1 : experiment_figure(blue->run, "default", script, err);
}

/* ---- over time ------------------------------------------------------------------------------------------------- */

static int draw_over_time(const struct blue *blue, struct err *err)
{
	_cleanup_free_ char *ours = blue_intervals_name(BLUE_DEFAULT);
	_cleanup_free_ char *theirs = blue_intervals_name(BLUE_VM_REUSE_SKEWED);
	_cleanup_free_ char *script =
		xasprintf("day(unused) = column('from_s') / 86400\n"
			  "set xrange [0:*]\n"
			  "set multiplot layout 2, 1 title 'Reservations of 30 %% of the CPU' font ',18' "
			  "margins 0.08, 0.98, 0.11, 0.84 spacing 0.06\n"
			  "set key at screen 0.5, 0.9 center center horizontal\n"
			  "set yrange [0:100]\n"
			  "set ylabel 'CPU in use (%%)'\n"
			  "set format x ''\n"
			  "plot '%s' using (day(0)):(100 * (column('utilization_promised') + "
			  "column('utilization_best_effort'))) with steps lw 2 lc rgb '#b5452f' "
			  "title 'VM-REUSE-SKEWED (FCFS)', \\\n"
			  "     '%s' using (day(0)):(100 * (column('utilization_promised') + "
			  "column('utilization_best_effort'))) with steps lw 2 lc rgb '#2f6db5' title 'default', \\\n"
			  "     '%s' using (day(0)):(100 * column('utilization_promised')) with steps lw 1 "
			  "lc rgb '#888888' title 'reserved, in the default'\n"
			  "set yrange [0:1<*]\n"
			  "set ylabel 'leases that wait'\n"
			  "set format x '%%g'\n"
			  "set xlabel 'time from the beginning (days)'\n"
			  "unset key\n"
			  "plot '%s' using (day(0)):(column('waiting_leases')) with steps lw 2 lc rgb '#b5452f', \\\n"
			  "     '%s' using (day(0)):(column('waiting_leases')) with steps lw 2 lc rgb '#2f6db5'\n"
			  "unset multiplot\n",
			  theirs, ours, ours, theirs, ours);

	return experiment_figure(blue->run, "over-time", script, err);
}

static bool has_over_time(const struct blue *blue)
{
	for (size_t load = 0; load < blue->loads; load++) {
		if (strcmp(blue->load[load].name, "30") == 0) {
			return was_measured(blue, load, BLUE_DEFAULT);
		}
	}
	return false;
}

int blue_figures(const struct blue *blue, struct err *err)
{
	_cleanup_free_ char *names = shown_names(blue);

	for (enum blue_metric metric = 0; *names && metric < BLUE_METRICS_PUBLISHED; metric++) {
		if (draw_bars(blue, metric, err) < 0) {
			return -1;
		}
	}
	if (*names && draw_default(blue, err) < 0) {
		return -1;
	}
	return has_over_time(blue) ? draw_over_time(blue, err) : 0;
}
