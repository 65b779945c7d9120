package gateway

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"firebreak/inbox"
	"firebreak/record"
)

// Each source's texts are kept as long as the configuration says of it, or of those
// that it does not name.
func TestTextsArePurgedByPolicy(t *testing.T) {
	const day = 24 * time.Hour
	cfg := &Config{Data: t.TempDir(), Purge: map[string]Duration{"*": Duration(10 * day), "lab": Duration(day)}, Feeds: []Feed{{Name: "pas", Zone: "UTC"}, {Name: "lab", Zone: "UTC"}}}
	cfg.Database.Value = cfg.Data + "/record.db"
	g := &Gateway{Config: cfg, now: time.Now, log: slog.New(slog.DiscardHandler)}
	if err := g.openStores(context.Background(), Options{}); err != nil {
		t.Fatal(err)
	}
	defer g.close()
	stored := map[string]inbox.ID{}
	for name, x := range map[string]struct {
		source string
		age    time.Duration
	}{"pas, new": {"pas", 5 * day}, "pas, old": {"pas", 11 * day}, "lab, new": {"lab", 23 * time.Hour}, "lab, old": {"lab", 5 * day}} {
		m := inbox.Message{Source: x.source, Kind: inbox.HL7v2, ControlID: name, Received: time.Now().Add(-x.age), Body: []byte(name)}
		receipt, err := g.record.Put(t.Context(), m)
		if err == nil {
			err = g.record.Queue().Commit(t.Context(), record.Stored{ID: receipt.ID, Message: m}, record.Change{})
		}
		if err != nil {
			t.Fatal(err)
		}
		stored[name] = receipt.ID
	}
	before := g.audit.Head().N
	g.purgeNow(t.Context())
	g.purgeNow(t.Context())
	for name, id := range stored {
		_, err := g.record.Queue().Message(t.Context(), id)
		if old := name == "pas, old" || name == "lab, old"; errors.Is(err, record.ErrPurged) != old || !old && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := g.audit.Head().N - before; n != 1 {
		t.Errorf("%d entries in the audit log", n)
	}
	if (&Config{}).kept("pas") != 0 {
		t.Error("without a policy something is purged")
	}
}
