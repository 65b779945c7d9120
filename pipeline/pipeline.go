// Package pipeline makes resources of stored messages: it maps, labels and
// commits each one, in order for one patient, many patients at once.
//
// A message is acknowledged when it is on disk and applied soon after. What
// cannot be mapped is held whole with its reason and stops nothing. A process
// that dies leaves its messages pending; the next one applies them. Applying a
// message twice, on one node or two, ends in the same state as once.
package pipeline

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/label"
	"firebreak/mapping"
	"firebreak/record"
)

const (
	// sweepEvery is how often messages are looked for that nobody works on:
	// released by another process, or left by a node that died.
	sweepEvery = 15 * time.Second
	// sweepPage is how many messages are read from the database at a time.
	sweepPage = 64
)

// Config is what may be set.
type Config struct {
	Logger *slog.Logger // nil: discards
}

// Pipeline is between the inbox and the record. It is safe for many goroutines.
type Pipeline struct {
	record *record.Record
	queue  *record.Queue
	keys   *mapping.Keys
	rules  *label.Rules
	log    *slog.Logger
	apply  func(*mapping.Keys, inbox.Message) (mapping.Result, error) // mapping.Map

	seed   maphash.Seed
	pauses pauses
	sweep  chan struct{} // asks for a sweep at once
	ended  chan struct{} // closed when Run has ended

	applied, held, retried atomic.Int64

	feedRoom int64         // of each feed
	turn     chan struct{} // holds one for each message that is mapped beside those in their feeds' own turns

	mu      sync.Mutex
	working map[inbox.ID]chan struct{}  // in a lane; closed when done with
	feeds   map[string]*feed            // by source
	begin   func(func(context.Context)) // has work done while Run goes on; nil before
	ending  bool                        // nothing more is begun
}

// job is a message in a lane. It is doubtful when a sweep and its Put may both
// have put it there: it goes to the same lane twice then, and whoever comes
// second finds that it is no longer pending.
type job struct {
	record.Stored
	doubtful bool
}

var _ inbox.Sink = (*Pipeline)(nil)

// Remake is for record.Config: a stored message as the resources it is mapped to.
func Remake(keys *mapping.Keys) func(inbox.Message) ([]fhir.Resource, error) {
	return func(m inbox.Message) (all []fhir.Resource, err error) {
		defer func() {
			if x := recover(); x != nil {
				all, err = nil, errors.New("pipeline: mapping failed by a fault of its own at "+panicPlace())
			}
		}()
		result, err := mapping.Map(keys, m)
		return resourcesOf(result), err
	}
}

func resourcesOf(result mapping.Result) []fhir.Resource {
	all := make([]fhir.Resource, len(result.Resources))
	for i, r := range result.Resources {
		all[i] = r.Resource
	}
	return all
}

// New makes a pipeline; nothing is applied before Run.
func New(r *record.Record, keys *mapping.Keys, rules *label.Rules, c Config) *Pipeline {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pipeline{
		record: r, queue: r.Queue(), keys: keys, rules: rules, log: c.Logger, apply: mapping.Map,
		seed: maphash.MakeSeed(), sweep: make(chan struct{}, 1), ended: make(chan struct{}), pauses: pauses{changed: make(chan struct{})},
		// One processor is left for what comes in: mapping on all of them would stand
		// between a message and its acknowledgement.
		feedRoom: feedRoom, turn: make(chan struct{}, max(0, runtime.GOMAXPROCS(0)-2)), working: map[inbox.ID]chan struct{}{}, feeds: map[string]*feed{},
	}
}

// Put stores a message and hands it on, unless its feed is paused; see inbox.Sink. When the feed's
// lanes are full it waits, which slows its sender; when its context ends while it waits
// the message is stored all the same, and is applied later.
func (p *Pipeline) Put(ctx context.Context, m inbox.Message) (inbox.Receipt, error) {
	f := p.feed(m.Source)
	sweep := f.swept.Load()
	receipt, err := p.record.Put(ctx, m)
	if err != nil || receipt.Duplicate {
		return receipt, err
	}
	if p.Paused(m.Source) {
		return receipt, nil // a sweep takes it when that is over
	}
	doubtful := sweep != f.swept.Load() || sweep%2 == 1
	if !p.dispatch(ctx, job{record.Stored{ID: receipt.ID, Message: m}, doubtful}) {
		p.sweepSoon()
	}
	return receipt, nil
}

// dispatch puts a message into its patient's lane, unless it is in one; false
// when ctx ended first.
func (p *Pipeline) dispatch(ctx context.Context, s job) bool {
	p.mu.Lock()
	if p.working[s.ID] != nil {
		p.mu.Unlock()
		return true
	}
	p.working[s.ID] = make(chan struct{})
	p.mu.Unlock()
	f, size := p.feed(s.Source), int64(len(s.Body)+jobSize)
	if f.room.take(ctx, p.ended, size) {
		if p.enqueue(f, s) {
			return true
		}
		f.room.give(size)
	}
	p.finish(s.ID)
	return false
}

