/* The store: what is written comes back, what fails leaves nothing, what was committed stays, whatever the disk does.
 */
#include "daemon_fixture.h"

#include "log.h"
#include "store.h"
#include "store_sql.h"
#include "suite.h"

static char *dir;
static struct store *store;

static void setup(void)
{
	struct err err = {0};

	fault_install();
	fault_clear();
	dir = make_dir();
	store = store_open(dir, &err);
	ck_assert_msg(store != NULL, "%s", err.text);
}

static void teardown(void)
{
	fault_clear();
	store_close(store);
	store = NULL;
	drop_dir(dir);
}

static struct err bad; /* of OK() */

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, bad.text)

static const struct store_lease_text text = {.name = "mine", .owner = "ann", .image_name = "ticker"};

static struct lease sample_lease(uint64_t id, struct vm *vms, uint32_t n)
{
	struct lease lease = {
		.id = id,
		.spec = {.kind = LEASE_BEST_EFFORT,
			 .serial = true,
			 .vms = n,
			 .per_vm = {.amount = {500, 1 << 20, 7}},
			 .image = 3,
			 .start_us = 11,
			 .latest_us = 12,
			 .deadline_us = 13,
			 .response_us = 14,
			 .user = 15,
			 .price_max = 16,
			 .duration_us = 60 * USEC_PER_SEC},
		.state = LEASE_SCHEDULED,
		.submitted_us = 1000,
		.price = 17,
		.reason = {.code = REASON_PREEMPTED, .lease = 9, .arg0 = -5, .res = RES_DISK},
		.vms = vms,
	};

	for (uint32_t i = 0; i < n; i++) {
		vms[i] = (struct vm){
			.lease = id,
			.index = i,
			.state = LEASE_SCHEDULED,
			.node = 1,
			.generation = 2,
			.planned = true,
			.run = {.from = RUN_RESUME,
				.then = RUN_SUSPEND,
				.prepare_us = 10,
				.start_us = 20,
				.end_us = 30,
				.release_us = 40,
				.from_node = 3,
				.lodger = true},
			.served_us = 5,
		};
	}
	return lease;
}

static void add_node(uint32_t id, const char *name)
{
	struct store_node node = {
		.info = {.id = id,
			 .state = NODE_DRAINING,
			 .capacity = {.amount = {8000, 1 << 30, 1 << 30, 5, 6}},
			 .pool_bytes = 1 << 20,
			 .suspend_rate = 11,
			 .resume_rate = 12},
		.name = name,
		.hypervisor = "qemu",
		.version = "0.1",
		.drain = true,
		.seen_us = 77,
	};

	OK(store_put_node(store, &node, &bad));
}

static void add_lease(uint64_t id, uint32_t n, enum lease_state state)
{
	struct vm vms[8];
	struct lease lease = sample_lease(id, vms, n);

	lease.state = state;
	lease.ended_us = lease_state_final(state) ? 2000 : 0;
	OK(store_add_lease(store, &lease, &text, &bad));
	for (uint32_t i = 0; i < n; i++) {
		vms[i].state = state;
		OK(store_put_vm(store, &vms[i], &bad));
	}
	OK(store_set_meta(store, "last_lease", (int64_t)id, &bad));
}

/* ---- what is written comes back ---- */

static int seen;

static void check_node(const struct store_node *node, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(node->info.id, 1);
	ck_assert_str_eq(node->name, "n1");
	ck_assert_int_eq(node->info.state, NODE_DRAINING);
	ck_assert_int_eq(node->info.capacity.amount[RES_CPU], 8000);
	ck_assert_int_eq(node->info.capacity.amount[RES_NET_OUT], 6);
	ck_assert_int_eq(node->info.suspend_rate, 11);
	ck_assert_int_eq(node->info.resume_rate, 12);
	ck_assert(node->drain);
	ck_assert_int_eq(node->seen_us, 77);
}

