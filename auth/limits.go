package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"firebreak/search"
)

// Limits are what a token reaches, resource by resource, where its types do not tell:
// with granular scopes, and where one patient's scopes stand beside wider ones, so
// that what is told of others (by _has) is less than what is told of that patient.
// What it may search and what it may read are told apart.
type Limits struct {
	// Patient is the launch context: in that chart scopes for one patient count too.
	Patient string

	key        string
	everywhere Scopes
	own        Scopes // in the chart of Patient; everywhere's among them
}

// limited is id with its limits, if it has any.
func (id Identity) limited() Identity {
	wider := User
	if id.IsClient() {
		wider = System
	}
	beside := func(s Scope) bool {
		return s.Context == Patient && !slices.ContainsFunc(id.granted, func(w Scope) bool {
			return w.Context == wider && (w.Type == "*" || w.Type == s.Type) && w.May&s.May == s.May
		}) && slices.ContainsFunc(id.granted, func(w Scope) bool { return w.Context == wider })
	}
	if !slices.ContainsFunc(id.granted, Scope.Granular) && (id.IsClient() || !slices.ContainsFunc(id.granted, beside)) {
		return id
	}
	l := &Limits{Patient: id.patient}
	var words []string
	for _, s := range id.granted {
		switch {
		case s.Context == wider:
			l.everywhere = append(l.everywhere, s)
		case id.IsClient() || id.patient == "" || s.Context != Patient:
			continue
		}
		l.own = append(l.own, s)
		words = append(words, s.String())
	}
	slices.Sort(words)
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(words), " ") + "\n" + id.patient))
	l.key = hex.EncodeToString(sum[:16])
	id.limits = l
	return id
}

// Key names the limits: tokens with equal keys have equal ones. It holds no word of
// a scope.
func (l *Limits) Key() string { return l.key }

// Of is what the token reaches of typ by in, Read or Search: all of it, or what any
// of only finds. own tells whether it is about the chart of Patient. A scope without
// a restriction beside others counts; without any scope it is nothing.
func (l *Limits) Of(in Interaction, typ string, own bool) (all bool, only []search.Query) {
	scopes := l.everywhere
	if own {
		scopes = l.own
	}
	for _, s := range scopes {
		switch {
		case !s.covers(s.Context, typ, in):
		case !s.Granular():
			return true, nil
		default:
			only = append(only, s.only)
		}
	}
	return false, only
}
