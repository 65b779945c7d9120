package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/internal/sqldb"
)

// A held message that can never be applied is set aside: it is stored as it came
// and found as before, but is no longer counted as held, and no replay applies it
// until it is taken back.

// SetAside is the state of a held message that an operator has set aside.
const SetAside State = "aside"

// Aside is why a message was set aside.
type Aside struct {
	Reason string
	Who    string
	At     time.Time
}

// maxReason is how many characters an operator may give as a reason.
const maxReason = 200

// WrittenReason is what an operator gives as a reason; ok is false when it is none.
func WrittenReason(s string) (reason string, ok bool) {
	reason = strings.TrimSpace(s)
	return reason, reason != "" && len([]rune(reason)) <= maxReason
}

const (
	letGo    = `DELETE FROM todo WHERE id = $1 AND held = 1 RETURNING reason`
	putAside = `INSERT INTO aside (id, held, reason, who, at) VALUES ($1, $2, $3, $4, $5)`
	takeBack = `DELETE FROM aside WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM purged WHERE id = $1) RETURNING held`
	allAside = `SELECT ` + messageColumns + `, a.held, a.reason FROM aside a JOIN inbox i ON i.id = a.id WHERE a.id > $1 ORDER BY a.id LIMIT $2`
)

// SetAside sets held messages aside: all, or when one is not held, none and
// ErrUnknown. reason holds no patient's data. What was held beside one only because
// it contradicted whose their chart is, in applies again.
func (r *Record) SetAside(ctx context.Context, in Intake, who, reason string, ids ...inbox.ID) error {
	if _, ok := WrittenReason(reason); !ok {
		return errors.New("record: no reason why a message is set aside")
	}
	now := micros(r.c.Now())
	err := r.each(ctx, letGo, ids, func(id int64, held string) sqldb.Stmt {
		return sqldb.Stmt{SQL: putAside, Args: []any{id, held, reason, who, now}}
	})
	if err != nil {
		return failed("set a message aside", err)
	}
	ctx = context.WithoutCancel(ctx) // what is decided is carried through
	for _, id := range ids {
		waited, err := r.beside(ctx, id, false)
		if err != nil {
			return err
		}
		if err := in.Replay(ctx, waited...); err != nil {
			return err
		}
	}
	return nil
}

// TakeBack makes messages that were set aside held ones again, all or none; ErrUnknown
// when one is not set aside, or its text was purged.
func (r *Record) TakeBack(ctx context.Context, ids ...inbox.ID) error {
	err := r.each(ctx, takeBack, ids, func(id int64, held string) sqldb.Stmt {
		return sqldb.Stmt{SQL: holdMessage, Args: []any{id, held}}
	})
	return failed("take a message back", err)
}

// each moves messages from one table to another, or none of them.
func (r *Record) each(ctx context.Context, from string, ids []inbox.ID, to func(id int64, held string) sqldb.Stmt) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	return r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		var take, put []sqldb.Stmt
		for _, id := range ids {
			take = append(take, sqldb.Stmt{SQL: from, Args: []any{int64(id)}, Row: func(scan func(...any) error) error {
				var held string
				err := scan(&held)
				put = append(put, to(int64(id), held))
				return err
			}})
		}
		if err := tx.Batch(ctx, take); err != nil {
			return err
		}
		if len(put) < len(ids) {
			return ErrUnknown
		}
		return tx.Batch(ctx, put)
	}})
}

// AllAside lists the messages that are set aside, as Held does those that are held.
func (r *Record) AllAside(ctx context.Context, after inbox.ID, limit int) (all []Held, err error) {
	err = r.db.Each(ctx, func(scan func(...any) error) error {
		var aside string
		h, err := scanHeld(scan, &aside)
		h.Aside = aside
		all = append(all, h)
		return err
	}, allAside, int64(after), int64(limit))
	return all, failed("list messages that are set aside", err)
}

// SetAside sets a held message aside; what is not held is fhir.NotFound.
func (o *Operations) SetAside(ctx context.Context, s Shift, id inbox.ID, reason string) error {
	return o.sorted(ctx, s, id, OnHold, "set aside: "+reason, func() error {
		return o.r.SetAside(ctx, o.in, s.Operator.Caller().Name(), reason, id)
	})
}

// TakeBack makes one that is set aside a held one again; another is fhir.NotFound.
func (o *Operations) TakeBack(ctx context.Context, s Shift, id inbox.ID) error {
	return o.sorted(ctx, s, id, SetAside, "taken back", func() error { return o.r.TakeBack(ctx, id) })
}

func (o *Operations) sorted(ctx context.Context, s Shift, id inbox.ID, from State, what string, do func() error) error {
	l, _, err := o.stored(ctx, id)
	if err == nil && l.State != from {
		err = fhir.NotFound()
	}
	if err := errors.Join(err, o.audit(ctx, s, fmt.Sprintf("ops message %d, %s", id, what), err != nil)); err != nil {
		return err
	}
	if err := do(); errors.Is(err, ErrUnknown) {
		return fhir.NotFound() // somebody was faster
	} else if err != nil {
		return err
	}
	return nil
}
