package record

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/audit"
	"firebreak/auth"
	"firebreak/fhir"
	"firebreak/fhir/terminology"
	"firebreak/internal/sqldb"
	"firebreak/search"
)

// Subscription is what a client asked to be told of: whatever a question newly finds
// in what the client may see. It is no part of any record and its client's alone.
//
// Nothing that is withheld may be learned from whether, when or under what number
// something is told. So it is not told of what comes in: at each round of a fixed
// grid of time what its questions find in the client's own view is held against what
// they found at the round before. What is released late is new when it is released;
// what is withheld never is.
type Subscription struct {
	Wish
	ID      string
	Status  string // of R4: requested, active, error, off
	Reason  string // of an error; depends on the receiver or the grant, never on a record
	Edition int64  // counts changes
	Updated time.Time
	Events  int64 // that it was told of or is to be, ever

	owner    string
	standing auth.Standing
	told     time.Time // when something was last sent, or began to be due
}

// Wish is what a client says of a subscription.
type Wish struct {
	Asked     []string      `json:"asked"` // searches, "Type?query", each of a type of its own
	Topic     string        `json:"topic,omitempty"`
	Endpoint  string        `json:"endpoint"`
	Content   string        `json:"content,omitempty"` // of the backport: empty, id-only, full-resource; "" is R4's own bare notice
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	Timeout   time.Duration `json:"timeout,omitempty"`
	Most      int           `json:"most,omitempty"` // events in one notice; 0: as many as we like
	Ends      time.Time     `json:"ends,omitzero"`
	Base      string        `json:"base"`  // of the API, for references in questions
	At        time.Time     `json:"at"`    // when it was asked, for approximate dates
	Shown     string        `json:"shown"` // the resource as it is read, without id, status and headers
	Off       bool          `json:"off,omitempty"`
	Headers   []string      `json:"-"` // to send; a secret, "Name: value"
}

// Bounds, each of what a client says itself.
const (
	mostSubscriptions = 20  // of one client, and person
	mostCharts        = 100 // that a question names
	eventsKept        = 7 * 24 * time.Hour
)

// States of a subscription.
const (
	Requested = "requested"
	Active    = "active"
	Failing   = "error"
	Off       = "off"
)

var (
	errManySubscriptions = "There are too many subscriptions of this client. Delete one."
	errUnnamed           = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "too-costly", Expression: "Subscription.criteria",
		Text: "Criteria say whose records are watched: name patients, or search Patient by identifier."}
	errManyCharts = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "too-costly", Expression: "Subscription.criteria",
		Text: "Criteria name up to " + strconv.Itoa(mostCharts) + " patients."}
	errNoStanding = &fhir.Error{Status: http.StatusForbidden, Code: "forbidden",
		Text: "A subscription outlives its token: it needs a registered client, or what a person let an app do here, not a token of another issuer."}
	errFinds = &fhir.Error{Status: http.StatusUnprocessableEntity, Code: "not-supported", Text: "Criteria say what is found, not how it is shown.", Expression: "Subscription.criteria"}
)

const (
	countSubscriptions = `SELECT COUNT(*) FROM subscription WHERE owner = $1`
	addSubscription    = `INSERT INTO subscription (id, owner, standing, spec, secret, status, reason, edition, updated, told, events) VALUES ($1, $2, $3, $4, $5, $6, '', 1, $7, $7, 0) ON CONFLICT (id) DO NOTHING`
	changeSubscription = `UPDATE subscription SET standing = $3, spec = $4, secret = $5, status = $6, reason = '', edition = edition + 1, updated = $7, told = $7 WHERE id = $1 AND owner = $2`
	someSubscriptions  = `SELECT id, owner, standing, spec, secret, status, reason, edition, updated, told, events FROM subscription`
	dropSubscription   = `DELETE FROM subscription WHERE id = $1`
	dropSeen           = `DELETE FROM subscription_seen WHERE subscription = $1`
	dropEvents         = `DELETE FROM subscription_event WHERE subscription = $1`
	dropNotices        = `DELETE FROM subscription_notice WHERE subscription = $1`
	dropGreetings      = `DELETE FROM subscription_notice WHERE subscription = $1 AND kind <> $2`
	retryNotices       = `UPDATE subscription_notice SET due = $2, attempts = 0 WHERE subscription = $1`
	putSeen            = `INSERT INTO subscription_seen (subscription, chart, seen) VALUES ($1, $2, $3) ON CONFLICT (subscription, chart) DO UPDATE SET seen = excluded.seen`
	addNotice          = `INSERT INTO subscription_notice (subscription, n, kind, first, last, due, attempts)
		SELECT CAST($1 AS TEXT), COALESCE(MAX(n), 0) + 1, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BIGINT), 0 FROM subscription_notice WHERE subscription = $1`
)

