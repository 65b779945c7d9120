package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// trip is one request on its way through: what the access log will say of it.
// It lives in the request's context and belongs to the goroutine that serves.
type trip struct {
	id     string // X-Request-Id
	route  string // template, never the path: a path may hold a handle
	start  time.Time
	status int
	format format // of an answer of the FHIR API; "" until it is known
	pretty bool   // it is to be read by people
	chosen string // format and pretty as parameters, "&_format=xml", where they were that
}

type tripKey struct{}

func tripOf(r *http.Request) *trip {
	t, _ := r.Context().Value(tripKey{}).(*trip)
	if t == nil { // served without Guard.Wrap, as tests of one handler do
		return &trip{}
	}
	return t
}

// RequestID is the id this request carries in X-Request-Id, in the access log
// and in its audit events. It is ours alone: what a client sends is ignored.
func RequestID(r *http.Request) string { return tripOf(r).id }

// Address is the network address a request came from, without its port.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

var idAlphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func newTrip(random io.Reader, now time.Time) *trip {
	var b [15]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		// crypto/rand does not fail; a test's reader may run dry.
		_, _ = rand.Read(b[:])
	}
	return &trip{id: idAlphabet.EncodeToString(b[:]), start: now}
}

func (t *trip) into(ctx context.Context) context.Context {
	return context.WithValue(ctx, tripKey{}, t)
}

// reference is what a person reads out to the help desk: "7F3K-22", the head
// of the request id, by which the log is found.
func (t *trip) reference() string {
	if len(t.id) < 6 {
		return "0000-00"
	}
	up := strings.ToUpper(t.id[:6])
	return up[:4] + "-" + up[4:]
}

// watched notes the status that was sent. It forwards nothing else: no page
// of ours hijacks or pushes.
type watched struct {
	http.ResponseWriter
	trip *trip
}

func (w *watched) WriteHeader(status int) {
	if w.trip.status == 0 {
		w.trip.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(b []byte) (int, error) {
	if w.trip.status == 0 {
		w.trip.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach deadlines and flushing.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
