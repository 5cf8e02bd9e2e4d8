# What runs in ring 3 (main.go). gen.sh makes the bytes in code.go of it. A system
# call's number is in RAX: 0 does nothing, 1 ends the thread with status RDI, 2
# says that the thread is there.

	.macro exit status
	mov	\status, %rdi
	mov	$1, %eax
	syscall
	.endm

# calls(n): n system calls that do nothing.
calls:
	mov	%rdi, %rbx
1:	xor	%eax, %eax
	syscall
	dec	%rbx
	jnz	1b
	exit	$0

# faults(n): n invalid instructions, which the kernel passes over.
faults:
	mov	%rdi, %rbx
1:	ud2
	dec	%rbx
	jnz	1b
	exit	$0

# registers(how): all registers have their values after a system call (0), a fault
# (1) or a long wait (2). It ends with the number of those that have not.
registers:
	mov	%rdi, %rax
	mov	$0x1111111111111111, %rbx
	mov	$0x2222222222222222, %rdx
	mov	$0x3333333333333333, %rsi
	mov	$0x4444444444444444, %rdi
	mov	$0x5555555555555555, %rbp
	mov	$0x6666666666666666, %r8
	mov	$0x7777777777777777, %r9
	mov	$0x8888888888888888, %r10
	mov	$0x9999999999999999, %r12
	mov	$0xaaaaaaaaaaaaaaaa, %r13
	mov	$0xbbbbbbbbbbbbbbbb, %r14
	mov	$0xcccccccccccccccc, %r15
	mov	$0xdddddddddddddddd, %rcx
	mov	$0xeeeeeeeeeeeeeeee, %r11
	push	%rax
	cmp	$1, %rax
	je	1f
	ja	2f
	syscall
	jmp	5f
1:	xor	%eax, %eax
	ud2
	jmp	6f
2:	mov	$100000000, %eax
7:	dec	%eax
	jnz	7b
6:	mov	$0xdddddddddddddddd, %rax
	sub	%rax, %rcx
	mov	$0xeeeeeeeeeeeeeeee, %rax
	sub	%rax, %r11
	jmp	8f
5:	xor	%ecx, %ecx
	xor	%r11d, %r11d
8:	pop	%rax
	xor	%eax, %eax
	.macro same reg, value
	push	%rax
	mov	$\value, %rax
	cmp	%rax, \reg
	pop	%rax
	je	9f
	inc	%eax
9:
	.endm
	same	%rbx, 0x1111111111111111
	same	%rdx, 0x2222222222222222
	same	%rsi, 0x3333333333333333
	same	%rdi, 0x4444444444444444
	same	%rbp, 0x5555555555555555
	same	%r8, 0x6666666666666666
	same	%r9, 0x7777777777777777
	same	%r10, 0x8888888888888888
	same	%r12, 0x9999999999999999
	same	%r13, 0xaaaaaaaaaaaaaaaa
	same	%r14, 0xbbbbbbbbbbbbbbbb
	same	%r15, 0xcccccccccccccccc
	same	%rcx, 0
	same	%r11, 0
	exit	%rax

# state(id, n, flags): the state that is not in the general registers keeps the
# values of this thread: FS and GS bases, XMM and MXCSR; and x87 (flag 1) and the
# upper halves of the YMM registers (flag 2), which otherwise stay in their initial
# state. It looks n times, and in between spins, makes a system call (flag 4), and
# faults (flag 8). Flag 16: there is no AVX. It ends with 0, or with what was wrong.
state:
	mov	%rdi, %r12
	mov	%rsi, %r13
	mov	%rdx, %r14
	lea	(,%r12,8), %rax
	wrfsbase %rax
	bts	$46, %rax
	wrgsbase %rax
	mov	%r12, %rax
	and	$3, %eax
	shl	$13, %eax		# a rounding mode
	or	$0x1f80, %eax
	mov	%eax, -8(%rsp)
	ldmxcsr	-8(%rsp)
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	lea	0x1000+\i(%r12), %rax
	movq	%rax, %xmm\i
	.endr
	test	$2, %r14
	jz	1f
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vinsertf128 $1, %xmm\i, %ymm\i, %ymm\i
	.endr
1:	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	lea	\i(%r12), %rax
	pinsrq	$0, %rax, %xmm\i
	.endr
	test	$1, %r14
	jz	again
	mov	%r12, -8(%rsp)
	fildq	-8(%rsp)
	movw	$0x27f, -8(%rsp)
	fldcw	-8(%rsp)
again:
	mov	$20000, %ecx
1:	pause
	dec	%ecx
	jnz	1b
	test	$4, %r14
	jz	1f
	xor	%eax, %eax
	syscall
1:	test	$8, %r14
	jz	1f
	ud2
