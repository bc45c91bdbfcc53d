# SecureBase Monitor. `make help` lists the targets. Files are found by wildcard: a collector, a channel, a driver, a test
# or a benchmark is made by adding its file.
CC       ?= gcc
VARIANT  ?=
BUILD    ?= build$(VARIANT)
PREFIX   ?= /usr
PYTHON   ?= python3
VERSION  := $(shell sed -n 's/^\#\# \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

ifeq ($(origin CC),default)
CC := gcc
endif

PKGS     := libevent libevent_openssl libevent_pthreads libzstd libcurl openssl sqlite3 libcjson libprotobuf-c
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror
OPT      ?= -O2 -g
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
SAN      ?=
CPPFLAGS += -I. -I$(BUILD)/gen -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS))
CFLAGS   += -std=c11 $(WARN) $(OPT) $(HARDEN) $(SAN) -fno-strict-aliasing -ffp-contract=off
LDFLAGS  += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAN)
LDLIBS   += $(shell pkg-config --libs $(PKGS)) -linih -lmsgpackc -lm -lpthread

COMMON := $(wildcard common/*/*.c)
AGENT  := $(filter-out agent/main.c,$(wildcard agent/*.c agent/*/*.c))
AGGR   := $(filter-out aggregator/main.c aggregator/ctl/%,$(wildcard aggregator/*.c aggregator/*/*.c))
CTL    := $(filter-out aggregator/ctl/main.c,$(wildcard aggregator/ctl/*.c))
TESTS  := $(wildcard tests/unit/test_*.c)
BENCH  := $(wildcard tests/bench/bench_*.c)

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
INPUT_FILES     := $(sort $(filter-out %_io.c,$(wildcard agent/inputs/*.c)))
$(eval $(call registry,collectors,collector,collector,agent/collector.h,$(COLLECTOR_FILES)))

$(BUILD)/gen:
	@mkdir -p $@
$(BUILD)/gen/version.h: CHANGELOG.md $(wildcard .git/HEAD .git/refs/heads/main) | $(BUILD)/gen
	@printf '#define SB_VERSION "%s"\n#define SB_REVISION "%s"\n' '$(VERSION)' '$(REVISION)' > $@.new; \
	cmp -s $@.new $@ && rm $@.new || mv $@.new $@; touch $@

# ---- objects, libraries, programs ---------------------------------------------------------------------------------
$(BUILD)/obj/%.o: %.c | $(BUILD)/gen/version.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libcommon.a: $(call obj,$(COMMON))
$(BUILD)/libagent.a: $(call obj,$(AGENT)) $(BUILD)/obj/gen/collectors.o
$(BUILD)/libaggregator.a: $(call obj,$(AGGR))
$(BUILD)/libctl.a: $(call obj,$(CTL))
$(BUILD)/lib%.a:
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/securebase-agent: $(BUILD)/obj/agent/main.o $(BUILD)/libagent.a $(BUILD)/libcommon.a
$(BUILD)/securebase-aggregator: $(BUILD)/obj/aggregator/main.o $(BUILD)/libaggregator.a $(BUILD)/libcommon.a
$(BUILD)/sbctl: $(BUILD)/obj/aggregator/ctl/main.o $(BUILD)/libctl.a $(BUILD)/libcommon.a
$(PROGRAMS):
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ---- tests -----------------------------------------------------------------------------------------------------------
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TESTS))
LIBS := $(BUILD)/libagent.a $(BUILD)/libaggregator.a $(BUILD)/libctl.a $(BUILD)/libcommon.a
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBS) -lcmocka $(LDLIBS)
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBS) $(LDLIBS)

unit: $(UNIT)
	@sh tests/unit/run.sh $(UNIT)

asan ubsan tsan:
	@$(MAKE) --no-print-directory VARIANT=-$@ CC=clang OPT="-O1 -g" HARDEN=-fPIE \
	    SAN="-fno-omit-frame-pointer -fno-sanitize-recover=all $(SAN_$@)" unit
SAN_asan  := -fsanitize=address
SAN_ubsan := -fsanitize=undefined,float-cast-overflow
SAN_tsan  := -fsanitize=thread

clean:
	rm -rf build build-*

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: all unit asan ubsan tsan clean
.SECONDARY:
