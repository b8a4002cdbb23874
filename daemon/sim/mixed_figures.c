/* Figures of batch work beside reservations, drawn by gnuplot from the table they are about. */
#include "mixed_figures.h"

/* Which row of table.csv a function takes, and where its cell is drawn. */
#define TABLE                                                                                                    \
	"is(t, m) = strcol('table') eq t && strcol('metric') eq m\n"                                             \
	"of(t, m, c) = is(t, m) ? column(c) : NaN\n"                                                             \
	"duration(u) = strcol('duration') eq 'long' ? 0 : strcol('duration') eq 'medium' ? 1 : 2\n"              \
	"size(u) = strcol('ar_resources_pct') eq '000-025' ? 0 : strcol('ar_resources_pct') eq '025-050' ? 1 : " \
	"strcol('ar_resources_pct') eq '050-075' ? 2 : 3\n"                                                      \
	"mix(u) = strcol('batch_ar') eq '25-75' ? 0 : strcol('batch_ar') eq '50-50' ? 1 : 2\n"                   \
	"cell(u) = 14 * duration(u) + 3.4 * size(u) + mix(u)\n"
#define BARS                                                               \
	"set style fill solid 1.0\nset boxwidth 0.42\nset xtics scale 0\n" \
	"set style arrow 1 nohead lw 2 lc rgb '#16324f'\n"

/* Dots around the line on which measured is what was published; on the other sides of zero the signs differ. */
static const char effects[] =
	TABLE "set multiplot layout 1, 2 title 'Time to finish all best-effort work: effects in percent' font ',18' "
	      "margins 0.07, 0.99, 0.12, 0.8 spacing 0.07\n"
	      "unset key\n"
	      "set label '●' at screen 0.16, 0.88 right textcolor rgb '#2f6db5'\n"
	      "set label 'table 8.3: suspension, no images to bring' at screen 0.165, 0.88\n"
	      "set label '▲' at screen 0.50, 0.88 right textcolor rgb '#b5452f'\n"
	      "set label 'table 8.7: images, no reuse' at screen 0.505, 0.88\n"
	      "set label '■' at screen 0.74, 0.88 right textcolor rgb '#4d9a5b'\n"
	      "set label 'table 8.7: images, reuse' at screen 0.745, 0.88\n"
	      "set grid x y lc rgb '#dddddd'\n"
	      "set xzeroaxis lt 1 lc rgb '#888888'\n"
	      "set yzeroaxis lt 1 lc rgb '#888888'\n"
	      "set xlabel 'published'\n"
	      "set ylabel 'measured, mean and its 95 % interval'\n"
	      "set title 'all' offset 0, -0.6\n"
	      "do for [part = 1:2] {\n"
	      "limit = part == 1 ? 112 : 14\n"
	      "set xrange [part == 1 ? -15 : -limit:limit]\n"
	      "set yrange [part == 1 ? -15 : -limit:limit]\n"
	      "plot x with lines lc rgb '#888888' dt 2, \\\n"
	      "     'table.csv' using (of('msc-table-8.3', 'rel_pct', 'published')):(column('measured')):"
	      "(column('low95')):(column('high95')) with yerrorbars pt 7 ps 0.7 lc rgb '#2f6db5', \\\n"
	      "     '' using (of('msc-table-8.7', 'rel2_pct', 'published')):(column('measured')):"
	      "(column('low95')):(column('high95')) with yerrorbars pt 9 ps 0.8 lc rgb '#b5452f', \\\n"
	      "     '' using (of('msc-table-8.7', 'rel3_pct', 'published')):(column('measured')):"
	      "(column('low95')):(column('high95')) with yerrorbars pt 5 ps 0.7 lc rgb '#4d9a5b'\n"
	      "set title 'close to zero' offset 0, -0.6\n"
	      "unset ylabel\n"
	      "unset label\n"
	      "}\n"
	      "unset multiplot\n";