func (p *Pipeline) finish(id inbox.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done := p.working[id]; done != nil {
		close(done)
		delete(p.working, id)
	}
}

// freed has messages applied that became pending: those that are still worked on, by
// which they had been done, after that.
func (p *Pipeline) freed(ids []inbox.ID) {
	p.sweepSoon()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if done := p.working[id]; done != nil {
			go func() {
				<-done
				p.sweepSoon()
			}()
		}
	}
}

func (p *Pipeline) sweepSoon() {
	select {
	case p.sweep <- struct{}{}:
	default:
	}
}

// Run applies messages until ctx ends, beginning with those that an earlier
// process left, in order. It then finishes what is in the lanes and returns
// nil. It may run once.
func (p *Pipeline) Run(ctx context.Context) error {
	var hands sync.WaitGroup
	p.mu.Lock()
	if p.begin != nil {
		p.mu.Unlock()
		return errors.New("pipeline: it runs already")
	}
	p.begin = func(work func(context.Context)) { hands.Go(func() { work(ctx) }) }
	for _, f := range p.feeds {
		for n := range f.lanes {
			p.attend(f, n)
		}
	}
	p.mu.Unlock()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watchPaused(ctx)
	}()
	p.sweeps(ctx)
	<-watched
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	hands.Wait()
	close(p.ended)
	return nil
}

// sweeps applies what is pending: all of it at first and when asked, later only
// what was pending at the sweep before too, for another node may be at work.
func (p *Pipeline) sweeps(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var before inbox.ID
	for {
		select {
		case <-p.sweep:
			p.sweepAll(ctx, 0)
		case <-tick.C:
			stats, err := p.record.Stats(ctx)
			if err == nil && stats.Pending > 0 && before > 0 {
				p.sweepAll(ctx, before)
			}
			before = stats.Last
		case <-ctx.Done():
			return
		}
	}
}

// sweepAll sweeps each feed that has pending messages, each by itself.
func (p *Pipeline) sweepAll(ctx context.Context, last inbox.ID) {
	sources, err := p.queue.Sources(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.log.Error("pending messages cannot be read", "error", err)
		}
		return
	}
	for _, source := range sources {
		p.sweepFeed(source, last)
	}
}

// sweepUpTo dispatches a feed's pending messages up to one of them; 0 is all.
func (p *Pipeline) sweepUpTo(ctx context.Context, f *feed, source string, last inbox.ID) {
	var after inbox.ID
	f.swept.Add(1)
	defer f.swept.Add(1)
	for ctx.Err() == nil {
		page, err := p.queue.Pending(ctx, source, after, sweepPage)
		if err != nil {
			if ctx.Err() == nil {
				p.log.Error("pending messages cannot be read", "error", err)
			}
			return
		}
		for _, s := range page {
			if last > 0 && s.ID > last || !p.dispatch(ctx, job{s, true}) {
				return
			}
			after = s.ID
		}
		if len(page) < sweepPage {
			return
		}
	}
}

// work applies one message or holds it. When the database fails it tries
// again until ctx ends: the messages behind it must wait, to stay in order.
func (p *Pipeline) work(ctx context.Context, f *feed, s job) {
	defer p.finish(s.ID)
	defer f.room.give(int64(len(s.Body) + jobSize))
	if p.Paused(s.Source) {
		return // it stays pending
	}
	if s.doubtful {
		if state, _, err := p.record.State(ctx, s.ID); err == nil && state != record.Pending {
			return
		}
	}
	var change record.Change
	var reason string
	made := false
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		var err error
		if !made {
			change, reason, err = p.make(&s.Stored)
			made = err == nil
		}
		if err == nil {
			err = p.store(s.Stored, change, reason)
		}
		var held *inbox.HeldError
		switch {
		case err == nil && reason == "":
			p.applied.Add(1)
			return
		case err == nil:
			p.held.Add(1)
			p.log.Warn("a message is held", "id", s.ID, "source", s.Source, "reason", reason)
			return
		case errors.As(err, &held):
			reason = held.Reason
			continue
		case errors.Is(err, record.ErrMoved):
			s.Found, made = nil, false
			if s.Moves, err = p.queue.Moves(context.Background(), change.Named); err == nil {
				continue
			}
		}
		p.retried.Add(1)
		p.log.Error("a message cannot be stored, trying again", "id", s.ID, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return // it stays pending
		}
	}
}

