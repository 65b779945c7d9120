package gateway

import (
	"context"
	"fmt"
	"time"

	"firebreak/audit"
)

const (
	leastKept  = 24 * time.Hour // a text, so that a person can mend what it brought
	purgeEvery = 6 * time.Hour
)

// kept is how long the texts of a source are kept; 0 is for ever.
func (cfg *Config) kept(source string) time.Duration {
	after, named := cfg.Purge[source]
	if !named {
		after = cfg.Purge["*"]
	}
	return time.Duration(after)
}

// purge purges what is old enough now, and again and again until ctx ends. What
// cannot be purged is tried again the next time.
func (g *Gateway) purge(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		g.purgeNow(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (g *Gateway) purgeNow(ctx context.Context) {
	n, err := g.record.Purge(ctx, g.Config.kept)
	if err != nil && ctx.Err() == nil {
		g.log.Error("messages were not all purged", "error", err)
	}
	if n == 0 {
		return
	}
	g.log.Info("the texts of old messages were purged", "messages", n)
	e := audit.Event{Action: audit.Operate, Subject: "the gateway", Detail: fmt.Sprintf("texts of %d messages purged by policy", n), Address: "local"}
	if err := g.audit.Append(context.WithoutCancel(ctx), e); err != nil {
		g.log.Error("a purge was not audited", "error", err)
	}
}
