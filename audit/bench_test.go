package audit

import (
	"path/filepath"
	"testing"
	"testing/fstest"

	"firebreak/fhir"
	"firebreak/internal/sqldb"
)

var sample = Event{
	Action:   Search,
	Subject:  "https://login.example.org/realms/health 6f1c2f0e-2f6c-4c55-9d1e-0a8f2f1f6a11",
	Patient:  fhir.Ref{Type: "Patient", ID: "abcdefghijklmnop"},
	Entities: []fhir.Ref{{Type: "Observation", ID: "abcdefghijklmnop-abcdefghijklmnopqrst"}, {Type: "Observation", ID: "abcdefghijklmnop-abcdefghijklmnopqrsu"}},
	Detail:   "Observation _sort,code,patient",
	Address:  "192.0.2.7",
	Request:  "01KAZ0000000000000000000",
}

// BenchmarkAppend compares where the log could live. Both are durable when they
// return, and both share one flush among 16 goroutines.
func BenchmarkAppend(b *testing.B) {
	b.Run("files", func(b *testing.B) {
		l, err := Open(b.TempDir(), clock)
		must(b, err)
		defer l.Close()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				must(b, l.Append(ctx, sample))
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("sqlite", func(b *testing.B) {
		db, err := sqldb.Open(ctx, filepath.Join(b.TempDir(), "audit.db"), "audit", fstest.MapFS{
			"001_log.sql": {Data: []byte("CREATE TABLE log (n @serial, line @bytes);")},
		})
		must(b, err)
		defer db.Close()
		type entry struct {
			event []byte
			done  chan error
		}
		queue := make(chan entry, backlog)
		go func() {
			for first := range queue {
				group := []entry{first}
				for more := true; more && len(group) < backlog; {
					select {
					case w := <-queue:
						group = append(group, w)
					default:
						more = false
					}
				}
				at := genesis
				err := db.Write(ctx, func(tx *sqldb.Tx) error {
					for _, w := range group {
						var line []byte
						line, at = appendLine(nil, at, w.event)
						if _, err := tx.Exec(ctx, "INSERT INTO log (line) VALUES ($1)", line); err != nil {
							return err
						}
					}
					return nil
				})
				for _, w := range group {
					w.done <- err
				}
			}
		}()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				w := entry{event: sample.encode(), done: make(chan error, 1)}
				queue <- w
				must(b, <-w.done)
			}
		})
		close(queue)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}
