package pipeline

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"firebreak/inbox"
	"firebreak/internal/corpus"
	"firebreak/internal/pgtest"
)

// BenchmarkIngest is messages a second from 16 senders until all are applied.
func BenchmarkIngest(b *testing.B) {
	messages := corpus.Stream(b)
	run := func(b *testing.B, dsn func() string) {
		for range b.N {
			s := start(b, dsn(), nil)
			began := time.Now()
			var waits []time.Duration
			var mu sync.Mutex
			queue := make(chan []byte)
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					for m := range queue {
						sent := time.Now()
						_, err := s.Put(ctx, inbox.Message{Source: "simhospital", Kind: inbox.HL7v2, Received: sent, Body: m})
						must(b, err)
						mu.Lock()
						waits = append(waits, time.Since(sent))
						mu.Unlock()
					}
				})
			}
			for _, m := range messages {
				queue <- m
			}
			close(queue)
			wg.Wait()
			accepted := time.Since(began)
			for s.Counts().Working > 0 {
				time.Sleep(time.Millisecond)
			}
			total := time.Since(began)
			b.ReportMetric(float64(len(messages))/total.Seconds(), "messages/s")
			b.ReportMetric(float64(len(messages))/accepted.Seconds(), "accepted/s")
			b.ReportMetric(float64(s.Counts().Held), "held")
			b.ReportMetric(percentile(waits, 99).Seconds()*1000, "p99-ms")
			s.stop()
		}
	}
	n := 0
	b.Run("sqlite", func(b *testing.B) {
		run(b, func() string { n++; return fmt.Sprintf("sqlite:%s/%d.db", b.TempDir(), n) })
	})
	b.Run("postgres", func(b *testing.B) { run(b, func() string { return pgtest.DSN(b) }) })
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[len(d)*p/100]
}
