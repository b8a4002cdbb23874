/* Guests on the real qemu:///system: their life, operations repeated and out of place, saves that were cut. */
#include "guest_fixture.h"

#include "uuid5.h"

START_TEST(whole_life)
{
	struct part_vm vm = vm_of(0);
	struct world w;
	unsigned lines;
	wall_us at_us;

	connect_world(&w);
	ck_assert(guests_connected(w.guests));
	ck_assert(strstr(guests_hypervisor(w.guests), "libvirt") != NULL);
	prepare(&w, &vm, make_image(0xffff));
	ck_assert_int_eq(w.seen.seen, SEEN_PREPARED);
	prepare(&w, &vm, make_image(0xffff)); /* harmless */
	ck_assert_uint_eq(console_lines(&vm), 0);
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_PREPARED);

	at_us = clock_wall() + 500 * USEC_PER_MSEC;
	ask_run(&w, &vm, at_us);
	answered(&w, w.done + 1);
	printf("started %" PRId64 " us after the instant\n", w.at_us - at_us);
	ck_assert_int_ge(w.at_us, at_us);
	ck_assert_int_lt(w.at_us, at_us + USEC_PER_SEC);
	ck_assert_int_eq(w.seen.seen, SEEN_RUNNING);
	ck_assert_int_eq(w.seen.at_us, w.at_us);
	ask_run(&w, &vm, at_us); /* harmless */
	answered(&w, w.done + 1);
	await_lines(&w, &vm, 20);

	carry_out(&w, guest_suspend, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_SUSPENDED);
	ck_assert(folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.save.part"));
	lines = console_lines(&vm);
	carry_out(&w, guest_suspend, &vm); /* harmless */
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_SUSPENDED);

	restore(&w, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_PREPARED);
	ck_assert(folder_there(&vm, "/memory.save"));
	ck_assert_uint_le(console_lines(&vm), lines + 1);
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	ck_assert(!folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.resumed"));
	await_lines(&w, &vm, lines + 20);

	carry_out(&w, guest_stop, &vm);
	ck_assert_int_eq(w.seen.seen, SEEN_ENDED);
	carry_out(&w, guest_stop, &vm); /* harmless */
	ck_assert(folder_there(&vm, "/disk.qcow2"));
	carry_out(&w, guest_remove, &vm);
	carry_out(&w, guest_remove, &vm); /* harmless */
	ck_assert(!folder_there(&vm, ""));
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	world_fini(&w);
}
END_TEST

START_TEST(powers_itself_off)
{
	struct part_vm vm = vm_of(1);
	struct world w;

	connect_world(&w);
	prepare(&w, &vm, make_image(10));
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	AWAIT(&w, w.seen.seen == SEEN_ENDED);
	ck_assert_str_eq(w.text, "the guest shut itself down");
	ck_assert_uint_eq(console_lines(&vm), 10);
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	carry_out(&w, guest_remove, &vm);
	world_fini(&w);
}
END_TEST

/* libvirt itself refuses a second domain of the same UUID, whoever asks and under whatever name. */
static void refuses_second(const struct part_vm *vm)
{
	virConnectPtr conn = virConnectOpen("qemu:///system");
	char uuid[UUID5_TEXT];
	char *xml;

	uuid5_guest(vm->lease, vm->vm, vm->generation, uuid);
	xml = xasprintf(
		"<domain type='qemu'><name>tenure-test-double</name><uuid>%s</uuid><memory unit='MiB'>8</memory>"
		"<os><type>hvm</type></os></domain>",
		uuid);
	ck_assert(conn != NULL);
	ck_assert(virDomainCreateXML(conn, xml, VIR_DOMAIN_START_PAUSED) == NULL);
	free(xml);
	virConnectClose(conn);
}

/* A start that waits is called off by a stop; a guest outlives whoever started it and is found again. */
START_TEST(called_off_and_adopted)
{
	struct part_vm vm = vm_of(2);
	struct world w;

	connect_world(&w);
	prepare(&w, &vm, make_image(0xffff));
	refuses_second(&vm);
	ask_run(&w, &vm, clock_wall() + USEC_PER_HOUR);
	ask(&w, guest_stop, &vm);
	AWAIT(&w, w.done == 3);
	ck_assert_uint_eq(w.failed, 1);
	ck_assert_int_eq(w.err.code, ERR_CONFLICT);
	ck_assert_uint_eq(console_lines(&vm), 0);
	prepare(&w, &vm, make_image(0xffff));
	ask_run(&w, &vm, clock_wall());
	answered(&w, w.done + 1);
	await_lines(&w, &vm, 5);
	world_fini(&w);

	connect_world(&w);
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_RUNNING);
	ck_assert_uint_eq(w.list[0].lease, vm.lease);
	await_lines(&w, &vm, console_lines(&vm) + 5);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

/* All begin at one instant; all are paused before the first is saved; both go on where they were. */
START_TEST(gang)
{
	struct part_vm vm[2] = {vm_of(5), vm_of(6)};
	struct world w;
	wall_us at_us;
	unsigned lines[2];

	connect_world(&w);
	prepare(&w, &vm[0], make_image(0xffff));
	prepare(&w, &vm[1], make_image(0xffff));
	at_us = clock_wall() + 300 * USEC_PER_MSEC;
	ask_run(&w, &vm[0], at_us);
	ask_run(&w, &vm[1], at_us);
	answered(&w, 4);
	ck_assert_int_ge(w.at_us, at_us);
	await_lines(&w, &vm[0], 5);
	await_lines(&w, &vm[1], 5);
	ask(&w, guest_suspend, &vm[0]);
	ask(&w, guest_suspend, &vm[1]);
	answered(&w, 6);
	ck_assert_int_gt(w.last_pause_us, 0);
	ck_assert_int_lt(w.last_pause_us, w.first_save_us);
	for (int i = 0; i < 2; i++) {
		lines[i] = console_lines(&vm[i]);
		ask_restore(&w, &vm[i]);
		ask_run(&w, &vm[i], clock_wall());
	}
	answered(&w, 10);
	for (int i = 0; i < 2; i++) {
		await_lines(&w, &vm[i], lines[i] + 5);
		ask(&w, guest_remove, &vm[i]);
	}
	answered(&w, 12);
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	world_fini(&w);
}
END_TEST

static void put_file(const struct part_vm *vm, const char *name, const char *text)
{
	_cleanup_free_ char *dir = xasprintf("%s/guests/%" PRIu64 "-%u-%u", root, vm->lease, vm->vm, vm->generation);
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	struct err err;

	ck_assert_int_eq(dir_make(dir, 0711, &err), 0);
	ck_assert_int_eq(file_replace(path, text, strlen(text), 0600, &err), 0);
}

/* A save that was cut is never taken for a whole one, nor is a guest with saved memory ever booted. */
START_TEST(cut_save)
{
	struct part_vm vm = vm_of(7);
	struct part_image image = image_of(make_image(0xffff));
	struct world w;

	connect_world(&w);
	put_file(&vm, "memory.save.part", "LibvirtQemudPart and then nothing");
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	ask_restore(&w, &vm);
	ck_assert_int_eq(refused(&w, 2), ERR_NOT_FOUND);
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 3), ERR_CONFLICT);

	/* Whole, but the agent was killed before it could give it its name. */
	put_file(&vm, "memory.save.part", "LibvirtQemudSave and more");
	list(&w);
	ck_assert_uint_eq(w.listed, 1);
	ck_assert_int_eq(w.list[0].seen, SEEN_SUSPENDED);
	carry_out(&w, guest_suspend, &vm);
	ck_assert(folder_there(&vm, "/memory.save") && !folder_there(&vm, "/memory.save.part"));

	/* Set running once: not again from the same memory. */
	carry_out(&w, guest_remove, &vm);
	put_file(&vm, "memory.resumed", "LibvirtQemudSave and more");
	list(&w);
	ck_assert_uint_eq(w.listed, 0);
	ask_restore(&w, &vm);
	ck_assert_int_eq(refused(&w, w.done + 1), ERR_NOT_FOUND);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

START_TEST(nothing_to_work_on)
{
	struct part_vm vm = vm_of(3);
	struct part_image image = image_of(make_image(0xffff));
	struct world w;

	connect_world(&w);
	ask_run(&w, &vm, clock_wall());
	ck_assert_int_eq(refused(&w, 1), ERR_NOT_FOUND);
	ask(&w, guest_suspend, &vm);
	ck_assert_int_eq(refused(&w, 2), ERR_NOT_FOUND);
	ask_restore(&w, &vm);
	ck_assert_int_eq(refused(&w, 3), ERR_NOT_FOUND);
	memset(image.file[0].digest, 'f', 64);
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 4), ERR_NOT_FOUND);
	ck_assert(strstr(w.err.text, "pool") != NULL);
	/* Says raw, is not qcow2: qemu-img is not even asked. */
	image = image_of(make_image(0xffff));
	image.format = IMAGE_QCOW2;
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 5), ERR_IMAGE);
	image.format = IMAGE_KERNEL;
	guest_prepare(w.guests, &vm, &image, on_done, &w);
	ck_assert_int_eq(refused(&w, 6), ERR_IMAGE);
	carry_out(&w, guest_remove, &vm);
	ck_assert(!folder_there(&vm, ""));
	world_fini(&w);
}
END_TEST

int main(void)
{
	TCase *with = tcase_create("with libvirt");

	tcase_add_test(with, whole_life);
	tcase_add_test(with, powers_itself_off);
	tcase_add_test(with, called_off_and_adopted);
	tcase_add_test(with, gang);
	tcase_add_test(with, cut_save);
	tcase_add_test(with, nothing_to_work_on);
	return guest_suite("agent_guest", NULL, with);
}