static void check_lease(const struct lease *lease, void *arg)
{
	struct vm vms[8];
	struct lease want = sample_lease(5, vms, 2);

	(void)arg;
	seen++;
	want.vms = lease->vms;
	ck_assert_mem_eq(&lease->spec.per_vm, &want.spec.per_vm, sizeof(want.spec.per_vm));
	ck_assert_uint_eq(lease->id, 5);
	ck_assert_int_eq(lease->spec.kind, want.spec.kind);
	ck_assert(lease->spec.serial);
	ck_assert_uint_eq(lease->spec.vms, 2);
	ck_assert_uint_eq(lease->spec.image, 3);
	ck_assert_int_eq(lease->spec.latest_us, 12);
	ck_assert_int_eq(lease->spec.deadline_us, 13);
	ck_assert_int_eq(lease->spec.response_us, 14);
	ck_assert_uint_eq(lease->spec.user, 15);
	ck_assert_int_eq(lease->spec.price_max, 16);
	/* These may change. */
	ck_assert_int_eq(lease->spec.start_us, 21);
	ck_assert_int_eq(lease->spec.duration_us, 90 * USEC_PER_SEC);
	ck_assert_int_eq(lease->price, 27);
	ck_assert_int_eq(lease->state, LEASE_ACTIVE);
	ck_assert_int_eq(lease->first_start_us, 123);
	ck_assert_int_eq(lease->reason.code, REASON_PREEMPTED);
	ck_assert_int_eq(lease->reason.res, RES_DISK);
	ck_assert_uint_eq(lease->reason.lease, 9);
	ck_assert_int_eq(lease->reason.arg0, -5);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(lease->vms[i].index, i);
		ck_assert_uint_eq(lease->vms[i].lease, 5);
		ck_assert_int_eq(lease->vms[i].state, i ? LEASE_SCHEDULED : LEASE_ACTIVE);
		ck_assert_uint_eq(lease->vms[i].generation, 2);
		ck_assert(lease->vms[i].planned);
		ck_assert_mem_eq(&lease->vms[i].run, &vms[i].run, sizeof(vms[i].run));
		ck_assert_int_eq(lease->vms[i].served_us, 5);
	}
}

static void check_slot(const struct slot *slot, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(slot->id, 1);
	ck_assert_int_eq(slot->kind, SLOT_RUN);
	ck_assert_uint_eq(slot->lease, 5);
	ck_assert_uint_eq(slot->vm, 1);
	ck_assert_int_eq(slot->start_us, 20);
	ck_assert_int_eq(slot->end_us, WALL_NEVER);
	ck_assert_int_eq(slot->use.amount[RES_MEMORY], 22);
}

static void check_transfer(const struct transfer *transfer, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(transfer->id, 8);
	ck_assert_uint_eq(transfer->image, 3);
	ck_assert_uint_eq(transfer->node, 1);
	ck_assert_int_eq(transfer->state, TRANSFER_PLANNED);
	ck_assert_int_eq(transfer->deadline_us, 99);
}

static void check_image(const struct image *image, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(image->id, 3);
	ck_assert_str_eq(image->name, "ticker");
	ck_assert_int_eq(image->format, IMAGE_KERNEL);
	ck_assert_str_eq(image->cmdline, "quiet");
	ck_assert_uint_eq(image->files, 2);
	ck_assert_str_eq(image->file[0].role, "initrd");
	ck_assert_str_eq(image->file[1].role, "kernel");
	ck_assert_str_eq(image->file[1].url, "http://x/y");
	ck_assert_int_eq(image->file[1].size, 40);
}

static void check_pool(uint32_t node, uint64_t image, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(node, 1);
	ck_assert_uint_eq(image, 3);
}

static void add_image(void)
{
	struct image image = {.id = 3, .name = "ticker", .format = IMAGE_KERNEL, .cmdline = "quiet", .files = 2};

	for (int i = 0; i < 2; i++) {
		image.file[i].role = i ? "kernel" : "initrd";
		image.file[i].url = i ? "http://x/y" : NULL;
		image.file[i].size = 30 + 10 * i;
		memset(image.file[i].digest, 'a', 64);
	}
	image.size = 70;
	OK(store_add_image(store, &image, "ann", 1, &bad));
}