// subscriber names whose a subscription is: nobody else learns that it exists.
func subscriber(c access.Caller) string { return owner(c) + "\n" + c.Identity().Patient() }

// Subscribe takes a subscription, or with an id changes one of the caller's; it is
// fhir.NotFound when there is none of that id. What its questions find now is what it
// is not told of.
func (r *Reader) Subscribe(ctx context.Context, ask Ask, id string, w Wish) (Subscription, error) {
	e := ask.event(audit.Notify)
	e.Detail = "subscribe"
	refused := func(status int, code, text string) (Subscription, error) {
		e.Refused = true
		if err := r.audit(ctx, e); err != nil {
			return Subscription{}, err
		}
		return Subscription{}, &fhir.Error{Status: status, Code: code, Text: text}
	}
	standing, ok := ask.Caller.Identity().Standing()
	if !ok {
		return refused(errNoStanding.Status, errNoStanding.Code, errNoStanding.Text)
	}
	owner, now := subscriber(ask.Caller), r.r.c.Now()
	var before Subscription
	if id != "" {
		var err error
		if before, err = r.subscription(ctx, ask.Caller, id); err != nil {
			return Subscription{}, err
		}
	}
	if w.At = now; slices.Equal(before.Asked, w.Asked) {
		w.At = before.At // the same question: what was missed meanwhile is new
	}
	found, err := r.look(ctx, ask.Caller, Subscription{Wish: w, ID: id}, nil)
	if err != nil {
		return Subscription{}, err
	}
	s := Subscription{Wish: w, ID: id, Status: Requested, standing: standing, owner: owner}
	if w.Off {
		s.Status = Off
	}
	grants, err := json.Marshal(standing)
	if err != nil {
		return Subscription{}, err
	}
	spec, err := json.Marshal(w)
	if err != nil {
		return Subscription{}, err
	}
	hidden, err := r.r.keys.hide(owner, strings.Join(w.Headers, "\n"))
	if err != nil {
		return Subscription{}, err
	}
	s.ID, err = give(ctx, r.r.writer, func(ctx context.Context, tx *sqldb.Tx) (string, error) {
		id := id
		if id != "" {
			if n, err := tx.Exec(ctx, changeSubscription, id, owner, string(grants), string(spec), hidden, s.Status, micros(now)); err != nil || n == 0 {
				return "", err
			}
			if err := tx.Batch(ctx, []sqldb.Stmt{{SQL: dropGreetings, Args: []any{id, ofEvents}}, {SQL: retryNotices, Args: []any{id, micros(now)}}}); err != nil {
				return "", err
			}
		} else {
			var n int64
			if err := tx.Each(ctx, func(scan func(...any) error) error { return scan(&n) }, countSubscriptions, owner); err != nil || n >= mostSubscriptions {
				return "", err
			}
			for try := 0; ; try++ {
				id = r.r.keys.letter("subscription", owner, strconv.FormatInt(micros(now), 10), strconv.Itoa(try))
				if n, err := tx.Exec(ctx, addSubscription, id, owner, string(grants), string(spec), hidden, s.Status, micros(now)); err != nil {
					return "", err
				} else if n > 0 {
					break
				}
			}
		}
		if !slices.Equal(before.Asked, w.Asked) {
			if _, err := tx.Exec(ctx, dropSeen, id); err != nil {
				return "", err
			}
			for _, f := range found {
				if _, err := tx.Exec(ctx, putSeen, id, f.chart, f.digests.bytes()); err != nil {
					return "", err
				}
			}
		}
		if s.Status == Requested {
			_, err := tx.Exec(ctx, addNotice, id, ofBeginning, int64(0), int64(0), micros(now))
			return id, err
		}
		return id, nil
	})
	switch {
	case err != nil:
		return Subscription{}, failed("keep a subscription", err)
	case s.ID == "" && id != "":
		return Subscription{}, fhir.NotFound()
	case s.ID == "":
		return refused(http.StatusTooManyRequests, "throttled", errManySubscriptions)
	}
	e.Detail += " " + s.ID
	if err := r.audit(ctx, e); err != nil {
		return Subscription{}, err
	}
	return r.subscription(ctx, ask.Caller, s.ID)
}

