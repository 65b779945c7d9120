package record_test

import (
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"firebreak/record"
	"firebreak/search"
)

// Charts that never were are kept ready as others are, and take no more room than
// all are given, however many are asked for.
func TestUnknownChartsAreCounted(t *testing.T) {
	w := open(t, "sqlite:"+filepath.Join(t.TempDir(), "record.db"))
	must(t, w.Close())
	const room = 1 << 20
	var err error
	w.Record, err = record.Open(ctx, record.Config{DSN: w.dsn, Log: w.log, Rules: w.rules, Secret: []byte("secret of the tests"), Cache: room})
	must(t, err)
	w.reader = w.Reader(w.policy)
	me := physician(t)
	ask := func(from, to int) {
		var all sync.WaitGroup
		for lane := range 8 {
			all.Go(func() {
				for i := from + lane; i < to; i += 8 {
					q, err := search.ParseQuery("Observation", url.Values{"patient": {fmt.Sprintf("Patient/%064d", i)}})
					if err == nil {
						_, err = w.reader.Search(ctx, me, q, "")
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	ask(0, 20)
	before := heap()
	ask(20, 3000)
	if grown := heap() - before; grown > room*3/2 {
		t.Errorf("%d bytes are kept, of %d", grown, room)
	}
	runtime.KeepAlive(w.reader)
}
