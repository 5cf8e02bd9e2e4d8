package uring

import (
	"encoding/binary"
	"syscall"

	"kiln/kernel/fs"
)

// sqe is struct io_uring_sqe, as it was copied from the submission queue. Names of
// fields that have several are those of reading and writing.
type sqe struct {
	op, flags   uint8
	ioprio      uint16
	fd          int32
	off         uint64 // also addr2
	addr        uint64
	len         uint32
	rwFlags     uint32
	data        uint64
	bufIndex    uint16 // also the group of buffers
	personality uint16
	index       uint32 // file_index, splice_fd_in, addr_len
	addr3       uint64
}

func parse(b *[sqeSize]byte) sqe {
	le := binary.LittleEndian
	return sqe{
		op: b[0], flags: b[1], ioprio: le.Uint16(b[2:]), fd: int32(le.Uint32(b[4:])), off: le.Uint64(b[8:]), addr: le.Uint64(b[16:]),
		len: le.Uint32(b[24:]), rwFlags: le.Uint32(b[28:]), data: le.Uint64(b[32:]), bufIndex: le.Uint16(b[40:]),
		personality: le.Uint16(b[42:]), index: le.Uint32(b[44:]), addr3: le.Uint64(b[48:]),
	}
}

// Flags of a submission.
const (
	fixedFile = 1 << iota
	drain
	link
	hardLink
	async
	selectBuffer
	skipSuccess

	knownFlags = fixedFile | drain | link | hardLink | async | selectBuffer | skipSuccess
)

// ringPart is what a request of a Ring has.
type ringPart struct {
	ring    *Ring
	s       sqe
	linked  *request // runs when it has completed
	timeout *request // limits it (LINK_TIMEOUT)
	armed   bool     // timeout has been started
	target  *request // of a timeout that limits
	broken  int64    // the error with which it was refused
	fails   bool     // what is linked to it is not to run
	passes  bool     // although it has an error, that is
	silent  bool     // no completion
	mute    bool     // none for what is linked to it, if it fails
	flags   uint32   // of the completion
	drains  bool
	late    bool // not complete at once
	multi   bool // completes many times
	moved   int64
	buf     buffer // selected
	fixed   *resource
	timing
}

// chain is requests that are linked.
type chain struct {
	head, last *request
	broken     bool
}

// Submit takes n requests from the submission queue, at most, and returns how many
// it has taken. issuer is a number of the thread, not 0.
func (r *Ring) Submit(n uint32, issuer uint64) (uint32, error) {
	if r.disabled.Load() {
		return 0, syscall.EBADFD
	}
	if r.foreign(issuer) {
		return 0, syscall.EEXIST
	}
	return r.take(n), nil
}

// foreign reports whether a thread may not submit.
func (r *Ring) foreign(issuer uint64) bool {
	return r.flags&setupSingleIssuer != 0 && r.issuer.Load() != issuer
}

func (r *Ring) take(n uint32) (taken uint32) {
	r.submit.Lock()
	defer r.submit.Unlock()
	if r.mem == nil {
		return 0
	}
	have := min(r.mem.word(atSubmitTail).Load()-r.head, r.submitSize)
	var c chain
	for range min(n, have) {
		b, ok := r.entry()
		if !ok {
			break
		}
		taken++
		if r.accept(parse(b), &c) != nil && r.flags&setupSubmitAll == 0 {
			break
		}
	}
	r.mem.word(atSubmitHead).Store(r.head)
	r.begin(&c)
	if taken > 0 {
		r.watchers.Notify(fs.Out)
	}
	return taken
}

// entry copies the next entry. false: there is no such entry.
func (r *Ring) entry() (*[sqeSize]byte, bool) {
	i := r.head & (r.submitSize - 1)
	r.head++
	if r.flags&setupNoArray == 0 {
		if i = r.mem.word(r.arrayAt + 4*int(i)).Load(); i >= r.submitSize {
			r.mem.word(atDropped).Add(1)
			return nil, false
		}
	}
	copy(r.entryCopy[:], r.mem[r.entriesAt+int(i)*r.sqeStride:])
	return &r.entryCopy, true
}