// Subscriptions are the caller's, by id.
func (r *Reader) Subscriptions(ctx context.Context, c access.Caller) ([]Subscription, error) {
	return r.subscriptions(ctx, someSubscriptions+` WHERE owner = $1 ORDER BY id`, subscriber(c))
}

// Subscription is one of the caller's; NotFound when it is none.
func (r *Reader) Subscription(ctx context.Context, c access.Caller, id string) (Subscription, error) {
	return r.subscription(ctx, c, id)
}

func (r *Reader) subscription(ctx context.Context, c access.Caller, id string) (Subscription, error) {
	all, err := r.subscriptions(ctx, someSubscriptions+` WHERE id = $1 AND owner = $2`, id, subscriber(c))
	if err == nil && len(all) == 0 {
		err = fhir.NotFound()
	}
	if err != nil {
		return Subscription{}, err
	}
	return all[0], nil
}

func (r *Reader) subscriptions(ctx context.Context, text string, args ...any) (all []Subscription, err error) {
	err = r.r.db.Each(ctx, func(scan func(...any) error) error {
		var s Subscription
		var standing, spec, hidden []byte
		var updated, told int64
		if err := scan(&s.ID, &s.owner, &standing, &spec, &hidden, &s.Status, &s.Reason, &s.Edition, &updated, &told, &s.Events); err != nil {
			return err
		}
		if err := errors.Join(json.Unmarshal(standing, &s.standing), json.Unmarshal(spec, &s.Wish)); err != nil {
			return err
		}
		headers, err := r.r.keys.unhide(s.owner, hidden)
		if err != nil {
			return err
		}
		if headers != "" {
			s.Headers = strings.Split(headers, "\n")
		}
		s.Updated, s.told = fromMicros(updated), fromMicros(told)
		all = append(all, s)
		return nil
	}, text, args...)
	return all, failed("read subscriptions", err)
}

// Unsubscribe forgets one of the caller's. What is not there is forgotten already.
func (r *Reader) Unsubscribe(ctx context.Context, ask Ask, id string) error {
	if _, err := r.subscription(ctx, ask.Caller, id); err != nil {
		return ignoreMissing(err)
	}
	e := ask.event(audit.Notify)
	e.Detail = "unsubscribe " + id
	if err := r.audit(ctx, e); err != nil {
		return err
	}
	return failed("delete a subscription", r.r.writer.do(ctx, &write{other: func(ctx context.Context, tx *sqldb.Tx) error {
		var all []sqldb.Stmt
		for _, text := range []string{dropNotices, dropEvents, dropSeen, dropSubscription} {
			all = append(all, sqldb.Stmt{SQL: text, Args: []any{id}})
		}
		return tx.Batch(ctx, all)
	}}))
}

// questions are what a subscription asks, as far as the caller's token covers it.
func (w Wish) questions(c access.Caller, codes *terminology.Library) (all []search.Query, err error) {
	for _, text := range w.Asked {
		typ, query, _ := strings.Cut(text, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil, errFinds
		}
		for name := range values {
			if strings.HasPrefix(name, "_") && !slices.Contains(filtering, strings.SplitN(name, ":", 2)[0]) {
				return nil, errFinds
			}
		}
		q, err := search.ParseQuery(typ, values, search.Base(w.Base), search.At(w.At), search.Codes(codes))
		if err == nil {
			q, err = within(c, q)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	return all, nil
}

// hide seals a text that only we read again.
func (k keys) hide(bound, text string) ([]byte, error) {
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return k.aead.Seal(nonce, nonce, []byte(text), []byte("subscription\n"+bound)), nil
}

var errSealed = errors.New("record: what was sealed cannot be read: the key is another")

func (k keys) unhide(bound string, b []byte) (string, error) {
	if len(b) < k.aead.NonceSize() {
		return "", errSealed
	}
	plain, err := k.aead.Open(nil, b[:k.aead.NonceSize()], b[k.aead.NonceSize():], []byte("subscription\n"+bound))
	if err != nil {
		return "", errSealed
	}
	return string(plain), nil
}
