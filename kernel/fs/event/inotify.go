package event

// Inotify (inotify(7)). An instance observes all that happens to the files of
// the VFS (fs.VFS.Observe) and keeps what one of its watches asks for in a
// queue of finished records, struct inotify_event:
//
//	wd      int32   the watch
//	mask    uint32
//	cookie  uint32
//	len     uint32  of the name that follows, with its padding
//	name    NUL-terminated, padded with NULs to a multiple of the header's size
//
// A record that equals the last one in the queue is left out. When the queue is
// full, one record says so, and what comes is lost until there is room.

import (
	"encoding/binary"
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

// Inotify is an inotify instance.
type Inotify struct {
	fs.Watchers
	stop func() // ends the observing

	mu      sync.Mutex // guards what follows
	byInode map[*fs.Inode]*watch
	byWD    map[int32]*watch
	last    int32    // wd given last
	queue   [][]byte // records
}

type watch struct {
	wd    int32
	inode *fs.Inode
	mask  uint32
}

const (
	inHeader   = 16
	inQueueMax = 16384 // /proc/sys/fs/inotify/max_queued_events
	inAllMask  = syscall.IN_ALL_EVENTS
	inCreate   = 1 << 28 // IN_MASK_CREATE, which package syscall lacks
	// what only says how to watch, and is kept with the mask
	inKept = syscall.IN_ONESHOT | syscall.IN_EXCL_UNLINK
)

// InotifyBits are all that have a meaning in a mask, of which
// InotifyExclusive must not come together.
const (
	InotifyBits = inAllMask | inKept | InotifyExclusive | syscall.IN_ONLYDIR | syscall.IN_DONT_FOLLOW | syscall.IN_ISDIR |
		syscall.IN_IGNORED | syscall.IN_UNMOUNT | syscall.IN_Q_OVERFLOW
	InotifyExclusive = inCreate | syscall.IN_MASK_ADD
)

// NewInotify returns an instance without watches.
func NewInotify(v *fs.VFS) *Inotify {
	n := &Inotify{byInode: make(map[*fs.Inode]*watch), byWD: make(map[int32]*watch)}
	n.stop = v.Observe(n.observe)
	return n
}

func (*Inotify) FileName() string { return "anon_inode:inotify" }

// AddWatch starts to watch inode i, or changes its watch, and returns the watch's
// descriptor. mask is that of inotify_add_watch(2), checked by the
// caller; IN_ONLYDIR and IN_DONT_FOLLOW are the caller's.
func (n *Inotify) AddWatch(i *fs.Inode, mask uint32) (int32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := mask & (inAllMask | inKept)
	w := n.byInode[i]
	switch {
	case w == nil:
		n.last++
		w = &watch{wd: n.last, inode: i, mask: kept}
		n.byInode[i], n.byWD[w.wd] = w, w
	case mask&inCreate != 0:
		return 0, syscall.EEXIST
	case mask&syscall.IN_MASK_ADD != 0:
		w.mask |= kept
	default:
		w.mask = kept
	}
	return w.wd, nil
}

// RemoveWatch ends a watch; the queue gets IN_IGNORED.
func (n *Inotify) RemoveWatch(wd int32) error {
	n.mu.Lock()
	w := n.byWD[wd]
	if w != nil {
		n.drop(w)
	}
	n.mu.Unlock()
	if w == nil {
		return syscall.EINVAL
	}
	n.Notify(fs.In)
	return nil
}

// drop ends a watch; the caller holds mu.
func (n *Inotify) drop(w *watch) {
	delete(n.byInode, w.inode)
	delete(n.byWD, w.wd)
	n.put(w.wd, syscall.IN_IGNORED, 0, "")
}

// observe is told of everything.
func (n *Inotify) observe(e fs.Event) {
	n.mu.Lock()
	before := len(n.queue)
	if w := n.byInode[e.Dir]; w != nil && !(e.Gone && w.mask&syscall.IN_EXCL_UNLINK != 0) {
		n.match(w, e, e.Name)
	}
	if w := n.byInode[e.Inode]; w != nil {
		n.match(w, e, "")
		if e.Mask&syscall.IN_DELETE_SELF != 0 && n.byWD[w.wd] == w {
			n.drop(w)
		}
	}
	more := len(n.queue) > before
	n.mu.Unlock()
	if more {
		n.Notify(fs.In)
	}
}

// match queues e if w asks for it; the caller holds mu.
func (n *Inotify) match(w *watch, e fs.Event, name string) {
	if w.mask&e.Mask&inAllMask == 0 {
		return
	}
	mask := e.Mask
	if mask&(syscall.IN_DELETE_SELF|syscall.IN_MOVE_SELF) != 0 {
		mask &^= syscall.IN_ISDIR // inotify(7), BUGS
	}
	n.put(w.wd, mask, e.Cookie, name)
	if w.mask&syscall.IN_ONESHOT != 0 {
		n.drop(w)
	}
}

// put queues a record; the caller holds mu.
func (n *Inotify) put(wd int32, mask, cookie uint32, name string) {
	r := record(wd, mask, cookie, name)
	last := len(n.queue) - 1
	switch {
	case last >= 0 && sameEvent(n.queue[last], r):
	case last+1 < inQueueMax:
		n.queue = append(n.queue, r)
	case last+1 == inQueueMax:
		n.queue = append(n.queue, record(-1, syscall.IN_Q_OVERFLOW, 0, ""))
	}
}

func record(wd int32, mask, cookie uint32, name string) []byte {
	room := 0
	if name != "" {
		room = (len(name) + 1 + inHeader - 1) &^ (inHeader - 1)
	}
	r := make([]byte, inHeader+room)
	binary.LittleEndian.PutUint32(r, uint32(wd))
	binary.LittleEndian.PutUint32(r[4:], mask)
	binary.LittleEndian.PutUint32(r[8:], cookie)
	binary.LittleEndian.PutUint32(r[12:], uint32(room))
	copy(r[inHeader:], name)
	return r
}

// sameEvent compares all but the cookie.
func sameEvent(a, b []byte) bool {
	return string(a[:8]) == string(b[:8]) && string(a[12:]) == string(b[12:])
}

// Read takes whole records. EINVAL: p is too short for the next one.
func (n *Inotify) Read(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) == 0 {
		return 0, syscall.EAGAIN
	}
	done := 0
	for len(n.queue) > 0 && len(n.queue[0]) <= len(p)-done {
		done += copy(p[done:], n.queue[0])
		n.queue = n.queue[1:]
	}
	if done == 0 {
		return 0, syscall.EINVAL
	}
	return done, nil
}

// Unseeking implements fs.Unseeking.
func (*Inotify) Unseeking() {}

func (n *Inotify) Ready() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.queue) > 0 {
		return fs.In
	}
	return 0
}

// Queued implements fs.Queued.
func (n *Inotify) Queued() (in, out int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.queue {
		in += len(r)
	}
	return in, 0
}

// Close ends all watches.
func (n *Inotify) Close() error {
	n.stop()
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.byInode)
	clear(n.byWD)
	n.queue = nil
	return nil
}
