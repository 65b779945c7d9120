package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"firebreak/audit"
	"firebreak/inbox"
	"firebreak/mapping"
	"firebreak/policy"
	"firebreak/record"
)

// Replayed is what became of messages that were applied again.
type Replayed struct {
	Applied int
	Held    []StillHeld
}

// StillHeld is a message that still cannot be applied, and why.
type StillHeld struct {
	ID     inbox.ID
	Reason string
}

// Operator is what somebody with a shell on the gateway's machine can ask: of
// the gateway that runs on the data folder, or where none runs, of its stores.
type Operator struct {
	client *http.Client
	feeds  string
	policy string
	files  map[string]string // dialectFiles; nil: not known
	close  func() error
}

// Operate finds the gateway of cfg.Data, or opens its stores for the time
// being. Messages are applied then only if apply says so.
func Operate(ctx context.Context, cfg *Config, log *slog.Logger, apply bool) (*Operator, error) {
	o, err := AttachTo(ctx, cfg)
	if errors.Is(err, ErrNotRunning) {
		return standIn(ctx, cfg, log, apply)
	}
	return o, err
}

// AttachTo finds the gateway that runs with this configuration.
func AttachTo(ctx context.Context, cfg *Config) (*Operator, error) {
	o, err := Attach(ctx, cfg.Data)
	if o != nil {
		o.feeds, o.policy, o.files = cfg.feedsDigest(), absolute(cfg.Policy), cfg.dialectFiles()
	}
	return o, err
}

// ErrNotRunning says that no gateway has the data folder open.
var ErrNotRunning = errors.New("gateway: none is running on this data folder")

// Attach finds the gateway that runs on a data folder, of whose configuration
// nothing is known.
func Attach(ctx context.Context, folder string) (*Operator, error) {
	dial := func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		err = atSocket(folder, func(path string) error {
			c, err = (&net.Dialer{}).DialContext(ctx, "unix", path)
			return err
		})
		return c, err
	}
	c, err := dial(ctx, "", "")
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("gateway: %w", err)
		}
		return nil, ErrNotRunning
	}
	c.Close()
	t := &http.Transport{DialContext: dial, DisableKeepAlives: true}
	return &Operator{client: &http.Client{Transport: t}, close: func() error { return nil }}, nil
}

// standIn runs the stores, the pipeline if messages shall be applied, and
// nothing else.
func standIn(ctx context.Context, cfg *Config, log *slog.Logger, apply bool) (*Operator, error) {
	g := &Gateway{Config: cfg, now: time.Now, log: log}
	err := g.openStores(ctx, Options{})
	if err == nil {
		err = g.openControl(ctx, Options{})
	}
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	server := g.controlServer(work)
	var group errgroup.Group
	group.Go(func() error { return ignoreClosed(server.Serve(g.control)) })
	if apply {
		group.Go(func() error { return g.pipeline.Run(work) })
	}
	end := func() error {
		stop()
		return errors.Join(server.Close(), group.Wait(), g.close())
	}
	o, err := Attach(ctx, cfg.Data)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	o.close = end
	return o, nil
}

// Close lets go of the gateway, or stops what stood in for it.
func (o *Operator) Close() error { return o.close() }

// Replay applies stored messages again and waits: those of ids, or all that
// are held when there are none. What was applied already changes nothing.
func (o *Operator) Replay(ctx context.Context, ids ...inbox.ID) (Replayed, error) {
	return answer[Replayed](ctx, o, http.MethodPost, "/replay", map[string]any{"ids": ids})
}

// Vouch says that messages held for doubt are of the patients whose numbers they
// name, and replays them.
func (o *Operator) Vouch(ctx context.Context, ids ...inbox.ID) (Replayed, error) {
	return answer[Replayed](ctx, o, http.MethodPost, "/replay", map[string]any{"ids": ids, "same": true})
}

// ReplayFeed applies again the latest messages of a feed, so many, and waits.
func (o *Operator) ReplayFeed(ctx context.Context, feed string, stored int) (Replayed, error) {
	return answer[Replayed](ctx, o, http.MethodPost, "/replay", map[string]any{"feed": feed, "stored": stored})
}

// Duplicates gives each pair of charts that is probably of one person; what it
// gives is patients' data.
func (o *Operator) Duplicates(ctx context.Context, each func(record.Pair)) error {
	return answers(ctx, o, "/duplicates", each)
}

// Judge decides on a pair; see record.Record.Judge.
func (o *Operator) Judge(ctx context.Context, a, b string, j record.Judgement) error {
	body, err := o.ask(ctx, http.MethodPost, "/duplicates", map[string]any{"a": a, "b": b, "decision": j})
	if err != nil {
		return err
	}
	return body.Close()
}

// Held gives each message that could not be applied, in order of arrival.
func (o *Operator) Held(ctx context.Context, each func(record.Held)) error {
	return answers(ctx, o, "/held", each)
}

// AllAside gives each message that is set aside, in order of arrival.
func (o *Operator) AllAside(ctx context.Context, each func(record.Held)) error {
	return answers(ctx, o, "/held?aside=1", each)
}

// SetAside sets held messages aside, with the reason.
func (o *Operator) SetAside(ctx context.Context, reason string, ids ...inbox.ID) error {
	return o.sort(ctx, sorting{IDs: ids, Reason: reason})
}

// TakeBack makes them held ones again.
func (o *Operator) TakeBack(ctx context.Context, ids ...inbox.ID) error {
	return o.sort(ctx, sorting{IDs: ids, Back: true})
}

func (o *Operator) sort(ctx context.Context, s sorting) error {
	body, err := o.ask(ctx, http.MethodPost, "/held", s)
	if err != nil {
		return err
	}
	return body.Close()
}

// Message copies a message as it was received; it holds a patient's data.
func (o *Operator) Message(ctx context.Context, id inbox.ID, to io.Writer) error {
	body, err := o.ask(ctx, http.MethodGet, fmt.Sprintf("/messages/%d", id), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body)
	return err
}

// Anchors are the entries of the audit log that the database has pinned down.
func (o *Operator) Anchors(ctx context.Context) ([]audit.Anchor, error) {
	return answer[[]audit.Anchor](ctx, o, http.MethodGet, "/anchors", nil)
}

// Codes are the local codes that wait for a decision, or have one.
func (o *Operator) Codes(ctx context.Context) ([]record.LocalCode, error) {
	return answer[[]record.LocalCode](ctx, o, http.MethodGet, "/codes", nil)
}

// Classify decides what local codes mean; see record.Record.Classify.
func (o *Operator) Classify(ctx context.Context, all []record.Decision) error {
	body, err := o.ask(ctx, http.MethodPost, "/codes", all)
	if err != nil {
		return err
	}
	return body.Close()
}

// LoadPolicy has the running gateway read its policy file anew.
func (o *Operator) LoadPolicy(ctx context.Context) (NewPolicy, error) {
	return answer[NewPolicy](ctx, o, http.MethodPost, "/policy/load", nil)
}

// LoadDialects has the running gateway read the files of its feeds' dialects anew,
// and says of which feeds that changed something.
func (o *Operator) LoadDialects(ctx context.Context) ([]NewDialect, error) {
	return answer[[]NewDialect](ctx, o, http.MethodPost, "/dialect/load", dialectLoad{o.files})
}

// TryPolicy tells what a policy does with a chart. The answer holds what is
// withheld.
func (o *Operator) TryPolicy(ctx context.Context, ask Trial) (Tried, error) {
	return answer[Tried](ctx, o, http.MethodPost, "/policy/try", ask)
}

// Unread lists what is not understood in patients' directives.
func (o *Operator) Unread(ctx context.Context) ([]policy.Unread, error) {
	return answer[[]policy.Unread](ctx, o, http.MethodGet, "/policy/unread", nil)
}

// Overdue gives each result that its patient does not know of after the usual
// time, oldest first, what is withheld before what was not reviewed.
func (o *Operator) Overdue(ctx context.Context, each func(policy.Waiting)) error {
	return answers(ctx, o, "/policy/overdue", each)
}

// answer asks for one value.
func answer[A any](ctx context.Context, o *Operator, method, path string, words any) (a A, err error) {
	body, err := o.ask(ctx, method, path, words)
	if err != nil {
		return a, err
	}
	defer body.Close()
	return a, json.UnmarshalRead(body, &a)
}

// answers asks for values, one after another as they come.
func answers[A any](ctx context.Context, o *Operator, path string, each func(A)) error {
	return told(ctx, o, http.MethodGet, path, nil, each)
}

// told is answers to words.
func told[A any](ctx context.Context, o *Operator, method, path string, words any, each func(A)) error {
	body, err := o.ask(ctx, method, path, words)
	if err != nil {
		return err
	}
	defer body.Close()
	for d := jsontext.NewDecoder(body); ; {
		var a A
		if err := json.UnmarshalDecode(d, &a); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		each(a)
	}
}

// ask sends words, unless nil, as JSON. What is no answer is the error.
func (o *Operator) ask(ctx context.Context, method, path string, words any) (io.ReadCloser, error) {
	var body bytes.Buffer
	if words != nil {
		if err := json.MarshalWrite(&body, words); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, &body)
	if err != nil {
		return nil, err
	}
	r.Header.Set(operatorHeader, operatorName())
	if o.feeds != "" {
		r.Header.Set(feedsHeader, o.feeds)
	}
	if o.policy != "" {
		r.Header.Set(policyHeader, o.policy)
	}
	answer, err := o.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
		return nil, errors.New(strings.TrimSpace(string(text)))
	}
	return answer.Body, nil
}

// operatorName is the account of this machine, and who became it by sudo.
func operatorName() string {
	name := fmt.Sprint(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = cmp.Or(u.Username, name)
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		name += " (" + sudo + ")"
	}
	return name
}

// feedsDigest changes with everything that changes what is made of a message.
func (cfg *Config) feedsDigest() string {
	type feed struct {
		Name, Zone, Authority, Dialect string
		Systems                        map[string]string
		Send                           *mapping.Send
	}
	feeds := make([]feed, len(cfg.Feeds))
	for i, f := range cfg.Feeds {
		feeds[i] = feed{f.Name, f.Zone, f.Authority, f.readBy().ID(), f.Systems, f.Send.mapping()}
	}
	b, err := json.Marshal([]any{feeds, cfg.Declared}, json.Deterministic(true))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
