package event

// An epoll instance keeps an item for each watched pair of descriptor and
// file, and a list of those that may have something to report. A watcher's
// call puts its item on the list. Collect takes items from the list and asks
// each file what holds now: one with nothing to report leaves the list, one
// that is level-triggered goes to its end again.

import (
	"slices"
	"sync"
	"syscall"

	"kiln/kernel/fs"
)

// Event is an event to wait for, or one that has come.
type Event struct {
	Events uint32
	Data   uint64
}

// Flags in Event.Events.
const (
	edge      = 1 << 31
	oneShot   = 1 << 30
	wakeUp    = 1 << 29
	exclusive = 1 << 28
	flags     = edge | oneShot | wakeUp | exclusive
)

// Epoll is an epoll instance.
type Epoll struct {
	mu    sync.Mutex
	items map[key]*item
	list  []*item
	kept  []*item // memory for list
	fs.Watchers
}

type key struct {
	fd   int
	file *fs.File
}

type item struct {
	Event
	p       fs.Pollable
	cancel  func() // ends the watching of p
	onClose func() // ends that of the file's last close
	listed  bool
	gone    bool
}

// NewEpoll returns an instance that watches nothing.
func NewEpoll() *Epoll { return &Epoll{items: make(map[key]*item)} }

func (*Epoll) FileName() string { return "anon_inode:[eventpoll]" }

// Operations of Control, those of epoll_ctl(2).
const (
	Add = 1 + iota
	Delete
	Modify
)

// Control does what epoll_ctl(2) does.
func (e *Epoll) Control(op, fd int, f *fs.File, ev Event) error {
	p, ok := f.Ops().(fs.Pollable)
	if !ok {
		return syscall.EPERM
	}
	if p == fs.Pollable(e) {
		return syscall.EINVAL
	}
	k := key{fd, f}
	switch op {
	case Add:
		if err := e.mayAdd(p, ev); err != nil {
			return err
		}
		ev.Events |= always
		return e.add(k, p, ev)
	case Delete:
		it := e.drop(k)
		if it == nil {
			return syscall.ENOENT
		}
		it.onClose()
		return nil
	case Modify:
		ev.Events |= always
		e.mu.Lock()
		it := e.items[k]
		single := it != nil && (it.Events|ev.Events)&exclusive != 0
		if it != nil && !single {
			it.Event = ev
		}
		e.mu.Unlock()
		switch {
		case it == nil:
			return syscall.ENOENT
		case single:
			return syscall.EINVAL
		}
		if p.Ready() != 0 {
			e.put(it)
		}
		return nil
	}
	return syscall.EINVAL
}

// What may come together with exclusive.
const exclusiveSet = exclusive | wakeUp | edge | fs.In | fs.Out | fs.Err | fs.Hup

// mayAdd makes epoll_ctl's checks on a new item. ELOOP: instances would watch
// each other in a circle, or in a chain that is too long. The caller keeps
// others from nesting instances at the same time.
func (e *Epoll) mayAdd(p fs.Pollable, ev Event) error {
	inner, nested := p.(*Epoll)
	if ev.Events&exclusive != 0 && (nested || ev.Events&^exclusiveSet != 0) {
		return syscall.EINVAL
	}
	if nested && !inner.avoids(e, maxNested) {
		return syscall.ELOOP
	}
	return nil
}

// maxNested is how many instances may watch one another in a chain, below the
// outermost.
const maxNested = 4

// avoids reports whether no chain from e leads to other or is longer than
// depth.
func (e *Epoll) avoids(other *Epoll, depth int) bool {
	if e == other || depth == 0 {
		return false
	}
	e.mu.Lock()
	var inner []*Epoll
	for _, it := range e.items {
		if x, ok := it.p.(*Epoll); ok {
			inner = append(inner, x)
		}
	}
	e.mu.Unlock()
	for _, x := range inner {
		if !x.avoids(other, depth-1) {
			return false
		}
	}
	return true
}

