package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	patient, all, err := g.record.Explain(r.Context(), operation(r, detail), p, ask.At, ask.Patient)
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
	lines := jsontext.NewEncoder(w)
	return g.record.Reader(p).Office().Overdue(r.Context(), func(x policy.Waiting) error {
		return json.MarshalEncode(lines, x)
	})
}
