package fs

// What happens to files, for those who want to know (inotify(7)). While there
// is nobody, each operation costs one look at a pointer.
//
// The events are Linux's, in its order. Those of Self happen to an inode and
// are its own; those of Entry are of a directory, and name an entry; all
// others are an inode's, and of the directory through which it was reached.

import (
	"slices"
	"syscall"
)

// Event is something that has happened.
type Event struct {
	Mask   uint32 // one of the IN_ bits, and IN_ISDIR for a directory
	Cookie uint32 // the same for both halves of a rename, else 0
	Inode  *Inode // nil: it concerns the directory only
	Dir    *Inode // nil: it concerns the inode only
	Name   string // of the entry in Dir
	Gone   bool   // the name has been removed
}

// Observe calls fn with what happens to files of v, until cancel is called. fn
// is called with locks held: it must not block, nor call this package.
func (v *VFS) Observe(fn func(Event)) (cancel func()) {
	v.changeObservers(func(list []*func(Event)) []*func(Event) { return append(list, &fn) })
	return func() {
		v.changeObservers(func(list []*func(Event)) []*func(Event) {
			return slices.DeleteFunc(list, func(p *func(Event)) bool { return p == &fn })
		})
	}
}

func (v *VFS) changeObservers(change func([]*func(Event)) []*func(Event)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var list []*func(Event)
	if old := v.observers.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = change(list); len(list) == 0 {
		v.observers.Store(nil)
		return
	}
	v.observers.Store(&list)
}

func (v *VFS) tell(e Event) {
	list := v.observers.Load()
	if list == nil {
		return
	}
	if e.Inode != nil && e.Inode.IsDir() {
		e.Mask |= syscall.IN_ISDIR
	}
	for _, fn := range *list {
		(*fn)(e)
	}
}

// happened tells of something that was done to the inode of d, by that name.
// The caller holds neither VFS.tree nor a directory.
func (v *VFS) happened(d *Dentry, mask uint32) {
	if v.observers.Load() == nil {
		return
	}
	e := Event{Mask: mask, Inode: d.inode, Gone: d.gone.Load()}
	v.tree.RLock()
	if d.parent != nil {
		e.Dir, e.Name = d.parent.inode, d.name
	}
	v.tree.RUnlock()
	v.tell(e)
}

// Happened is happened for a change that the caller has made to the inode at p.
func (v *VFS) Happened(p Path, mask uint32) { v.happened(p.d, mask) }

// happenedSelf tells of an inode by whatever name.
func (v *VFS) happenedSelf(i *Inode, mask uint32) { v.tell(Event{Mask: mask, Inode: i}) }

// happenedEntry tells of a name in dir that stands, or stood, for i. Watchers
// of i are not concerned.
func (v *VFS) happenedEntry(dir *Inode, name string, i *Inode, mask, cookie uint32) {
	if v.observers.Load() == nil {
		return
	}
	if i.IsDir() {
		mask |= syscall.IN_ISDIR
	}
	v.tell(Event{Mask: mask, Cookie: cookie, Dir: dir, Name: name})
}

// gotName tells that i has got a name in dir. A second name changes i too.
func (v *VFS) gotName(dir *Inode, name string, i *Inode) {
	if v.observers.Load() == nil {
		return
	}
	if i.Stat().Nlink > 1 && !i.IsDir() {
		v.happenedSelf(i, syscall.IN_ATTRIB)
	}
	v.happenedEntry(dir, name, i, syscall.IN_CREATE, 0)
}

// lostName tells that i has lost a name; dead: nothing refers to it any more.
func (v *VFS) lostName(i *Inode, dead bool) {
	if !i.IsDir() {
		v.happenedSelf(i, syscall.IN_ATTRIB)
	}
	if dead {
		v.happenedSelf(i, syscall.IN_DELETE_SELF)
	}
}

// observed tells of something done to the open file f.
func (f *File) observed(mask uint32) {
	if f.v != nil && f.v.observers.Load() != nil {
		f.tell(mask)
	}
}

// tell is apart so that observed is inlined.
func (f *File) tell(mask uint32) {
	if f.inode != nil && f.flags.Load()&oPath == 0 {
		f.v.happened(f.path.d, mask)
	}
}
