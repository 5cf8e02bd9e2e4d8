//go:build kiln_linux

package linux

import (
	"errors"
	"syscall"

	"kiln/kernel/sys"
)

// handler answers a system call with its result. errNoReturn: the registers are
// as they should be.
type handler func(t *Task, a *[6]uint64) (uint64, error)

var errNoReturn = errors.New("no result")

// What a handler returns that a signal has interrupted (ERESTARTSYS and its kin).
var (
	// errRestart: the call is made again, unless a handler without SA_RESTART
	// runs before.
	errRestart = sys.ErrRestart
	// errRestartNoHandler: it is made again unless a handler runs.
	errRestartNoHandler = errors.New("to be made again, unless a handler runs")
	// errRestartAlways: it is made again.
	errRestartAlways = errors.New("to be made again")
)

// restarting is what becomes of an interrupted call.
type restarting uint8

const (
	noRestart restarting = iota
	restartUnlessHandled
	restartNoHandler
	restartAlways
)

// Numbers that package syscall does not have.
const (
	sysSchedSetattr   = 314
	sysSchedGetattr   = 315
	sysSeccomp        = 317
	sysExecveat       = 322
	sysMembarrier     = 324
	sysMlock2         = 325
	sysRseq           = 334
	sysClone3         = 435
	sysEpollPwait2    = 441
	sysFutexWaitv     = 449
	sysProcessMadvise = 440
	sysMseal          = 462
)