static void reopen(void)
{
	struct err err = {0};

	store_close(store);
	store = store_open(dir, &err);
	ck_assert_msg(store != NULL, "%s", err.text);
}

START_TEST(round_trip)
{
	struct slot slot = {
		.id = 1, .kind = SLOT_PREPARE, .node = 1, .lease = 5, .vm = 1, .start_us = 10, .end_us = 20};
	struct transfer transfer = {.id = 8, .image = 3, .node = 1, .start_us = 1, .end_us = 2, .deadline_us = 9};
	struct vm vms[2];
	struct lease lease = sample_lease(5, vms, 2);

	OK(store_begin(store, &bad));
	/* In the order the planner may think of them: a slot before its lease. */
	OK(store_put_slot(store, &slot, &bad));
	add_node(1, "n1");
	add_image();
	add_lease(5, 2, LEASE_SCHEDULED);
	add_lease(6, 1, LEASE_DONE);
	slot = (struct slot){.id = 1,
			     .kind = SLOT_RUN,
			     .node = 1,
			     .lease = 5,
			     .vm = 1,
			     .start_us = 20,
			     .end_us = WALL_NEVER,
			     .use = {.amount = {11, 22}}};
	OK(store_put_slot(store, &slot, &bad));
	OK(store_put_transfer(store, &transfer, "ticker", &bad));
	transfer.deadline_us = 99;
	OK(store_put_transfer(store, &transfer, "ticker", &bad));
	lease.state = vms[0].state = LEASE_ACTIVE;
	lease.first_start_us = 123;
	lease.spec.start_us = 21;
	lease.spec.duration_us = 90 * USEC_PER_SEC;
	lease.price = 27;
	OK(store_put_lease(store, &lease, &bad));
	OK(store_put_vm(store, &vms[0], &bad));
	OK(store_put_pool(store, 1, 3, &bad));
	OK(store_put_pool(store, 1, 3, &bad));
	OK(store_commit(store, &bad));
	reopen();
	seen = 0;
	OK(store_load_nodes(store, check_node, NULL, &bad));
	OK(store_load_images(store, check_image, NULL, &bad));
	OK(store_load_pools(store, check_pool, NULL, &bad));
	OK(store_load_leases(store, check_lease, NULL, &bad));
	OK(store_load_slots(store, 0, check_slot, NULL, &bad));
	OK(store_load_transfers(store, check_transfer, NULL, &bad));
	ck_assert_int_eq(seen, 6);
}
END_TEST

START_TEST(users)
{
	uint32_t ann, bob, again;

	OK(store_begin(store, &bad));
	OK(store_user(store, "ann", &ann, &bad));
	ck_assert_uint_eq(ann, 0);
	OK(store_add_user(store, "ann", &bad));
	OK(store_add_user(store, "bob", &bad));
	OK(store_add_user(store, "ann", &bad));
	OK(store_user(store, "ann", &ann, &bad));
	OK(store_user(store, "bob", &bob, &bad));
	OK(store_commit(store, &bad));
	reopen();
	OK(store_user(store, "ann", &again, &bad));
	ck_assert_uint_gt(ann, 0);
	ck_assert_uint_gt(bob, 0);
	ck_assert_uint_ne(ann, bob);
	ck_assert_uint_eq(ann, again);
	raw_exec(dir, "UPDATE users SET id = 5000000000 WHERE name = 'bob'");
	ck_assert_int_eq(store_user(store, "bob", &bob, &bad), -1);
	ck_assert_int_eq(bad.code, ERR_STORE);
}
END_TEST

static void check_use(uint32_t user, const struct slot *slot, void *arg)
{
	(void)arg;
	seen++;
	ck_assert_uint_eq(user, 15);
	ck_assert_uint_eq(slot->id, 3);
	ck_assert_int_eq(slot->kind, SLOT_RUN);
	ck_assert_int_eq(slot->end_us, 31);
}

