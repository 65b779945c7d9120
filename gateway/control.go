package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
)

// An operator on this machine speaks to the gateway through a socket in its
// data folder. Whoever may open the folder may use it, and nobody else. So
// there is one process that writes audit log and database, and everything an
// operator does is in that log; a command that finds no gateway running becomes
// one, without doors, for as long as it takes.

const (
	socketName = "control.sock"
	// maxSocketPath is what every system can bind: 104 bytes on macOS, 108 on Linux.
	maxSocketPath = 100

	operatorHeader = "Firebreak-Operator" // who it is, as the command says
	feedsHeader    = "Firebreak-Feeds"    // Config.feedsDigest of the command's file
	policyHeader   = "Firebreak-Policy"   // Config.Policy of the command's file
)

// atSocket calls f with a path to the folder's socket that the system can take.
func atSocket(folder string, f func(path string) error) error {
	path := filepath.Join(folder, socketName)
	if len(path) <= maxSocketPath {
		return f(path)
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName)) // Linux alone has it
}

// openControl listens for operators. It comes behind the audit log, whose lock
// says that a socket lying here is nobody's.
func (g *Gateway) openControl(context.Context, Options) error {
	path := filepath.Join(g.Config.Data, socketName)
	remove := func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("gateway: control: %w", err)
		}
		return nil
	}
	if err := remove(); err != nil {
		return err
	}
	err := atSocket(g.Config.Data, func(short string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // by a name that may be gone then
		g.control = l
		return nil
	})
	if err != nil {
		return fmt.Errorf("gateway: control: %w", err)
	}
	g.onClose(func() error { return errors.Join(closeQuietly(g.control)(), remove()) })
	return os.Chmod(path, 0o600)
}

// controlServer answers operators. Their requests end when the gateway stops:
// what is marked for replay by then is applied at the next start.
func (g *Gateway) controlServer(ctx context.Context) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /replay", g.told(g.replay))
	mux.HandleFunc("GET /held", g.told(g.held))
	mux.HandleFunc("POST /held", g.told(g.setAside))
	mux.HandleFunc("GET /messages/{id}", g.told(g.message))
	mux.HandleFunc("GET /anchors", g.told(g.anchors))
	mux.HandleFunc("GET /duplicates", g.told(g.duplicates))
	mux.HandleFunc("POST /duplicates", g.told(g.judge))
	mux.HandleFunc("GET /feeds", g.told(g.feeds))
	mux.HandleFunc("POST /feeds", g.told(g.pause))
	mux.HandleFunc("GET /outbox", g.told(g.outbox))
	mux.HandleFunc("POST /outbox", g.told(g.decide))
	mux.HandleFunc("GET /clients", g.told(g.listClients))
	mux.HandleFunc("POST /clients", g.told(g.decideClient))
	mux.HandleFunc("GET /codes", g.told(g.codes))
	mux.HandleFunc("POST /codes", g.told(g.classify))
	mux.HandleFunc("POST /dialect/load", g.told(g.loadDialects))
	mux.HandleFunc("POST /dialect/try", g.told(g.tryDialect))
	mux.HandleFunc("POST /policy/load", g.told(g.loadPolicy))
	mux.HandleFunc("POST /policy/try", g.told(g.tryPolicy))
	mux.HandleFunc("GET /policy/unread", g.told(g.unread))
	mux.HandleFunc("GET /policy/overdue", g.told(g.overdue))
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
}

