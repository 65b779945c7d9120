package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"firebreak/record"
)

// outbox answers with all letters that are not sent, one record.Sending a line.
func (g *Gateway) outbox(w http.ResponseWriter, r *http.Request) error {
	if err := g.operated(r, "list of letters that are not sent"); err != nil {
		return err
	}
	lines := jsontext.NewEncoder(w)
	var after int64
	for {
		page, err := g.record.Outbox().Open(r.Context(), after, 1000)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, s := range page {
			if err := json.MarshalEncode(lines, s); err != nil {
				return err
			}
			after = s.ID
		}
	}
}

// letters is what an operator decides: to send them again, or not at all.
type letters struct {
	IDs    []int64 `json:"ids"`
	Drop   bool    `json:"drop"`
	Reason string  `json:"reason"`
}

// decide takes letters.
func (g *Gateway) decide(_ http.ResponseWriter, r *http.Request) error {
	var ask letters
	if err := json.UnmarshalRead(r.Body, &ask); err != nil {
		return err
	}
	reason, ok := record.WrittenReason(ask.Reason)
	if ask.Reason = reason; !ok || len(ask.IDs) == 0 {
		return refusal("say which letters, and why in at most 200 characters")
	}
	do, out := "retry", g.record.Outbox()
	if ask.Drop {
		do = "drop"
	}
	if err := g.operated(r, fmt.Sprintf("%s letters %d: %s", do, ask.IDs, ask.Reason)); err != nil {
		return err
	}
	err := error(nil)
	if ask.Drop {
		err = out.Drop(r.Context(), ask.Reason, ask.IDs...)
	} else {
		err = out.Retry(r.Context(), ask.IDs...)
	}
	if errors.Is(err, record.ErrUnknown) {
		return refusal("one of these letters is sent or dropped already, or never was; nothing was changed")
	}
	return err
}

// Outbox gives each letter that is not sent, in order of entry.
func (o *Operator) Outbox(ctx context.Context, each func(record.Sending)) error {
	return answers(ctx, o, "/outbox", each)
}

// Retry has letters sent again at once, refused ones too.
func (o *Operator) Retry(ctx context.Context, reason string, ids ...int64) error {
	return o.decide(ctx, letters{IDs: ids, Reason: reason})
}

// Drop decides that letters shall not be sent.
func (o *Operator) Drop(ctx context.Context, reason string, ids ...int64) error {
	return o.decide(ctx, letters{IDs: ids, Drop: true, Reason: reason})
}

func (o *Operator) decide(ctx context.Context, l letters) error {
	body, err := o.ask(ctx, http.MethodPost, "/outbox", l)
	if err != nil {
		return err
	}
	return body.Close()
}