static const char utilization[] = TABLE BARS
	"set title 'Utilization: work of 15 minutes, 75 %, beside reservations of 13 to 16 of 16' font ',18'\n"
	"set ylabel 'CPU in use (%)'\n"
	"set yrange [0:100]\nset bmargin 4\n"
	"set xrange [-0.6:4.6]\n"
	"shown(u) = strcol('table') eq 'msc-slides-36' && strcol('published') ne '' ? "
	"strcol('metric') eq 'utilization_noVM_nosuspend_pct' ? 0 : "
	"strcol('metric') eq 'utilization_VM_nosuspend_pct' ? 1 : "
	"strcol('metric') eq 'utilization_VM_nosuspend_ov10_pct' ? 2 : "
	"strcol('metric') eq 'utilization_VM_suspend_ov10_pct' ? 3 : "
	"strcol('metric') eq 'utilization_VM_suspend_cache_ov10_pct' ? 4 : NaN : NaN\n"
	"set xtics (\"noVM\\nnosuspend\" 0, \"VM\\nnosuspend\" 1, \"VM nosuspend\\nov10\" 2, "
	"\"VM suspend\\nov10\" 3, \"VM suspend\\ncache ov10\" 4)\n"
	"plot 'table.csv' using (shown(0) - 0.22):(column('published')) with boxes lc rgb '#b8bfc6' "
	"title 'published', \\\n"
	"     '' using (shown(0) + 0.22):(column('measured')) with boxes lc rgb '#2f6db5' title 'measured', \\\n"
	"     '' using (shown(0) + 0.22):(column('low95')):(0):(column('high95') - column('low95')) with vectors "
	"arrowstyle 1 title '95 % interval of the mean', \\\n"
	"     '' using (shown(0) - 0.22):(column('published')):(sprintf('%.0f', column('published'))) with labels "
	"offset 0,0.6 notitle, \\\n"
	"     '' using (shown(0) + 0.22):(column('high95')):(sprintf('%.1f', column('measured'))) with labels "
	"offset 0,0.6 notitle\n";

static const char slides[] = TABLE BARS
	"set title 'Effect of virtual machines on the time to finish all best-effort work' font ',18'\n"
	"set ylabel 'faster, below 0 slower (%)'\n"
	"set xrange [-1.2:41.6]\n"
	"set yrange [-40:2]\n"
	"set xzeroaxis lt 1 lc rgb '#444444'\n"
	"set bmargin 7\n"
	"effect = 'effect_on_performance_pct'\n"
	"unset xtics\n"
	"do for [d = 0:2] {\n"
	"do for [s = 0:3] {\n"
	"set label (s == 0 ? '1-4' : s == 1 ? '5-8' : s == 2 ? '9-12' : '13-16') at 14 * d + 3.4 * s + 1, "
	"graph 0 center offset 0,-2.2\n"
	"do for [m = 0:2] {\n"
	"set label (m == 0 ? '25' : m == 1 ? '50' : '75') at 14 * d + 3.4 * s + m, graph 0 center offset 0,-0.9 "
	"font ',11' textcolor rgb '#666666'\n"
	"}\n"
	"}\n"
	"set label (d == 0 ? '15 minutes' : d == 1 ? '10 minutes' : '5 minutes') at 14 * d + 6.1, graph 0 center "
	"offset 0,-3.5\n"
	"}\n"
	"set label 'small: best-effort work, % of all;   below: machines of a reservation;   last: length of "
	"best-effort "
	"work' at graph 0.5, graph 0 center offset 0,-5 textcolor rgb '#666666'\n"
	"plot 'table.csv' using (cell(0) - 0.22):(of('msc-slides-36', effect, 'published')) with boxes "
	"lc rgb '#b8bfc6' title 'published', \\\n"
	"     '' using (cell(0) + 0.22):(of('msc-slides-36', effect, 'measured')) with boxes lc rgb '#2f6db5' "
	"title 'measured', \\\n"
	"     '' using (cell(0) + 0.22):(of('msc-slides-36', effect, 'low95')):(0):(column('high95') - "
	"column('low95')) with vectors arrowstyle 1 title '95 % interval of the mean'\n";

int mixed_figures(const struct experiment_run *run, struct err *err)
{
	return experiment_figure(run, "effects", effects, err) < 0 ||
			       experiment_figure(run, "utilization", utilization, err) < 0 ||
			       experiment_figure(run, "slides-36", slides, err) < 0
		       ? -1
		       : 0;
}
