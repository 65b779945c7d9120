package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/inbox"
)

// Operations is what an operator sees and does: feeds, and the messages that
// came over them; never a chart. Every method writes the audit entry before it
// returns.
type Operations struct {
	reader *Reader
	r      *Record
	in     Intake
}

// Intake is where messages are applied; pipeline.Pipeline is.
type Intake interface {
	inbox.Sink
	Replay(ctx context.Context, ids ...inbox.ID) error      // applies stored messages again
	Applied(ctx context.Context, id inbox.ID) error         // waits until one is done with
	Pause(ctx context.Context, feed, who string) error      // keeps what comes from it without applying it
	Resume(ctx context.Context, feed string) error          // ends that
	Try(m inbox.Message) (became []fhir.Ref, reason string) // what it would become, or why it would be held
	Trace(m inbox.Message) Trace                            // what it would become, value by value
}

// Trace is what a message becomes today, and from which of its fields.
type Trace struct {
	Reason    string // why it would be held; there is nothing else then
	Dialect   string // by which it is read, "pas:3f2a90c1b7de"; empty: by none
	Resources []Traced
	Needed    []string // fields without which it would be held
	Unread    []string // fields that it fills and nobody reads
	Part      bool     // the message is long: its later fields were not traced
}

// Traced is a resource, with the fields that call it what it is called.
type Traced struct {
	Ref    fhir.Ref
	Called []string
	Values []TracedValue
}

// TracedValue is a value of an element and the fields that it comes from; none,
// when it is the mapping's own or stands in several.
type TracedValue struct {
	Element, Text string
	From          []string
}

// Operations runs what reader's record takes in by in.
func (r *Reader) Operations(in Intake) *Operations { return &Operations{r, r.r, in} }

// Shift is an operator at work, and how that is written down.
type Shift struct {
	Operator access.Operator
	Address  string
	Request  string
}

var errNoOperator = errors.New("record: nobody operates")

func (o *Operations) audit(ctx context.Context, s Shift, detail string, refused bool) error {
	return o.auditOf(ctx, s, detail, refused)
}

const (
	// slot is what messages are counted by: no zone is off by less.
	slot = 15 * time.Minute
	// Hours are how many of them a feed's course has.
	Hours = 24
	// maxUndone is how many messages that are not done are looked at to count
	// them by feed.
	maxUndone = 10_000

	addTally   = `INSERT INTO tally (slot, source, node, n) VALUES ($1, $2, $3, $4) ON CONFLICT (slot, source, node) DO UPDATE SET n = tally.n + excluded.n`
	tallySince = `SELECT source, slot, CAST(SUM(n) AS BIGINT) FROM tally WHERE slot >= $1 GROUP BY source, slot`
	undone     = `
		SELECT i.source, t.held, COUNT(*), MIN(i.received)
		FROM (SELECT id, held FROM todo ORDER BY id LIMIT $1) t JOIN inbox i ON i.id = t.id GROUP BY i.source, t.held`
)

// FeedState is how a feed does.
type FeedState struct {
	Source  string
	Last    time.Time  // zero: nothing came yet
	Today   int        // messages since midnight of the facility
	Lately  int        // in the last hour
	Course  [Hours]int // in each of the last hours, the latest last
	Waiting int        // taken in, not applied
	Oldest  time.Time  // of those
	Held    int        // cannot be mapped
	Letters Undone     // to its system
	Paused  *Pause     // nil: it is not
}

// Feeds is how each source does that ever sent, by name, at midnight's day. most
// says that more messages are undone than were counted.
func (o *Operations) Feeds(ctx context.Context, s Shift, midnight time.Time) (all []FeedState, most bool, err error) {
	if err := o.audit(ctx, s, "ops feeds", false); err != nil {
		return nil, false, err
	}
	return o.r.FeedStates(ctx, midnight)
}

// Pause has what comes from a feed kept and not applied, or ends that.
func (o *Operations) Pause(ctx context.Context, s Shift, source string, pause bool) error {
	what := "resume"
	if pause {
		what = "pause"
	}
	if err := o.audit(ctx, s, fmt.Sprintf("ops %s of feed %s", what, source), false); err != nil {
		return err
	}
	if pause {
		return o.in.Pause(ctx, source, s.Operator.Caller().Name())
	}
	return o.in.Resume(ctx, source)
}

// FeedStates is how each source does that ever sent or is paused, by name, and
// whether more messages are undone than were counted.
func (r *Record) FeedStates(ctx context.Context, midnight time.Time) (all []FeedState, most bool, err error) {
	known, err := r.freshness(ctx)
	if err != nil {
		return nil, false, err
	}
	at := map[string]*FeedState{}
	of := func(source string) *FeedState {
		if at[source] == nil {
			at[source] = &FeedState{Source: source}
		}
		return at[source]
	}
	for _, f := range known {
		of(f.Source).Last = f.Last
	}
	now := slotOf(r.c.Now())
	first, today := now-int64(Hours*time.Hour/slot)+1, slotOf(midnight)
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var source string
		var at, n int64
		if err := scan(&source, &at, &n); err != nil {
			return err
		}
		f := of(source)
		if at >= today {
			f.Today += int(n)
		}
		if hour := int((at - first) / int64(time.Hour/slot)); at >= first {
			f.Course[min(hour, Hours-1)] += int(n)
		}
		return nil
	}, tallySince, min(first, today))
	if err != nil {
		return nil, false, failed("count messages", err)
	}
	sum := 0
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var source string
		var held, n, oldest int64
		if err := scan(&source, &held, &n, &oldest); err != nil {
			return err
		}
		sum += int(n)
		if f := of(source); held == 1 {
			f.Held = int(n)
		} else {
			f.Waiting, f.Oldest = int(n), fromMicros(oldest)
		}
		return nil
	}, undone, int64(maxUndone))
	if err != nil {
		return nil, false, failed("count messages", err)
	}
	letters, err := r.Outbox().Undone(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, u := range letters {
		of(u.Feed).Letters = u
	}
	paused, err := r.Paused(ctx)
	if err != nil {
		return nil, false, err
	}
	for source, p := range paused {
		of(source).Paused = &p
	}
	for _, f := range at {
		f.Lately = f.Course[Hours-1]
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b FeedState) int { return cmp.Compare(a.Source, b.Source) })
	return all, sum >= maxUndone, nil
}

func slotOf(t time.Time) int64 { return t.Unix() / int64(slot/time.Second) }