// callTable has the system calls that are answered here; package sys has the
// others.
func callTable() *[512]handler {
	return &[512]handler{
		// memory
		syscall.SYS_MMAP:       mmap,
		syscall.SYS_MUNMAP:     munmap,
		syscall.SYS_MPROTECT:   mprotect,
		syscall.SYS_MREMAP:     mremap,
		syscall.SYS_MADVISE:    madvise,
		syscall.SYS_MSYNC:      msync,
		syscall.SYS_BRK:        brk,
		syscall.SYS_MINCORE:    mincore,
		syscall.SYS_MLOCK:      mlock,
		sysMlock2:              mlock2,
		syscall.SYS_MUNLOCK:    munlock,
		syscall.SYS_MLOCKALL:   mlockall,
		syscall.SYS_MUNLOCKALL: munlockall,
		sysMseal:               mseal,
		sysProcessMadvise:      processMadvise,
		syscall.SYS_SETRLIMIT:  setrlimit,
		sysPrlimit64:           prlimit,

		// threads
		syscall.SYS_CLONE:           clone,
		sysClone3:                   clone3,
		syscall.SYS_FORK:            fork,
		syscall.SYS_VFORK:           vfork,
		syscall.SYS_EXECVE:          execve,
		sysExecveat:                 execveat,
		syscall.SYS_EXIT:            exit,
		syscall.SYS_EXIT_GROUP:      exitGroup,
		syscall.SYS_GETPID:          getpid,
		syscall.SYS_GETPPID:         getppid,
		syscall.SYS_GETTID:          gettid,
		syscall.SYS_SET_TID_ADDRESS: setTIDAddress,
		syscall.SYS_SET_ROBUST_LIST: setRobustList,
		syscall.SYS_GET_ROBUST_LIST: getRobustList,
		sysRseq:                     rseq,
		syscall.SYS_FUTEX:           futex,
		sysFutexWaitv:               futexWaitv,
		sysMembarrier:               membarrier,
		syscall.SYS_PRCTL:           prctl,
		syscall.SYS_ARCH_PRCTL:      archPrctl,
		syscall.SYS_PERSONALITY:     personality,
		sysSeccomp:                  seccomp,

		syscall.SYS_SCHED_YIELD:            schedYield,
		syscall.SYS_SCHED_GETAFFINITY:      schedGetaffinity,
		syscall.SYS_SCHED_SETAFFINITY:      schedSetaffinity,
		syscall.SYS_SCHED_SETSCHEDULER:     schedSetscheduler,
		syscall.SYS_SCHED_GETSCHEDULER:     schedGetscheduler,
		syscall.SYS_SCHED_SETPARAM:         schedSetparam,
		syscall.SYS_SCHED_GETPARAM:         schedGetparam,
		syscall.SYS_SCHED_GET_PRIORITY_MAX: schedPriorityMax,
		syscall.SYS_SCHED_GET_PRIORITY_MIN: schedPriorityMin,
		syscall.SYS_SCHED_RR_GET_INTERVAL:  schedRRInterval,
		sysSchedSetattr:                    schedSetattr,
		sysSchedGetattr:                    schedGetattr,
		syscall.SYS_GETPRIORITY:            getpriority,
		syscall.SYS_SETPRIORITY:            setpriority,
		syscall.SYS_IOPRIO_GET:             ioprioGet,
		syscall.SYS_IOPRIO_SET:             ioprioSet,
		sysGetcpu:                          getcpu,

		// signals
		syscall.SYS_RT_SIGACTION:    rtSigaction,
		syscall.SYS_RT_SIGPROCMASK:  rtSigprocmask,
		syscall.SYS_RT_SIGRETURN:    rtSigreturn,
		syscall.SYS_RT_SIGPENDING:   rtSigpending,
		syscall.SYS_RT_SIGSUSPEND:   rtSigsuspend,
		syscall.SYS_RT_SIGTIMEDWAIT: rtSigtimedwait,
		syscall.SYS_RT_SIGQUEUEINFO: rtSigqueueinfo,
		sysRtTgsigqueueinfo:         rtTgsigqueueinfo,
		syscall.SYS_SIGALTSTACK:     sigaltstack,
		syscall.SYS_KILL:            kill,
		syscall.SYS_TKILL:           tkill,
		syscall.SYS_TGKILL:          tgkill,
		syscall.SYS_PAUSE:           pause,
		syscall.SYS_SIGNALFD:        signalfd,
		sysSignalfd4:                signalfd4,
		syscall.SYS_PPOLL:           ppoll,
		syscall.SYS_PSELECT6:        pselect6,
		syscall.SYS_EPOLL_PWAIT:     epollPwait,
		sysEpollPwait2:              epollPwait2,

		// calls that complete later
		sysIoUringSetup:          ioUringSetup,
		sysIoUringEnter:          ioUringEnter,
		sysIoUringRegister:       ioUringRegister,
		syscall.SYS_IO_SETUP:     ioSetup,
		syscall.SYS_IO_DESTROY:   ioDestroy,
		syscall.SYS_IO_SUBMIT:    ioSubmit,
		syscall.SYS_IO_CANCEL:    ioCancel,
		syscall.SYS_IO_GETEVENTS: ioGetevents,
		sysIoPgetevents:          ioPgetevents,

		// the process as another one sees it
		sysProcessVMReadv:  processVMReadv,
		sysProcessVMWritev: processVMWritev,
		sysKcmp:            kcmp,
		sysPidfdOpen:       pidfdOpen,
		sysPidfdSendSignal: pidfdSendSignal,
		sysPidfdGetfd:      pidfdGetfd,

		// what processes share
		syscall.SYS_SHMGET:          shmget,
		syscall.SYS_SHMAT:           shmat,
		syscall.SYS_SHMDT:           shmdt,
		syscall.SYS_SHMCTL:          shmctl,
		syscall.SYS_SEMGET:          semget,
		syscall.SYS_SEMOP:           semop,
		syscall.SYS_SEMTIMEDOP:      semtimedop,
		syscall.SYS_SEMCTL:          semctl,
		syscall.SYS_MSGGET:          msgget,
		syscall.SYS_MSGSND:          msgsnd,
		syscall.SYS_MSGRCV:          msgrcv,
		syscall.SYS_MSGCTL:          msgctl,
		syscall.SYS_MQ_OPEN:         mqOpen,
		syscall.SYS_MQ_UNLINK:       mqUnlink,
		syscall.SYS_MQ_TIMEDSEND:    mqTimedsend,
		syscall.SYS_MQ_TIMEDRECEIVE: mqTimedreceive,
		syscall.SYS_MQ_NOTIFY:       mqNotifyCall,
		syscall.SYS_MQ_GETSETATTR:   mqGetsetattr,

		// memory policies and protection keys
		syscall.SYS_SET_MEMPOLICY: setMempolicy,
		syscall.SYS_GET_MEMPOLICY: getMempolicy,
		syscall.SYS_MBIND:         mbind,
		syscall.SYS_MIGRATE_PAGES: migratePages,
		syscall.SYS_MOVE_PAGES:    movePages,
		sysSetMempolicyHomeNode:   setMempolicyHomeNode,
		sysPkeyAlloc:              pkeyAlloc,
		sysPkeyFree:               pkeyFree,
		sysPkeyMprotect:           pkeyMprotect,

		// timers
		syscall.SYS_ALARM:            alarm,
		syscall.SYS_GETITIMER:        getitimer,
		syscall.SYS_SETITIMER:        setitimer,
		syscall.SYS_TIMER_CREATE:     timerCreate,
		syscall.SYS_TIMER_SETTIME:    timerSettime,
		syscall.SYS_TIMER_GETTIME:    timerGettime,
		syscall.SYS_TIMER_GETOVERRUN: timerGetoverrun,
		syscall.SYS_TIMER_DELETE:     timerDelete,
	}
}

const (
	sysSignalfd4        = 289
	sysRtTgsigqueueinfo = 297
	sysGetcpu           = 309

	sysProcessVMReadv       = 310
	sysProcessVMWritev      = 311
	sysKcmp                 = 312
	sysPidfdSendSignal      = 424
	sysPidfdOpen            = 434
	sysPidfdGetfd           = 438
	sysPkeyMprotect         = 329
	sysPkeyAlloc            = 330
	sysPkeyFree             = 331
	sysSetMempolicyHomeNode = 450
)
