/* The profiles. What their values mean is config.c's. */
#include "profile.h"

#include <string.h>

#include "util.h"

/* What the first experiments had in common: phases of no length, and a planner that is obeyed at once. */
#define AT_ONCE "lead=0s prepare=0s stop=0s suspend_fixed=0s resume_fixed=0s min_run=0s "

/* Sotomayor, Keahey, Foster: Combining Batch Execution and Leasing Using Virtual Machines (HPDC 2008), section 5. */
#define HPDC08_BARE "predeployed=yes overhead=none "
#define HPDC08_SUSPEND "suspension=all migration=aside worth=2 "
#define HPDC08_VM "overhead=best-effort " HPDC08_SUSPEND "min_run=40s "
#define HPDC08_STAGED HPDC08_VM "predeployed=no disks=whole "
/* Of 4 GiB that were to be copied first, so much as makes the published slowdown: often the prototype did not wait. */
#define HPDC08_COPIED "vm_disk=1GiB "
static const struct profile_choice hpdc08[] = {
	{"NOVM-NOSR", HPDC08_BARE "suspension=none"},
	{"NOVM-SR", HPDC08_BARE HPDC08_SUSPEND},
	{"VM-PREDEPLOY", HPDC08_VM HPDC08_COPIED "predeployed=yes"},
	{"VM-MULT", HPDC08_STAGED "reuse=transfers"},
	{"VM-REUSE-UNIFORM", HPDC08_STAGED "reuse=yes images=uniform"},
	{"VM-REUSE-SKEWED", HPDC08_STAGED "reuse=yes images=skewed"},
};

/* Sotomayor: A Resource Management Model for VM-based Virtual Workspaces (2007), section 8.3, and its slides. */
#define MSC_STAGED "predeployed=no reuse=no "
static const struct profile_choice msc[] = {
	{"noVM_nosuspend", "predeployed=yes overhead=none suspension=none"},
	{"VM_nosuspend", MSC_STAGED "overhead=none suspension=none"},
	{"VM_nosuspend_ov10", MSC_STAGED "overhead=best-effort suspension=none"},
	{"VM_suspend_ov10", MSC_STAGED "overhead=best-effort suspension=all"},
	{"VM_suspend_cache_ov10", "predeployed=no reuse=yes overhead=best-effort suspension=all"},
};

const struct profile profiles[] = {
	{"default", "Tenure's own policy, every overhead charged",
	 "queue=trial migration=yes stage_ahead=0s "
	 "runtime_overhead=5% boot=20s overhead=best-effort images=skewed reuse=yes predeployed=no",
	 NULL, 0},
	{"hpdc08", "BLUE as in the HPDC 2008 paper",
	 AT_ONCE "nodes=144 cpu=1 memory=1GiB pool=24GiB suspend_rate=50MiB resume_rate=50MiB repository_rate=10MiB "
		 "best_effort_rate=10MiB net_in=12500kB net_out=12500kB multicast=yes backfill=aggressive queue=fcfs "
		 "vm_cpu=1 vm_memory=1GiB image_size=4GiB image_count=37 images=skewed runtime_overhead=5% boot=20s "
		 "overhead=best-effort",
	 hpdc08, ARRAY_SIZE(hpdc08)},
	{"msc", "batch and reservations as in the master's paper of 2007",
	 AT_ONCE "nodes=8 cpu=2 memory=1GiB pool=1800MB suspend_rate=0 resume_rate=0 repository_rate=12500kB "
		 "multicast=no backfill=aggressive queue=fcfs vm_cpu=1 vm_memory=512MiB image_size=600MB image_count=6 "
		 "images=trace runtime_overhead=10% boot=0s overhead=best-effort quantum=1m serial=yes "
		 "stage_ahead=0s",
	 msc, ARRAY_SIZE(msc)},
};
const size_t profile_count = ARRAY_SIZE(profiles);

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < profile_count; i++) {
		if (strcmp(profiles[i].name, name) == 0) {
			return &profiles[i];
		}
	}
	return NULL;
}
