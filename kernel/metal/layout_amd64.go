package metal

import "kiln/abi"

// The kernel's address space. The lower half is left to Linux programs; page 0
// is never mapped.
const (
	dmapBase   = 0xffff800000000000 // direct map of physical memory
	heapBase   = 0xffff900000000000 // everything the Go runtime maps
	heapEnd    = 0xffffa00000000000
	privBase   = 0xffffa00000000000 // metal's own: CPU blocks, thread blocks, tables
	imageBase  = abi.ImageOffset    // physical address 0, as the image sees it
	imageStart = abi.ImageStart
)

// Physical memory that the 32-bit entry code uses, see asm/entry32.S. It stays
// reserved.
const (
	bootTables  = 0x200000 // PML4, then the page tables of the first 4 GiB
	bootInfo    = 0x20c000 // TSC at entry, address of the PVH start info
	bootG       = 0x20d000 // the fake g of CPU 0 until it has a CPU block
	bootStack   = 0x210000 // 64 KiB; grows down from bootStackTop
	bootMemEnd  = 0x220000
	apStart     = 0x8000 // where application processors begin, in real mode
	pageSize    = 4096
	largePage   = 2 << 20
	hugePage    = 1 << 30
	addrMask    = 0x000ffffffffff000 // the address in a page table entry
	maxPhysical = 0x100000000000     // 16 TiB: the room of the direct map
)

// Regions of metal's own address range. CPU and thread blocks are mapped when
// they are made, so that the pages between them guard; the tables from
// privTables on are demand-zero.
const (
	privStubs   = privBase // interrupt stubs
	privCPUs    = privBase + 0x01_0000_0000
	privThreads = privBase + 0x10_0000_0000
	privStack0  = privBase + 0x20_0000_0000 // the stack of thread 0
	privTables  = privBase + 0x30_0000_0000
	privFDs     = privTables
	privAreas   = privTables + 0x10_0000_0000
	privTimers  = privTables + 0x20_0000_0000
	privEnd     = privTables + 0x30_0000_0000
)

const (
	maxCPU    = 64
	maxThread = 16384
	maxFD     = 1 << 20
)
