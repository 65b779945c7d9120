package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"firebreak/inbox"
)

// Of each feed one message at a time is traced, the latest that came since, and
// the fields that nobody reads are counted by the feed's name: never a value.
func TestUnreadFieldsAreCountedByFeed(t *testing.T) {
	cfg := &Config{Data: t.TempDir(), Feeds: []Feed{{Name: "pas", Zone: "UTC"}, {Name: "lab", Zone: "UTC"}, {Name: "quiet", Zone: "UTC"}}}
	cfg.Database.Value = cfg.Data + "/record.db"
	g := &Gateway{Config: cfg, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err := g.openStores(context.Background(), Options{}); err != nil {
		t.Fatal(err)
	}
	defer g.close()
	n := 0
	put := func(source, z string) {
		n++
		_, err := g.record.Put(t.Context(), inbox.Message{Source: source, Kind: inbox.HL7v2, Received: time.Now(),
			Body: fmt.Appendf(nil, "MSH|^~\\&|A|B|||202603011200||ADT^A08|%d|P|2.5\rPID|1||77^^^H^MR||Roe^Jane\r%s\r", n, z)})
		if err != nil {
			t.Fatal(err)
		}
	}
	look := func() {
		if err := g.traces.look(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	put("pas", "ZP1|secret")
	put("pas", "ZP1||secret")
	put("pas", "ZP1|"+strings.Repeat("long ", traceSize)) // too long to trace
	put("lab", "ZL1|secret")
	look()
	look() // nothing came
	put("pas", "ZP1||secret")
	look()
	families, err := g.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if name, ok := strings.CutPrefix(f.GetName(), "firebreak_feed_"); ok {
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	want := map[string]float64{"traced_total lab": 1, "traced_total pas": 2, "traced_total quiet": 0, "unread_fields lab": 1, "unread_fields pas": 1, "unread_fields quiet": 0}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
