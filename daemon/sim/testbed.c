/* A batch system that stages images: first come first served, one transfer at a time on each node. */
#include "testbed.h"

#include <string.h>

#include "draw.h"
#include "estimate.h"
#include "sim_link.h"
#include "util.h"

struct staged {
	struct due due; /* its copy is made */
	struct cluster *cluster;
	struct host *node;
	wall_us since_us;
	size_t place;        /* in what was deployed */
	struct staged *next; /* on its node's list */
};

struct cluster {
	struct due due; /* its VMs end */
	const struct trace_request *request;
	struct staged *vm;
	uint32_t missing; /* VMs without their image */
};

struct cached {
	const char *image;
	uint32_t uses;
};

struct host {
	uint32_t free;
	struct staged *first, **last; /* the first is being deployed, the others wait */
	struct cached *cache;
	uint32_t cached;
};

enum rank { RANK_END, RANK_COPY, RANK_LINK };

struct bench {
	const struct testbed *testbed;
	struct host *node;
	uint32_t free;
	struct sim_link link;
	struct agenda agenda;
	struct draw draw;
	wall_us now;
	struct deployed *deployed;
	size_t done;
};

static struct cached *find(struct host *node, const char *image)
{
	for (uint32_t i = 0; i < node->cached; i++) {
		if (strcmp(node->cache[i].image, image) == 0) {
			return &node->cache[i];
		}
	}
	return NULL;
}

static void make_room(const struct testbed *testbed, struct host *node)
{
	struct cached *least = node->cache;

	if (node->cached < testbed->cache) {
		return;
	}
	for (uint32_t i = 1; i < node->cached; i++) {
		least = node->cache[i].uses < least->uses ? &node->cache[i] : least;
	}
	node->cached--;
	memmove(least, least + 1, (size_t)(node->cache + node->cached - least) * sizeof(*least));
}

static void begin(struct bench *bench, struct staged *vm);

/* All of a cluster's images are there: its VMs begin. */
static void all_ready(struct bench *bench, struct cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->request->vms; i++) {
		struct staged *vm = &cluster->vm[i];

		bench->deployed[vm->place].took_us = bench->now - vm->since_us;
	}
	agenda_set(&bench->agenda, &cluster->due, bench->now + cluster->request->real_us);
}

/* The image is where its VM uses it. */
static void ready(struct bench *bench, struct staged *vm)
{
	struct cluster *cluster = vm->cluster;
	struct host *node = vm->node;

	vm->place = bench->done;
	bench->deployed[bench->done++] = (struct deployed){bench->now, 0, cluster->request->image_bytes};
	if (--cluster->missing == 0) {
		all_ready(bench, cluster);
	}
	node->first = vm->next;
	if (node->first) {
		begin(bench, node->first);
	} else {
		node->last = &node->first;
	}
}

static void copy(struct bench *bench, struct staged *vm, struct cached *from)
{
	int64_t rate = bench->testbed->copy_rate;

	from->uses++;
	agenda_set(&bench->agenda, &vm->due,
		   bench->now + (rate ? estimate_bytes(vm->cluster->request->image_bytes, rate) : 0));
}

static void begin(struct bench *bench, struct staged *vm)
{
	const struct trace_request *request = vm->cluster->request;
	struct cached *here = find(vm->node, request->image);

	vm->since_us = bench->now;
	if (here) {
		copy(bench, vm, here);
		return;
	}
	if (bench->testbed->cache) {
		make_room(bench->testbed, vm->node);
	}
	sim_link_begin(&bench->link, &bench->agenda, bench->now, 0, request->image_bytes,
		       estimate_bytes(request->image_bytes, bench->testbed->link_rate))
		->cargo = vm;
}

static void arrive(struct bench *bench)
{
	struct flow *flow;

	while ((flow = sim_link_take(&bench->link, &bench->agenda, bench->now))) {
		struct staged *vm = flow->cargo;
		struct host *node = vm->node;

		free(flow);
		if (bench->testbed->cache) {
			node->cache[node->cached] = (struct cached){vm->cluster->request->image, 0};
			copy(bench, vm, &node->cache[node->cached++]);
		} else {
			ready(bench, vm);
		}
	}
}

/*
 * A cluster fills the node it is on, as batch systems do; then one that has the image, as the request prefers, then the
 * emptiest. Equals are drawn among.
 */
static struct host *choose(struct bench *bench, const char *image, struct host *before)
{
	struct host *best = NULL;
	uint32_t most = 0;
	int64_t equals = 1;