/* Run slots of leases that are over, not too long ago. */
START_TEST(use)
{
	struct slot slot = {.id = 1, .kind = SLOT_RUN, .node = 1, .lease = 5, .start_us = 10, .end_us = 40};

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	add_lease(5, 1, LEASE_ACTIVE);
	add_lease(6, 1, LEASE_CANCELLED);
	OK(store_put_slot(store, &slot, &bad));
	slot.lease = 6;
	for (slot.id = 2; slot.id < 5; slot.id++) {
		slot.kind = slot.id == 4 ? SLOT_STOP : SLOT_RUN;
		slot.end_us = slot.id == 2 ? 30 : 31;
		OK(store_put_slot(store, &slot, &bad));
	}
	OK(store_commit(store, &bad));
	seen = 0;
	OK(store_load_use(store, 30, check_use, NULL, &bad));
	ck_assert_int_eq(seen, 1);
}
END_TEST

START_TEST(lease_brief)
{
	struct store_lease_brief brief = {0};
	struct err err = {0};

	ck_assert_int_eq(store_lease_brief(store, 5, &brief, &err), 0);
	OK(store_begin(store, &bad));
	add_lease(5, 1, LEASE_QUEUED);
	ck_assert_int_eq(store_lease_brief(store, 5, &brief, &err), 1); /* sees its own transaction */
	OK(store_commit(store, &bad));
	ck_assert_str_eq(brief.owner, "ann");
	ck_assert_str_eq(brief.name, "mine");
	ck_assert_int_eq(brief.state, LEASE_QUEUED);
	store_lease_brief_fini(&brief);
}
END_TEST

START_TEST(requests)
{
	struct store_request request = {.owner = "ann",
					.request_id = "r1",
					.method = "lease.request",
					.digest = "d",
					.answer = "{\"result\":1}",
					.at_us = 5};
	char *digest = NULL, *answer = NULL;
	struct err err = {0};

	OK(store_begin(store, &bad));
	ck_assert_int_eq(store_find_request(store, "ann", "r1", &digest, &answer, &err), 0);
	OK(store_add_request(store, &request, &bad));
	ck_assert_int_eq(store_find_request(store, "ann", "r1", &digest, &answer, &err), 1);
	ck_assert_int_eq(store_find_request(store, "bob", "r1", &digest, &answer, &err), 0);
	ck_assert_str_eq(digest, "d");
	ck_assert_str_eq(answer, "{\"result\":1}");
	ck_assert_int_eq(store_add_request(store, &request, &err), -1); /* never two answers */
	ck_assert_int_eq(err.code, ERR_STORE);
	store_rollback(store);
	free(digest);
	free(answer);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 0);
}
END_TEST

START_TEST(rolled_back_is_gone)
{
	struct err err = {0};
	int64_t value;

	OK(store_begin(store, &bad));
	OK(store_set_meta(store, "x", 7, &bad));
	store_rollback(store);
	store_rollback(store);
	OK(store_meta(store, "x", &value, &bad));
	ck_assert_int_eq(value, 0);
	/* A VM of a lease that is not there: found at the commit, and then nothing stays. */
	OK(store_begin(store, &bad));
	OK(store_set_meta(store, "x", 8, &bad));
	OK(store_put_vm(store, &(struct vm){.lease = 4, .state = LEASE_QUEUED}, &bad));
	ck_assert_int_eq(store_commit(store, &err), -1);
	ck_assert_int_eq(err.code, ERR_STORE);
	OK(store_begin(store, &bad));
	OK(store_meta(store, "x", &value, &bad));
	ck_assert_int_eq(value, 0);
	OK(store_commit(store, &bad));
}
END_TEST

START_TEST(pruned)
{
	struct store_event event = {.kind = "test", .data = "{}"};
	int64_t rev;

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	add_lease(1, 1, LEASE_DONE); /* ended at 2000 */
	add_lease(2, 1, LEASE_QUEUED);
	add_lease(3, 1, LEASE_FAILED);
	OK(store_put_slot(store,
			  &(struct slot){.id = 1, .kind = SLOT_RUN, .node = 1, .lease = 1, .start_us = 1, .end_us = 2},
			  &bad));
	for (int i = 0; i < 10; i++) {
		event.at_us = 100 * i;
		OK(store_add_event(store, &event, &bad));
	}
	ck_assert_int_eq(store_prune(store, 2000, 100, &bad), 1);
	ck_assert_int_eq(store_prune(store, 2000, 100, &bad), 0);
	OK(store_last_rev(store, &rev, &bad));
	ck_assert_int_eq(rev, 10); /* also when none is left */
	OK(store_add_event(store, &event, &bad));
	ck_assert_int_eq(store_prune(store, 2001, 1, &bad), 1); /* the event */
	ck_assert_int_eq(store_prune(store, 2001, 1, &bad), 1);
	OK(store_last_rev(store, &rev, &bad));
	ck_assert_int_eq(rev, 11);
	OK(store_commit(store, &bad));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 2); /* at most one at a time, oldest first */
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM vms"), 2);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM slots"), 0);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases WHERE id = 2"), 1);
}
END_TEST

/* The oldest leases until their VMs reach the limit: one lease may have more than that. */
START_TEST(pruned_by_vms)
{
	OK(store_begin(store, &bad));
	add_lease(1, 3, LEASE_DONE);
	add_lease(2, 5, LEASE_DONE);
	add_lease(3, 1, LEASE_DONE);
	ck_assert_int_eq(store_prune(store, 2001, 4, &bad), 1);
	OK(store_commit(store, &bad));
	ck_assert_int_eq(raw_number(dir, "SELECT sum(vms) FROM leases"), 1);
	OK(store_begin(store, &bad));
	ck_assert_int_eq(store_prune(store, 2001, 100, &bad), 1);
	ck_assert_int_eq(store_prune(store, 2001, 100, &bad), 0);
	OK(store_commit(store, &bad));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 0);
}
END_TEST

/* Nothing is deleted while something that refers to it is there. */
START_TEST(pruned_in_order)
{
	struct store_request request = {.owner = "ann", .method = "lease.request", .digest = "d", .answer = "{}"};
	char id[8];

	OK(store_begin(store, &bad));
	add_lease(1, 1, LEASE_DONE);
	request.request_id = id;
	for (int i = 0; i < 3; i++) {
		snprintf(id, sizeof(id), "r%d", i);
		OK(store_add_request(store, &request, &bad));
	}
	ck_assert_int_eq(store_prune(store, 2001, 2, &bad), 1);
	OK(store_commit(store, &bad));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM requests"), 1);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), 1);
}
END_TEST

static void ignore_lease(const struct lease *lease, void *arg)
{
	(void)lease;
	(void)arg;
}

static void ignore_node(const struct store_node *node, void *arg)
{
	(void)node;
	(void)arg;
}

START_TEST(edited_by_hand)
{
	static const struct {
		const char *sql, *says;
	} edits[] = {
		{"UPDATE leases SET state = 'flying'", "lease 5"},
		{"UPDATE leases SET reason = 'mood'", "lease 5"},
		{"UPDATE leases SET vms = 5000", "lease 5"},
		{"DELETE FROM vms WHERE vm = 1", "number of VMs of lease 5"},
		{"UPDATE vms SET vm = 9 WHERE vm = 1", "VM of lease 5"},
		{"UPDATE vms SET state = 'x'", "VM of lease 5"},
		{"UPDATE vms SET generation = -1", "VM of lease 5"},
		{"UPDATE nodes SET name = 'a b'", "node 1"},
		{"UPDATE nodes SET edf_cpus = 5000000000", "node 1"},
		{"INSERT INTO nodes (id, name, state, cpu, memory, disk, net_in, net_out, pool, suspend_rate,"
		 " resume_rate) SELECT 1 << 40, 'n2', state, cpu, memory, disk, net_in, net_out, pool, suspend_rate,"
		 " resume_rate FROM nodes",
		 "node 1099511627776"},
	};
	struct err err = {0};

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	add_lease(5, 2, LEASE_QUEUED);
	OK(store_commit(store, &bad));
	raw_exec(dir, edits[_i].sql);
	ck_assert(store_load_leases(store, ignore_lease, NULL, &err) < 0 ||
		  store_load_nodes(store, ignore_node, NULL, &err) < 0);
	ck_assert_int_eq(err.code, ERR_STORE);
	ck_assert_msg(strstr(err.text, edits[_i].says) != NULL, "%s", err.text);
}
END_TEST