// store is not broken off: what is in hand is finished.
func (p *Pipeline) store(s record.Stored, change record.Change, reason string) error {
	ctx := context.Background()
	if change.Held != "" {
		return p.queue.Commit(ctx, s, change)
	}
	if reason != "" && len(s.Moves) > 0 { // what was said before it moved may not stay
		var named []string
		for _, m := range s.Moves {
			named = append(named, m.From)
		}
		return p.queue.Commit(ctx, s, record.Change{At: s.Received, Named: slices.Compact(named), Held: reason})
	}
	if reason != "" {
		return p.queue.Hold(ctx, s.ID, reason)
	}
	return p.queue.Commit(ctx, s, change)
}

// make looks for what a message leaves to be found, and maps it. reason says why
// it cannot be; an error, that the database does not answer.
func (p *Pipeline) make(s *record.Stored) (change record.Change, reason string, err error) {
	found, plan, err := p.queue.Look(context.Background(), *s)
	if e, ok := errors.AsType[*fhir.Error](err); ok {
		if e.Expression != "" {
			return record.Change{}, e.Expression + ": " + e.Text, nil
		}
		return record.Change{}, e.Text, nil
	}
	if err != nil {
		return record.Change{}, "", err
	}
	s.Found = found
	if s.ID != 0 { // of one that is only tried it is what it was mapped with, if it was
		s.Before = nil
	}
	change, reason = p.mapped(*s, nil)
	if change.Part != nil && len(s.Before) == 0 {
		var of []label.Label
		if s.Before, of, err = p.queue.Before(context.Background(), *s, change); err != nil {
			return record.Change{}, "", err
		}
		if len(s.Before) > 0 {
			change, reason = p.mapped(*s, of)
		}
	}
	change.Plan = plan
	return change, reason, nil
}

// mapped maps and labels a message. of are the labels of what it goes on from. reason
// says why it cannot be; a fault in our own code is a reason too.
func (p *Pipeline) mapped(s record.Stored, of []label.Label) (change record.Change, reason string) {
	over := p.mapTurn(p.feed(s.Source))
	defer over()
	defer func() {
		if x := recover(); x != nil {
			// Its kind and place, not its value, which may hold patients' data.
			p.log.Error("mapping failed by a fault of its own", "id", s.ID, "kind", kindOf(x), "at", panicPlace())
			change, reason = record.Change{}, "this message meets a fault in the gateway; it can be replayed after the fix"
		}
	}()
	result, err := p.apply(p.keys, s.Message)
	if err != nil {
		var known *mapping.Error
		if !errors.As(err, &known) {
			return record.Change{}, "this message cannot be read"
		}
		if part := result.Part; part != nil {
			change = record.Change{At: result.At, Named: []string{result.Patient.ID}, Part: partOf(part), Dialect: result.Dialect, Freed: p.freed}
			if !s.Severed() {
				change.Held = known.Error()
			}
		}
		return change, known.Error()
	}
	for _, note := range result.Notes {
		p.log.Debug("a part of a message was left out", "id", s.ID, "source", s.Source, "note", note)
	}
	change.Dialect, change.Corrects, change.Freed = result.Dialect, result.Corrects, p.freed
	change.At, change.Moves = result.At, result.Moves
	if result.Part != nil {
		change.Part = partOf(result.Part)
	}
	if change.Named = result.Named; change.Named == nil && s.Kind == inbox.HL7v2 {
		change.Named = []string{result.Patient.ID}
	}
	change.Resources = make([]record.Entry, 0, len(result.Resources))
	for i, l := range label.Beside(p.label(s.Message, result), of) {
		r := result.Resources[i]
		if r.Chart == "" && !r.Deleted {
			r.Chart = result.Patient.ID
		}
		change.Resources = append(change.Resources, record.Entry{Labeled: l, Chart: r.Chart, At: r.At, Deleted: r.Deleted, Alias: r.Given, Stays: r.Stays, Found: r.Found, Repeats: r.Repeats, Place: r.Place, To: r.To, Answers: r.Answers, Lasts: r.Lasts, Whole: r.Whole})
	}
	if e := result.Edition; e != nil {
		change.Edition = &record.Edition{Name: e.Name, Series: e.Series, Number: e.Number, At: result.At, Replaces: e.Replaces}
	}
	for _, l := range result.Links {
		change.Links = append(change.Links, record.Link{From: l.From.ID, Into: l.Into.ID, At: l.At, Undo: l.Undo})
	}
	return change, ""
}

func partOf(p *mapping.Part) *record.Part {
	return &record.Part{Chart: p.Chart, ID: p.Appointment, Asked: p.Asked}
}

