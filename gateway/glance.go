package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/adapters/hl7"
	"firebreak/record"
	"firebreak/viewer"
)

// FeedLine is how a feed does: what the database knows, and this process.
type FeedLine struct {
	record.FeedState
	viewer.FeedNow
	Now  time.Time // by the gateway's clock
	Most bool      // more is undone than was counted
}

// feedNow is what this process knows of a feed.
func (g *Gateway) feedNow(name string) (n viewer.FeedNow) {
	i := slices.IndexFunc(g.Config.Feeds, func(f Feed) bool { return f.Name == name })
	if i < 0 {
		return n
	}
	if s := g.servers[name]; s != nil {
		took := s.Took()
		n.Acks, n.P50ms, n.P99ms = took.N, took.P50.Seconds()*1000, took.P99.Seconds()*1000
	}
	if d := g.Config.Feeds[i].readBy(); d != nil {
		n.Dialect = strings.TrimSpace(d.Name + " " + d.Version)
	}
	n.Hours, n.Shut = g.Config.Feeds[i].hours(), !g.Config.Feeds[i].open(g.now())
	n.Traced, n.Unread = g.traces.count(name)
	return n
}

// serves notes the server of a feed, for its figures.
func (g *Gateway) serves(name string, s *hl7.Server) {
	if g.servers == nil {
		g.servers = map[string]*hl7.Server{}
	}
	g.servers[name] = s
	g.metrics.feed(name, s)
}

// unlessPaused has a feed go and look whenever it is not paused: when it is, what
// it is at is broken off, to be begun again where it stopped.
func (g *Gateway) unlessPaused(feed string, look func(context.Context)) func(context.Context) {
	return func(ctx context.Context) {
		for g.pipeline.AwaitPaused(ctx, feed, false) == nil {
			open, stop := context.WithCancel(ctx)
			watched := make(chan struct{})
			go func() {
				defer close(watched)
				if g.pipeline.AwaitPaused(open, feed, true) == nil {
					stop()
				}
			}()
			look(open)
			stop()
			<-watched
		}
	}
}

// feeds answers with how every feed does, one FeedLine a line: those configured,
// and those that ever sent.
func (g *Gateway) feeds(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "list of feeds"); err != nil {
		return err
	}
	zone, err := time.LoadLocation(g.Config.Zone)
	if err != nil {
		return err
	}
	now := g.now()
	y, m, d := now.In(zone).Date()
	all, most, err := g.record.FeedStates(r.Context(), time.Date(y, m, d, 0, 0, 0, 0, zone))
	if err != nil {
		return err
	}
	for _, f := range g.Config.Feeds {
		if !slices.ContainsFunc(all, func(x record.FeedState) bool { return x.Source == f.Name }) {
			all = append(all, record.FeedState{Source: f.Name})
		}
	}
	slices.SortFunc(all, func(a, b record.FeedState) int { return strings.Compare(a.Source, b.Source) })
	lines := jsontext.NewEncoder(w)
	for _, x := range all {
		if err := json.MarshalEncode(lines, FeedLine{x, g.feedNow(x.Source), now, most}); err != nil {
			return err
		}
	}
	return nil
}

// pause takes {"feed", "pause"}.
func (g *Gateway) pause(_ http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Feed  string `json:"feed"`
		Pause bool   `json:"pause"`
	}
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	if _, err := g.Config.MappingFeed(ask.Feed); err != nil {
		return refusal(err.Error())
	}
	what := "resume"
	if ask.Pause {
		what = "pause"
	}
	if err := g.operated(r, fmt.Sprintf("%s of feed %s", what, ask.Feed)); err != nil {
		return err
	}
	if ask.Pause {
		return g.pipeline.Pause(r.Context(), ask.Feed, "operator "+r.Header.Get(operatorHeader))
	}
	return g.pipeline.Resume(r.Context(), ask.Feed)
}

// Feeds gives how each feed does, by name.
func (o *Operator) Feeds(ctx context.Context, each func(FeedLine)) error {
	return answers(ctx, o, "/feeds", each)
}

// Pause has what comes from a feed kept and not applied, or ends that.
func (o *Operator) Pause(ctx context.Context, feed string, pause bool) error {
	body, err := o.ask(ctx, http.MethodPost, "/feeds", map[string]any{"feed": feed, "pause": pause})
	if err != nil {
		return err
	}
	return body.Close()
}
