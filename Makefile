# Everything is made by Go; this file only says how it is put together.
#
#   make demo    run a leaky module in a real guest, and print the report
#   make test    all tests, on a real guest too; installs what is missing
#
# GUEST is a name that scripts/guest.sh knows.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO ?= go
GUEST ?= x86_64-6.1-cloud
ALL_GUESTS := x86_64-6.1-cloud x86_64-6.12-cloud x86_64-6.1 x86_64-6.1-rt x86_64-6.12-rt
# Guests of other architectures; ARCH is the first part of a name.
ARCH ?= arm64
FOREIGN_GUESTS := i386-6.1 i386-6.1-pae \
	arm64-6.1-cloud arm64-6.12-cloud arm64-6.12-16k \
	armhf-6.1 armhf-6.1-lpae armhf-6.12 \
	ppc64le-6.1 ppc64le-6.12 s390x-6.1 s390x-6.12 \
	mipsel-6.1 mips64el-6.1 mips64el-6.12
# Those that Debian has no kernels for, built in some minutes each.
BUILT_GUESTS := ppc32-6.1 mips-6.1 microblaze-6.1 microblazeel-6.1 sh4-6.1 sparc64-6.1
ARCH_GUESTS := $(filter $(ARCH)-%,$(FOREIGN_GUESTS) $(BUILT_GUESTS))
# Those that "make test" runs too: of 64 bits, of 32, and big-endian. Leaklab
# needs their compilers and emulators as well, and those of others:
# docs/leaklab.md.
TEST_GUESTS := arm64-6.1-cloud i386-6.1 s390x-6.1
LEAKLAB_TOOLS := $(TEST_GUESTS) mips-6.1
FUZZTIME ?= 3000x
# Debian's source package of the kernel for "make oracle".
ORACLE ?= linux-source-6.1
# Flags for the tests, as in "make test TESTFLAGS=-v".
TESTFLAGS ?=
STATICCHECK := $(GO) tool -modfile=.ci/tools.mod staticcheck

.PHONY: build setup guest guests foreign toolchains test test-tilegx test-unit test-kernels test-arch \
	test-arch-all test-race lint \
	fuzz-short bench bench-overhead bench-scan bench-symbols bench-kvm test-kvm oracle \
	soak demo demo-initramfs clean

build:
	$(GO) build -o build/ ./cmd/leakvisor

setup:
	@scripts/setup.sh

guest: setup
	@scripts/guest.sh $(GUEST) >/dev/null

guests: setup
	@for guest in $(ALL_GUESTS); do scripts/guest.sh $$guest >/dev/null; done

foreign:
	@scripts/setup.sh $(LEAKLAB_TOOLS)
	@for guest in $(TEST_GUESTS); do scripts/guest.sh $$guest >/dev/null; done

# Assemblers and compilers that no distribution has.
toolchains:
	@scripts/setup.sh -- bison flex gcc-12-riscv64-linux-gnu csmith libcsmith-dev >/dev/null
	@scripts/toolchain/metag.sh >/dev/null

# Nothing may be missing here but the compiler for TILE-Gx: see test-tilegx.
test: guest foreign toolchains
	LEAKVISOR_REQUIRE_GUESTS=1 LEAKVISOR_MAY_LACK=tilegx.sh LEAKVISOR_GUESTS=$(GUEST) \
		$(GO) test -timeout 30m $(TESTFLAGS) ./...
	LEAKVISOR_REQUIRE_GUESTS=1 LEAKVISOR_GUESTS="$(TEST_GUESTS)" \
		$(GO) test -timeout 30m $(TESTFLAGS) -run '^(TestGroundTruth|TestCleanBoot)$$' ./cmd/leakvisor

# What takes a compiler for TILE-Gx, which is built first, in some ten minutes.
# Without it the guest that the program has in itself is all that is run.
test-tilegx:
	@scripts/setup.sh -- bison flex csmith libcsmith-dev >/dev/null
	@scripts/toolchain/tilegx.sh >/dev/null
	LEAKVISOR_REQUIRE_GUESTS=1 $(GO) test -timeout 60m $(TESTFLAGS) ./hv/emu/tilegx
	LEAKVISOR_REQUIRE_GUESTS=1 $(GO) test -timeout 60m $(TESTFLAGS) -run '^(TestLeaklab$$/tilegx|TestDemo)' ./cmd/leakvisor

# The same tests on all the kernels.
test-kernels: guests foreign toolchains
	LEAKVISOR_REQUIRE_GUESTS=1 LEAKVISOR_MAY_LACK=tilegx.sh LEAKVISOR_GUESTS="$(ALL_GUESTS)" \
		$(GO) test -timeout 60m $(TESTFLAGS) ./...

# What is true of every kernel, on a guest of another architecture.
test-arch:
	@[ -n "$(ARCH_GUESTS)" ] || { echo "no guest of $(ARCH): there are $(FOREIGN_GUESTS) $(BUILT_GUESTS)"; exit 1; }
	@scripts/setup.sh $(ARCH_GUESTS)
	@for guest in $(ARCH_GUESTS); do scripts/guest.sh $$guest >/dev/null; done
	LEAKVISOR_REQUIRE_GUESTS=1 LEAKVISOR_GUESTS="$(ARCH_GUESTS)" \
		$(GO) test -count 1 -timeout 60m $(TESTFLAGS) -run '^(TestGroundTruth|TestCleanBoot|TestCrash)$$' \
		./xtest/guests ./cmd/leakvisor

