/*
 * What libvirt's lifecycle events mean for a guest. Which of them an operation waits for is guest_queue.c's.
 */
#include "guest_state.h"
#include "guestxml.h"

static void see_stopped(struct guests *guests, struct guest_entry *entry, int detail, wall_us at_us)
{
	const struct op *op = queue_under_way(guests, entry);

	/* A creation or restore that fails ends in this event too: the operation's answer says more. */
	if (op && (op->kind == OP_PREPARE || op->kind == OP_RESTORE)) {
		return;
	}
	switch ((virDomainEventStoppedDetailType)detail) {
	case VIR_DOMAIN_EVENT_STOPPED_SAVED:
		if (!op || (op->kind != OP_PAUSE && op->kind != OP_SAVE)) {
			queue_add(guests, op_new(OP_SETTLE, guests->env, entry->key.lease, entry->key.vm,
						 entry->key.generation));
		}
		break;
	case VIR_DOMAIN_EVENT_STOPPED_CRASHED:
	case VIR_DOMAIN_EVENT_STOPPED_FAILED:
		entry_see(guests, entry, SEEN_FAILED, at_us, "the guest crashed");
		break;
	case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN:
		entry_see(guests, entry, SEEN_ENDED, at_us, "the guest shut itself down");
		break;
	case VIR_DOMAIN_EVENT_STOPPED_DESTROYED:
	case VIR_DOMAIN_EVENT_STOPPED_MIGRATED:
	case VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT:
		entry_see(guests, entry, SEEN_ENDED, at_us, "");
		break;
	}
}

static void see_event(struct guests *guests, struct guest_entry *entry, int event, int detail, wall_us at_us)
{
	const struct op *op = queue_under_way(guests, entry);

	switch ((virDomainEventType)event) {
	case VIR_DOMAIN_EVENT_RESUMED:
		entry_see(guests, entry, SEEN_RUNNING, at_us, "");
		break;
	case VIR_DOMAIN_EVENT_SUSPENDED:
		if (detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR) {
			entry_see(guests, entry, SEEN_FAILED, at_us,
				  "paused by an input/output error: is the disk full?");
		} else if (entry->guest.seen == SEEN_RUNNING || (op && (op->kind == OP_PAUSE || op->kind == OP_SAVE))) {
			entry_see(guests, entry, SEEN_SUSPENDING, at_us, "");
		} else if (entry->guest.seen != SEEN_SUSPENDING) {
			entry_see(guests, entry, SEEN_PREPARED, at_us, "");
		}
		break;
	case VIR_DOMAIN_EVENT_STOPPED:
		see_stopped(guests, entry, detail, at_us);
		break;
	case VIR_DOMAIN_EVENT_CRASHED:
		entry_see(guests, entry, SEEN_FAILED, at_us, "the guest crashed");
		break;
	case VIR_DOMAIN_EVENT_DEFINED:
	case VIR_DOMAIN_EVENT_UNDEFINED:
	case VIR_DOMAIN_EVENT_STARTED:
	case VIR_DOMAIN_EVENT_SHUTDOWN:
	case VIR_DOMAIN_EVENT_PMSUSPENDED:
		break;
	}
}

void guest_event(struct guests *guests, const char *name, int event, int detail, wall_us at_us)
{
	uint64_t lease;
	uint32_t vm, generation;
	struct guest_entry *entry;

	if (guestxml_parse_name(name, &lease, &vm, &generation) < 0) {
		return;
	}
	entry = entry_get(guests, lease, vm, generation);
	see_event(guests, entry, event, detail, at_us);
	queue_changed(guests, entry);
}