// label judges what a message says; of one about two patients (a swap of beds) what
// it says of each by itself, as the record does when it judges again.
func (p *Pipeline) label(m inbox.Message, result mapping.Result) []label.Labeled {
	all := resourcesOf(result)
	first := slices.IndexFunc(result.Resources, func(r mapping.Resource) bool { return r.Chart != "" && r.Chart != result.Patient.ID })
	if !m.Apart() || first < 0 {
		return p.rules.Label(m.Source, all)
	}
	var labeled []label.Labeled
	for at := 0; at < len(all); {
		n := slices.IndexFunc(result.Resources[at:], func(r mapping.Resource) bool { return r.Chart != result.Resources[at].Chart })
		if n < 0 {
			n = len(all) - at
		}
		labeled = append(labeled, p.rules.Label(m.Source, all[at:at+n])...)
		at += n
	}
	return labeled
}

// Applied waits until message id is done with. An *inbox.HeldError says that
// it is held, and why; inbox.ErrPaused that its feed is paused.
func (p *Pipeline) Applied(ctx context.Context, id inbox.ID) error {
	for {
		p.mu.Lock()
		done := p.working[id]
		p.mu.Unlock()
		if done == nil {
			state, reason, err := p.record.State(ctx, id)
			switch {
			case err != nil:
				return err
			case state == record.Done:
				return nil
			case state == record.OnHold:
				return &inbox.HeldError{Reason: reason}
			case state == record.SetAside:
				return &inbox.HeldError{Reason: "it is set aside: take it back first; it was held: " + reason}
			case state == record.Unknown:
				return record.ErrUnknown
			}
			if paused, err := p.record.OfPaused(ctx, id); err != nil {
				return err
			} else if paused {
				return inbox.ErrPaused
			}
		}
		select {
		case <-done: // never, when another node has it: then the clock
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Try tells what a message would become now, or why it would be held. Nothing is
// stored.
func (p *Pipeline) Try(m inbox.Message) (became []fhir.Ref, reason string) {
	return p.try(&record.Stored{Message: m})
}

func (p *Pipeline) try(s *record.Stored) (became []fhir.Ref, reason string) {
	change, reason, err := p.make(s)
	if err != nil {
		reason = "the database does not answer"
	}
	for _, e := range change.Resources {
		became = append(became, e.Resource().Ref())
	}
	return became, reason
}

// traceWork is how many bytes of messages are mapped to trace one: about a second's.
const traceWork = 4 << 20

// Trace tells what a message would become now, value by value.
func (p *Pipeline) Trace(m inbox.Message) (t record.Trace) {
	s := record.Stored{Message: m}
	if _, t.Reason = p.try(&s); t.Reason != "" {
		return t
	}
	m = s.Message
	defer func() {
		if x := recover(); x != nil { // it maps, and a part of it does not
			p.log.Error("a trace failed by a fault of its own", "kind", kindOf(x), "at", panicPlace())
			t.Part = true
		}
	}()
	all, err := mapping.TraceOf(p.keys, m, traceWork)
	if err != nil {
		t.Part = true
		return t
	}
	t.Dialect, t.Part = strings.TrimPrefix(all.Dialect, mapping.DialectURN), all.Part
	for _, r := range all.Resources {
		x := record.Traced{Ref: r.Ref, Called: r.Called}
		for _, v := range r.Values {
			x.Values = append(x.Values, record.TracedValue{Element: v.Element, Text: v.Text, From: v.From})
		}
		t.Resources = append(t.Resources, x)
	}
	for _, f := range all.Fields {
		if f.Needed != "" {
			t.Needed = append(t.Needed, f.Place)
		}
	}
	t.Unread = mapping.Unread(all.Fields)
	return t
}

// Replay applies stored messages again, held or done, in order of arrival and
// as received at their time; use Applied to wait for them.
func (p *Pipeline) Replay(ctx context.Context, ids ...inbox.ID) error {
	for _, id := range ids {
		switch m, err := p.queue.Message(ctx, id); {
		case err != nil:
			return err
		case m.Severed():
			return record.ErrPurged
		}
	}
	if err := p.queue.Release(ctx, ids...); err != nil {
		return err
	}
	p.sweepSoon()
	return nil
}

// ReplayHeld applies every held message again and returns their numbers.
func (p *Pipeline) ReplayHeld(ctx context.Context) ([]inbox.ID, error) {
	var all []inbox.ID
	for {
		var after inbox.ID
		if len(all) > 0 {
			after = all[len(all)-1]
		}
		page, err := p.record.Held(ctx, after, 1000)
		if err != nil {
			return nil, err
		}
		for _, h := range page {
			all = append(all, h.ID)
		}
		if len(page) == 0 {
			break
		}
	}
	if err := p.queue.Release(ctx, all...); err != nil {
		return nil, err
	}
	p.sweepSoon()
	return all, nil
}

// Counts are what this process has done, for the metrics.
type Counts struct {
	Applied, Held, Retried int64
	Working                int // in the lanes now
}

// Counts counts.
func (p *Pipeline) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Counts{p.applied.Load(), p.held.Load(), p.retried.Load(), len(p.working)}
}