/* ---- whatever the disk does ---- */

/* One acknowledged thing: a lease with its VMs, slots, event and request, as one pass of the head writes it. */
static int write_pass(uint64_t id, struct err *err)
{
	struct vm vms[2];
	struct lease lease = sample_lease(id, vms, 2);
	char name[32], answer[64];
	struct store_request request = {.owner = "ann",
					.request_id = name,
					.method = "lease.request",
					.digest = "d",
					.answer = answer,
					.at_us = 1};
	struct store_event event = {.at_us = 1, .kind = "lease.moved", .lease = id, .data = "{\"to\":\"scheduled\"}"};

	snprintf(name, sizeof(name), "r%d", (int)id);
	snprintf(answer, sizeof(answer), "{\"result\":{\"id\":%d}}", (int)id);
	if (store_begin(store, err) < 0) {
		return -1;
	}
	if (store_add_lease(store, &lease, &text, err) < 0 ||
	    store_set_meta(store, "last_lease", (int64_t)id, err) < 0 ||
	    store_set_meta(store, "last_slot", (int64_t)id * 2, err) < 0 || store_add_event(store, &event, err) < 0 ||
	    store_add_request(store, &request, err) < 0) {
		goto failed;
	}
	for (uint32_t i = 0; i < 2; i++) {
		struct slot slot = {.id = id * 2 - 1 + i,
				    .kind = SLOT_RUN,
				    .node = 1,
				    .lease = id,
				    .vm = i,
				    .start_us = 20,
				    .end_us = 30,
				    .use = {.amount = {1}}};

		if (store_put_vm(store, &vms[i], err) < 0 || store_put_slot(store, &slot, err) < 0) {
			goto failed;
		}
	}
	return store_commit(store, err);
failed:
	store_rollback(store);
	return -1;
}

#define PASSES 12

/* The n-th change to a file fails; what was acknowledged before and after must be there, whole. Returns if it did. */
static bool run_with_fault(long n, enum fault_mode mode, int code)
{
	bool acknowledged[PASSES + 1] = {false};
	bool tripped;
	int good = 0;

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	OK(store_set_meta(store, "last_node", 1, &bad));
	OK(store_commit(store, &bad));
	fault_clear();
	fault.at = n;
	fault.mode = mode;
	fault.code = code;
	for (uint64_t id = 1; id <= PASSES; id++) {
		struct err err = {0};

		if (write_pass(id, &err) == 0) {
			acknowledged[id] = true;
			good++;
			continue;
		}
		ck_assert_int_eq(err.code, ERR_STORE);
		ck_assert_msg(strstr(err.text, "disk") != NULL, "%s", err.text);
	}
	tripped = fault.tripped;
	if (mode == FAULT_ONCE) {
		ck_assert_int_ge(good, PASSES - 1); /* it goes on */
	}
	store_close(store);
	fault_clear();
	store = NULL;
	reopen();
	ck_assert_int_eq(violations(dir), 0);
	for (uint64_t id = 1; id <= PASSES; id++) {
		struct store_lease_brief brief = {0};
		struct err err = {0};
		int found = store_lease_brief(store, id, &brief, &err);

		store_lease_brief_fini(&brief);
		ck_assert_int_ge(found, acknowledged[id]);
	}
	return tripped;
}

