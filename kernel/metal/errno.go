package metal

// Linux error numbers, as metal returns them: negated. The runtime's memory is
// in the upper half, so only the last page of values is errors.
const (
	eperm     = 1
	enoent    = 2
	esrch     = 3
	eintr     = 4
	ebadf     = 9
	eagain    = 11
	enomem    = 12
	ebusy     = 16
	eexist    = 17
	enodev    = 19
	einval    = 22
	emfile    = 24
	enospc    = 28
	enosys    = 38
	etimedout = 110
)

func errno(e uintptr) uintptr { return -e }

func isErr(r uintptr) bool { return r > ^uintptr(4095) }
