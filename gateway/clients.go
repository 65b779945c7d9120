package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/auth/smart"
	"firebreak/record"
	"firebreak/registry"
)

// apps is the registry of clients, which what stands in for a gateway opens when it
// is asked for.
func (g *Gateway) apps(ctx context.Context) (*smart.Registry, error) {
	if g.clients != nil {
		return g.clients, nil
	}
	log := g.log
	if log == nil {
		log = slog.Default()
	}
	accounts, err := registry.Open(ctx, g.Config.Accounts.Value, time.Now)
	if err != nil {
		return nil, err
	}
	g.onClose(accounts.Close)
	if err := accounts.DB().Claim(); err != nil { // a gateway at work would not know of what is written here
		return nil, err
	}
	g.clients, err = smart.NewRegistry(ctx, accounts.DB(), g.Config.Apps, g.Config.Limits, time.Now, log)
	return g.clients, err
}

// listClients answers with all clients, one smart.Listed a line.
func (g *Gateway) listClients(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "list of clients"); err != nil {
		return err
	}
	known, err := g.apps(r.Context())
	if err != nil {
		return err
	}
	all, err := known.List(r.Context())
	if err != nil {
		return err
	}
	lines := jsontext.NewEncoder(w)
	for _, c := range all {
		if err := json.MarshalEncode(lines, c); err != nil {
			return err
		}
	}
	return nil
}

// clientAct is what an operator decides on a client: an act, or limits.
type clientAct struct {
	ID     string        `json:"id"`
	Act    smart.Act     `json:"act,omitzero"`
	Reason string        `json:"reason,omitzero"`
	Limits *smart.Limits `json:"limits,omitzero"`
}

// decideClient takes one.
func (g *Gateway) decideClient(_ http.ResponseWriter, r *http.Request) error {
	var ask clientAct
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	known, err := g.apps(r.Context())
	if err != nil {
		return err
	}
	if ask.Limits != nil {
		if err := g.operated(r, fmt.Sprintf("limits of client %q: %d requests and %d for tokens a minute", ask.ID, ask.Limits.API, ask.Limits.Token)); err != nil {
			return err
		}
		return clientRefusal(known.SetLimits(r.Context(), ask.ID, *ask.Limits))
	}
	reason, ok := record.WrittenReason(ask.Reason)
	if !ok {
		return refusal("say why, in at most 200 characters")
	}
	if err := g.operated(r, fmt.Sprintf("%s client %q: %s", ask.Act, ask.ID, reason)); err != nil {
		return err
	}
	return clientRefusal(known.Decide(r.Context(), ask.ID, ask.Act, r.Header.Get(operatorHeader), reason))
}

func clientRefusal(err error) error {
	switch {
	case errors.Is(err, smart.ErrName):
		return refusal("an app that may go on has that name, or one that looks like it; nothing was changed")
	case errors.Is(err, smart.ErrClient):
		return refusal("there is no such client, or it is not in a state for that; nothing was changed")
	}
	return err
}

// Clients gives each client but those deleted, those that wait for approval first.
func (o *Operator) Clients(ctx context.Context, each func(smart.Listed)) error {
	return answers(ctx, o, "/clients", each)
}

// DecideClient does an act on a client.
func (o *Operator) DecideClient(ctx context.Context, id string, do smart.Act, reason string) error {
	return o.actOn(ctx, clientAct{ID: id, Act: do, Reason: reason})
}

// LimitClient gives a client limits of its own; nought is what holds for all.
func (o *Operator) LimitClient(ctx context.Context, id string, own smart.Limits) error {
	return o.actOn(ctx, clientAct{ID: id, Limits: &own})
}

func (o *Operator) actOn(ctx context.Context, act clientAct) error {
	body, err := o.ask(ctx, http.MethodPost, "/clients", act)
	if err != nil {
		return err
	}
	return body.Close()
}