	if (before && before->free) {
		return before;
	}
	for (uint32_t i = 0; i < bench->testbed->nodes; i++) {
		struct host *node = &bench->node[i];
		uint32_t score = node->free && find(node, image) ? node->free + bench->testbed->slots : node->free;

		equals = score > most ? 1 : score == most ? equals + 1 : equals;
		if (score > most || (score == most && score > 0 && draw_between(&bench->draw, 1, equals) == 1)) {
			best = node;
			most = score;
		}
	}
	return best;
}

static void place(struct bench *bench, struct cluster *cluster)
{
	struct host *node = NULL;

	for (uint32_t i = 0; i < cluster->request->vms; i++) {
		struct staged *vm = &cluster->vm[i];

		node = choose(bench, cluster->request->image, node);
		node->free--;
		bench->free--;
		vm->node = node;
		*node->last = vm;
		node->last = &vm->next;
		if (node->first == vm) {
			begin(bench, vm);
		}
	}
}

static void end(struct bench *bench, struct cluster *cluster)
{
	agenda_set(&bench->agenda, &cluster->due, WALL_NEVER);
	bench->free += cluster->request->vms;
	for (uint32_t i = 0; i < cluster->request->vms; i++) {
		cluster->vm[i].node->free++;
	}
}

/* What is due first, but for what is asked for before it. */
static void step(struct bench *bench, struct due *due)
{
	bench->now = due->at_us;
	switch ((enum rank)due->rank) {
	case RANK_END:
		end(bench, (struct cluster *)due);
		break;
	case RANK_COPY:
		agenda_set(&bench->agenda, due, WALL_NEVER);
		ready(bench, (struct staged *)due);
		break;
	case RANK_LINK:
		arrive(bench);
		break;
	}
}

static size_t make_clusters(const struct testbed *testbed, const struct trace *trace, struct cluster *cluster)
{
	size_t n = 0;
	uint64_t key = 0;

	for (size_t i = 0; i < trace->count; i++) {
		const struct trace_request *request = &trace->item[i];

		if (request->vms > testbed->nodes * testbed->slots) {
			continue;
		}
		cluster[n].request = request;
		cluster[n].missing = request->vms;
		cluster[n].due = (struct due){.rank = RANK_END, .key = n};
		cluster[n].vm = xcalloc(request->vms, sizeof(*cluster[n].vm));
		for (uint32_t v = 0; v < request->vms; v++) {
			cluster[n].vm[v].due = (struct due){.rank = RANK_COPY, .key = key++};
			cluster[n].vm[v].cluster = &cluster[n];
		}
		n++;
	}
	return n;
}

static void run_clusters(struct bench *bench, struct cluster *cluster, size_t n)
{
	struct due *due;

	for (size_t next = 0; (due = agenda_first(&bench->agenda)) || next < n;) {
		const struct trace_request *request = next < n ? cluster[next].request : NULL;
		bool fits = request && request->vms <= bench->free;

		if (fits && (request->submit_us <= bench->now || !due || request->submit_us < due->at_us)) {
			bench->now = request->submit_us > bench->now ? request->submit_us : bench->now;
			place(bench, &cluster[next++]);
		} else {
			step(bench, due);
		}
	}
}

size_t testbed_run(const struct testbed *testbed, const struct trace *trace, int64_t seed, struct deployed *deployed)
{
	_cleanup_free_ struct cluster *cluster = xcalloc(trace->count + 1, sizeof(*cluster));
	_cleanup_free_ struct host *node = xcalloc(testbed->nodes, sizeof(*node));
	_cleanup_free_ struct cached *cache = xcalloc(testbed->nodes * (size_t)testbed->cache + 1, sizeof(*cache));
	struct bench bench = {.testbed = testbed,
			      .node = node,
			      .deployed = deployed,
			      .link.due.rank = RANK_LINK,
			      .draw = {(uint64_t)seed}};
	size_t n = make_clusters(testbed, trace, cluster);

	bench.free = testbed->nodes * testbed->slots;
	for (uint32_t i = 0; i < testbed->nodes; i++) {
		node[i].free = testbed->slots;
		node[i].last = &node[i].first;
		node[i].cache = cache + (size_t)i * testbed->cache;
	}
	run_clusters(&bench, cluster, n);
	for (size_t i = 0; i < n; i++) {
		free(cluster[i].vm);
	}
	agenda_fini(&bench.agenda);
	sim_link_fini(&bench.link);
	return bench.done;
}
