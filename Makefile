# SPDX-License-Identifier: BSD-2-Clause
# Every command a person needs. `make help` lists them.

# VARIANT picks the build folder: release (default), asan (AddressSanitizer and UndefinedBehaviorSanitizer).
VARIANT ?= release
ifeq ($(VARIANT),release)
BUILD := build
else
BUILD := build-$(VARIANT)
endif

# V=1 shows the commands whole.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= /usr/sbin/bpftool

ROOMS := base http io model store policy proxy guard admin
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -I$(BUILD)/gen
CFLAGS_COMMON := -std=gnu11 -g -fno-strict-aliasing -fno-omit-frame-pointer -fvisibility=hidden -pthread \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual \
	-Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-unused-parameter -Wno-missing-field-initializers
ifeq ($(VARIANT),asan)
CFLAGS_VARIANT := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
LDFLAGS_VARIANT := -fsanitize=address,undefined
else
CFLAGS_VARIANT := -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LDFLAGS_VARIANT := -pie -Wl,-z,relro,-z,now
endif
ALL_CFLAGS := $(CFLAGS_COMMON) $(CFLAGS_VARIANT) $(CFLAGS)
ALL_LDFLAGS := -pthread $(LDFLAGS_VARIANT) $(LDFLAGS)

DAEMON_LIBS := -luring -lbpf -lelf -lssl -lcrypto -lsqlite3 -lyaml -ljansson -lcares -lpcre2-8
CTL_LIBS := -ljansson -lyaml -lncursesw -ltinfo

