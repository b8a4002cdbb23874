/*
 * bench-plan: how long the planner takes to admit a reservation and to go through its queue, as clusters, bookings and
 * queues grow. Every cell is measured in a process of its own, so that its memory is its own and it can be given up.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell.h"
#include "plot.h"
#include "util.h"

struct options {
	uint64_t seed;
	bool brief;
	const char *only; /* "admission" or "queue", NULL = both */
	uint32_t nodes;   /* 0 = all sizes, as count */
	uint64_t count;
	double limit_s;
	const char *folder;
};

/* With conservative backfilling everybody has a place in the plan: who may be cut short looks for it in every gap. */
static const struct mode modes[] = {
	{"easy", BACKFILL_AGGRESSIVE, SUSPENSION_ALL, "fcfs"},
	{"trial", BACKFILL_AGGRESSIVE, SUSPENSION_ALL, "trial"},
	{"conservative", BACKFILL_CONSERVATIVE, SUSPENSION_NONE, "fcfs"},
	{"conservative-cut", BACKFILL_CONSERVATIVE, SUSPENSION_ALL, "fcfs"},
};
/* Of those the last lines are about, on 100 nodes. */
static const uint64_t told_counts[ARRAY_SIZE(modes)] = {10000, 10000, 10000, 3000};

/* What the last lines compare. */
struct summary {
	struct admission_result most; /* of 1,000 nodes, or of what there is */
	uint32_t nodes;
	struct {
		double submit_s, pass_us;
	} queue[ARRAY_SIZE(modes)]; /* 0 = not measured */
};

/* Runs the cell in a child and reads its result. False if it did not finish within the limit. */
static bool measure(const struct cell *cell, void (*run)(const struct cell *cell, void *result), void *result,
		    size_t size)
{
	int ends[2], status = 0;

	fflush(stdout);
	if (pipe(ends) < 0) {
		return false;
	}
	pid_t pid = fork();
	if (pid == 0) {
		/* Ends it, if a single step takes that long. */
		struct itimerval most = {.it_value.tv_sec = (time_t)(cell->limit_s * 1.5) + 1};
		setitimer(ITIMER_PROF, &most, NULL);
		run(cell, result);
		_exit(write(ends[1], result, size) == (ssize_t)size ? 0 : 1);
	}
	close(ends[1]);
	bool there = pid > 0 && read(ends[0], result, size) == (ssize_t)size;
	close(ends[0]);
	return pid > 0 && waitpid(pid, &status, 0) == pid && there && status == 0;
}

static void run_admission(const struct cell *cell, void *result)
{
	*(struct admission_result *)result = cell_admission(cell);
}

static void run_queue(const struct cell *cell, void *result)
{
	*(struct queue_result *)result = cell_queue(cell);
}

static FILE *table(const struct options *options, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", options->folder, name);
	FILE *file = fopen(path, "we");
	if (!file) {
		fprintf(stderr, "bench_plan: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	return file;
}

/* The sizes to go through, 0 = no more: the one asked for, or all up to the largest of the short form. */
static uint64_t size_at(const uint64_t *all, size_t i, uint64_t only, bool brief, uint64_t largest)
{
	if (only) {
		return i == 0 ? only : 0;
	}
	return brief && all[i] > largest ? 0 : all[i];
}

static uint32_t nodes_at(const struct options *options, size_t i, bool queue)
{
	static const uint64_t all[] = {10, 100, 1000, 10000, 0}, few[] = {10, 100, 1000, 0};

	return (uint32_t)size_at(queue ? few : all, i, options->nodes, options->brief, 100);
}

static uint64_t count_at(const struct options *options, size_t i, const struct mode *mode)
{
	static const uint64_t all[] = {100, 1000, 10000, 100000, 1000000, 0}, few[] = {100, 1000, 10000, 100000, 0};
	static const uint64_t fewest[] = {100, 1000, 3000, 0};
	bool cuts = mode && mode->backfill == BACKFILL_CONSERVATIVE && mode->suspension != SUSPENSION_NONE;

	return size_at(!mode ? all : cuts ? fewest : few, i, options->count, options->brief, 1000);
}

static void print_quantiles(const struct quantiles *q)
{
	if (q->n) {
		printf(" %6u %9.0f %9.0f %9.0f", q->n, q->p50_us, q->p99_us, q->max_us);
	} else {
		printf(" %6u %9s %9s %9s", 0, "-", "-", "-");
	}
}

static void write_quantiles(FILE *csv, const struct quantiles *q)
{
	if (q->n) {
		fprintf(csv, ",%u,%.1f,%.1f,%.1f", q->n, q->p50_us, q->p99_us, q->max_us);
	} else {
		fputs(",0,,,", csv);
	}
}

static bool admission_cell(const struct options *options, uint32_t nodes, uint64_t count, FILE *csv,
			   struct summary *summary)
{
	struct cell cell = {.seed = options->seed,
			    .nodes = nodes,
			    .count = count,
			    .probes = options->brief ? 300 : 2000,
			    .limit_s = options->limit_s};
	struct admission_result r;

	if (nodes == 1000 && count == 1000000) {
		cell.limit_s *= 10; /* this is the one the last line is about */
	}

	printf("%6u %9llu", nodes, (unsigned long long)count);
	if (!measure(&cell, run_admission, &r, sizeof(r))) {
		printf("  not within %.0f s\n", cell.limit_s);
		return false;
	}
	printf(" %9llu %6.0f", (unsigned long long)r.booked, r.bytes_each);
	print_quantiles(&r.all);
	print_quantiles(&r.accepted);
	print_quantiles(&r.rejected);
	print_quantiles(&r.offers);
	printf("\n");
	fprintf(csv, "%u,%llu,%llu,%.3f,%.0f", nodes, (unsigned long long)count, (unsigned long long)r.booked, r.fill_s,
		r.bytes_each);
	write_quantiles(csv, &r.accepted);
	write_quantiles(csv, &r.rejected);
	write_quantiles(csv, &r.all);
	write_quantiles(csv, &r.offers);
	fputc('\n', csv);
	bool closer = nodes == summary->nodes || nodes == 1000 || summary->nodes == 0;
	if (closer && (nodes != summary->nodes || r.booked >= summary->most.booked)) {
		summary->most = r;
		summary->nodes = nodes;
	}
	return r.booked == count;
}

static void admission(const struct options *options, struct summary *summary)
{
	FILE *csv = table(options, "admission.csv");
	uint32_t nodes;
	uint64_t count;

	fputs("nodes,wanted,booked,fill_s,bytes_each,accepted,accepted_p50_us,accepted_p99_us,accepted_max_us,"
	      "rejected,rejected_p50_us,rejected_p99_us,rejected_max_us,probes,p50_us,p99_us,max_us,"
	      "offers,offer_p50_us,offer_p99_us,offer_max_us\n",
	      csv);
	puts("\nAdmission of an advance reservation: processor time of one plan_step in microseconds\n"
	     "                           bytes |             all probes             |              accepted         "
	     "     |              rejected              |         of that the offer\n"
	     " nodes    wanted    booked  each      n       p50       p99       max      n       p50       p99       "
	     "max"
	     "      n       p50       p99       max      n       p50       p99       max");
	for (size_t i = 0; (nodes = nodes_at(options, i, false)); i++) {
		bool full = true;
		for (size_t j = 0; full && (count = count_at(options, j, NULL)); j++) {
			full = admission_cell(options, nodes, count, csv, summary);
		}
	}
	fclose(csv);
}

static bool queue_cell(const struct options *options, uint32_t nodes, uint64_t count, size_t mode, FILE *csv,
		       struct summary *summary)
{
	const char *name = modes[mode].name;
	struct cell cell = {.seed = options->seed,
			    .nodes = nodes,
			    .count = count,
			    .mode = &modes[mode],
			    .probes = 5,
			    .limit_s = options->limit_s};
	struct queue_result r;

	printf("%6u %9llu  %-16s", nodes, (unsigned long long)count, name);
	if (!measure(&cell, run_queue, &r, sizeof(r))) {
		printf("  not within %.0f s\n", cell.limit_s * 1.5);
		return false;
	}
	printf(" %12.2f %12.2f %12.2f %12.2f %12.2f\n", r.submit_s * 1e3, r.node.p50_us / 1e3, r.node.max_us / 1e3,
	       r.ended.p50_us / 1e3, r.ended.max_us / 1e3);
	fprintf(csv, "%u,%s,%llu,%.3f,%u,%.3f,%.3f,%.3f,%.3f\n", nodes, name, (unsigned long long)count,
		r.submit_s * 1e3, r.node.n, r.node.p50_us / 1e3, r.node.max_us / 1e3, r.ended.p50_us / 1e3,
		r.ended.max_us / 1e3);
	if (nodes == 100 && count == told_counts[mode]) {
		summary->queue[mode].submit_s = r.submit_s;
		summary->queue[mode].pass_us = r.node.max_us > r.ended.max_us ? r.node.max_us : r.ended.max_us;
	}
	return true;
}

static void queue(const struct options *options, struct summary *summary)
{
	FILE *csv = table(options, "queue.csv");
	uint32_t nodes;
	uint64_t count;

	fputs("nodes,backfill,queued,submit_ms,repeated,node_p50_ms,node_max_ms,ended_p50_ms,ended_max_ms\n", csv);
	puts("\nQueue pass: processor time of one plan_step in milliseconds\n"
	     "                                               |     a node appears      | a reservation cancelled\n"
	     " nodes    queued  backfill           submit all       median          max       median          max");
	for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
		for (size_t i = 0; (nodes = nodes_at(options, i, true)); i++) {
			bool in_time = true;
			for (size_t j = 0; in_time && (count = count_at(options, j, &modes[k])); j++) {
				in_time = queue_cell(options, nodes, count, k, csv, summary);
			}
		}
	}
	fclose(csv);
}

static void compare(const struct summary *summary)
{
	printf("\n");
	if (summary->nodes) {
		printf("admission, %u nodes, %llu reservations booked: p99 %.3f ms, max %.3f ms "
		       "(Slurm 22.05: 17-67 ms with 1000, 205 ms with 3900)\n",
		       summary->nodes, (unsigned long long)summary->most.booked, summary->most.all.p99_us / 1e3,
		       summary->most.all.max_us / 1e3);
	}
	for (size_t k = 0; k < ARRAY_SIZE(modes); k++) {
		if (summary->queue[k].pass_us > 0) {
			printf("queue, %s, %llu leases on 100 nodes: submitting %.2f s, slowest pass %.1f ms%s\n",
			       modes[k].name, (unsigned long long)told_counts[k], summary->queue[k].submit_s,
			       summary->queue[k].pass_us / 1e3,
			       told_counts[k] == 10000 ? " (Slurm 22.05, full depth: 46 s)" : "");
		}
	}
}

static void usage(void)
{
	fputs("usage: bench_plan [--short] [--seed N] [--only admission|queue] [--nodes N] [--count N]\n"
	      "                  [--limit SECONDS] [--out FOLDER]\n"
	      "--short: small sizes only; --nodes, --count: one size only. --limit: of one cell, in processor time "
	      "(default 8). --out: "
	      "for the tables and the figure.\n",
	      stderr);
	exit(2);
}

static struct options parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{"short", no_argument, NULL, 'b'},       {"seed", required_argument, NULL, 's'},
		{"only", required_argument, NULL, 'o'},  {"nodes", required_argument, NULL, 'n'},
		{"count", required_argument, NULL, 'c'}, {"limit", required_argument, NULL, 'l'},
		{"out", required_argument, NULL, 'f'},   {0},
	};
	struct options options = {.seed = 1, .limit_s = 8, .folder = "."};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'b':
			options.brief = true;
			break;
		case 's':
			options.seed = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			options.only = optarg;
			break;
		case 'n':
			options.nodes = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'c':
			options.count = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			options.limit_s = strtod(optarg, NULL);
			break;
		case 'f':
			options.folder = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind != argc || options.limit_s <= 0) {
		usage();
	}
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	struct summary summary = {0};

	mkdir(options.folder, 0777); /* if it is there, good; if it cannot be, the first table says so */
	printf("bench-plan: seed %llu\n"
	       "Nodes have 16 cores, 64 GiB, and the one image in their pool. A reservation has 1 VM (one in ten: 2 to "
	       "4)\n"
	       "of 1, 2 or 4 cores, 10 minutes to 8 hours long (logarithm uniform), and starts at any time of a span "
	       "that\n"
	       "they fill to 90 %%. Of the probes half are like that, a quarter want one whole node, a quarter an "
	       "eighth of\n"
	       "the nodes (at most 1250) whole; accepted ones are cancelled again. Queued: best-effort, 1 to 8 VMs, "
	       "behind\n"
	       "reservations that hold every core for 1 to 9 hours; with conservative backfilling nothing is "
	       "suspended,\n"
	       "with conservative-cut it is; trial is the policy of that name.\n",
	       (unsigned long long)options.seed);
	if (!options.only || strcmp(options.only, "admission") == 0) {
		admission(&options, &summary);
	}
	if (!options.only || strcmp(options.only, "queue") == 0) {
		queue(&options, &summary);
	}
	if (!options.only && plot(options.folder) < 0) {
		fprintf(stderr, "bench_plan: no figure: gnuplot is missing or failed\n");
	}
	compare(&summary);
	printf("tables and figure: %s/admission.csv, queue.csv, plan.svg\n", options.folder);
	return 0;
}
