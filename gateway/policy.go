package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/audit"
	"firebreak/policy"
)

// policy reads the policy file, or the shipped one.
func (g *Gateway) policy(o Options) (*policy.Policy, error) {
	if o.Policy != nil {
		return policy.Load(o.Policy)
	}
	if g.Config.Policy == "" {
		return policy.Load(policy.Default())
	}
	b, err := os.ReadFile(g.Config.Policy)
	if err != nil {
		return nil, fmt.Errorf("gateway: policy: %w", err)
	}
	return policy.Load(b)
}

// absolute is a path that two processes understand alike.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil && path != "" {
		return full
	}
	return path
}

// NewPolicy is what came of reading the policy file anew.
type NewPolicy struct {
	Before, Now string // versions, of policy.Policy
}

var errNoPolicyFile = errors.New("the running gateway's configuration names no policy file")

// LoadPolicy reads the policy file anew: every answer from then on is by it. A
// file that is missing or wrong changes nothing. who is written down, with the
// versions, before anything changes.
func (g *Gateway) LoadPolicy(ctx context.Context, who string) (NewPolicy, error) {
	g.loading.Lock() // so that the log's order is the order of the changes
	defer g.loading.Unlock()
	said := func(refused bool, detail string) error {
		return g.audit.Append(ctx, audit.Event{Action: audit.Operate, Subject: who, Refused: refused, Detail: detail, Address: "local"})
	}
	var p *policy.Policy
	err := errNoPolicyFile
	if g.Config.Policy != "" && g.reader != nil {
		p, err = g.policy(Options{})
	}
	if err != nil {
		return NewPolicy{}, errors.Join(err, said(true, "load of the policy"))
	}
	n := NewPolicy{g.reader.Policy().Version(), p.Version()}
	if err := said(false, "policy "+n.Now+" takes the place of "+n.Before); err != nil {
		return NewPolicy{}, err
	}
	g.reader.Use(p)
	g.log.InfoContext(ctx, "policy loaded", "before", n.Before, "now", n.Now)
	return n, nil
}

// loadPolicy answers with a NewPolicy.
func (g *Gateway) loadPolicy(w http.ResponseWriter, r *http.Request) error {
	if file := r.Header.Get(policyHeader); file != "" && g.reader != nil && file != absolute(g.Config.Policy) {
		return refusal("the running gateway was started with another policy file: " + cmp.Or(g.Config.Policy, "the shipped one"))
	}
	n, err := g.LoadPolicy(r.Context(), "operator "+r.Header.Get(operatorHeader))
	if err != nil {
		return refusal(err.Error())
	}
	return json.MarshalWrite(w, n)
}

// Trial asks what a policy does with a patient's chart for somebody.
type Trial struct {
	At      policy.Position
	Patient string // id or number
	Policy  []byte `json:",omitzero"` // a file to try before it is loaded; nil: the one in force
}

// Tried is the answer to a Trial.
type Tried struct {
	Version string // of the policy that was tried
	Patient string // id
	Known   bool   // the policy knows the audience
	All     []policy.Verdict
}

// tryPolicy answers a Trial with a Tried.
func (g *Gateway) tryPolicy(w http.ResponseWriter, r *http.Request) error {
	var ask Trial
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	var p *policy.Policy
	var err error
	if ask.Policy != nil {
		p, err = policy.Load(ask.Policy)
	} else {
		p, err = g.inForce()
	}
	if err != nil {
		return refusal(err.Error())
	}
	detail := "policy " + p.Version() + " tried as " + string(ask.At.Audience) + " " + string(ask.At.Role)
	e := audit.Event{Action: audit.Operate, Subject: "operator " + r.Header.Get(operatorHeader), Detail: detail, Address: "local"}
	patient, all, err := g.record.Explain(r.Context(), e, p, ask.At, ask.Patient)
	if err != nil {
		return err
	}
	return json.MarshalWrite(w, Tried{p.Version(), patient.ID, p.Knows(ask.At), all})
}

// inForce is the policy that decides now, or would if the gateway were started.
func (g *Gateway) inForce() (*policy.Policy, error) {
	if g.reader != nil {
		return g.reader.Policy(), nil
	}
	return g.policy(Options{})
}

// unread answers with what is not understood in patients' directives, an array
// of policy.Unread.
func (g *Gateway) unread(w http.ResponseWriter, r *http.Request) error {
	p, err := g.inForce()
	if err != nil {
		return refusal(err.Error())
	}
	if err := g.operated(r, "list of directives not understood"); err != nil {
		return err
	}
	all, err := g.record.Unread(r.Context(), p)
	if err != nil {
		return err
	}
	return json.MarshalWrite(w, all)
}

// overdue answers with what patients do not know of after the usual time, one
// policy.Waiting a line.
func (g *Gateway) overdue(w http.ResponseWriter, r *http.Request) error {
	p, err := g.inForce()
	if err != nil {
		return refusal(err.Error())
	}
	if err := g.operated(r, "list of overdue results"); err != nil {
		return err
	}
	return g.record.Waiting(r.Context(), p, g.now().AddDate(0, 0, -policy.ReviewDays), func(x policy.Waiting) error {
		if err := json.MarshalWrite(w, x); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	})
}

// Overdue gives each result that its patient does not know of after the usual
// time, by patient.
func (o *Operator) Overdue(ctx context.Context, each func(policy.Waiting)) error {
	body, err := o.ask(ctx, http.MethodGet, "/policy/overdue", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for d := jsontext.NewDecoder(body); ; {
		var x policy.Waiting
		if err := json.UnmarshalDecode(d, &x); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("gateway: %w", err)
		}
		each(x)
	}
}

// Unread lists what is not understood in patients' directives.
func (o *Operator) Unread(ctx context.Context) (all []policy.Unread, err error) {
	body, err := o.ask(ctx, http.MethodGet, "/policy/unread", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return all, json.UnmarshalRead(body, &all)
}

// LoadPolicy has the running gateway read its policy file anew.
func (o *Operator) LoadPolicy(ctx context.Context) (n NewPolicy, err error) {
	body, err := o.ask(ctx, http.MethodPost, "/policy/load", nil)
	if err != nil {
		return n, err
	}
	defer body.Close()
	return n, json.UnmarshalRead(body, &n)
}

// TryPolicy tells what a policy does with a chart. The answer holds what is
// withheld.
func (o *Operator) TryPolicy(ctx context.Context, ask Trial) (t Tried, err error) {
	b, err := json.Marshal(ask)
	if err != nil {
		return t, err
	}
	body, err := o.ask(ctx, http.MethodPost, "/policy/try", b)
	if err != nil {
		return t, err
	}
	defer body.Close()
	return t, json.UnmarshalRead(body, &t)
}
