package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"firebreak/inbox"
	"firebreak/mapping"
)

// A feed sends what is mapped without end, until its senders wait: huge messages,
// messages of one patient, messages of nobody, and a backlog that an earlier
// process left. Not one of them is finished, and all that another feed sends, and
// what it had left itself, is acknowledged and applied.
func TestOnePoisonedFeedNeverSlowsAnother(t *testing.T) {
	nobodys := func(n int) []byte {
		return fmt.Appendf(nil, "MSH|^~\\&|LAB||||||ORU^R01|%d|T|2.3\rPID|1|||||Name\r", n)
	}
	for name, body := range map[string]func(n int) []byte{
		"slow, of many patients": oru,
		"slow, of one patient":   func(n int) []byte { return oru(n * patients) },
		"to be held":             nobodys,
		"huge":                   func(n int) []byte { return append(oru(n), bytes.Repeat([]byte("NTE|1||x\r"), 60_000)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dsn := t.TempDir() + "/record.db"
			poison := func(n int) inbox.Message {
				m := message(n)
				m.Source, m.Body = "poison", body(n)
				return m
			}
			s := start(t, dsn, nil)
			must(t, s.AwaitPaused(ctx, "lab", false))
			var left []inbox.ID
			for n := range 100 { // as if killed before they were dispatched
				_, err := s.Record.Put(ctx, poison(1000+n))
				must(t, err)
				if n >= 90 {
					r, err := s.Record.Put(ctx, message(1000+n))
					must(t, err)
					left = append(left, r.ID)
				}
			}
			s.stop()

			gate := make(chan struct{})
			open := sync.OnceFunc(func() { close(gate) })
			s = start(t, dsn, nil, func(p *Pipeline) {
				p.feedRoom = 40 * int64(jobSize+len(oru(1)))
				apply := p.apply
				p.apply = func(k *mapping.Keys, m inbox.Message) (mapping.Result, error) {
					if m.Source == "poison" {
						<-gate
					}
					return apply(k, m)
				}
			})
			t.Cleanup(open)
			senders, away := context.WithCancel(ctx)
			var sending sync.WaitGroup
			for c := range 8 {
				sending.Go(func() {
					for n := 0; senders.Err() == nil; n++ {
						_, _ = s.Put(senders, poison(c*1000+n))
					}
				})
			}
			for _, id := range left {
				must(t, s.Applied(ctx, id))
			}
			for n := range 100 {
				s.put(t, message(n))
			}
			c := s.Counts()
			if c.Applied != 110 || c.Held != 0 || c.Working == 0 {
				t.Errorf("%+v: the poison was applied, or was none", c)
			}
			away()
			open()
			sending.Wait()
			if strings.HasPrefix(name, "huge") {
				s.stop() // what waits waits on disk
			}
		})
	}
}
