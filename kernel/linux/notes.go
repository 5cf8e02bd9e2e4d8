//go:build kiln_linux

package linux

// answerNotes tell of each call that is answered here how far it does what its manual
// page says: names, "yes", "partly" or the error with which the calls always
// fail, and a remark. sys.Notes are those of package sys. The table in docs/ is
// made of them (TestCallTable).
const answerNotes = `
mmap partly: No large pages: MAP_HUGETLB fails. MAP_POPULATE works. What is written to a file may not show in private mappings that have been touched, and touched pages of them stay when it is truncated.
munmap mprotect mremap msync mincore brk mseal yes
madvise process_madvise partly: DONTNEED, FREE (at once), REMOVE, POPULATE_READ and _WRITE, GUARD_INSTALL and _REMOVE; others are checked, and there is nothing to do. COLLAPSE fails with EINVAL.
mlock mlock2 munlock mlockall munlockall yes: No page is ever taken away, so that a lock only brings pages in.
setrlimit prlimit64 partly: As getrlimit tells.
clone clone3 partly: Threads, with all that pthreads share. Another process fails with ENOSYS and a line that says so, a namespace with EPERM, CLONE_PIDFD with EINVAL.
fork vfork execve execveat ENOSYS: A unikernel runs one program. The first attempt says so, and names the program's own switch to do without where it is known.
exit exit_group getpid getppid gettid set_tid_address set_robust_list get_robust_list yes
rseq ENOSYS: C libraries do without.
futex partly: FUTEX_FD is gone from Linux, too. Owners do not inherit priorities.
futex_waitv yes
membarrier partly: The commands for private, expedited barriers and global ones; not RSEQ.
prctl partly: Names, no_new_privs, seccomp, timer slack (stored), capabilities' bounding set (stored), what is kept in mind for the process, names of memory; others fail with EINVAL.
arch_prctl partly: FS and GS; CPUID cannot be made to fault.
personality yes: Stored; address space is laid out at the start.
seccomp partly: Strict mode and filters, for all actions but user notification; SECCOMP_RET_LOG does not log.
sched_yield yes
sched_setaffinity sched_getaffinity partly: Stored: threads run on any CPU.
sched_setscheduler sched_getscheduler sched_setparam sched_getparam sched_setattr sched_getattr sched_rr_get_interval getpriority setpriority ioprio_get ioprio_set partly: Stored: threads run in turns. No SCHED_DEADLINE.
sched_get_priority_max sched_get_priority_min yes
getcpu partly: The first CPU that the thread may be on; the vDSO's getcpu tells the right one.
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack pause yes
kill tkill tgkill yes: SIGSTOP and its kin do not stop the program.
process_vm_readv process_vm_writev kcmp pidfd_open pidfd_send_signal pidfd_getfd yes: There is no process but the program.
shmget shmat shmctl shmdt partly: No large pages; SHM_LOCK is stored, since nothing is ever swapped out.
semget semop semctl semtimedop partly: SEM_UNDO undoes nothing: it would at the end of the process, which is the machine's.
msgget msgsnd msgrcv msgctl yes
mq_open mq_unlink mq_timedsend mq_timedreceive mq_getsetattr yes: Queues are not shown as a file system.
mq_notify partly: By signal; SIGEV_THREAD fails with ENOSYS.
mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node yes: There is one node. The policy of a range is not kept.
pkey_mprotect pkey_alloc pkey_free yes: As on a CPU without protection keys.
signalfd signalfd4 partly: A read takes signals of the process and of any of its threads.
ppoll pselect6 epoll_pwait epoll_pwait2 yes
alarm getitimer setitimer yes
io_uring_setup io_uring_enter io_uring_register partly: The operations that servers and Node use: files, paths, sockets, poll, timeouts, cancelling, provided buffers, registered files and buffers, SQPOLL; no commands of devices, futexes, waitid and zero-copy receive; what is not there fails with EINVAL, as on an older Linux.
io_setup io_destroy io_submit io_getevents io_pgetevents io_cancel partly: Requests that need not wait are complete when io_submit returns.
timer_create timer_settime timer_gettime timer_getoverrun timer_delete partly: Clocks realtime, monotonic, boottime, TAI and CPU time of the process, which is also taken for that of a thread.
`

// absentNotes tell of calls that are not answered: why, or what programs do without.
const absentNotes = `
process_mrelease ENOSYS: There is no other process.
add_key request_key keyctl ENOSYS: There are no key rings.
remap_file_pages ENOSYS: Programs use mmap.
modify_ldt set_thread_area get_thread_area ENOSYS: There are no 32-bit programs.
landlock_create_ruleset landlock_add_rule landlock_restrict_self ENOSYS: As on a kernel without Landlock.
memfd_secret ENOSYS: As where it is not switched on.
uselib create_module get_kernel_syms query_module nfsservctl getpmsg putpmsg afs_syscall tuxcall security vserver epoll_ctl_old epoll_wait_old _sysctl lookup_dcookie ENOSYS: Gone from Linux, or never in it.
`
