# PVH entry point: protected mode, paging off, EBX = hvm_start_info.
# It maps the first 4 GiB with 2 MiB pages at 0 (for a moment), at the direct
# map and at the image's address, switches to long mode and goes on in the
# 64-bit code that follows its bytes in entry_amd64.s.
#
# entry_amd64.s holds these bytes: as --32 entry32.S -o entry32.o &&
# objcopy -O binary -j .text entry32.o, see gen.sh.
.code32
start:
  cli
  cld
  movl $0x21ffe0, %esp
  rdtsc
  movl %eax, 0x20c000
  movl %edx, 0x20c004
  movl %ebx, 0x20c008
  xorl %eax, %eax
  movl $0x200000, %edi
  movl $0x1c00, %ecx          # 0x7000 bytes
  rep stosl
  movl $0x201003, 0x200000     # PML4[0]
  movl $0x201003, 0x200800     # PML4[256]: the direct map
  movl $0x206003, 0x200ff8     # PML4[511]: the image
  movl $0x202003, 0x206ff0     # its 0xffffffff80000000 -> 0
  movl $0x203003, 0x206ff8
  movl $0x202003, 0x201000
  movl $0x203003, 0x201008
  movl $0x204003, 0x201010
  movl $0x205003, 0x201018
  movl $0x202000, %edi
  movl $0x83, %eax
  movl $2048, %ecx
1: movl %eax, (%edi)
  addl $0x200000, %eax
  addl $8, %edi
  decl %ecx
  jnz 1b
  # GDT at 0x20c100: null, 64-bit code, data
  movl $0x0000ffff, 0x20c108
  movl $0x00af9a00, 0x20c10c
  movl $0x0000ffff, 0x20c110
  movl $0x00cf9200, 0x20c114
  movw $0x17, 0x20c120
  movl $0x20c100, 0x20c122
  lgdt 0x20c120
  movl $0x200000, %eax
  movl %eax, %cr3
  movl %cr4, %eax
  orl $0x6a0, %eax             # PAE, PGE, OSFXSR, OSXMMEXCPT
  movl %eax, %cr4
  movl $0xc0000080, %ecx
  rdmsr
  orl $0x901, %eax             # SCE, LME, NXE
  wrmsr
  movl %cr0, %eax
  andl $0x9ffffff3, %eax       # caches on, no EM, no TS
  orl $0x80010023, %eax        # PG, WP, NE, MP, PE
  movl %eax, %cr0
  call 2f
2: popl %eax
  addl $(end - 2b), %eax
  pushl $8
  pushl %eax
  lret
end:
