/*
 * Figures over time, drawn by gnuplot from intervals.csv. The script stays beside them, for whom they do not suit. Who
 * was where when is figure_gantt.c's.
 */
#include "figure.h"

#include <string.h>

#include "csv.h"
#include "figure_internal.h"
#include "gnuplot.h"
#include "util.h"

#define SCRIPT "figures.gp"

/* Every interval is a box of its width. unit, divisor and last are set between the two parts. */
static const char head[] = "# Made by tenure-sim; \"gnuplot " SCRIPT "\" in this folder draws the figures again.\n"
			   "set datafile separator ','\n"
			   "set datafile columnheaders\n"
			   "set terminal svg size 1200,440 noenhanced font 'sans-serif,15' background 'white'\n"
			   "set border 3 lc rgb '#444444'\n"
			   "set tics nomirror textcolor rgb '#222222'\n"
			   "set grid y lc rgb '#dddddd'\n"
			   "set key outside top center horizontal samplen 2 width 2\n"
			   "set lmargin 11\n"
			   "set rmargin 11\n"
			   "set style fill solid 1.0\n"
			   "data = 'intervals.csv'\n"
			   "mid(unit) = (column('from_s') + column('to_s')) / 2 / unit\n"
			   "wide(unit) = (column('to_s') - column('from_s')) / unit\n";

static const char body[] =
	"set xlabel sprintf('time from the beginning (%s)', unit)\n"
	"set xrange [0:last / divisor]\n"
	"set yrange [0:1<*]\n"
	"\n"
	"set output 'utilization.svg'\n"
	"set title 'Utilization: CPU of guests that run' font ',18'\n"
	"set ylabel 'part of all CPU (%)'\n"
	"set yrange [0:100]\n"
	"plot data using (mid(divisor)):(100 * (column('utilization_promised') + "
	"column('utilization_best_effort'))):(wide(divisor)) with boxes lc rgb '#5aae8a' title 'best-effort', \\\n"
	"     data using (mid(divisor)):(100 * column('utilization_promised')):(wide(divisor)) with boxes "
	"lc rgb '#2f6db5' title 'reserved'\n"
	"\n"
	"set output 'queue.svg'\n"
	"set title 'Queue: best-effort leases that wait' font ',18'\n"
	"set ylabel 'leases'\n"
	"set y2label 'VMs'\n"
	"set yrange [0:1<*]\n"
	"set y2range [0:1<*]\n"
	"set y2tics\n"
	"set border 11\n"
	"plot data using (mid(divisor)):(column('waiting_vms')):(wide(divisor)) axes x1y2 with boxes lc rgb '#d9c9e8' "
	"title 'their VMs (right)', \\\n"
	"     data using (mid(divisor)):(column('waiting_leases')) with histeps lw 2 lc rgb '#5b3a8c' "
	"title 'leases (left)'\n"
	"\n"
	"set output 'staging.svg'\n"
	"set title 'Staging: images from the repository' font ',18'\n"
	"set ylabel 'repository link busy (%)'\n"
	"set y2label 'transferred until then (GB)'\n"
	"set yrange [0:100]\n"
	"moved = 0\n"
	"plot data using (mid(divisor)):(100 * column('link_busy')):(wide(divisor)) with boxes lc rgb '#f0b878' "
	"title 'link busy (left)', \\\n"
	"     data using (column('to_s') / divisor):(moved = moved + column('mb_transferred'), moved / 1000) axes x1y2 "
	"with lines lw 2 lc rgb '#a0402a' title 'transferred (right)', \\\n"
	"     data every ::0::0 using (0):(0):(column('to_s') / divisor):(column('mb_transferred') / 1000) axes x1y2 "
	"with vectors nohead lw 2 lc rgb '#a0402a' notitle\n"
	"\n"
	"set output 'disk.svg'\n"
	"set title 'Disk: image pools, and working space of guests' font ',18'\n"
	"set ylabel 'pool of a node (GB)'\n"
	"set y2label 'working space, all nodes (GB)'\n"
	"set yrange [0:1<*]\n"
	"plot data using (mid(divisor)):(column('disk_mb') / 1000):(wide(divisor)) axes x1y2 with boxes "
	"lc rgb '#cfd8dc' title 'working space (right)', \\\n"
	"     data using (mid(divisor)):(column('pool_max_mb') / 900) with lines lt nodraw notitle, \\\n" /* room above
													   */
	"     data using (mid(divisor)):(column('pool_max_mb') / 1000) with histeps lw 2 lc rgb '#b5452f' "
	"title 'fullest pool (left)', \\\n"
	"     data using (mid(divisor)):(column('pool_mean_mb') / 1000) with histeps lw 2 dt 2 lc rgb '#2f6db5' "
	"title 'mean of pools (left)'\n";

const struct figure_unit *figure_unit(double seconds)
{
	static const struct figure_unit units[] = {{"days", 86400}, {"hours", 3600}, {"minutes", 60}, {"seconds", 1}};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && seconds < 3.0 * units[i].seconds) {
		i++;
	}
	return &units[i];
}

/* The end of the last interval, after a look at every row: gnuplot draws what it understands and leaves out the rest.
 */
static int check_intervals(const char *path, double *last, struct err *err)
{
	static const char *const columns[] = {"to_s",           "from_s",         "utilization_promised",
					      "waiting_leases", "waiting_vms",    "utilization_best_effort",
					      "link_busy",      "mb_transferred", "pool_max_mb",
					      "pool_mean_mb",   "disk_mb"};
	char *field[ARRAY_SIZE(columns)];
	struct csv csv;
	int got;

	*last = 0;
	if (csv_open(&csv, path, columns, ARRAY_SIZE(columns), err)) {
		return err->code == ERR_NOT_FOUND
			       ? err_set(err, ERR_NOT_FOUND, "%s is not there; \"tenure-sim run\" writes it", path)
			       : -1;
	}
	while ((got = csv_row(&csv, field, err)) > 0) {
		double value;

		for (size_t i = ARRAY_SIZE(columns); i-- > 0;) {
			if (csv_number(&csv, field[i], &value, err)) {
				csv_close(&csv);
				return -1;
			}
		}
		*last = value > *last ? value : *last;
	}
	csv_close(&csv);
	if (!got && *last <= 0) {
		return err_set(err, ERR_PARAMS, "%s holds no interval", path);
	}
	return got;
}

static int write_script(const char *path, double last, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const struct figure_unit *unit = figure_unit(last);

	fputs(head, out);
	fprintf(out, "last = %.6f\nunit = '%s'\ndivisor = %d.0\n", last, unit->name, unit->seconds);
	fputs(body, out);
	if (fclose(out)) {
		return err_set(err, ERR_LIMIT, "no memory for %s", path);
	}
	return file_replace(path, text, size, 0644, err);
}

static int over_time(const char *folder, FILE *tell, struct err *err)
{
	_cleanup_free_ char *data = xasprintf("%s/intervals.csv", folder);
	_cleanup_free_ char *script = xasprintf("%s/" SCRIPT, folder);
	double last;
	int got;

	if (check_intervals(data, &last, err) || write_script(script, last, err)) {
		return -1;
	}
	got = gnuplot_run(folder, SCRIPT, err);
	if (got > 0) {
		fprintf(tell, "no figures over time: gnuplot is not installed (Debian's package gnuplot-nox)\n");
	}
	return got < 0 ? -1 : 0;
}

int figure_make(const char *folder, const struct figure_window *window, FILE *tell, struct err *err)
{
	return over_time(folder, tell, err) || figure_gantt(folder, window, tell, err) ? -1 : 0;
}
