# SecureBase Monitor. `make help` lists the targets. Files are found by wildcard: a collector, a channel, a driver, a test
# or a benchmark is made by adding its file.
CC       ?= gcc
VARIANT  ?=
BUILD    ?= build$(VARIANT)
PREFIX   ?= /usr
PYTHON   ?= /usr/bin/python3
SECONDS  ?= 60
VERSION  := $(shell sed -n 's/^\#\# \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

ifeq ($(origin CC),default)
CC := gcc
endif

PKGS     := zlib libevent libevent_openssl libevent_pthreads libzstd libcurl openssl sqlite3 libcjson libprotobuf-c libpq ldns
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT      ?= -O2 -g
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -ffile-prefix-map=$(CURDIR)=.
SAN      ?=
# V=1 shows the commands.
Q        := $(if $(V),,@)
said      = $(if $(V),:,echo "  $(1)")
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS))
CFLAGS   += -std=c11 $(WARN) $(OPT) $(HARDEN) $(SAN) -fno-strict-aliasing -ffp-contract=off
LDFLAGS  += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN)
LDLIBS   += $(shell pkg-config --libs $(PKGS)) -linih -lmsgpackc -lm -lpthread

# The three programs and what they are made from.
COMMON := $(wildcard common/*/*.c)
AGENT  := $(filter-out agent/main.c,$(wildcard agent/*.c agent/*/*.c))
AGGR   := $(filter-out aggregator/main.c aggregator/ctl/%,$(wildcard aggregator/*.c aggregator/*/*.c))
CTL    := $(filter-out aggregator/ctl/main.c,$(wildcard aggregator/ctl/*.c))
TESTS  := $(wildcard tests/unit/test_*.c)
BENCH  := $(wildcard tests/bench/bench_*.c)
FUZZ   := $(wildcard tests/fuzz/fuzz_*.c)
PROTO  := $(wildcard aggregator/*/*.proto)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

PROGRAMS := $(BUILD)/securebase-agent $(BUILD)/securebase-aggregator $(BUILD)/sbctl

all: $(PROGRAMS)

# ---- generated: the registries and the version -------------------------------------------------------------------
# registry NAME, type, prefix, header, files: an array of pointers to `const struct TYPE PREFIX_<file>`.
define registry
$(BUILD)/gen/$(1).c: $(5) packaging/registry.sh | $(BUILD)/gen
	@sh packaging/registry.sh $(1) $(2) $(3) $(4) $(5) > $$@.new && (cmp -s $$@.new $$@ || mv $$@.new $$@); rm -f $$@.new; touch $$@
endef
COLLECTOR_FILES := $(sort $(wildcard agent/collectors/*.c))
$(eval $(call registry,collectors,collector,collector,agent/collector.h,$(COLLECTOR_FILES)))
CHANNEL_FILES := $(sort $(shell grep -l '^const struct channel channel_' $(wildcard aggregator/notify/*.c) /dev/null))
$(eval $(call registry,channels,channel,channel,aggregator/notify/channel.h,$(CHANNEL_FILES)))
ACTION_FILES := $(sort $(shell grep -l '^const struct action_driver action_' $(wildcard aggregator/actions/*.c) /dev/null))
$(eval $(call registry,action_drivers,action_driver,action,aggregator/actions/action.h,$(ACTION_FILES)))

$(BUILD)/gen:
	@mkdir -p $@
$(BUILD)/gen/version.h: CHANGELOG.md $(wildcard .git/HEAD .git/refs/heads/main) | $(BUILD)/gen
	@printf '#define SB_VERSION "%s"\n#define SB_REVISION "%s"\n' '$(VERSION)' '$(REVISION)' > $@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@; touch $@

# Protocol buffers: x/y.proto becomes gen/x/y.pb-c.[ch], included as "x/y.pb-c.h".
$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: %.proto | $(BUILD)/gen
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(BUILD)/gen $<
$(BUILD)/obj/gen/%.pb-c.o: WARN := -w
GENERATED := $(patsubst %.proto,$(BUILD)/gen/%.pb-c.h,$(PROTO)) $(BUILD)/gen/version.h

# ---- objects, libraries, programs ---------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D); $(call said,CC   $@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D); $(call said,CC   $@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libcommon.a: $(call obj,$(COMMON))
$(BUILD)/libagent.a: $(call obj,$(AGENT)) $(BUILD)/obj/gen/collectors.o
$(BUILD)/libaggregator.a: $(call obj,$(AGGR)) $(BUILD)/obj/gen/channels.o $(BUILD)/obj/gen/action_drivers.o \
    $(patsubst %.proto,$(BUILD)/obj/gen/%.pb-c.o,$(PROTO))
$(BUILD)/libctl.a: $(call obj,$(CTL))
$(BUILD)/lib%.a:
	@rm -f $@; $(call said,AR   $@)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/securebase-agent: $(BUILD)/obj/agent/main.o $(BUILD)/libagent.a $(BUILD)/libcommon.a
$(BUILD)/securebase-aggregator: $(BUILD)/obj/aggregator/main.o $(BUILD)/libaggregator.a $(BUILD)/libcommon.a
$(BUILD)/sbctl: $(BUILD)/obj/aggregator/ctl/main.o $(BUILD)/libctl.a $(BUILD)/libaggregator.a $(BUILD)/libcommon.a
$(PROGRAMS):
	@$(call said,LINK $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ---- tests -----------------------------------------------------------------------------------------------------------
UNIT  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TESTS))
TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))
LIBS  := $(BUILD)/libagent.a $(BUILD)/libaggregator.a $(BUILD)/libctl.a $(BUILD)/libcommon.a
link = $(Q)mkdir -p $(@D) && $(call said,LINK $@) && $(CC) $(CFLAGS) $(LDFLAGS) $(FUZZ_LINK) -o $@ $(1) $(LIBS) $(2) $(LDLIBS)

$(BUILD)/tests/test_%: $(BUILD)/obj/tests/unit/test_%.o $(LIBS)
	$(call link,$<,-lcmocka)
$(TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(LIBS)
	$(call link,$<)
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIBS)
	$(call link,$<,-ldl)
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_MAIN) $(LIBS)
	$(call link,$< $(FUZZ_MAIN))

unit: $(UNIT)
	@sh tests/unit/run.sh $(UNIT)

# The simulator of failovers (tests/sim/README.md). SEEDS=1000000 is the campaign of a release; SEED=n TRACE=1 shows one;
# CUTS=2 cuts plans at each two of their effects.
SEEDS    ?= 20000
SEED     ?= 1
JOBS     ?= 2
SIM_OBJ  := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/sim/*.c))
$(BUILD)/tests/sim: $(SIM_OBJ) $(LIBS)
	$(call link,$(SIM_OBJ))
# Of the core alone: built in moments, with each compiler.
CORE_FILES := $(filter-out %_io.c,$(wildcard aggregator/failover/core*.c)) $(patsubst %,aggregator/failover/%.c,table gates tally vote names record) \
    aggregator/actions/names.c common/config/text.c $(wildcard common/base/*.c)
$(BUILD)/tests/sim-alone: $(SIM_OBJ) $(call obj,$(CORE_FILES))
	$(Q)mkdir -p $(@D) && $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)
sim: $(BUILD)/tests/sim
	@$(BUILD)/tests/sim -s $(SEED) $(if $(TRACE),-n 1 -t,-n $(SEEDS) -j $(JOBS))
	@$(if $(TRACE),:,$(BUILD)/tests/sim -k $(or $(CUTS),1) -s $(SEED) -n $(or $(PLANS),18) -j $(JOBS))
# The same seeds give the same bytes, whoever compiles and however hard.
sim-same:
	@sh tests/sim/same.sh $(or $(SAME),300)
# Each guard of the core turned over, one at a time: some seed has to fail. NAMED=1 for the list of named guards alone.
sim-mutate: $(BUILD)/tests/sim
	@$(PYTHON) tests/sim/mutate.py $(BUILD) $(if $(NAMED),--named) $(MUTATE)

# Sanitizers, each in a build folder of its own, with clang.
SAN_asan  := -fsanitize=address,undefined,float-cast-overflow
SAN_ubsan := -fsanitize=undefined,float-cast-overflow
SAN_tsan  := -fsanitize=thread
asan ubsan tsan:
	@$(MAKE) --no-print-directory VARIANT=-$@ CC=clang OPT="-O1 -g" HARDEN=-fPIE \
	    SAN="-fno-omit-frame-pointer -fno-sanitize-recover=all $(SAN_$@)" $(or $(GOALS),unit)
clang:
	@$(MAKE) --no-print-directory VARIANT=-clang CC=clang all unit
cover:
	@$(MAKE) --no-print-directory VARIANT=-cover OPT="-O0 -g --coverage" HARDEN=-fPIE unit
	@cd build-cover && gcov -n -r -s .. $$(find obj/common obj/agent obj/aggregator -name '*.gcda') 2> /dev/null | \
	    awk '/^File/ { f = $$2 } /^Lines executed/ { print substr($$2, 10), f }' | sort -n | uniq

# Fuzzers: `make fuzz SECONDS=60` gives each so long; `make fuzz-replay` runs what they have kept.
fuzz:
	@$(MAKE) --no-print-directory VARIANT=-fuzz CC=clang OPT="-O1 -g" HARDEN=-fPIE \
	    SAN="-fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize=address,undefined,fuzzer-no-link" FUZZ_LINK=-fsanitize=fuzzer fuzz-run
fuzz-run: $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ))
	@sh tests/fuzz/run.sh $(SECONDS) $^
fuzz-replay:
	@$(MAKE) --no-print-directory VARIANT=-asan CC=clang OPT="-O1 -g" HARDEN=-fPIE \
	    SAN="-fno-omit-frame-pointer -fno-sanitize-recover=all $(SAN_asan)" FUZZ_MAIN=build-asan/obj/tests/fuzz/replay.o replay-run
replay-run: $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ))
	@sh tests/fuzz/run.sh replay $^

lint: all unit-objects
	@$(PYTHON) tests/lint/selftest.py "$(CC)"
	@$(PYTHON) tests/lint/lint.py $(BUILD)
unit-objects: $(call obj,$(AGENT) $(AGGR) $(CTL) $(COMMON))

e2e: all $(TOOLS) $(BUILD)/bench/load_tls
	@$(PYTHON) tests/e2e/run.py $(PYTEST)

# Objectives against promtool over 30 days, point by point: a minute. In `make e2e` it is 8 days.
slo-month: $(BUILD)/tests/slo_tool
	SLO_DAYS=30 SLO_EVERY=60 $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/e2e/test_slo_promtool.py

# Faults in a real setup of three regions on this machine (root, hours): tests/campaign/campaign.py says what OPTIONS there are.
# Results are kept; what is in them is not run again.
campaign: all
	@BUILD=$(BUILD) $(PYTHON) tests/campaign/campaign.py $(OPTIONS)

# What CI runs. Each runner prints its own closing lines.
check:
	@$(MAKE) --no-print-directory -j2 all
	@$(MAKE) --no-print-directory lint generated
	@$(MAKE) --no-print-directory -j2 unit
	@$(MAKE) --no-print-directory -j2 sim sim-same
	@$(MAKE) --no-print-directory -j2 clang
	@$(MAKE) --no-print-directory -j2 asan
	@$(MAKE) --no-print-directory -j2 tsan
	@$(MAKE) --no-print-directory -j2 fuzz-replay
	@$(MAKE) --no-print-directory -j2 e2e

# ---- benchmarks --------------------------------------------------------------------------------------------------------
bench: $(patsubst tests/bench/bench_%.c,bench-%,$(BENCH)) bench-pages
bench-%: $(BUILD)/bench/bench_%
	$<
ifneq ($(wildcard tests/bench/bench_agent.py),)
bench-agent: all $(BUILD)/bench/bench_agent $(BUILD)/bench/bare_read
	$(BUILD)/bench/bench_agent
	$(PYTHON) tests/bench/bench_agent.py $(BUILD)
endif
bench-pages: all
	$(PYTHON) tests/bench/bench_pages.py $(BUILD)
ifneq ($(wildcard tests/bench/bench_ingest_tls.py),)
bench-ingest: all $(BUILD)/bench/bench_ingest $(BUILD)/bench/load_tls
	$(BUILD)/bench/bench_ingest
	$(PYTHON) tests/bench/bench_ingest_tls.py $(BUILD)
endif

# ---- generated files that are kept in the tree: example configuration and option pages ----------------------------------
KEPT := conf/agent.ini conf/aggregator.ini packaging/man/securebase-agent.ini.5 packaging/man/securebase-aggregator.ini.5 \
        packaging/man/sbctl.1 packaging/completion/sbctl.bash packaging/completion/_sbctl
conf: all
	@sh packaging/generate.sh $(BUILD) .
failover-states: $(BUILD)/tests/fsm
	$(BUILD)/tests/fsm markdown > docs/failover-states.md
generated: all
	@mkdir -p $(BUILD)/kept && sh packaging/generate.sh $(BUILD) $(BUILD)/kept && \
	for f in $(KEPT); do cmp $$f $(BUILD)/kept/$$f || { echo "make conf writes $$f anew"; exit 1; }; done && \
	echo "generated files are as their rows say"

# ---- use ----------------------------------------------------------------------------------------------------------------
demo: all
	@BUILD=$(BUILD) $(PYTHON) tests/demo/demo.py

install: all
	sh packaging/install.sh "$(BUILD)" "$(DESTDIR)" "$(PREFIX)"
deb: all
	sh packaging/deb/build.sh "$(BUILD)" "$(VERSION)"
rpm:
	sh packaging/rpm/build.sh "$(BUILD)" "$(VERSION)"
# A fresh Debian 12 (debootstrap, root, minutes): the debs, then README's line from a clone. PARTS=packages or PARTS=source.
bookworm: deb
	bash tests/packaging/bookworm.sh "$(BUILD)" $(PARTS)

clean:
	rm -rf build build-*

help:
	@sed -n 's/^#help //p' $(firstword $(MAKEFILE_LIST))
#help make                      the three programs, into build/
#help make demo                 watch this very machine; DEMO_SECONDS=30 ends it by itself
#help make check                everything that has to hold; the same rings one by one:
#help make lint | unit | e2e    rules of the code; unit tests; the real programs (PYTEST="-k word" for some)
#help make sim                 failovers on virtual time: SEEDS=1000000, SEED=n TRACE=1; also sim-same, sim-mutate
#help make slo-month            burns against promtool's over 30 days, point by point
#help make clang | asan | ubsan | tsan | fuzz-replay
#help make fuzz SECONDS=60      each fuzzer for so long
#help make cover                lines that the unit tests reach, by file
#help make campaign             regions that die, on this machine (root, hours, resumable); OPTIONS="--cycles 1"
#help make bench, bench-NAME    what it costs: agent alerts anomaly expose facts ingest series sketch statsd track wire
#help make conf                 example configurations and option pages, from the programs' option rows
#help make failover-states      docs/failover-states.md, from the table that decides
#help make install              DESTDIR= PREFIX=/usr
#help make deb | rpm           packages, below build/
#help make bookworm             the debs on a fresh Debian 12 (root)
#help make clean                V=1 shows the commands of any of these

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: failover-states all check unit sim sim-same sim-mutate clang asan ubsan tsan cover fuzz fuzz-run fuzz-replay replay-run lint unit-objects e2e slo-month campaign bench conf generated \
    demo install deb rpm bookworm clean help
.SECONDARY:
