# Tenure. `make demo` shows it at work, `make check` tests it; README has the rest.

VERSION = 0.1.0
PREFIX = /usr/local
DESTDIR =
BUILD = build
CC = gcc
SANITIZE =

PKGS_lib = json-c libevent libevent_pthreads libcrypto libsystemd uuid inih
PKGS_daemon = sqlite3
PKGS_sim = sqlite3 zlib
PKGS_agent = libvirt libcurl libxml-2.0
PKGS_client = smartcols
PKGS_test = check libssl libevent_openssl

CSTD = -std=gnu11 -D_GNU_SOURCE -DTENURE_VERSION='"$(VERSION)"' -DTENURE_SYSCONFDIR='"/etc/tenure"'
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror=implicit-function-declaration
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
OPT = -O2 -g
CFLAGS = $(OPT) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined,$(HARDEN))
# A quarter of a simulation's time; elsewhere it changes nothing. Linking so takes long: only for who plans.
OPT_core = $(if $(SANITIZE),,$(if $(filter -O2,$(OPT)),-O3 -flto=auto -ffat-lto-objects))
LDFLAGS = $(if $(SANITIZE),-fsanitize=$(SANITIZE),-pie -Wl,-z,relro,-z,now) $(LTO)
LTO = -fno-lto
# One name for one folder, however it was given: what a file depends on is kept by name.
override BUILD := $(patsubst $(CURDIR)/%,%,$(abspath $(BUILD)))
pkg = $(foreach p,$(1),$(shell pkg-config --silence-errors $(2) $(p)))

# What each folder may include: a forbidden quoted include does not compile.
INC_lib/core =
INC_lib = -iquote lib/core $(call pkg,$(PKGS_lib),--cflags)
INC_daemon = -iquote daemon -iquote lib -iquote lib/core $(call pkg,$(PKGS_lib) $(PKGS_daemon),--cflags)
INC_daemon/sim = -iquote daemon/sim -iquote daemon -iquote lib -iquote lib/core $(call pkg,$(PKGS_lib) $(PKGS_sim),--cflags)
INC_agent = -iquote agent -iquote agent/edf -iquote lib -iquote lib/core $(call pkg,$(PKGS_lib) $(PKGS_agent),--cflags)
INC_agent/edf = -iquote agent/edf -iquote lib -iquote lib/core $(call pkg,$(PKGS_lib),--cflags)
INC_client = -iquote client -iquote lib -iquote lib/core $(call pkg,$(PKGS_lib) $(PKGS_client),--cflags)
INC_tests = -iquote daemon -iquote daemon/sim -iquote agent -iquote agent/edf -iquote client -iquote lib -iquote lib/core -iquote tests \
	$(call pkg,$(PKGS_lib) $(PKGS_daemon) $(PKGS_agent) $(PKGS_client) $(PKGS_test),--cflags)

LIBS_lib = $(call pkg,$(PKGS_lib),--libs) -lpthread
LIBS_daemon = $(call pkg,$(PKGS_daemon),--libs) $(LIBS_lib)
LIBS_sim = $(call pkg,$(PKGS_sim),--libs) $(LIBS_lib) -lm
LIBS_agent = $(call pkg,$(PKGS_agent),--libs) -lvirt-qemu $(LIBS_lib)
LIBS_client = $(call pkg,$(PKGS_client),--libs) $(LIBS_lib) -lm
LIBS_test = $(call pkg,$(PKGS_test),--libs)

objects = $(patsubst %.c,$(BUILD)/%.o,$(wildcard $(1)/*.c))
OBJ_core = $(call objects,lib/core)
OBJ_lib = $(call objects,lib)
OBJ_daemon = $(call objects,daemon) $(BUILD)/schema.o
OBJ_sim = $(call objects,daemon/sim) $(BUILD)/published.o
OBJ_agent = $(call objects,agent)
OBJ_edf = $(call objects,agent/edf)
OBJ_client = $(call objects,client)
PROGRAMS = $(BUILD)/tenured $(if $(wildcard daemon/sim/main.c),$(BUILD)/tenure-sim) $(BUILD)/tenure-agent $(BUILD)/tenure $(BUILD)/tenure-edf
UNITS = $(patsubst tests/unit/test_%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
SUPPORT = $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c)))

.PHONY: all demo demo-run check check-unit check-sim check-system bench-start bench-plan bench-edf experiments asan tsan check-tsan lint install packages clean programs
.SECONDARY:
.DELETE_ON_ERROR:

all: programs

programs: $(PROGRAMS)

# ---- programs ----------------------------------------------------------------------------------------------------------

$(BUILD)/tenured $(BUILD)/tenure-sim: LTO = -flto=auto

$(BUILD)/tenured: $(OBJ_daemon) $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_daemon)

# What a recording is replayed by is the head's own.
$(BUILD)/daemon.a: $(filter-out %/main.o,$(OBJ_daemon))
$(BUILD)/tenure-sim: $(OBJ_sim) $(BUILD)/daemon.a $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_sim)

# The EDF engine is the agent's and tenure-edf's; it needs no libvirt.
$(BUILD)/edf.a: $(filter-out %/main.o,$(OBJ_edf))
$(BUILD)/tenure-agent: $(OBJ_agent) $(BUILD)/edf.a $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_agent)

$(BUILD)/tenure-edf: $(BUILD)/agent/edf/main.o $(BUILD)/edf.a $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_lib) -lm

$(BUILD)/tenure: $(OBJ_client) $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_client)

$(BUILD)/lib.a: $(OBJ_lib)
$(BUILD)/core.a: $(OBJ_core)
$(BUILD)/%.a:
	@rm -f $@
	ar rcs $@ $^

# What is compiled and linked with: written down anew when it changes, by the command line or above, and only then.
FLAGS := $(CC) $(CSTD) $(WARN) $(CFLAGS) $(OPT_core) $(LDFLAGS)
FLAGS := $(strip $(FLAGS) $(foreach v,$(sort $(filter INC_% LIBS_%,$(.VARIABLES))),$($(v))))
ifneq ($(FLAGS),$(file <$(BUILD)/flags))
.PHONY: $(BUILD)/flags
endif
$(BUILD)/flags:
	@mkdir -p $(@D) && printf '%s\n' '$(subst ','\'',$(FLAGS))' > $@

compile = @mkdir -p $(@D) && echo "  CC $<" && $(CC) $(CSTD) $(WARN) $(CFLAGS) $(1) -MMD -MP -c -o $@ $<

$(BUILD)/lib/core/%.o: lib/core/%.c $(BUILD)/flags
	$(call compile,$(INC_lib/core) $(OPT_core))
$(BUILD)/lib/%.o: lib/%.c $(BUILD)/flags
	$(call compile,$(INC_lib))
$(BUILD)/daemon/sim/%.o: daemon/sim/%.c $(BUILD)/flags
	$(call compile,$(INC_daemon/sim))
$(BUILD)/daemon/%.o: daemon/%.c $(BUILD)/flags
	$(call compile,$(INC_daemon))
$(BUILD)/agent/edf/%.o: agent/edf/%.c $(BUILD)/flags
	$(call compile,$(INC_agent/edf))
$(BUILD)/agent/%.o: agent/%.c $(BUILD)/flags
	$(call compile,$(INC_agent))
$(BUILD)/client/%.o: client/%.c $(BUILD)/flags
	$(call compile,$(INC_client))
$(BUILD)/tests/%.o: tests/%.c $(BUILD)/flags
	$(call compile,$(INC_tests))
$(BUILD)/schema.o: $(BUILD)/schema.c $(BUILD)/flags
	$(call compile,$(INC_daemon))

# The migrations, as text in the daemon: daemon/migrate.h says what they are.
$(BUILD)/schema.c: $(sort $(wildcard schema/[0-9]*.sql))
	@mkdir -p $(@D)
	@{ echo '#include "migrate.h"'; echo 'const struct migration migrations[] = {'; \
	for f in $^; do n=$$(basename $$f .sql); \
		echo "{ $$(expr $${n%%-*} + 0), \"$$n\","; sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $$f; echo '},'; \
	done; echo '};'; echo 'const size_t migration_count = sizeof(migrations) / sizeof(migrations[0]);'; } > $@

$(BUILD)/published.o: $(BUILD)/published.c $(BUILD)/flags
	$(call compile,$(INC_daemon/sim))

# Figures of papers, as text in the simulator: daemon/sim/published.h says what they are.
$(BUILD)/published.c: $(sort $(wildcard daemon/sim/published/*.csv))
	@mkdir -p $(@D)
	@{ echo '#include "published.h"'; echo 'const struct published published[] = {'; \
	for f in $^; do \
		echo "{ \"$$(basename $$f .csv)\","; sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&\\n"/' $$f; echo '},'; \
	done; echo '};'; echo 'const size_t published_count = sizeof(published) / sizeof(published[0]);'; } > $@

# ---- tests -------------------------------------------------------------------------------------------------------------

# test_daemon_x, test_sim_x, test_agent_x and test_client_x link their program's objects too, all but main.
no_main = $(filter-out %/main.o,$(1))
UNIT_daemon = $(call no_main,$(OBJ_daemon))
UNIT_sim = $(call no_main,$(OBJ_sim)) $(BUILD)/daemon.a
UNIT_agent = $(call no_main,$(OBJ_agent)) $(BUILD)/edf.a
UNIT_client = $(call no_main,$(OBJ_client))
unit_part = $(filter daemon agent client sim,$(firstword $(subst _, ,$(1))))

define unit_rule
$(BUILD)/unit/$(1): $(BUILD)/tests/unit/test_$(1).o $(SUPPORT) $(UNIT_$(call unit_part,$(1))) $(BUILD)/lib.a $(BUILD)/core.a
	@mkdir -p $$(@D)
	@$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS_test) $(or $(LIBS_$(call unit_part,$(1))),$(LIBS_lib))
.PHONY: unit-$(1)
unit-$(1): $(BUILD)/unit/$(1)
	@CK_TIMEOUT_MULTIPLIER=$(if $(SANITIZE),40,8) $$<
endef
$(foreach u,$(UNITS),$(eval $(call unit_rule,$(u))))

check-unit: $(addprefix $(BUILD)/unit/,$(UNITS)) $(PROGRAMS)
	@CK_TIMEOUT_MULTIPLIER=$(if $(SANITIZE),40,8) tests/run-units $(BUILD) $(UNITS)

SIM_OBJ = $(call objects,tests/sim)
$(BUILD)/tests/sim/sim: $(SIM_OBJ) $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_test) $(LIBS_lib)

PROPERTY_OBJ = $(call objects,tests/property)
$(BUILD)/tests/property/property: $(PROPERTY_OBJ) $(UNIT_sim) $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_test) $(LIBS_sim)

check-sim: $(BUILD)/tests/sim/sim $(BUILD)/tests/property/property
	@CK_TIMEOUT_MULTIPLIER=$(if $(SANITIZE),20,4) tests/run-sims $^

CLUSTER_TOOLS = $(BUILD)/tests/cluster/ticker.img $(BUILD)/tests/cluster/stopwatch.img $(BUILD)/tests/cluster/seriallog $(BUILD)/tests/guests/initrd.img

$(BUILD)/tests/guests/initrd.img: tests/guests/build-linux
	tests/guests/build-linux $(@D)

$(BUILD)/tests/cluster/%.img: tests/guests/%.S
	@mkdir -p $(@D)
	$(CC) -m32 -ffreestanding -nostdlib -c -o $(@:.img=.elf.o) $<
	ld -m elf_i386 -Ttext 0x7c00 --oformat binary -e start -o $@ $(@:.img=.elf.o)
	truncate -s 1M $@ # the firmware boots no smaller virtio disk

$(BUILD)/tests/cluster/seriallog: $(BUILD)/tests/cluster/seriallog.o $(BUILD)/lib.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_lib)

check-system: $(PROGRAMS) $(CLUSTER_TOOLS) $(BUILD)/unit/agent_guest $(BUILD)/unit/agent_guest_libvirtd $(BUILD)/tests/bench/bench_plan
	@tests/run-system $(BUILD)

# Everything, with what it needs; the last line counts.
check: packages
	@$(MAKE) --no-print-directory programs
	@tests/run-all $(BUILD)

# By default 256 MiB that were freed are kept from use, and each of a program's hundreds of forked tests is searched for
# leaks in all of it: twenty times as long.
asan:
	@ASAN_OPTIONS=quarantine_size_mb=8 \
		$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined check-unit check-sim

# Data races between threads: the agent's, its EDF engine's and the head's.
TSAN_UNITS = $(filter agent_% daemon_images log,$(UNITS))
tsan:
	@$(MAKE) --no-print-directory BUILD=build-tsan SANITIZE=thread check-tsan

check-tsan: $(addprefix $(BUILD)/unit/,$(TSAN_UNITS)) $(PROGRAMS) $(CLUSTER_TOOLS)
	@CK_TIMEOUT_MULTIPLIER=40 tests/run-tsan $(BUILD) $(TSAN_UNITS)

lint:
	@tests/lint $(BUILD)

# ---- demo and benchmarks -----------------------------------------------------------------------------------------------

demo: packages
	@$(MAKE) --no-print-directory $(PROGRAMS) $(CLUSTER_TOOLS)
	@tests/cluster/demo $(BUILD)

bench-start: packages
	@$(MAKE) --no-print-directory $(PROGRAMS) $(CLUSTER_TOOLS)
	@tests/cluster/bench-start $(BUILD)

# BENCH=--short for the small sizes only; `$(BUILD)/tests/bench/bench_plan --help` has the rest.
$(BUILD)/tests/bench/bench_plan: $(call objects,tests/bench) $(BUILD)/lib.a $(BUILD)/core.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_lib) -lm

bench-plan: packages
	@$(MAKE) --no-print-directory $(BUILD)/tests/bench/bench_plan
	@$(BUILD)/tests/bench/bench_plan --out $(BUILD)/bench-plan $(BENCH)

# Needs root, or CAP_SYS_NICE; under three minutes. `$(BUILD)/tenure-edf study` has the long forms and the other studies.
bench-edf: $(BUILD)/tenure-edf
	@$(BUILD)/tenure-edf study sweep --short --out $(BUILD)/bench-edf $(BENCH)

# The published experiments whole, from the logs in TRACES (tenure-sim(1) says which) into OUT: an hour or so. What was
# finished is not done again, what was interrupted goes on.
OUT = $(BUILD)/experiments
experiments: $(patsubst %,$(OUT)/%/table.csv,accuracy blue efficiency mixed)
$(OUT)/%/table.csv: $(BUILD)/tenure-sim
	$(BUILD)/tenure-sim experiment $* $(if $(TRACES),--traces $(TRACES)) --out $(@D)

# tests/packages lists what building, testing and the demo need.
packages:
	@tests/install-packages

# ---- installing --------------------------------------------------------------------------------------------------------

install: programs
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/etc/tenure \
		$(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(BUILD)/tenured $(BUILD)/tenure-agent $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(BUILD)/tenure $(BUILD)/tenure-edf $(if $(wildcard daemon/sim/main.c),$(BUILD)/tenure-sim) \
		$(DESTDIR)$(PREFIX)/bin
	for f in tenured.conf agent.conf; do \
		test -e $(DESTDIR)/etc/tenure/$$f || install -m 644 etc/$$f $(DESTDIR)/etc/tenure/$$f; \
	done
	for f in etc/*.service; do \
		sed 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/usr/bin/|$(PREFIX)/bin/|' $$f | \
			install -m 644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/$$(basename $$f); \
	done
	install -m 644 etc/tenure.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/tenure.conf
	for f in tenure tenure-sim tenure-edf; do \
		install -m 644 etc/$$f.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$f; \
	done
	for f in man/*.[1-8]; do \
		d=$(DESTDIR)$(PREFIX)/share/man/man$${f##*.}; install -d $$d && install -m 644 $$f $$d; \
	done

clean:
	rm -rf build build-asan build-tsan

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