test-arch-all:
	@for guest in $(FOREIGN_GUESTS) $(BUILT_GUESTS); do \
		$(MAKE) test-arch ARCH=$${guest%%-*}; done

# Those that need no guest. Says how many others there are.
test-unit:
	@skips=$$(mktemp -d); trap 'rm -rf $$skips' EXIT; \
	LEAKVISOR_CACHE=$$skips/cache LEAKVISOR_SKIPS=$$skips/list \
		LEAKVISOR_REQUIRE_GUESTS=0 $(GO) test $(TESTFLAGS) ./...; \
	touch $$skips/list; sort $$skips/list; \
	echo "$$(wc -l < $$skips/list) tests skipped for want of a guest"

# The packages that start goroutines or lock.
test-race:
	@cache=$$(mktemp -d); trap 'rm -rf $$cache' EXIT; \
	packages=$$(grep -rlE '^\s*(go [a-z].*\(|"sync(/atomic)?"$$)' --include='*.go' . | \
		xargs -n1 dirname | sort -u); \
	LEAKVISOR_CACHE=$$cache LEAKVISOR_REQUIRE_GUESTS=0 \
		$(GO) test -race -short $$packages

lint:
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(STATICCHECK) ./...
	@find scripts .ci -name '*.sh' -o -path .ci/run | xargs -n1 bash -n

# Each fuzz target for $(FUZZTIME), with its seeds and what was found before. (A
# number of inputs: a time limit can end within one, and then counts as failed.)
fuzz-short:
	@grep -rHoE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | \
	sed 's|^\(.*\)/[^/]*:func |\1 |' | while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	done

bench: toolchains
	$(GO) test -run '^$$' -bench . -benchtime 1x ./...

bench-symbols: guest
	$(GO) run ./internal/bench/symbols -vmlinux "$$(scripts/guest.sh $(GUEST))/vmlinux"

bench-scan:
	$(GO) run ./internal/bench/scan

bench-overhead: guest
	$(GO) run ./xtest/guests/prepare -guest $(GUEST) -o build/bench/boot
	$(GO) run ./xtest/guests/prepare -guest $(GUEST) -o build/bench/alloc \
		-script "$$(cat testdata/workloads/alloc.sh)"
	$(GO) run ./internal/bench/overhead -kernel build/bench/boot/vmlinuz \
		-vmlinux build/bench/boot/vmlinux \
		boot=build/bench/boot/initramfs.cpio.gz \
		alloc=build/bench/alloc/initramfs.cpio.gz

# The KVM backend: here, if there is a /dev/kvm, and in the test bed, which
# needs none. See docs/kvm.md.
test-kvm: guest
	$(GO) test $(TESTFLAGS) ./hv/kvm
	LEAKVISOR_REQUIRE_GUESTS=1 LEAKVISOR_KVM_BED=1 $(GO) test -timeout 60m \
		-parallel 2 -run '^TestKVM' -v $(TESTFLAGS) ./cmd/leakvisor

bench-kvm: guest
	scripts/kvm/bench.sh $(GUEST)

# A kernel with kmemleak in it, which judges the same runs as we do. The kernel
# is built once, in some ten minutes.
oracle:
	@scripts/setup.sh -- $$(grep -v '^#' scripts/oracle/apt-packages)
	@dir=$$(scripts/oracle/build.sh -s $(ORACLE)); $(GO) run ./internal/oracle "$$dir"

# A guest that does much of what its kernel can do, all its modules included, and
# should leak nothing: some minutes each of the parts that SOAK names. See docs/soak.md.
SOAK ?= files,blocks,network,tracing,stress,modules
SOAKFLAGS ?= --memory 5G --timeout 60m
soak: build
	@scripts/setup.sh $(GUEST) -- kmod
	@guest=$$(scripts/guest.sh $(GUEST)); \
	build/leakvisor run --kernel "$$guest/vmlinuz" --vmlinux "$$guest/vmlinux" \
		--initrd "$$(scripts/soak/root.sh $(GUEST))" --append "soak=$(SOAK)" \
		--console build/soak-$(GUEST).console $(SOAKFLAGS)

# What "leakvisor run" takes: a kernel, its symbols, and an initramfs that loads
# a module with a leak.
demo-initramfs: guest
	@$(GO) run ./xtest/guests/prepare -guest $(GUEST) -o build/demo \
		-script "insmod /modules/leaky.ko" leaky

# Exit status 1 says that there were leaks, as there should be.
demo: demo-initramfs build
	@echo "running build/leakvisor run on $(GUEST)" >&2; \
	build/leakvisor run --kernel build/demo/vmlinuz --vmlinux build/demo/vmlinux \
		--initrd build/demo/initramfs.cpio.gz \
		--module-symbols build/demo/debug || [ $$? = 1 ]

clean:
	rm -rf build