LIB_SRCS := $(sort $(foreach r,$(ROOMS),$(wildcard user/$(r)/*.c)))
DAEMON_SRCS := $(sort $(wildcard user/keygated/*.c))
CTL_SRCS := $(sort $(wildcard user/keyctl/*.c))
UNIT_SRCS := $(sort $(wildcard tests/unit/*/test_*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libkeygate.a
SKEL := $(BUILD)/gen/keygate.skel.h
UNIT_BINS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRCS))
BPF_TEST_BINS := $(patsubst tests/bpf/%.c,$(BUILD)/bpf-test/%,$(sort $(wildcard tests/bpf/test_*.c)))
FAULT_OBJS = $(call obj,$(sort $(wildcard tests/fault/*.c)))
FAULT_BIN := $(BUILD)/fault/test_fault
BENCH_BINS := $(BUILD)/bench/relay $(BUILD)/bench/fill_keys $(BUILD)/bench/policies
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
# What of the programs a fuzz target may use.
FUZZ_LIB_SRCS := $(foreach r,base http model store policy,$(wildcard user/$(r)/*.c)) user/io/tls_identity.c user/proxy/path.c
FUZZ_LIB := $(BUILD)/fuzz/libkeygate.a

.PHONY: all help install uninstall demo run test bench bench-control unit fault bpf-test scenario lint format fuzz fuzz-smoke clean deps
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/keygated $(BUILD)/keyctl

help:
	@echo 'make          build keygated and keyctl into $(BUILD)/'
	@echo 'make demo     install what is missing, build, and show the main job step by step'
	@echo 'make run      the same set-up on 127.0.0.1:9080, left running for you to play with'
	@echo 'make test     install what is missing, build, run all tests'
	@echo 'make bench    install what is missing, build, and measure the proxy beside nginx and HAProxy'
	@echo 'make bench-control  the same for the control plane: start, memory and writes with a million keys'
	@echo 'make lint     format, static analysis and room order'
	@echo 'make format   lay the sources out as clang-format wants them'
	@echo 'make fuzz-smoke  a short run of every fuzz target'
	@echo 'make fuzz     a long one: half an hour each; FUZZ_SECONDS and FUZZ_TARGETS change that'
	@echo 'make install  into PREFIX (/usr/local), below DESTDIR; KEYCTL=kgctl gives keyctl another name; make uninstall'
	@echo 'make clean    remove the build folders'
	@echo 'VARIANT=asan before any of these builds with sanitizers'

$(BUILD)/keygated: $(call obj,$(DAEMON_SRCS)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

$(BUILD)/keyctl: $(call obj,$(CTL_SRCS)) $(LIB)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CTL_LIBS)

# The archive is made anew: an object whose source is gone must not linger in it.
$(LIB): $(call obj,$(LIB_SRCS))
	$(call say,AR,$@)
	$(Q)rm -f $@
	$(Q)ar rcsD $@ $^

$(BUILD)/obj/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# -g keeps BTF, so that bpftool prints the maps with field names.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h include/keygate/*.h)
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -g -O2 -Wall -Wextra -Werror -Iinclude \
		-idirafter /usr/include/$(shell uname -m)-linux-gnu -c -o $@ $<

$(SKEL): $(BUILD)/bpf/keygate.bpf.o
	@mkdir -p $(@D)
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name keygate_bpf > $@

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) -lcmocka $(DAEMON_LIBS)

# The differential tests read what llhttp reads, whose sources Debian packages; in its strict mode.
LLHTTP := /usr/share/llhttp
LLHTTP_FLAGS := -isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
LLHTTP_SRCS := $(addprefix $(LLHTTP)/,api.c http.c llhttp.c)
LLHTTP_OBJS := $(patsubst $(LLHTTP)/%.c,$(BUILD)/llhttp/%.o,$(LLHTTP_SRCS))
DIFFER_SRCS := $(sort $(wildcard tests/differ/*.c))
DIFFER_OBJS := $(call obj,$(DIFFER_SRCS))
$(DIFFER_OBJS) $(BUILD)/obj/tests/unit/http/test_differential.o: CPPFLAGS += -Itests $(LLHTTP_FLAGS)
$(BUILD)/unit/http/test_differential: $(DIFFER_OBJS) $(LLHTTP_OBJS)

$(BUILD)/llhttp/%.o: $(LLHTTP)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(LLHTTP_FLAGS) -std=gnu11 -g -fno-strict-aliasing $(CFLAGS_VARIANT) -c -o $@ $<

$(BUILD)/bpf-test/%: $(BUILD)/obj/tests/bpf/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(DAEMON_LIBS)

# The kernel is simulated: liburing's functions come from tests/fault, the system calls below as well.
FAULT_WRAPS := clock_gettime getrandom socket close shutdown setsockopt getsockopt recv send getpeername
$(FAULT_BIN): $(FAULT_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) $(FAULT_WRAPS:%=-Wl,--wrap=%) -o $@ $^ -lcmocka $(filter-out -luring,$(DAEMON_LIBS))

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(DAEMON_LIBS)

# libFuzzer is clang's, so what a fuzz target may use is compiled anew, by clang.
FUZZ_CC = $(CLANG) $(CFLAGS_COMMON) $(CPPFLAGS) -O1 -fno-sanitize-recover=all
$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZCC,$<)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(FUZZ_LIB): $(FUZZ_LIB_SRCS:%.c=$(BUILD)/fuzz/obj/%.o)
	$(Q)rm -f $@
	$(Q)ar rcsD $@ $^

# -w: llhttp is not written to our warnings.
$(BUILD)/fuzz/fuzz_differential: private CPPFLAGS += -Itests $(LLHTTP_FLAGS) -w
$(BUILD)/fuzz/fuzz_differential: FUZZ_SRCS += $(DIFFER_SRCS) $(LLHTTP_SRCS)
$(BUILD)/fuzz/fuzz_differential: $(DIFFER_SRCS) $(wildcard tests/differ/*.h)

$(BUILD)/fuzz/%: tests/fuzz/%.c tests/fuzz/check.h $(FUZZ_LIB)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ $< $(FUZZ_SRCS) $(FUZZ_LIB) $(DAEMON_LIBS)

unit: $(UNIT_BINS)
fault: $(FAULT_BIN)
bpf-test: $(BPF_TEST_BINS)

deps:
	$(Q)scripts/deps.sh build

# Where to and under which name: see scripts/install.
install: all
	$(Q)KEYGATE_BUILD=$(BUILD) DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' KEYCTL='$(KEYCTL)' scripts/install

uninstall:
	$(Q)DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' KEYCTL='$(KEYCTL)' scripts/install uninstall

# Packages first, then a second make: only that one sees what they bring.
demo run:
	$(Q)scripts/deps.sh demo
	$(Q)$(MAKE) --no-print-directory all
	$(Q)KEYGATE_BUILD=$(BUILD) scripts/$@

test:
	$(Q)scripts/deps.sh test
	$(Q)$(MAKE) --no-print-directory all unit fault bpf-test $(BENCH_BINS)
	$(Q)tests/run $(BUILD)

# Only the scenarios of the built programs.
scenario: all $(BENCH_BINS)
	$(Q)tests/run $(BUILD) tests/scenario/*.bats

# How long and which cases: BENCH_ROUNDS, BENCH_SECONDS, BENCH_CASES; see docs/benchmarks.md.
bench:
	$(Q)scripts/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BINS)
	$(Q)KEYGATE_BUILD=$(BUILD) scripts/bench

# The same, and how many keys: BENCH_MANY_KEYS.
bench-control:
	$(Q)scripts/deps.sh bench
	$(Q)$(MAKE) --no-print-directory all $(BENCH_BINS)
	$(Q)KEYGATE_BUILD=$(BUILD) scripts/bench control

lint:
	$(Q)scripts/deps.sh lint
	$(Q)$(MAKE) --no-print-directory $(SKEL)
	$(Q)scripts/lint/rooms
	$(Q)scripts/lint/limits
	$(Q)scripts/lint/format
	$(Q)scripts/lint/shell
	$(Q)scripts/lint/cppcheck
	$(Q)BUILD=$(BUILD) scripts/lint/tidy

format:
	$(Q)scripts/lint/files c | xargs -0 clang-format -i

# FUZZ_TARGETS: some of them, as in `make fuzz FUZZ_TARGETS='head uri'`. What the long run finds new is kept in the build folder.
FUZZ_PICKED = $(if $(FUZZ_TARGETS),$(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%),$(FUZZ_BINS))

fuzz-smoke:
	$(Q)scripts/deps.sh test
	$(Q)$(MAKE) --no-print-directory $(FUZZ_PICKED)
	$(Q)scripts/fuzz.sh $(or $(FUZZ_SECONDS),12) $(FUZZ_PICKED)

fuzz:
	$(Q)scripts/deps.sh test
	$(Q)$(MAKE) --no-print-directory $(FUZZ_PICKED)
	$(Q)KEEP=$(BUILD)/fuzz/found scripts/fuzz.sh $(or $(FUZZ_SECONDS),1800) $(FUZZ_PICKED)

clean:
	rm -rf build build-*

-include $(shell find $(BUILD)/obj $(BUILD)/fuzz/obj -name '*.d' 2>/dev/null)
