package record_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/pgtest"
	"firebreak/record"
	"firebreak/search"
)

// big is a chart with n results of 20 tests, in messages of 500.
func (w *world) big(chart string, n int) {
	w.t.Helper()
	rs := []fhir.Resource{patient(w.t, chart, "Ash", "1980-01-02", chart)}
	for i := range n {
		rs = append(rs, parse(w.t, `{"resourceType":"Observation","id":%q,"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"2951-2","display":"Sodium"}],"text":"Sodium %d"},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"20%02d-03-01T10:%02d:00Z","valueQuantity":{"value":%d,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"},"referenceRange":[{"low":{"value":135},"high":{"value":145},"text":"135 - 145"}]}`,
			thing(chart, "Observation", fmt.Sprint("r", i)).ID, i%20, key(chart), i%25, i%60, 130+i%20))
		if len(rs) == 500 {
			w.tell(rs...)
			rs = nil
		}
	}
	w.tell(rs...)
}

func benchWorlds(b *testing.B, f func(b *testing.B, w *world)) {
	b.Run("sqlite", func(b *testing.B) { f(b, open(b, "sqlite:"+filepath.Join(b.TempDir(), "record.db"))) })
	b.Run("postgres", func(b *testing.B) { f(b, open(b, pgtest.DSN(b))) })
}

// BenchmarkRead is what the record adds to a request: the chart's version is
// checked, the view searched, the audit entry written and flushed.
func BenchmarkRead(b *testing.B) {
	benchWorlds(b, func(b *testing.B, w *world) {
		w.big("a", 200)
		w.big("b", 10_000)
		me := backend(b)
		run := func(name string, f func() error) {
			b.Run(name, func(b *testing.B) {
				b.SetParallelism(8)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := f(); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
			})
		}
		ref := thing("a", "Observation", "r7")
		run("get", func() error { _, err := w.reader.Get(ctx, me, ref); return err })
		v, err := url.ParseQuery("patient=" + key("a") + "&code=2951-2&_sort=-date&_count=50")
		must(b, err)
		q, err := search.ParseQuery("Observation", v)
		must(b, err)
		run("search", func() error {
			p, err := w.reader.Search(ctx, me, q, "")
			if err == nil && len(p.Matches) != 50 {
				return fmt.Errorf("%d matches", len(p.Matches))
			}
			return err
		})
		run("find", func() error {
			_, err := w.reader.Find(ctx, me, record.Find{Family: "ash", Birth: "1980-01-02"})
			return err
		})
		b.Run("load-10000", func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				w.touch("b")
				b.StartTimer()
				if _, err := w.reader.Chart(ctx, me, thing("b", "Patient", "")); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// touch changes a chart, so that it is loaded anew.
func (w *world) touch(chart string) {
	w.tell(sodium(w.t, chart, "touched", time.Now().String()))
}

// BenchmarkWrite is messages of 12 new resources taken in and committed by 64
// at once, without mapping and labels.
func BenchmarkWrite(b *testing.B) {
	benchWorlds(b, func(b *testing.B, w *world) {
		const each = 12
		type job struct {
			m inbox.Message
			c record.Change
		}
		jobs := make(chan job, b.N)
		for n := range b.N {
			chart := fmt.Sprint("n", n%500)
			j := job{m: inbox.Message{Source: "ward", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: noon, Body: fmt.Appendf(make([]byte, 1000), "%d", n)}}
			for i := range each {
				r := result(b, chart, fmt.Sprint("m", n, "r", i), "2951-2", "Sodium", fmt.Sprintf("%0700d", n))
				j.c.Resources = append(j.c.Resources, record.Entry{Labeled: w.rules.Restore(r, nil, nil, w.rules.Version()), Chart: key(chart), At: noon})
			}
			jobs <- j
		}
		close(jobs)
		b.ResetTimer()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for j := range jobs {
					receipt, err := w.Put(ctx, j.m)
					must(b, err)
					must(b, w.Queue().Commit(ctx, record.Stored{ID: receipt.ID, Message: j.m}, j.c))
				}
			})
		}
		wg.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		b.ReportMetric(float64(each*b.N)/b.Elapsed().Seconds(), "resources/s")
	})
}
