# Benchmarks; docs/benchmarks.md says how to read them. BENCH takes more flags
# of the program, such as BENCH="-rows boot -runs 15".

.PHONY: bench bench-quick bench-elf bench-elf-quick bench-deps

# make bench  compare Kiln with two Linux guests (half an hour; the first time builds a Linux kernel)
bench: build bench-deps
	$(GO) run ./test/bench $(BENCH)

# make bench-quick  the same without what takes long
bench-quick: build bench-deps
	$(GO) run ./test/bench -quick $(BENCH)

# make bench-elf  compare Linux programs on Kiln with the same on two Linux guests (half an hour)
bench-elf: build bench-deps
	$(GO) run ./test/bench -elf $(BENCH)

# make bench-elf-quick  the same with fewer and shorter runs
bench-elf-quick: build bench-deps
	$(GO) run ./test/bench -elf -quick $(BENCH)

# bench-deps installs what measuring and building the Linux kernel need.
bench-deps:
	@sh test/bench/deps.sh
