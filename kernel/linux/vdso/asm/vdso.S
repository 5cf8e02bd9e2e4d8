# The code of the vDSO (vdso.go): clocks without a system call. It is the second
# page of the image, whose first has the headers; the clock page lies below the
# image. gen.sh makes the bytes in code.go of it.
#
# The clock page:
#	0 seq   odd while the others change
#	8 tsc   the time stamp counter at the time that follows
#	16 mult nanoseconds of a tick, times 2^32
#	24 ns   monotonic time
#	32 wall what to add for the time of day, 0: not known yet

	.set clock, code - 0x2000
	.globl code
code:

# int clock_gettime(clockid_t, struct timespec *)
	.p2align 4
clock_gettime:
	cmp	$7, %edi
	ja	1f
	mov	$0xf3, %eax	# REALTIME, MONOTONIC, MONOTONIC_RAW, both COARSE, BOOTTIME
	bt	%edi, %eax
	jnc	1f
	test	%edi, %edi
	sete	%cl		# REALTIME
	cmp	$5, %edi
	sete	%al		# REALTIME_COARSE
	or	%al, %cl
	call	now
	test	%rax, %rax
	jz	1f
	xor	%edx, %edx
	mov	$1000000000, %ecx
	div	%rcx
	mov	%rax, (%rsi)
	mov	%rdx, 8(%rsi)
	xor	%eax, %eax
	ret
1:	mov	$228, %eax
	syscall
	ret

# int gettimeofday(struct timeval *, struct timezone *)
	.p2align 4
gettimeofday:
	test	%rsi, %rsi
	jnz	1f
	test	%rdi, %rdi
	jz	1f
	mov	$1, %cl
	call	now
	test	%rax, %rax
	jz	1f
	xor	%edx, %edx
	mov	$1000000000, %ecx
	div	%rcx
	mov	%rax, (%rdi)
	mov	%rdx, %rax
	xor	%edx, %edx
	mov	$1000, %ecx
	div	%rcx
	mov	%rax, 8(%rdi)
	xor	%eax, %eax
	ret
1:	mov	$96, %eax
	syscall
	ret

# time_t time(time_t *)
	.p2align 4
time:
	mov	$1, %cl
	call	now
	test	%rax, %rax
	jz	1f
	xor	%edx, %edx
	mov	$1000000000, %ecx
	div	%rcx
	test	%rdi, %rdi
	jz	2f
	mov	%rax, (%rdi)
2:	ret
1:	mov	$201, %eax
	syscall
	ret

# int getcpu(unsigned *cpu, unsigned *node, void *)
	.p2align 4
getcpu:
	mov	$309, %eax
	syscall
	ret

# now returns nanoseconds in rax; cl: of the time of day. 0: it is not known. It
# leaves rdi and rsi alone.
	.p2align 4
now:
	lea	clock(%rip), %r9
1:	mov	(%r9), %r8
	test	$1, %r8b
	jnz	2f
	lfence
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	8(%r9), %rax
	mulq	16(%r9)
	shrd	$32, %rdx, %rax
	add	24(%r9), %rax
	mov	32(%r9), %r10
	cmp	%r8, (%r9)
	jne	2f
	test	%cl, %cl
	jz	3f
	add	%r10, %rax
	test	%r10, %r10
	jnz	3f
	xor	%eax, %eax
3:	ret
2:	pause
	jmp	1b