// told makes an operator's request of f: written down before it is done, and
// answered in words that may be shown.
func (g *Gateway) told(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		switch {
		case err == nil:
			return
		case errors.Is(err, record.ErrPurged):
			http.Error(w, "the text of such a message was purged: it cannot be applied again or shown", http.StatusConflict)
		case errors.Is(err, record.ErrUnknown):
			http.Error(w, "there is no message of that number", http.StatusNotFound)
		case isNotFound(err):
			http.Error(w, "there is no patient of that id or number, or more than one", http.StatusNotFound)
		case errors.As(err, new(refusal)):
			http.Error(w, err.Error(), http.StatusConflict)
		case r.Context().Err() != nil:
			http.Error(w, "the gateway stops; what is marked for replay is applied when it starts again", http.StatusServiceUnavailable)
		default:
			g.log.ErrorContext(r.Context(), "an operator's request failed", "error", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}

// operation is an operator's request as the audit log has it.
func operation(r *http.Request, detail string) audit.Event {
	return audit.Event{Action: audit.Operate, Subject: "operator " + r.Header.Get(operatorHeader), Detail: detail, Address: "local"}
}

func (g *Gateway) operated(r *http.Request, detail string) error {
	return g.audit.Append(r.Context(), operation(r, detail))
}

// refusal is why what an operator asks for cannot be done.
type refusal string

func (r refusal) Error() string { return string(r) }

const errOtherFeeds = refusal("the running gateway reads other feeds, or other dialects, than this configuration has: load them or restart it first")

func isNotFound(err error) bool {
	known, ok := errors.AsType[*fhir.Error](err)
	return ok && known.Status == http.StatusNotFound
}

// replay answers {"ids": [...]}, {"feed": ..., "stored": N} for the latest of a
// feed, or neither for all that are held, with a Replayed. With "same" somebody
// says that those of ids are of the patients whose numbers they name.
func (g *Gateway) replay(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		IDs    []inbox.ID `json:"ids"`
		Same   bool       `json:"same"`
		Feed   string     `json:"feed"`
		Stored int        `json:"stored"`
	}
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	if feeds := r.Header.Get(feedsHeader); feeds != "" && feeds != g.Config.feedsDigest() {
		return errOtherFeeds
	}
	detail := "replay of all held messages"
	switch {
	case ask.Feed != "":
		if _, err := g.Config.MappingFeed(ask.Feed); err != nil {
			return refusal(err.Error())
		}
		detail = fmt.Sprintf("replay of the latest %d messages of feed %s", ask.Stored, ask.Feed)
	case len(ask.IDs) > 0:
		detail = fmt.Sprintf("replay of messages %d", ask.IDs)
	}
	if ask.Same {
		detail += ", the same person"
	}
	if err := g.operated(r, detail); err != nil {
		return err
	}
	if ask.Same {
		if err := g.record.Queue().Vouch(r.Context(), r.Header.Get(operatorHeader), ask.IDs...); err != nil {
			return err
		}
	}
	ids, err := ask.IDs, error(nil)
	if ask.Feed != "" {
		ids, err = g.record.Latest(r.Context(), ask.Feed, ask.Stored)
		slices.Reverse(ids)
	}
	switch {
	case err != nil:
	case ask.Feed == "" && len(ids) == 0:
		ids, err = g.pipeline.ReplayHeld(r.Context())
	default:
		err = g.pipeline.Replay(r.Context(), ids...)
	}
	if err != nil {
		return err
	}
	var result Replayed
	for _, id := range ids {
		err := g.pipeline.Applied(r.Context(), id)
		if held, ok := errors.AsType[*inbox.HeldError](err); ok {
			result.Held = append(result.Held, StillHeld{id, held.Reason})
		} else if errors.Is(err, inbox.ErrPaused) {
			result.Held = append(result.Held, StillHeld{id, "its feed is paused: it is applied when that is over"})
		} else if err != nil {
			return err
		} else {
			result.Applied++
		}
	}
	return json.MarshalWrite(w, result)
}

// held answers with all that is held, or with ?aside=1 what is set aside, one
// record.Held a line.
func (g *Gateway) held(w http.ResponseWriter, r *http.Request) error {
	list, detail := g.record.Held, "list of held messages"
	if r.URL.Query().Has("aside") {
		list, detail = g.record.AllAside, "list of messages that are set aside"
	}
	if err := g.operated(r, detail); err != nil {
		return err
	}
	lines := jsontext.NewEncoder(w)
	var after inbox.ID
	for {
		page, err := list(r.Context(), after, 1000)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, h := range page {
			if err := json.MarshalEncode(lines, h); err != nil {
				return err
			}
			after = h.ID
		}
	}
}

// sorting is what an operator decides on messages: to set held ones aside, or to
// take them back.
type sorting struct {
	IDs    []inbox.ID `json:"ids"`
	Back   bool       `json:"back"`
	Reason string     `json:"reason"`
}

// setAside takes a sorting.
func (g *Gateway) setAside(_ http.ResponseWriter, r *http.Request) error {
	var ask sorting
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	reason, ok := record.WrittenReason(ask.Reason)
	if len(ask.IDs) == 0 || !ok && !ask.Back {
		return refusal("say which messages, and why in at most 200 characters")
	}
	detail := fmt.Sprintf("messages %d set aside: %s", ask.IDs, reason)
	if ask.Back {
		detail = fmt.Sprintf("messages %d taken back", ask.IDs)
	}
	if err := g.operated(r, detail); err != nil {
		return err
	}
	if ask.Back {
		if err := g.record.TakeBack(r.Context(), ask.IDs...); !errors.Is(err, record.ErrUnknown) {
			return err
		}
		return refusal("one of these messages is not set aside; nothing was changed")
	}
	err := g.record.SetAside(r.Context(), g.pipeline, "operator "+r.Header.Get(operatorHeader), reason, ask.IDs...)
	if errors.Is(err, record.ErrUnknown) {
		return refusal("one of these messages is not held; nothing was changed")
	}
	return err
}

// duplicates answers with the pairs that are probably of one person, one
// record.Pair a line: those nobody decided, and those decided last.
func (g *Gateway) duplicates(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "list of duplicates"); err != nil {
		return err
	}
	open, past, err := g.record.Pairs(r.Context())
	if err != nil {
		return err
	}
	lines := jsontext.NewEncoder(w)
	for _, p := range append(open, past...) {
		if err := json.MarshalEncode(lines, p); err != nil {
			return err
		}
	}
	return nil
}

// judge takes {"a", "b", "decision"}.
func (g *Gateway) judge(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		A        string           `json:"a"`
		B        string           `json:"b"`
		Decision record.Judgement `json:"decision"`
	}
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	e := operation(r, "duplicates, a decision")
	for _, id := range []string{ask.A, ask.B} {
		if fhir.ValidID(id) {
			e.Entities = append(e.Entities, fhir.Ref{Type: "Patient", ID: id})
		}
	}
	if err := g.audit.Append(r.Context(), e); err != nil {
		return err
	}
	who := "operator " + r.Header.Get(operatorHeader)
	err := g.record.Judge(r.Context(), g.pipeline, ask.A, ask.B, ask.Decision, rand.Text(), who, who)
	if isNotFound(err) {
		return refusal("there is no such pair, or that is decided already")
	}
	return err
}

// message answers with a message's bytes as they came.
func (g *Gateway) message(w http.ResponseWriter, r *http.Request) error {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return record.ErrUnknown
	}
	if err := g.operated(r, fmt.Sprintf("look at message %d", n)); err != nil {
		return err
	}
	m, err := g.record.Queue().Message(r.Context(), inbox.ID(n))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, err = w.Write(m.Body)
	return err
}

// anchors answers with what the database knows of the audit log, an array of
// audit.Anchor.
func (g *Gateway) anchors(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "proof of the audit log"); err != nil {
		return err
	}
	all, err := g.record.Anchors(r.Context())
	if err != nil {
		return err
	}
	return json.MarshalWrite(w, all)
}

// codes answers with the local codes, an array of record.LocalCode.
func (g *Gateway) codes(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "list of local codes"); err != nil {
		return err
	}
	all, err := g.record.Codes(r.Context())
	if err != nil {
		return err
	}
	return json.MarshalWrite(w, all)
}

// classify takes an array of record.Decision.
func (g *Gateway) classify(w http.ResponseWriter, r *http.Request) error {
	var all []record.Decision
	if err := json.UnmarshalRead(r.Body, &all); err != nil {
		return err
	}
	return g.record.Classify(r.Context(), operation(r, ""), all)
}
