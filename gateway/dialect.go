package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/record"
)

// ReadDialect reads a dialect's file, and those of its tables. Errors name the file
// and the line, a line each.
func ReadDialect(path string) (*mapping.Dialect, error) {
	text, origin, err := dialectText(path)
	if err != nil {
		return nil, err
	}
	d, err := mapping.ReadDialect(text)
	if err != nil {
		return nil, placed(err, origin)
	}
	return d, nil
}

// dialectInForce is the dialect that a feed is read by, until it is loaded anew.
type dialectInForce struct {
	atomic.Pointer[mapping.Dialect]
}

// readBy is the dialect that the feed's messages are read by; nil: none.
func (f *Feed) readBy() *mapping.Dialect {
	if f.dialect == nil {
		return nil
	}
	return f.dialect.Load()
}

// dialectFiles are the files of the feeds' dialects, as two processes understand them.
func (cfg *Config) dialectFiles() map[string]string {
	files := map[string]string{}
	for _, f := range cfg.Feeds {
		if f.Dialect != "" {
			files[f.Name] = absolute(f.Dialect)
		}
	}
	return files
}

// NewDialect is what came of reading a feed's dialect anew, where that changed it.
type NewDialect struct {
	Feed, Before, Now string // IDs, of mapping.Dialect
}

// LoadDialects reads the files of all feeds' dialects anew: every message that is mapped
// from then on is read by them. What came before stays as it is until it is replayed.
// If one file is missing or wrong nothing changes. who is written down, with the
// versions, before anything changes.
func (g *Gateway) LoadDialects(ctx context.Context, who string) (all []NewDialect, err error) {
	g.loading.Lock()
	defer g.loading.Unlock()
	read := map[string]*mapping.Dialect{}
	for i := range g.Config.Feeds {
		f := &g.Config.Feeds[i]
		if f.Dialect == "" {
			continue
		}
		d, wrong := ReadDialect(f.Dialect)
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("feed %s: %w", f.Name, wrong))
			continue
		}
		if was := f.readBy().ID(); was != d.ID() {
			read[f.Name] = d
			all = append(all, NewDialect{f.Name, was, d.ID()})
		}
	}
	detail := "load of the feeds' dialects"
	for _, n := range all {
		detail += fmt.Sprintf(", feed %s: %s takes the place of %s", n.Feed, n.Now, n.Before)
	}
	said := g.audit.Append(ctx, audit.Event{Action: audit.Operate, Subject: who, Refused: err != nil, Detail: detail, Address: "local"})
	if err := errors.Join(err, said); err != nil {
		return nil, err
	}
	for _, n := range all {
		if _, err := g.record.Keep(ctx, "dialect of "+n.Feed, n.Now); err != nil {
			return nil, err
		}
	}
	for i := range g.Config.Feeds {
		if d := read[g.Config.Feeds[i].Name]; d != nil {
			g.Config.Feeds[i].dialect.Store(d)
			g.traces.forget(g.Config.Feeds[i].Name)
		}
	}
	g.keys.Read(read)
	g.log.InfoContext(ctx, "dialects loaded", "changed", len(all))
	return all, nil
}

// dialectLoad asks for the dialects to be loaded. Files are dialectFiles of the command's
// configuration, nil where it knows none.
type dialectLoad struct {
	Files map[string]string `json:"files,omitzero"`
}

// loadDialects takes a dialectLoad and answers with NewDialects.
func (g *Gateway) loadDialects(w http.ResponseWriter, r *http.Request) error {
	var ask dialectLoad
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	if ask.Files != nil && !maps.Equal(ask.Files, g.Config.dialectFiles()) {
		return refusal("the running gateway was started with other files of dialects than this configuration names: restart it first")
	}
	all, err := g.LoadDialects(r.Context(), "operator "+r.Header.Get(operatorHeader))
	if err != nil {
		return refusal(err.Error())
	}
	return json.MarshalWrite(w, append([]NewDialect{}, all...))
}

// MappingFeed is what the configuration declares about the feed of a name.
func (cfg *Config) MappingFeed(name string) (mapping.Feed, error) {
	all, err := cfg.mappingFeeds()
	if err != nil {
		return mapping.Feed{}, err
	}
	i := slices.IndexFunc(all, func(f mapping.Feed) bool { return f.Source == name })
	if i < 0 {
		return mapping.Feed{}, fmt.Errorf("there is no feed %q", name)
	}
	return all[i], nil
}

// noteDialects keeps which version of its dialect each feed is read by. When it
// is another than before, what came until now stays as the earlier one made it.
func (g *Gateway) noteDialects(ctx context.Context, _ Options) error {
	for _, f := range g.Config.Feeds {
		is := f.readBy().ID()
		was, err := g.record.Keep(ctx, "dialect of "+f.Name, is)
		if err != nil {
			return err
		}
		if was == is {
			continue
		}
		if before, err := g.record.Latest(ctx, f.Name, 1); err != nil {
			return err
		} else if len(before) > 0 {
			g.log.Warn("a feed is read by another dialect from now on; what came before stays as it is until it is replayed",
				"feed", f.Name, "was", cmp.Or(was, "none"), "is", cmp.Or(is, "none"), "compare", "firebreak map --feed "+f.Name+" --stored N")
		}
	}
	return nil
}

// DialectTrial asks what stored messages of a feed would become.
type DialectTrial struct {
	Feed    string
	Stored  int        // so many of the latest
	Dialect *string    // the text of the one to try; nil: the one it is read by
	Unread  bool       // tell of fields that nobody reads
	Clear   record.Why // values are masked without
}

// DialectTried is what one message was and would be.
type DialectTried struct {
	ID       inbox.ID
	Type     string
	Was, Is  string // why it is held and would be, "" when not
	Moved    bool   // it would be of another patient
	Changes  []mapping.Change
	Unread   []string
	Received time.Time
}

// maxTrial is how many messages are tried at once.
const maxTrial = 10_000

// tryDialect answers a DialectTrial with a DialectTried for each message, the
// latest first. Nothing is stored.
func (g *Gateway) tryDialect(w http.ResponseWriter, r *http.Request) error {
	var ask DialectTrial
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	feed, err := g.Config.MappingFeed(ask.Feed)
	if err != nil {
		return refusal(err.Error())
	}
	if ask.Clear != "" && !slices.Contains(record.Whys(), ask.Clear) {
		return refusal(fmt.Sprintf("values are shown in clear for one of %v", record.Whys()))
	}
	was, is := mapping.NewKeys(g.key, feed), mapping.NewKeys(g.key, feed)
	if ask.Dialect != nil {
		if feed.Dialect, err = dialectOf(*ask.Dialect); err != nil {
			return refusal(err.Error())
		}
		is = mapping.NewKeys(g.key, feed)
	}
	how := "masked"
	if ask.Clear != "" {
		how = "in clear, for " + string(ask.Clear)
	}
	if err := g.operated(r, fmt.Sprintf("trial of a dialect on %d messages of feed %s, %s", ask.Stored, ask.Feed, how)); err != nil {
		return err
	}
	ids, err := g.record.Latest(r.Context(), ask.Feed, min(ask.Stored, maxTrial))
	if err != nil {
		return err
	}
	lines := jsontext.NewEncoder(w)
	for _, id := range ids {
		m, err := g.record.Queue().Message(r.Context(), id)
		if err != nil {
			return err
		}
		tried := try(was, is, m, ask.Unread)
		tried.ID = id
		if ask.Clear == "" {
			for _, c := range tried.Changes {
				if strings.HasSuffix(c.Element, ".extension.url") {
					continue // the mapping's or the dialect's, never the message's
				}
				mask(c.Was)
				mask(c.Is)
			}
		}
		if err := json.MarshalEncode(lines, tried); err != nil {
			return err
		}
	}
	return nil
}

func dialectOf(text string) (*mapping.Dialect, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return mapping.ReadDialect(text)
}

func mask(values []string) {
	for i := range values {
		values[i] = inbox.Mask(values[i])
	}
}

// try maps a message both ways.
func try(was, is *mapping.Keys, m inbox.Message, unread bool) DialectTried {
	t := DialectTried{Type: m.Type(), Received: m.Received}
	a, err := mapping.Map(was, m)
	if err != nil {
		t.Was = err.Error()
	}
	b, err := mapping.Map(is, m)
	if err != nil {
		t.Is = err.Error()
	}
	switch {
	case t.Was != "" || t.Is != "":
	case a.Patient != b.Patient:
		t.Moved = true
	default:
		t.Changes = mapping.Compare(a, b)
	}
	if unread && t.Is == "" && m.Kind == inbox.HL7v2 {
		t.Unread, _ = unreadOf(is, m)
	}
	return t
}

// TryDialect tells of each of the latest messages of a feed what another dialect
// would make of it. The answer holds patients' data only in clear.
func (o *Operator) TryDialect(ctx context.Context, ask DialectTrial, each func(DialectTried)) error {
	return told(ctx, o, http.MethodPost, "/dialect/try", ask, each)
}