func (e *Epoll) add(k key, p fs.Pollable, ev Event) error {
	it := &item{Event: ev, p: p}
	it.cancel = p.Watch(func(uint32) { e.put(it) })
	it.onClose = k.file.OnClose(func() { e.drop(k) })
	e.mu.Lock()
	old := e.items[k]
	if old == nil {
		e.items[k] = it
	}
	e.mu.Unlock()
	if old != nil {
		it.cancel()
		it.onClose()
		return syscall.EEXIST
	}
	if p.Ready() != 0 {
		e.put(it)
	}
	return nil
}

// drop removes an item, if there is one.
func (e *Epoll) drop(k key) *item {
	e.mu.Lock()
	it := e.items[k]
	if it != nil {
		it.gone = true
		delete(e.items, k)
	}
	e.mu.Unlock()
	if it != nil {
		it.cancel()
	}
	return it
}

// put enters an item into the list and wakes those who wait for e: even if it is
// there already, because it may have had nothing to report when they looked.
func (e *Epoll) put(it *item) {
	e.mu.Lock()
	wake := !it.gone
	if wake && !it.listed {
		it.listed = true
		e.list = append(e.list, it)
	}
	e.mu.Unlock()
	if wake {
		e.Notify(fs.In)
	}
}

// Collect fills out with what there is to report and returns how much.
func (e *Epoll) Collect(out []Event) int {
	e.mu.Lock()
	list := e.list
	e.list, e.kept = e.kept, nil
	for _, it := range list {
		it.listed = false
	}
	e.mu.Unlock()
	n, asked := 0, 0
	again := list[:0] // those that have been looked at make room
	for asked < len(list) && n < len(out) {
		it := list[asked]
		asked++
		ev, level := e.report(it)
		if ev.Events == 0 {
			continue
		}
		out[n] = ev
		n++
		if level {
			again = append(again, it)
		}
	}
	e.putBack(list[asked:], again)
	e.mu.Lock()
	if clear(list); e.kept == nil && cap(list) <= maxKept {
		e.kept = list[:0]
	}
	e.mu.Unlock()
	return n
}

// maxKept is how many items memory is kept for.
const maxKept = 4096

// putBack is put for the items of some lists.
func (e *Epoll) putBack(lists ...[]*item) {
	wake := false
	e.mu.Lock()
	for _, list := range lists {
		for _, it := range list {
			if !it.gone && !it.listed {
				it.listed, wake = true, true
				e.list = append(e.list, it)
			}
		}
	}
	e.mu.Unlock()
	if wake {
		e.Notify(fs.In)
	}
}

// always are the events that are told of without being asked for. An item that has
// none, not even these, is disarmed.
const always = fs.Err | fs.Hup

// report returns what holds of what is asked for, and disarms a one-shot item.
// level: it is to be asked again. No lock is held while the file is asked.
func (e *Epoll) report(it *item) (ev Event, level bool) {
	e.mu.Lock()
	want, gone := it.Event, it.gone
	e.mu.Unlock()
	if gone || want.Events&^flags == 0 {
		return Event{}, false
	}
	ev = Event{it.p.Ready() & want.Events &^ flags, want.Data}
	if ev.Events != 0 && want.Events&oneShot != 0 {
		e.mu.Lock()
		if it.Event == want {
			it.Events &= flags
		}
		e.mu.Unlock()
	}
	return ev, want.Events&(edge|oneShot) == 0
}

// Unseeking implements fs.Unseeking.
func (*Epoll) Unseeking() {}

// Ready reports In where Collect would find something.
func (e *Epoll) Ready() uint32 {
	e.mu.Lock()
	list := slices.Clone(e.list)
	e.mu.Unlock()
	for _, it := range list {
		e.mu.Lock()
		want, gone := it.Events, it.gone
		e.mu.Unlock()
		if !gone && want&^flags != 0 && it.p.Ready()&want&^flags != 0 {
			return fs.In
		}
	}
	return 0
}

// Close stops all watching.
func (e *Epoll) Close() error {
	e.mu.Lock()
	items := e.items
	e.items = map[key]*item{}
	e.mu.Unlock()
	for _, it := range items {
		it.cancel()
		it.onClose()
	}
	return nil
}