// accept makes a request and adds it to the chain, or begins it. The error is why it
// was refused, if that is to end the submission.
func (r *Ring) accept(s sqe, c *chain) error {
	q := r.newRequest()
	q.data, q.s, q.left = s.data, s, -1
	err := r.prepare(q, c)
	if err != nil {
		q.broken = -int64(errnoOf(err))
		c.broken = true
		if q.op == nil || s.op == opLinkTimeout {
			q.op = &r.operations[opNop]
		}
	}
	switch {
	case q.op.issue != nil && s.op == opLinkTimeout && err == nil:
		c.last.timeout, q.target = q, c.last
		q.s.flags |= c.last.s.flags & drain
	case c.head == nil:
		c.head, c.last = q, q
	default:
		c.last.linked = q
		c.last = q
	}
	if s.flags&(link|hardLink) != 0 {
		return nil
	}
	single := c.head == q
	r.begin(c)
	if single && !q.prepared && !q.late && !q.op.timer && q.timeout == nil && err == nil {
		r.spare = q // complete, and nobody knows it any more
	}
	return err
}

// newRequest returns an empty request.
func (r *Ring) newRequest() *request {
	q := r.spare
	if q == nil {
		q = new(request)
	} else {
		r.spare = nil
		*q = request{}
	}
	q.e, q.ring = &r.engine, r
	return q
}

// prepare checks a submission.
func (r *Ring) prepare(q *request, c *chain) error {
	s := &q.s
	if int(s.op) >= len(r.operations) {
		return syscall.EINVAL
	}
	q.op = &r.operations[s.op]
	if q.op.issue == nil {
		return syscall.EINVAL
	}
	if s.flags&^knownFlags != 0 {
		return syscall.EINVAL
	}
	if err := r.permit(s); err != nil {
		return err
	}
	if s.flags&selectBuffer != 0 && !q.op.selects {
		return syscall.EOPNOTSUPP
	}
	if s.flags&skipSuccess != 0 {
		q.silent = true
		r.skips = true
	}
	if s.flags&drain != 0 {
		if r.skips {
			return syscall.EOPNOTSUPP
		}
		q.drains = true
	}
	switch {
	case s.ioprio != 0 && !q.op.ioprio, s.personality != 0:
		return syscall.EINVAL
	case s.op == opLinkTimeout && (c.head == nil || c.last.timeout != nil):
		return syscall.EINVAL
	}
	if r.flags&setupPoll != 0 && !q.op.polled {
		return syscall.EINVAL
	}
	if q.op.file {
		q.open(0, s.fd, s.flags&fixedFile != 0)
	}
	return q.op.prepare(q, s)
}

// begin starts a chain that is complete.
func (r *Ring) begin(c *chain) {
	head := c.head
	broken := c.broken
	*c = chain{}
	if head == nil {
		return
	}
	r.mu.Lock()
	if r.waits(head) && !broken {
		for q := head; q != nil; q = q.linked {
			q.late = true
		}
		r.mu.Unlock()
		for q := head; q != nil; q = q.linked { // what it has by address, while it is there
			if q.keep() != nil {
				q.broken = -int64(syscall.EFAULT)
			}
		}
		r.mu.Lock()
		r.deferred = append(r.deferred, head)
		r.mu.Unlock()
		r.pump()
		return
	}
	r.count(head)
	r.mu.Unlock()
	if broken {
		r.refuse(head)
		return
	}
	r.start(head)
}

// refuse completes a chain of which a request was refused.
func (r *Ring) refuse(q *request) {
	for ; q != nil; q = q.linked {
		if q.broken == 0 {
			q.broken = -int64(syscall.ECANCELED)
		}
		next := q.linked
		q.linked = nil
		if t := q.timeout; t != nil {
			q.timeout = nil
			r.complete(q, q.broken)
			r.complete(t, -int64(syscall.ECANCELED))
		} else {
			r.complete(q, q.broken)
		}
		q.linked = next
	}
}

func (r *Ring) start(q *request) {
	if q.broken != 0 {
		r.engine.run(r.end(q, q.broken))
		return
	}
	if q.s.flags&async != 0 {
		q.late = true
		if err := r.engine.later(q); err != nil {
			r.engine.finish(q)
			r.engine.run(r.end(q, -int64(errnoOf(err))))
		}
		return
	}
	r.engine.run(q)
}

// waits reports whether a chain has to wait for others; the caller holds mu.
func (r *Ring) waits(q *request) bool {
	if len(r.deferred) > 0 || r.drains > 0 {
		return true
	}
	if r.inflight == 0 {
		return false
	}
	for ; q != nil; q = q.linked {
		if q.drains {
			return true
		}
	}
	return false
}

// count counts the requests of a chain as in flight; the caller holds mu.
func (r *Ring) count(q *request) {
	for ; q != nil; q = q.linked {
		r.inflight++
		if q.drains {
			r.drains++
		}
		if q.timeout != nil {
			r.inflight++
		}
	}
}

// pump starts what has been deferred and need not wait any more.
func (r *Ring) pump() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pumping {
		return
	}
	r.pumping = true
	for len(r.deferred) > 0 && r.drains == 0 {
		q := r.deferred[0]
		rest := r.deferred[1:]
		r.deferred = nil // of its own account it does not wait
		waits := r.waits(q)
		if waits {
			r.deferred = append([]*request{q}, rest...)
			break
		}
		r.deferred = rest
		r.count(q)
		r.mu.Unlock()
		r.start(q)
		r.mu.Lock()
	}
	r.pumping = false
}

// end is engine.end: it completes q and returns what is linked to it, if that is to
// run.
func (r *Ring) end(q *request, res int64) *request {
	if res < 0 && !q.passes {
		q.fails = true
	}
	if q.fails && q.silent {
		q.silent, q.mute = false, true
	}
	next := q.linked
	if q.fails && q.s.flags&hardLink == 0 {
		next = nil
	}
	r.complete(q, res)
	if t := q.timeout; t != nil {
		r.disarm(q, t)
	}
	if next == nil && q.linked != nil {
		for n := q.linked; n != nil; n = n.linked {
			n.silent = q.mute
			if t := n.timeout; t != nil {
				t.silent = q.mute
			}
		}
		r.refuse(q.linked)
	}
	r.mu.Lock()
	deferred := len(r.deferred) > 0
	r.mu.Unlock()
	if deferred {
		r.pump()
	}
	return next
}

// complete posts q's last completion.
func (r *Ring) complete(q *request, res int64) {
	if q.fixed != nil {
		r.unuse(q.fixed)
		q.fixed = nil
	}
	if q.op.timer {
		q.stopTimer()
	}
	r.mu.Lock()
	if !q.silent {
		r.add(completion{q.data, int32(res), q.flags})
	}
	r.inflight--
	if q.drains {
		r.drains--
	}
	var woken []*waiter
	if !q.silent || q.op.timer {
		woken = r.passed(q.op.timer)
	}
	r.mu.Unlock()
	if !q.silent || q.op.timer {
		r.tell(woken, q.late || q.prepared)
	}
}

// more posts a completion that is not q's last.
func (q *request) more(res int64, flags uint32) { q.ring.post(q.data, res, flags|cqeMore) }

// Flags of a completion.
const (
	cqeBuffer   = 1 << 0
	cqeMore     = 1 << 1
	cqeNonempty = 1 << 2
	cqeNotif    = 1 << 3
)

// hold is called when a request has to wait: it keeps what those that are linked to
// it have been given by address, and starts its timeout.
func (q *request) hold() {
	for n := q.linked; n != nil; n = n.linked {
		if n.broken == 0 && n.keep() != nil {
			n.broken = -int64(syscall.EFAULT)
		}
	}
	if q.timeout != nil && !q.armed {
		q.armed = true
		q.e.run(q.timeout)
	}
}

// disarm ends the timeout of a request that has completed.
func (r *Ring) disarm(q, t *request) {
	q.timeout = nil
	if !q.armed {
		r.complete(t, -int64(syscall.ECANCELED))
		return
	}
	t.passes = true // it is no failure
	r.engine.cancel(t, -int64(syscall.ECANCELED))
}