START_TEST(failing_disk)
{
	static const struct {
		enum fault_mode mode;
		int code;
		const char *name;
		long step; /* the first tries every call; the others behave alike and are spread out */
	} kinds[] = {
		{FAULT_ONCE, SQLITE_IOERR_WRITE, "I/O error once", 1},
		{FAULT_FOR_GOOD, SQLITE_IOERR_WRITE, "I/O error for good", 5},
		{FAULT_ONCE, SQLITE_FULL, "full once", 5},
		{FAULT_FOR_GOOD, SQLITE_FULL, "full for good", 5},
	};
	long n = 1 - kinds[_i].step, tried = -1;

	do {
		n += kinds[_i].step;
		tried++;
		store_close(store);
		store = NULL;
		fault_clear();
		empty_dir(dir);
		reopen();
	} while (run_with_fault(n, kinds[_i].mode, kinds[_i].code));
	ck_assert_int_gt(n, PASSES);
	printf("store: %s at %ld calls: 0 acknowledged lost, 0 half done\n", kinds[_i].name, tried);
}
END_TEST

/* A real SQLITE_FULL, from SQLite itself. */
START_TEST(full_database)
{
	struct err err = {0};
	char sql[64];
	uint64_t id = 1;

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	OK(store_set_meta(store, "last_node", 1, &bad));
	OK(store_commit(store, &bad));
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %d", (int)raw_number(dir, "PRAGMA page_count") + 3);
	OK(store_run(store, &bad, sql, ""));
	while (id < 1000 && write_pass(id, &err) == 0) {
		id++;
	}
	ck_assert_uint_lt(id, 1000);
	ck_assert_msg(strstr(err.text, "full") != NULL, "%s", err.text);
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), (int64_t)id - 1);
	ck_assert_int_eq(violations(dir), 0);
	OK(store_run(store, &bad, "PRAGMA max_page_count = 1000000", ""));
	OK(write_pass(id, &bad));
	ck_assert_int_eq(raw_number(dir, "SELECT count(*) FROM leases"), (int64_t)id);
}
END_TEST

/* The invariants must be able to fail: each of these is found. */
START_TEST(invariants_notice)
{
	static const char *const edits[] = {
		"DELETE FROM leases",
		"UPDATE meta SET value = 0 WHERE key = 'last_lease'",
		"DELETE FROM vms WHERE vm = 1",
		"INSERT INTO events (at_us, kind, data) VALUES (1, 'x', '{}'); UPDATE slots SET cpu = 8000",
		"INSERT INTO slots SELECT 99, kind, node, lease, vm, start_us, end_us, 0, 0, 0, 0, 0 FROM slots LIMIT "
		"1",
		"UPDATE vms SET node = 7",
		"UPDATE slots SET vm = 7",
		"DELETE FROM slots",
		"UPDATE leases SET state = 'done', ended_us = 5",
		"UPDATE vms SET state = 'done'",
		"UPDATE leases SET state = 'odd'",
		"INSERT INTO events (at_us, kind, lease, data) VALUES (1, 'lease.moved', 1, '{\"to\":\"active\"}')",
		"INSERT INTO transfers VALUES (1, 1, 'i', 1, 'planned', 5, 9, 10, 0), (2, 1, 'i', 1, 'planned', 8, 11, "
		"20, 0)",
	};

	OK(store_begin(store, &bad));
	add_node(1, "n1");
	OK(store_set_meta(store, "last_node", 1, &bad));
	OK(store_commit(store, &bad));
	OK(write_pass(1, &bad));
	ck_assert_int_eq(violations(dir), 0);
	raw_exec(dir, edits[_i]);
	ck_assert_int_gt(violations(dir), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon_store");
	TCase *cases = tcase_create("all");

	log_init(LOG_LEVEL_ERROR);
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, round_trip);
	tcase_add_test(cases, lease_brief);
	tcase_add_test(cases, users);
	tcase_add_test(cases, use);
	tcase_add_test(cases, requests);
	tcase_add_test(cases, rolled_back_is_gone);
	tcase_add_test(cases, pruned);
	tcase_add_test(cases, pruned_by_vms);
	tcase_add_test(cases, pruned_in_order);
	tcase_add_loop_test(cases, edited_by_hand, 0, 10);
	tcase_add_loop_test(cases, failing_disk, 0, 4);
	tcase_add_test(cases, full_database);
	tcase_add_loop_test(cases, invariants_notice, 0, 13);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
