/* Moves deadline leases that wait. Whether that helps anybody is the caller's. */
#include "deadline.h"

#include <assert.h>
#include <stdlib.h>

#include "admit.h"
#include "attempt.h"
#include "pool.h"
#include "prep.h"

#define LEASES_MAX 32   /* moved for one request */
#define LEASES_SEEN 512 /* looked at for that, those with the least slack first */
#define LOOKS 1024      /* at nodes, to find one a new time */

struct move {
	struct unit was;    /* lifted: how it was booked */
	struct attempt now; /* what it was given instead */
	bool anew;          /* now counts */
};

static wall_us latest_start(const struct lease_spec *spec)
{
	return spec->deadline_us - spec->duration_us;
}

int deadline_compare(const struct contract *a, const struct contract *b)
{
	wall_us x = latest_start(&a->lease.spec), y = latest_start(&b->lease.spec);

	if (x != y) {
		return x < y ? -1 : 1;
	}
	return a->lease.id < b->lease.id ? -1 : a->lease.id > b->lease.id;
}

static bool guest_waits(const struct plan *plan, const struct guest *guest)
{
	const struct vm *vm = guest->vm;
	const struct stage *stage;

	if (!vm->planned || vm->started_us || vm->run.prepare_us <= plan->now_us + plan->settings.lead_us ||
	    (vm->state != LEASE_SCHEDULED && vm->state != LEASE_PREPARING) || guest->node->info.state == NODE_SILENT) {
		return false;
	}
	stage = prep_find(guest->node, guest->contract->lease.spec.image);
	return stage && (stage->present || !prep_begun(stage));
}

/* True if the lease is booked in that time and none of it has begun. */
static bool may_move(const struct plan *plan, const struct contract *contract, wall_us from_us, wall_us to_us)
{
	const struct run *run = &contract->vms[0].run;

	if (run->prepare_us >= to_us || run->release_us <= from_us) {
		return false;
	}
	for (uint32_t i = 0; i < contract->lease.spec.vms; i++) {
		if (!guest_waits(plan, &contract->guest[i])) {
			return false;
		}
	}
	return true;
}

bool deadline_lift(struct plan *plan, struct moves *moves, wall_us from_us, wall_us to_us)
{
	struct contract *contract;
	size_t seen = 0;

	*moves = (struct moves){0};
	RB_FOREACH (contract, deadlines, &plan->deadlines) {
		if (++seen > LEASES_SEEN || moves->count >= LEASES_MAX) {
			break;
		}
		if (!may_move(plan, contract, from_us, to_us)) {
			continue;
		}
		moves->item = plan_grow(moves->item, moves->count, &moves->room, sizeof(*moves->item));
		struct move *move = &moves->item[moves->count++];
		*move = (struct move){.anew = false};
		place_unit(contract, NULL, &move->was);
	}
	if (moves->count == 0) {
		return false;
	}
	stash_links(plan, &moves->stash);
	for (size_t i = 0; i < moves->count; i++) {
		place_lift(plan, &moves->item[i].was);
	}
	return true;
}

/* The nodes of its seats; to be freed. */
static struct node **nodes_of(const struct unit *unit)
{
	struct node **nodes = calloc(unit->n, sizeof(struct node *));

	assert(nodes);
	for (uint32_t i = 0; i < unit->n; i++) {
		nodes[i] = unit->seat[i].node;
	}
	return nodes;
}

/* As it was. */
static bool stays(struct plan *plan, struct move *move)
{
	struct unit *unit = &move->was;
	const struct run *run = &unit->seat[0].was.run;
	for (uint32_t i = 0; i < unit->n; i++) {
		if (!pool_fits(plan, unit->seat[i].node, unit->spec->image, run)) {
			return false;
		}
	}
	struct node **nodes = nodes_of(unit);
	bool done = prep_promise(plan, unit->spec->image, nodes, unit->n, run);

	if (done && !place_book(plan, unit, run)) {
		prep_withdraw(plan, unit->spec->image, nodes, unit->n);
		done = false;
	}
	free(nodes);
	return done;
}

/* Elsewhere, or at another time. */
static bool moves_on(struct plan *plan, struct move *move)
{
	struct contract *contract = move->was.seat[0].guest->contract;
	struct attempt_span span = {.nodes = SIZE_MAX, .points = SIZE_MAX, .looks = LOOKS};
	struct reason reason;

	if (!admit_span(plan, &contract->lease.spec, &span.from_us, &span.latest_us, &reason)) {
		return false;
	}
	for (uint32_t i = 0; i < move->was.n; i++) {
		guest_unplan(plan, move->was.seat[i].guest);
	}
	attempt_init(&move->now, contract);
	move->now.cost = COST_NOBODY;
	move->anew = attempt_within(plan, &move->now, &span, contract->lease.spec.duration_us);
	if (move->anew) {
		attempt_book(plan, &move->now);
	} else {
		attempt_fini(&move->now);
	}
	return move->anew;
}

/* Takes those before the n-th out again. */
static void lift_again(struct plan *plan, struct moves *moves, size_t n)
{
	while (n-- > 0) {
		struct move *move = &moves->item[n];
		if (move->anew) {
			attempt_unbook(plan, &move->now);
			attempt_fini(&move->now);
			move->anew = false;
		}
		for (uint32_t i = 0; i < move->was.n; i++) {
			guest_unbook(plan, move->was.seat[i].guest);
		}
	}
	prep_trim(plan);
}

bool deadline_settle(struct plan *plan, struct moves *moves)
{
	for (size_t i = 0; i < moves->count; i++) {
		struct move *move = &moves->item[i];
		if (!stays(plan, move) && !moves_on(plan, move)) {
			lift_again(plan, moves, i);
			return false;
		}
	}
	return true;
}

void deadline_return(struct plan *plan, struct moves *moves)
{
	for (size_t i = 0; i < moves->count; i++) {
		place_put_back(plan, &moves->item[i].was);
	}
	stash_return(plan, &moves->stash);
}

void deadline_fini(struct moves *moves)
{
	for (size_t i = 0; i < moves->count; i++) {
		free(moves->item[i].was.seat);
		if (moves->item[i].anew) {
			attempt_fini(&moves->item[i].now);
		}
	}
	free(moves->item);
	stash_fini(&moves->stash);
}
