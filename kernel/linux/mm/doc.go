// Package mm is the address space of a Linux program: mmap(2) and its kin, page
// faults, and copies between the program's memory and the kernel's.
//
// A Space is a sorted set of VMAs: ranges of pages with the same rights and the
// same contents behind them. Nothing is in the page tables until it is touched.
// A fault looks up the VMA, finds or makes the page, and enters it:
//
//   - anonymous memory gets a zeroed frame;
//   - a private mapping of a file shows the file's page where it lies, if that is
//     in the boot archive, which stays as it is (fs.Still): such a page is
//     never writable, and a copy takes its place at the first write. Of any
//     other file it gets a frame with a copy at once. What is written to the file
//     afterwards may or may not show, and pages beyond the end of a file that
//     shrank stay if they had been touched;
//   - shared memory is an object: a piece of kernel memory, of which several
//     VMAs may show parts. That of a file is the window that the file lies in
//     while it is mapped (fs.Mapper), so that reading, writing and mapping are
//     the same bytes. Its frames are entered in place, and belong to it; a fault
//     has the file fill them first (fs.Filler). Until somebody writes to them,
//     pages of the boot archive are shown where they lie here, too, and taken out
//     of the page tables when the window gets them (fs.OnDemand).
//
// A fault also enters pages that are likely to be next: see fault.go.
//
// Every change of VMAs goes the same way: VMAs are cut where the range begins
// and ends, what lies inside is changed or removed, and neighbours that have
// become alike are joined.
//
// # Locks
//
// In this order:
//
//	Space.mu     VMAs and limits. Faults, DONTNEED and lists hold it shared,
//	             changes exclusively.
//	a file's own locks
//	Space.shown  that what the page tables show of objects exists. Whoever
//	             enters a page of an object holds it shared. Whoever changes
//	             VMAs or takes something out of the page tables holds it
//	             exclusively, and so does a file that is about to give up pages
//	             of its window.
//
// A file gives up pages while it holds its own lock (it is truncated, say), so
// that must not need Space.mu, under which files are asked for their size.
// For the same reason no file is called with shown held. Entering a private page
// needs Space.mu alone, and runs beside everything but changes.
//
// Files are closed when no lock is held.
package mm
