# make demo   set up what is missing, build kiln, boot the example web server
# make test   set up what is missing, run all tests
# make help   the other targets

GO  ?= go
BIN := bin/kiln

.PHONY: help build release-kernel setup demo test test-kvm soak stress check clean

help:
	@sed -n 's/^# make /make /p' $(MAKEFILE_LIST)

build:
	$(GO) build -o $(BIN) ./cmd/kiln

# make release-kernel  the kernel for Linux programs, for "make build" to put into kiln
release-kernel:
	$(GO) run ./cmd/release host/build/prebuilt

# setup installs QEMU and curl where a Debian or Ubuntu machine lacks them.
setup:
	@sh test/setup.sh

demo: setup build
	@sh test/demo.sh $(BIN)

# make check  the tests that need no virtual machine
check:
	$(GO) vet $$($(GO) list ./... | grep -v '/kernel/metal$$')
	$(GO) vet -unsafeptr=false -framepointer=false ./kernel/metal
	$(GO) test ./abi/... ./cmd/... ./examples/... ./host/... ./kernel/... ./test/bench/... .
	$(GO) vet -tags kiln_linux ./kernel ./kernel/linux/... ./kernel/sys ./cmd/kernel
	$(GO) test -tags kiln_linux ./kernel/linux/... ./kernel/sys ./kernel/fs/...

test: setup build check
	$(GO) test -p 1 -timeout 45m -v ./test ./test/conformance ./test/std ./test/stress

# make soak  50 boots of each of the soak programs, with 1, 2 and 4 CPUs
soak: setup
	$(GO) test ./test -run TestSoak -soak 50 -timeout 0 -v

# make stress  programs that try to break their machine, for two hours
stress: setup
	$(GO) test ./test/stress -long -timeout 0 -v

# make test-kvm  boot machines with KVM, on a host that QEMU emulates; five minutes
test-kvm: setup build
	KILN_TEST_KVM=1 $(GO) test ./test/kvm -count=1 -timeout 15m -v

# make clean  remove what was built
clean:
	rm -rf bin

-include test/bench/bench.mk