1:	mov	$1, %r15d		# FS
	rdfsbase %rax
	lea	(,%r12,8), %rdx
	cmp	%rdx, %rax
	jne	wrong
	inc	%r15d			# 2: GS
	rdgsbase %rax
	bts	$46, %rdx
	cmp	%rdx, %rax
	jne	wrong
	inc	%r15d			# 3: MXCSR
	stmxcsr	-8(%rsp)
	mov	-8(%rsp), %eax
	and	$0xffc0, %eax
	mov	%r12, %rdx
	and	$3, %edx
	shl	$13, %edx
	or	$0x1f80, %edx
	cmp	%edx, %eax
	jne	wrong
	.irp	i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	mov	$(0x10+\i), %r15d	# XMM
	movups	%xmm\i, -64(%rsp)
	lea	\i(%r12), %rdx
	cmp	-64(%rsp), %rdx
	jne	wrong
	test	$16, %r14
	jnz	2f
	vmovups	%ymm\i, -64(%rsp)
	mov	$(0x20+\i), %r15d	# upper half of YMM
	lea	0x1000+\i(%r12), %rdx
	test	$2, %r14
	jnz	1f
	xor	%edx, %edx
1:	cmp	-48(%rsp), %rdx
	jne	wrong
2:
	.endr
	test	$1, %r14
	jnz	x87
	mov	$4, %r15d		# x87 is not in its initial state
	fnstenv	-64(%rsp)
	cmpw	$0x37f, -64(%rsp)
	jne	wrong
	cmpw	$0, -60(%rsp)
	jne	wrong
	cmpw	$0xffff, -56(%rsp)
	jne	wrong
	jmp	next
x87:
	mov	$5, %r15d		# control word
	fnstcw	-8(%rsp)
	cmpw	$0x27f, -8(%rsp)
	jne	wrong
	inc	%r15d			# 6: value
	fld	%st
	fistpll	-8(%rsp)
	cmp	-8(%rsp), %r12
	jne	wrong
next:
	dec	%r13
	jnz	again
	exit	$0
wrong:
	exit	%r15

# spin(counter): counts for ever.
spin:
	incq	(%rdi)
	jmp	spin

# add(word, n): adds 1 to a word n times, atomically.
add:
	lock incl (%rdi)
	dec	%rsi
	jnz	add
	exit	$0

# watch(page, value): reads a word of a page, and ends when it is not value.
watch:
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	mov	$2, %eax
	syscall
1:	mov	(%rbx), %rax
	cmp	%rbp, %rax
	je	1b
	exit	%rax

# flags(bits): sets flags with POPF, makes a system call and a fault, and ends with
# the flags that it has then.
flags:
	pushf
	or	%rdi, (%rsp)
	popf
	xor	%eax, %eax
	syscall
	ud2
	pushf
	pop	%rax
	cld
	push	$0x202
	popf
	exit	%rax

# step: single-steps.
step:
	pushf
	orq	$0x100, (%rsp)
	popf
	nop
	nop
	exit	$99

# Faults: each ends with 99 if it comes through.
read:	mov	(%rdi), %rax
	exit	$99
write:	mov	%rax, (%rdi)
	exit	$99
call:	call	*%rdi
	exit	$99
pushes:	mov	%rdi, %rsp
	push	%rax
	exit	$99
divide:	xor	%ecx, %ecx
	div	%ecx
	exit	$99
breakpoint: int3
	exit	$99
int80:	int	$0x80
	exit	$99
int2:	int	$2
	exit	$99
int8:	int	$8
	exit	$99
int14:	int	$14
	exit	$99
int64:	int	$0x40
	exit	$99
hlt_:	hlt
	exit	$99
cli_:	cli
	exit	$99
sti_:	sti
	exit	$99
in_:	in	$0x60, %al
	exit	$99
out_:	mov	$0xf4, %dx
	out	%eax, %dx
	exit	$99
rdmsr_:	mov	$0xc0000080, %ecx
	rdmsr
	exit	$99
wrmsr_:	mov	$0xc0000080, %ecx
	wrmsr
	exit	$99
movcr:	mov	%cr0, %rax
	exit	$99
movdr:	mov	%rax, %db7
	exit	$99
lgdt_:	lgdt	(%rdi)
	exit	$99
xsetbv_: xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$1, %eax
	xsetbv
	exit	$99
swapgs_: swapgs
	exit	$99
sysret_: mov	%rdi, %rcx
	sysretq
	exit	$99
sysenter_: sysenter
	exit	$99
invlpg_: invlpg	(%rdi)
	exit	$99
ldt:	mov	$0x0f, %eax
	mov	%eax, %ds
	exit	$99
tss:	mov	$0x28, %eax
	mov	%eax, %ds
	exit	$99
farret:	push	$8			# the kernel's code segment
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	exit	$99
iret_:	mov	%rsp, %rax
	push	$0x10
	push	%rax
	push	$0x3202			# IOPL 3
	push	$8
	lea	1f(%rip), %rax
	push	%rax
	iretq
1:	exit	$99
segments: xor	%eax, %eax		# no fault: null selectors everywhere
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	$0x1b, %eax
	mov	%eax, %gs
	mov	%eax, %fs
	xor	%eax, %eax
	syscall
	ud2
	exit	$99
leave_:	xor	%eax, %eax		# makes a system call at the end of a page
	jmp	*%rdi
