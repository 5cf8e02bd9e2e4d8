# Where application processors begin (SIPI vector 8: physical 0x8000), in real
# mode. Goes through protected mode into long mode with the page tables whose
# address stands at 0x8fe8, takes the next ordinal from 0x8ff8, and jumps to the
# address at 0x8ff0 with the ordinal in EAX. The bytes are in ap_amd64.go.
.code16
start:
  cli
  cld
  xorw %ax, %ax
  movw %ax, %ds
  lgdtl 0x8000 + (gdtr - start)
  movl %cr0, %eax
  orl $1, %eax
  movl %eax, %cr0
  ljmpl $0x18, $(0x8000 + (p32 - start))
.code32
p32:
  movw $0x10, %ax
  movw %ax, %ds
  movw %ax, %ss
  movl 0x8fe8, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x6a0, %eax
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x901, %eax
  wrmsr
  movl %cr0, %eax
  andl $0x9ffffff3, %eax
  orl $0x80010023, %eax
  movl %eax, %cr0
  ljmpl $8, $(0x8000 + (p64 - start))
.code64
p64:
  movl $1, %eax
  lock xaddl %eax, 0x8ff8
  movq 0x8ff0, %rbx
  jmp *%rbx
.align 8
gdt:
  .quad 0
  .quad 0x00af9a000000ffff
  .quad 0x00cf92000000ffff
  .quad 0x00cf9a000000ffff
gdtr:
  .word 31
  .long 0x8000 + (gdt - start)
end:
