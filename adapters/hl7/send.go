package hl7

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bulk sends many messages over several connections. A message goes over the
// first connection that is free once everything before it about the same patient
// (first number in PID-3) has been answered. One that joins two patients (MRG, or
// a second PID) is about both: it waits for both, and both wait for it.
type Bulk struct {
	Client      func() *Client // makes one connection's client
	Connections int            // default 1

	// Attempts is how often a message is sent that gets no answer; default 3,
	// with Pause between, doubled each time; default 200 ms. An answer, good or
	// bad, ends them.
	Attempts int
	Pause    time.Duration

	// Progress, where set, is called behind each message, never twice at once.
	Progress func(Counts)

	Now func() time.Time // default time.Now
}

// Counts says how far a Bulk is. CA, CE and CR count as AA, AE and AR.
type Counts struct {
	Read       int // messages taken from the input
	AA, AE, AR int
	Unasked    int // sent; the message wants no answer (MSH-15, MSH-16)
	Unanswered int // sent, perhaps arrived; every attempt timed out or broke
	Unreadable int // not sent: no message by Parse, or a file that cannot be read
}

// Done counts the messages with an outcome.
func (c Counts) Done() int { return c.AA + c.AE + c.AR + c.Unasked + c.Unanswered + c.Unreadable }

// Result is what became of a Bulk's messages.
type Result struct {
	Counts
	Elapsed time.Duration
	Faults  []Fault // the first maxFaults that were not taken, in no order

	latencies []time.Duration // of each answer, sorted
}

const maxFaults = 100

// A Fault is one message that was not taken.
type Fault struct {
	Name string  // of the file
	Line int     // where the message begins in it
	Code AckCode // empty: no answer
	Err  error   // never holds content: the place and the kind that ERR names, or what failed here
}

func (f Fault) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s:%d: %s %v", f.Name, f.Line, f.Code, f.Err))
}

// Rate gives the answered messages per second.
func (r Result) Rate() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(len(r.latencies)) / r.Elapsed.Seconds()
}

// Percentile gives the time within which p per cent of the answers came,
// measured from the message's first byte; 0 without answers.
func (r Result) Percentile(p float64) time.Duration {
	n := len(r.latencies)
	if n == 0 {
		return 0
	}
	i := int(p / 100 * float64(n))
	return r.latencies[min(max(i, 0), n-1)]
}

// Send sends all messages of parts, which Files gives. It stops early only when
// the context ends or no connection can be made; the result counts what was
// done until then.
func (b *Bulk) Send(ctx context.Context, parts iter.Seq2[FilePart, error]) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run := &bulkRun{Bulk: b, ctx: ctx, cancel: cancel}
	if run.now = b.Now; run.now == nil {
		run.now = time.Now
	}
	start := run.now()
	connections := max(b.Connections, 1)
	run.room = make(chan struct{}, window*connections)
	run.ready = make(chan *letter, cap(run.room))
	var workers sync.WaitGroup
	for range connections {
		workers.Go(run.connection)
	}
	for part, err := range parts {
		if ctx.Err() != nil {
			break
		}
		run.post(part, err)
	}
	run.open.Wait()
	close(run.ready)
	workers.Wait()
	run.result.Elapsed = run.now().Sub(start)
	slices.Sort(run.result.latencies)
	return run.result, context.Cause(ctx)
}

// window is how many messages are read ahead for each connection.
const window = 16

// letter is one message on its way.
type letter struct {
	name     string
	line     int
	m        *Message
	patients []string  // whom it is about
	behind   []*letter // what waits for it
	waits    int       // for so many
}

type bulkRun struct {
	*Bulk
	ctx    context.Context
	cancel context.CancelCauseFunc
	now    func() time.Time
	room   chan struct{}  // holds one for each letter that is posted and without outcome
	open   sync.WaitGroup // the same letters
	ready  chan *letter   // those that wait for none; never full

	mu     sync.Mutex
	last   map[string]*letter // of each patient, while without outcome
	result Result
}

// post sends a message on its way, when there is room.
func (r *bulkRun) post(part FilePart, err error) {
	l := &letter{name: part.Name, line: part.Line}
	if err == nil {
		if part.Kind != MessagePart {
			return
		}
		l.m, err = Parse(part.Message())
	}
	if err != nil {
		r.mark(l, func(c *Result) { c.Read++; c.Unreadable++ }, "", err)
		return
	}
	select {
	case r.room <- struct{}{}:
	case <-r.ctx.Done():
		return
	}
	r.open.Add(1)
	l.patients = patientsOf(l.m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Read++
	if r.last == nil {
		r.last = map[string]*letter{}
	}
	for _, patient := range l.patients {
		if before := r.last[patient]; before != nil {
			before.behind = append(before.behind, l)
			l.waits++
		}
		r.last[patient] = l
	}
	if l.waits == 0 {
		r.ready <- l
	}
}

// done lets go what waited for a letter.
func (r *bulkRun) done(l *letter) {
	r.mu.Lock()
	for _, patient := range l.patients {
		if r.last[patient] == l {
			delete(r.last, patient)
		}
	}
	for _, next := range l.behind {
		if next.waits--; next.waits == 0 {
			r.ready <- next
		}
	}
	r.mu.Unlock()
	<-r.room
	r.open.Done()
}

// patientsOf gives the patients a message is about, each once: the first number
// in the PID-3 of each PID and the MRG-1, or else MRG-4, of each MRG. One without
// a number goes by the whole field; what names nobody is kept in order too.
func patientsOf(m *Message) (all []string) {
	add := func(f Field) {
		key := strings.TrimSpace(f.Component(1).String())
		if key == "" {
			key = f.Raw()
		}
		if !slices.Contains(all, key) {
			all = append(all, key)
		}
	}
	for pid := range m.All("PID") {
		add(pid.Field(3))
	}
	for mrg := range m.All("MRG") {
		f := mrg.Field(1)
		if !f.Present() {
			f = mrg.Field(4)
		}
		add(f)
	}
	if len(all) == 0 {
		all = append(all, "")
	}
	return all
}

// connection sends what may be sent, one after another.
func (r *bulkRun) connection() {
	client := r.Client()
	defer client.Close()
	for l := range r.ready {
		if r.ctx.Err() == nil {
			r.deliver(client, l)
		}
		r.done(l)
	}
}

func (r *bulkRun) deliver(client *Client, l *letter) {
	wire := l.m.Wire()
	attempts, pause := or(r.Attempts, 3), or(r.Pause, 200*time.Millisecond)
	for attempt := 1; ; attempt++ {
		sent := r.now()
		answer, err := client.Send(r.ctx, wire)
		took := r.now().Sub(sent)
		if err == nil {
			r.answered(l, answer, took)
			return
		}
		if r.ctx.Err() != nil || attempt == attempts {
			var lost *Unanswered
			if !errors.As(err, &lost) && !errors.Is(err, ErrCommitRefused) && r.ctx.Err() == nil {
				r.cancel(err) // nothing was sent: nobody is there
			}
			r.mark(l, func(c *Result) { c.Unanswered++ }, "", err)
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-r.ctx.Done():
		}
	}
}

func (r *bulkRun) answered(l *letter, a Answer, took time.Duration) {
	var err error
	if a.Code != "" && !a.Code.Positive() {
		err = told(a.Message)
	}
	r.mark(l, func(c *Result) {
		switch a.Code {
		case AA, CA:
			c.AA++
		case AE, CE:
			c.AE++
		case AR, CR:
			c.AR++
		default:
			c.Unasked++
			return
		}
		c.latencies = append(c.latencies, took)
	}, a.Code, err)
}

// mark records an outcome.
func (r *bulkRun) mark(l *letter, count func(*Result), code AckCode, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(&r.result)
	if err != nil && len(r.result.Faults) < maxFaults {
		r.result.Faults = append(r.result.Faults, Fault{l.name, l.line, code, err})
	}
	if r.Progress != nil {
		r.Progress(r.result.Counts)
	}
}

// Err is what a negative answer names: the place and the kind of its first ERR.
// The receiver's own words stay out, because they may quote the message. A
// positive one's is nil.
func (a Answer) Err() error {
	if a.Code == "" || a.Code.Positive() {
		return nil
	}
	return told(a.Message)
}

// Busy tells whether a negative answer says that the fault is the receiver's own
// or that what it needs is locked, so that the same message may be sent again.
func (a Answer) Busy() bool {
	if a.Err() == nil {
		return false
	}
	_, code := faulty(a.Message)
	n, _ := counted(code)
	return Code(n) == Locked || Code(n) == Internal
}

// faulty gives where the first ERR says that the fault is, and its code.
func faulty(ack *Message) (place Repetition, code string) {
	e := ack.Segment("ERR")
	place, code = e.Field(2).Rep(0), e.Field(3).Component(1).String()
	if !place.Present() && code == "" { // before v2.5
		place = e.Field(1).Rep(0)
		code = place.Component(4).Sub(1).String()
	}
	return place, code
}

func told(ack *Message) error {
	place, code := faulty(ack)
	fe := &FieldError{Segment: place.Component(1).String(), Reason: "refused by the receiver"}
	if !isName(fe.Segment) {
		return errors.New(fe.Reason)
	}
	fe.Field, _ = counted(place.Component(3).String())
	if n, ok := counted(code); ok && Code(n).String() != "" {
		fe.Reason = Code(n).String()
	}
	return fe
}
